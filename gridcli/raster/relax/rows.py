"""Tiles below tau that count all the same: blocks around a corner, and gaps between dense tiles.

Source: RASTER, section 3.6 (`--window`: tau points around a corner of four tiles make no
significant tile) and section 6 (`--epsilon`: a tile with nearly tau points beside several
significant ones). Definitions: docs/contract.md, section 3. Both need a tile's row and the
adjacent ones only, so tiles stream through in slices of complete rows, one row of which is looked
at again with the next slice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError
from gridcli.grid.keys import unpack
from gridcli.raster.agglomerate import rows_of, slice_borders
from gridcli.raster.cluster import row_slices
from gridcli.tiles.tiles import KINDS, Tiles, join_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridcli.grid.grid import Grid
    from gridcli.tiles.merge import Counted

Uint8s = npt.NDArray[np.uint8]

SIGNIFICANT, WINDOW, EPSILON = range(len(KINDS))
LEFT_OUT = 255

WINDOWS = ("gaps", "all")
LEAST_NEIGHBOURS = 2
"""Significant neighbours that a tile needs to be added by epsilon."""

SLICE_TILES = 1 << 19
"""A slice aims at so many tiles, which stay in the processor's cache from step to step."""
BYTES_PER_TILE = 80
"""Memory for each tile of a slice: as it comes, copied, its mark and kind, and what is chosen."""
SLICE_SHARE = 8
"""Where memory is short, a slice aims at one part in so many of it, and can be twice as large."""
ROW_SHARE = 2
"""A row may take one part in so many of the memory."""
LEAST_BYTES = 16 << 20
"""Memory that is taken in any case."""


@dataclass(frozen=True)
class Relaxation:
    """Which tiles below tau count too.

    Attributes
    ----------
    window : {"gaps", "all"} or None
        Add the tiles of every 2 x 2 block with tau points: where it holds no significant tile, or
        of all.
    epsilon : int
        Then add tiles that lack at most so many points and have at least two significant
        neighbours (Chebyshev distance 1); below tau; 0: none.
    """

    window: str | None = None
    epsilon: int = 0

    def least(self, tau: int) -> int:
        """Return the points of the emptiest tile that can be added."""
        return 1 if self.window is not None else tau - self.epsilon


