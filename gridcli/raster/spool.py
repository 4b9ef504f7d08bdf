"""Significant tiles as they come out of contraction: in memory, or in a spill file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        Where each block stands: its counts, then its columns, then its rows, then its kinds.
    with_kinds : bool
        Whether there are kinds.
    """

    grid: Grid
    spill: SpillFile
    extents: Sequence[Extent]
    with_kinds: bool = False

    def __len__(self) -> int:
        return sum(extent.size for extent in self.extents) // self._tile_bytes

    @property
    def _tile_bytes(self) -> int:
        return BYTES_PER_TILE + int(self.with_kinds)

    def blocks(self) -> Iterator[Tiles]:
        """Yield the tiles as they were written."""
        for extent in self.extents:
            data = self.spill.read(extent)
            n = extent.size // self._tile_bytes
            count, x, y, kind = np.split(data, [8 * n, 12 * n, 16 * n])
            yield Tiles(
                self.grid,
                x.view(np.int32),
                y.view(np.int32),
                count.view(np.int64),
                kind if self.with_kinds else None,
            )


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
    with_kinds : bool
        Keep the kind of each tile, a byte more; those that come without one are significant.
    """

    def __init__(
        self,
        grid: Grid,
        spill: SpillFile,
        *,
        keep_tiles: int = KEEP_TILES,
        block_tiles: int = BLOCK_TILES,
        with_kinds: bool = False,
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
        self._kind = np.empty(0, np.uint8) if with_kinds else None
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

    def add_tiles(self, tiles: Tiles) -> None:
        """Append tiles, with their kinds if those are kept; see `add`."""
        for begin in range(0, len(tiles), self._block_tiles):
            self._add_block(tiles.piece(begin, begin + self._block_tiles))

    def finish(self) -> TileBlocks:
        """Return all tiles: `Tiles` where they are in memory. Nothing can be added after."""
        if not self._is_spilling:
            self._resize(self._n)
            return Tiles(self._grid, self._x, self._y, self._count, self._kind)
        self._write()
        return SpooledTiles(
            self._grid, self._spill, self._extents, with_kinds=self._kind is not None
        )

    @property
    def _arrays(self) -> list[npt.NDArray[Any]]:
        """The columns, in the order in which the spill file has them."""
        columns: list[npt.NDArray[Any]] = [self._count, self._x, self._y]
        return columns if self._kind is None else [*columns, self._kind]

    def _add_block(self, block: Tiles) -> None:
        if self._n + len(block) > self._most:
            self._write()
            self._most, self._is_spilling = self._block_tiles, True
        end = self._n + len(block)
        if end > len(self._x):
            self._resize(max(end, min(self._most, int(GROWTH * len(self._x)))))
        rows = slice(self._n, end)
        self._x[rows], self._y[rows], self._count[rows] = block.x, block.y, block.count
        if self._kind is not None:
            self._kind[rows] = 0 if block.kind is None else block.kind
        self._n = end

    def _write(self) -> None:
        """Move what is in memory to the spill file."""
        for begin in range(0, self._n, self._block_tiles):
            rows = slice(begin, min(begin + self._block_tiles, self._n))
            data = np.concatenate([array[rows].view(np.uint8) for array in self._arrays])
            self._extents.append(self._spill.append(data))
        self._n = 0
        self._resize(0)

    def _resize(self, n_tiles: int) -> None:
        for array in self._arrays:
            array.resize(n_tiles, refcheck=False)  # in place, often without moving it
