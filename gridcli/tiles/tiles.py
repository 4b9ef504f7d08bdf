"""Finished tiles: distinct, counted, sorted. What contraction hands to agglomeration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from gridcli.grid.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


KINDS = ("significant", "window", "epsilon")
"""Why a tile counts: it holds tau points itself, or what of `gridcli.raster.relax` added it."""


class TileBlocks(Protocol):
    """Distinct tiles of one grid, sorted by (y, x), in pieces; can be walked more than once."""

    @property
    def grid(self) -> Grid:
        """The grid of all tiles."""

    def __len__(self) -> int:
        """Return the number of tiles."""

    def blocks(self) -> Iterator[Tiles]:
        """Yield all tiles in ascending order, in pieces of any size, none empty."""


@dataclass(frozen=True)
class Tiles:
    """Distinct tiles of one grid, sorted by (y, x), in memory.

    Attributes
    ----------
    grid : Grid
    x, y : ndarray of int32, shape (n,)
        Tile indexes, sorted by y, then x; no duplicates.
    count : ndarray of int64, shape (n,)
        Points in each tile, at least 1.
    kind : ndarray of uint8, shape (n,), or None
        Position in `KINDS`; None: all are significant, or it does not matter.
    """

    grid: Grid
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    count: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def blocks(self) -> Iterator[Tiles]:
        """Yield the tiles in one piece (`TileBlocks`)."""
        if len(self):
            yield self

    def piece(self, begin: int, end: int) -> Tiles:
        """Return the tiles at positions [begin, end); they share memory with these."""
        rows = slice(begin, end)
        kind = None if self.kind is None else self.kind[rows]
        return Tiles(self.grid, self.x[rows], self.y[rows], self.count[rows], kind)

    def copy(self) -> Tiles:
        """Return the tiles in memory of their own."""
        kind = None if self.kind is None else self.kind.copy()
        return Tiles(self.grid, self.x.copy(), self.y.copy(), self.count.copy(), kind)


def join_tiles(pieces: Sequence[Tiles]) -> Tiles:
    """Return pieces that follow each other, at least one, as one; a single one as it is."""
    if len(pieces) == 1:
        return pieces[0]
    kinds = [piece.kind for piece in pieces if piece.kind is not None]
    return Tiles(
        pieces[0].grid,
        np.concatenate([piece.x for piece in pieces]),
        np.concatenate([piece.y for piece in pieces]),
        np.concatenate([piece.count for piece in pieces]),
        np.concatenate(kinds) if len(kinds) == len(pieces) else None,
    )


def tally_kinds(tiles: TileBlocks) -> dict[str, int]:
    """Return how many tiles there are of each of `KINDS`."""
    tally = np.zeros(len(KINDS), np.int64)
    for block in tiles.blocks():
        if block.kind is None:
            tally[0] += len(block)
        else:
            tally += np.bincount(block.kind, minlength=len(KINDS))
    return dict(zip(KINDS, tally.tolist(), strict=True))