def relaxed_tiles(
    blocks: Iterable[Counted],
    grid: Grid,
    tau: int,
    relaxation: Relaxation,
    *,
    threads: int = 1,
    memory_bytes: int,
) -> Iterator[Tiles]:
    """Yield the tiles that count, with the kind of each, in ascending order.

    Parameters
    ----------
    blocks : iterable of keys and counts
        Ascending; all tiles with at least ``relaxation.least(tau)`` points.
    grid : Grid
    tau : int
    relaxation : Relaxation
    threads : int
    memory_bytes : int
        Take no more than about this much, or `LEAST_BYTES`.

    Raises
    ------
    ResourceError
        The tiles of a row, and of those beside it, do not fit in `memory_bytes`.

    Notes
    -----
    Significant is only what holds tau points itself: what a block adds neither keeps other blocks
    from being added, nor is it a significant neighbour for epsilon. A tile that both would add is
    one of a block.
    """
    memory_bytes = max(memory_bytes, LEAST_BYTES)
    most = max(1, min(SLICE_TILES, memory_bytes // (SLICE_SHARE * BYTES_PER_TILE)))
    stream = _Stream(blocks, grid, most, memory_bytes)
    waiting: Tiles | None = None
    mark = np.empty(0, np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        for rows, is_last in row_slices(stream, most):
            part = _Slice(rows if waiting is None else join_tiles([waiting, rows]), tau, relaxation)
            mark = np.concatenate([mark, np.zeros(len(rows), np.uint8)])
            start = part.mark(mark, pool, threads, is_first=waiting is None, is_last=is_last)
            yield from _chosen(part.tiles.piece(0, start), mark[:start], tau, relaxation)
            waiting, mark = part.tiles.piece(start, len(mark)).copy(), mark[start:].copy()


class _Stream:
    """Blocks of keys and counts as tiles (`TileBlocks`, to be walked once)."""

    def __init__(self, blocks: Iterable[Counted], grid: Grid, most: int, memory_bytes: int) -> None:
        self.grid = grid
        self._blocks = blocks
        self._most = most
        self._memory_bytes = memory_bytes
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def blocks(self) -> Iterator[Tiles]:
        """Yield the tiles in pieces; refuse a row that does not fit before it is collected."""
        last_y, in_row = None, 0
        for keys, counts in self._blocks:
            for begin in range(0, len(keys), self._most):
                piece = slice(begin, begin + self._most)
                x, y = unpack(keys[piece])
                start = int(np.searchsorted(y, y[-1]))
                in_row = len(y) - start + (in_row if start == 0 and y[-1] == last_y else 0)
                last_y = y[-1]
                self._check_row(in_row, int(last_y))
                self._n += len(y)
                yield Tiles(self.grid, x, y, counts[piece])

    def _check_row(self, n_tiles: int, row: int) -> None:
        needed = 2 * BYTES_PER_TILE * n_tiles  # the row before it can be as long
        room = self._memory_bytes // ROW_SHARE
        if needed > room:
            raise ResourceError(
                f"row {row:,} holds {n_tiles:,} tiles or more, and --window and --epsilon look at "
                f"adjacent rows together: that needs {needed / 1e6:,.1f} MB, and --max-memory "
                f"leaves {room / 1e6:,.1f} MB for it. Raise it, or choose larger tiles with "
                "--prec or --tile-size."
            )


class _Slice:
    """Complete rows, and the one before them."""

    def __init__(self, tiles: Tiles, tau: int, relaxation: Relaxation) -> None:
        self.tiles = tiles
        self._row_start, self._row_y = rows_of(tiles)
        self._tau = tau
        self._every = int(relaxation.window == "all")

    def mark(
        self,
        mark: Uint8s,
        pool: ThreadPoolExecutor,
        threads: int,
        *,
        is_first: bool,
        is_last: bool,
    ) -> int:
        """Look at each row and the one above; return where the tiles begin that still wait.

        The first row has been looked at from below, unless it is the first of all; the last one
        waits for the row above it, unless it is the last of all. Threads take ranges of rows that
        have none in common; the rows where these meet come last.
        """
        stop = len(self._row_y) - (0 if is_last else 1)
        inner = slice_borders(self._row_start[: stop + 1], threads)[1:-1]
        borders = [-1 if is_first else 0, *inner, stop]
        ranges = [(a, b - (b != stop)) for a, b in pairwise(borders)]
        jobs = [pool.submit(self._look, a, b, mark) for a, b in ranges]
        for job in jobs:
            job.result()
        for border in inner:
            self._look(border - 1, border, mark)
        return int(self._row_start[stop])

    def _look(self, first: int, stop: int, mark: Uint8s) -> None:
        from gridcli.raster.relax.kernels import mark_tiles

        tiles, grid = self.tiles, self.tiles.grid
        beyond = 2**32  # of a plane without bounds
        south, north = (-beyond, beyond) if grid.planar else (grid.first_row, grid.last_row)
        mark_tiles(
            tiles.x,
            tiles.count,
            self._row_start,
            self._row_y,
            first,
            stop,
            south,
            north,
            self._tau,
            self._every,
            0 if grid.rows_differ else grid.columns,
            grid.column_table,
            mark,
        )


def _chosen(tiles: Tiles, mark: Uint8s, tau: int, relaxation: Relaxation) -> Iterator[Tiles]:
    """Yield the tiles that count, with their kind."""
    from gridcli.raster.relax.kernels import IN_WINDOW, NEIGHBOURS

    kind = np.full(len(tiles), LEFT_OUT, np.uint8)
    if relaxation.epsilon:
        is_near = (mark & NEIGHBOURS) >= LEAST_NEIGHBOURS
        kind[is_near & (tiles.count >= tau - relaxation.epsilon)] = EPSILON
    if relaxation.window is not None:
        kind[mark >= IN_WINDOW] = WINDOW
    kind[tiles.count >= tau] = SIGNIFICANT
    chosen = np.flatnonzero(kind != LEFT_OUT)
    if len(chosen):
        x, y, count = tiles.x[chosen], tiles.y[chosen], tiles.count[chosen]
        yield Tiles(tiles.grid, x, y, count, kind[chosen])
