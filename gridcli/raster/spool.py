"""Significant tiles as they come out of contraction: in memory, or in a spill file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.grid.keys import unpack
from gridcli.tiles.tiles import TileBlocks, Tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.grid.grid import Grid
    from gridcli.runtime.spill import Extent, SpillFile

BYTES_PER_TILE = 16
KEEP_TILES = 1 << 22
BLOCK_TILES = 1 << 18
GROWTH = 1.5


@dataclass(frozen=True)
class SpooledTiles:
    """Tiles in a spill file, sorted by (y, x); read block by block (`TileBlocks`).

    Attributes
    ----------
    grid : Grid
    spill : SpillFile
    extents : sequence of Extent
        Where each block stands: its counts, then its columns, then its rows.
    """

    grid: Grid
    spill: SpillFile
    extents: Sequence[Extent]

    def __len__(self) -> int:
        return sum(extent.size for extent in self.extents) // BYTES_PER_TILE

    def blocks(self) -> Iterator[Tiles]:
        """Yield the tiles as they were written."""
        for extent in self.extents:
            data = self.spill.read(extent)
            count, x, y = np.split(data, [extent.size // 2, extent.size // 4 * 3])
            yield Tiles(self.grid, x.view(np.int32), y.view(np.int32), count.view(np.int64))


class TileSpool:
    """Collects tiles in ascending order: in memory up to a number, then all in a spill file.

    Parameters
    ----------
    grid : Grid
    spill : SpillFile
        Must stay open as long as the tiles are used.
    keep_tiles : int
        Most tiles that are kept in memory, 16 bytes each.
    block_tiles : int
        Most tiles in a block of the spill file.
    """

    def __init__(
        self,
        grid: Grid,
        spill: SpillFile,
        *,
        keep_tiles: int = KEEP_TILES,
        block_tiles: int = BLOCK_TILES,
    ) -> None:
        self._grid = grid
        self._spill = spill
        self._most = keep_tiles
        self._block_tiles = block_tiles
        self._is_spilling = False
        self._extents: list[Extent] = []
        self._x = np.empty(0, np.int32)
        self._y = np.empty(0, np.int32)
        self._count = np.empty(0, np.int64)
        self._n = 0

    def add(self, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        """Append tiles that all come after those before.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n,)
            Tile keys (`gridcli.grid.keys`), strictly ascending.
        counts : ndarray of int64, shape (n,)

        Raises
        ------
        ResourceError
            The disk is full.
        """
        for begin in range(0, len(keys), self._block_tiles):
            rows = slice(begin, begin + self._block_tiles)
            self._add_block(Tiles(self._grid, *unpack(keys[rows]), counts[rows]))

    def finish(self) -> TileBlocks:
        """Return all tiles: `Tiles` where they are in memory. Nothing can be added after."""
        if not self._is_spilling:
            self._resize(self._n)
            return Tiles(self._grid, self._x, self._y, self._count)
        self._write()
        return SpooledTiles(self._grid, self._spill, self._extents)

    def _add_block(self, block: Tiles) -> None:
        if self._n + len(block) > self._most:
            self._write()
            self._most, self._is_spilling = self._block_tiles, True
        end = self._n + len(block)
        if end > len(self._x):
            self._resize(max(end, min(self._most, int(GROWTH * len(self._x)))))
        rows = slice(self._n, end)
        self._x[rows], self._y[rows], self._count[rows] = block.x, block.y, block.count
        self._n = end

    def _write(self) -> None:
        """Move what is in memory to the spill file."""
        for begin in range(0, self._n, self._block_tiles):
            rows = slice(begin, min(begin + self._block_tiles, self._n))
            parts = (self._count[rows], self._x[rows], self._y[rows])
            data = np.concatenate([part.view(np.uint8) for part in parts])
            self._extents.append(self._spill.append(data))
        self._n = 0
        self._resize(0)

    def _resize(self, n_tiles: int) -> None:
        for array in (self._x, self._y, self._count):
            array.resize(n_tiles, refcheck=False)  # in place, often without moving it
