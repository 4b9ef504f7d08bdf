"""Finished tiles: distinct, counted, sorted. What contraction hands to agglomeration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridcli.grid.grid import Grid


@dataclass(frozen=True)
class Tiles:
    """Distinct tiles of one grid, sorted by (y, x).

    Attributes
    ----------
    grid : Grid
    x, y : ndarray of int32, shape (n,)
        Tile indexes, sorted by y, then x; no duplicates.
    count : ndarray of int64, shape (n,)
        Points in each tile, at least 1.
    """

    grid: Grid
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    count: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)
