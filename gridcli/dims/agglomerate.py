"""Agglomeration in d dimensions: significant tiles to connected components.

Source: RASTER, section 3.6: with 3^d - 1 neighbours (Chebyshev distance 1) or 2d (Manhattan).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.raster.agglomerate import LARGEST_DISTANCE, check_neighbourhood
from gridcli.raster.model import Components

if TYPE_CHECKING:
    from gridcli.dims.grid import DimsGrid
    from gridcli.runtime.signals import StopFlag

VISITS_PER_PIECE = 5_000_000
"""Lines looked at in one call of the kernel: some 0.1 s, so that a signal is soon noticed."""


def agglomerate(
    grid: DimsGrid,
    keys: npt.NDArray[np.uint64],
    *,
    delta: int = 1,
    metric: str = "chebyshev",
    stop: StopFlag | None = None,
) -> Components:
    """Return the connected components of significant tiles, numbered by their smallest tile.

    Two tiles are neighbours if their distance is at most `delta`; along cyclic axes and around
    the earth the shorter way counts. Time grows with the tiles and with the places and lines in
    reach of each: in three dimensions (2 delta + 1)^2, in four (2 delta + 1)^3.

    Parameters
    ----------
    grid : DimsGrid
    keys : ndarray of uint64, shape (n,)
        Keys of `grid`, strictly ascending.
    delta : int
        Largest distance of neighbours, in tiles, at least 1.
    metric : {"chebyshev", "manhattan"}
    stop : StopFlag or None

    Raises
    ------
    UsageError
        `delta` is below 1, or the metric is unknown.
    Interrupted
        A signal arrived.
    """
    check_neighbourhood(delta, metric, grid.plane)
    if not len(keys):
        return Components(np.empty(0, np.int32), 0)
    from gridcli.dims.kernels import join_places
    from gridcli.raster.kernels import number_components

    of_tile, over = grid.places(keys)
    place_start = starts_of(of_tile)
    x, y = grid.columns_and_rows(of_tile[place_start[:-1]])
    del of_tile
    row_start = starts_of(y)
    row_y = y[row_start[:-1]]
    delta = min(delta, LARGEST_DISTANCE)
    shape = _shape(grid, delta, is_chebyshev=metric == "chebyshev")
    parent = np.empty(len(keys), np.int32)
    piece_tiles = max(1, VISITS_PER_PIECE // (delta + 1) ** (grid.d - 1))
    row, n_rows = 0, len(row_y)
    tiles_before = place_start[row_start]
    while row < n_rows:
        if stop is not None:
            stop.check()
        enough = int(np.searchsorted(tiles_before, tiles_before[row] + piece_tiles))
        end = min(n_rows, max(row + 1, enough))
        join_places(over, place_start, x, row_y, row_start, parent, shape, row, end)
        row = end
    return Components(parent, int(number_components(parent)))


def starts_of(ascending: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return where each run of equal values begins, and how many values there are."""
    changes = np.flatnonzero(ascending[1:] != ascending[:-1]) + 1
    begin = np.zeros(min(len(ascending), 1), np.int64)
    return np.concatenate([begin, changes, [len(ascending)]])


def _shape(grid: DimsGrid, delta: int, *, is_chebyshev: bool) -> npt.NDArray[np.int64]:
    """Return what the kernel is told of the neighbourhood and the grid."""
    from gridcli.dims import kernels

    lines = grid.axes[0] if len(grid.axes) > 1 else None
    shape = np.zeros(kernels.N_SHAPE, np.int64)
    shape[kernels.DELTA] = delta
    shape[kernels.IS_CHEBYSHEV] = is_chebyshev
    shape[kernels.COLUMNS] = grid.plane.columns
    shape[kernels.LINES] = 1 if lines is None else lines.bins
    shape[kernels.LENGTH] = grid.axes[-1].bins
    shape[kernels.LINES_ARE_CYCLIC] = lines is not None and lines.is_cyclic
    shape[kernels.LINE_IS_CYCLIC] = grid.axes[-1].is_cyclic
    return shape
