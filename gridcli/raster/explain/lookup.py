"""Counts of some tiles of many, read from the blocks of a sorted run that hold them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from gridcli.grid.keys import pack, unpack
from gridcli.raster.neighbours import INT32, TileRanges

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.tiles.runs import SortedRun

CACHED_BLOCKS = 24
"""Blocks that stay in memory: of a state, 2 MiB each."""

Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


class TileLookup(Protocol):
    """Counts of tiles of one grid, by their places."""

    @property
    def grid(self) -> Grid:
        """The grid of all tiles."""

    def within(self, ranges: TileRanges) -> tuple[Uint64s, Int64s]:
        """Return keys, ascending, and counts of the tiles that are there, of some ranges."""


def count_of(lookup: TileLookup, tile: tuple[int, int]) -> int:
    """Return the count of one tile, 0 where it is not there."""
    x, y = np.array([tile], np.int64).T
    _, counts = lookup.within(TileRanges(y, x, x))
    return int(counts.sum())


def key_of(tile: tuple[int, int]) -> np.uint64:
    """Return the key of a tile's indexes x and y."""
    x, y = np.array([tile], np.int64).T
    key: np.uint64 = pack(x, y)[0]
    return key


def indexes_of(key: int) -> tuple[int, int]:
    """Return the indexes x and y of a tile's key."""
    x, y = unpack(np.array([key], np.uint64))
    return int(x[0]), int(y[0])


class RunLookup:
    """The tiles of a run (a `TileLookup`); holds the blocks that were read last.

    Parameters
    ----------
    run : SortedRun
    grid : Grid
    """

    def __init__(self, run: SortedRun, grid: Grid) -> None:
        self.grid = grid
        self._first_keys = run.first_keys
        self._read = lru_cache(CACHED_BLOCKS)(run.read)

    def within(self, ranges: TileRanges) -> tuple[Uint64s, Int64s]:
        """Return keys, ascending, and counts of the tiles of ascending, disjoint ranges.

        Raises
        ------
        InputError
            A block is corrupt.
        """
        low, high = ranges.keys()
        pieces = [self._of_block(block, low, high) for block in self._blocks(low, high)]
        if len(pieces) == 1:
            return pieces[0]
        keys = np.concatenate([np.empty(0, np.uint64), *(keys for keys, _ in pieces)])
        return keys, np.concatenate([np.empty(0, np.int64), *(counts for _, counts in pieces)])

    def _blocks(self, low: Uint64s, high: Uint64s) -> list[int]:
        """Return the blocks that may hold tiles of the ranges."""
        if not len(self._first_keys):
            return []
        first = np.searchsorted(self._first_keys, low, side="right") - 1
        last = np.searchsorted(self._first_keys, high, side="right") - 1
        spans = set(zip(np.maximum(first, 0).tolist(), last.tolist(), strict=True))
        return sorted({block for begin, end in spans for block in range(begin, end + 1)})

    def _of_block(self, block: int, low: Uint64s, high: Uint64s) -> tuple[Uint64s, Int64s]:
        """Return the tiles of one block that lie in the ranges."""
        keys, counts = self._read(block)
        begin = np.searchsorted(keys, low)
        length = np.searchsorted(keys, high, side="right") - begin
        before = np.cumsum(length) - length
        position = np.repeat(begin - before, length) + np.arange(int(length.sum()))
        return keys[position], counts[position]


class CoarserLookup:
    """The tiles of another lookup, joined `m` by `m` (a `TileLookup`).

    Parameters
    ----------
    finer : TileLookup
    m : int
        At least 1.

    Raises
    ------
    UsageError
        The grid cannot be coarsened by `m`.
    """

    def __init__(self, finer: TileLookup, m: int) -> None:
        self.grid = finer.grid.coarsened(m)
        self._finer = finer
        self._m = m

    def within(self, ranges: TileRanges) -> tuple[Uint64s, Int64s]:
        """Return keys, ascending, and counts of the tiles of ascending, disjoint ranges."""
        m = self._m
        row = (ranges.row[:, np.newaxis] * m + np.arange(m)).ravel()
        first, last = np.repeat(ranges.first * m, m), np.repeat(ranges.last * m + m - 1, m)
        there = (first <= INT32.max) & (last >= INT32.min) & (row >= INT32.min) & (row <= INT32.max)
        row, first, last = row[there], first[there], last[there]
        order = np.lexsort((first, row))
        finer = TileRanges(
            row[order], np.maximum(first, INT32.min)[order], np.minimum(last, INT32.max)[order]
        )
        keys, counts = self._finer.within(finer)
        x, y = (index.astype(np.int64) // m for index in unpack(keys))
        coarser, of_tile = np.unique(pack(x, y), return_inverse=True)
        total = np.zeros(len(coarser), np.int64)
        np.add.at(total, of_tile, counts)
        return coarser, total
