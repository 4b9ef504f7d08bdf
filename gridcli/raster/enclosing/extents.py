"""The first and last tile of each row of hubs: all that what encloses them depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError
from gridcli.grid.ellipsoid import tile_side
from gridcli.raster.outlines.corners import drawn_x, drawn_y
from gridcli.raster.outlines.grouping import SHARE_OF_OUTLINE, SHARE_OF_TILES, ranges_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

ROWS_PER_BATCH = 16_384
"""Hubs are enclosed together up to so many rows of tiles, whatever the memory."""
ROWS_PER_HUB = 16
"""A hub counts for so many rows beside its own: an ellipse has 64 corners."""
BYTES_PER_ROW = 20
BYTES_PER_ENCLOSED_ROW = 500
"""Memory for each row of a hub while it is enclosed, and what encloses it is written."""


@dataclass(frozen=True)
class RowExtents:
    """The rows of consecutive hubs, each with its first and last tile.

    Attributes
    ----------
    grid : Grid
    first_hub : int
        Position of the first of these hubs among all.
    start, stop : ndarray of int64, shape (n_hubs,)
        Where each hub's rows begin and end.
    row : ndarray of int32
        Ascending within a hub.
    low, high : ndarray of int64
        First and last column of each row as the hub goes east, packed as in `fold_rows`.
    """

    grid: Grid
    first_hub: int
    start: Int64s
    stop: Int64s
    row: npt.NDArray[np.int32]
    low: Int64s
    high: Int64s


@dataclass(frozen=True)
class Corners:
    """The outermost corners of hubs, as rings: up the eastern side of each hub, down the western.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        In tiles (on grids whose rows differ: heights of a tile) from the origin of coordinates,
        without a jump at 180 degrees.
    lon, lat : ndarray of float64, shape (n,)
        The same corners in coordinates, longitudes beyond 180 degrees going on from there.
    start : ndarray of int64, shape (n_hubs + 1,)
    top : ndarray of int64, shape (n_hubs,)
        The last corner on the eastern side.
    """

    x: Float64s
    y: Float64s
    lon: Float64s
    lat: Float64s
    start: Int64s
    top: Int64s


def row_extents(hubs: Hubs, memory_bytes: int | None) -> Iterator[RowExtents]:
    """Yield the rows of all hubs, some hubs at a time, each in one walk over the tiles.

    Parameters
    ----------
    hubs : Hubs
    memory_bytes : int or None
        Rows take one part in `SHARE_OF_TILES` of it, or `ROWS_PER_BATCH`, or one hub.
    """
    rows = _most_rows(hubs)
    most = None
    if memory_bytes is not None:
        most = max(memory_bytes // (SHARE_OF_TILES * BYTES_PER_ROW), ROWS_PER_BATCH)
    for first, stop in ranges_of(rows, most):
        yield _fold(hubs, first, rows[first:stop])


def check_rows(hubs: Hubs, memory_bytes: int | None) -> None:
    """Raise `ResourceError` where the rows of one hub do not fit in the memory."""
    if memory_bytes is None or not len(hubs):
        return
    rows = _most_rows(hubs)
    largest = int(np.argmax(rows))
    needed, room = BYTES_PER_ENCLOSED_ROW * int(rows[largest]), memory_bytes // SHARE_OF_OUTLINE
    if rows[largest] > ROWS_PER_BATCH and needed > room:
        raise ResourceError(
            f"what encloses hub {largest + 1} does not fit in memory: its {rows[largest]:,} rows "
            f"of tiles need {needed / 1e6:,.1f} MB, and {room / 1e6:,.1f} MB are left for them. "
            "Raise --max-memory, choose larger tiles, or write hubs as points only."
        )


def batches_of(extents: RowExtents) -> Iterator[tuple[int, int]]:
    """Yield ranges of hubs that are enclosed together."""
    return ranges_of(extents.stop - extents.start + ROWS_PER_HUB, ROWS_PER_BATCH)


def outer_corners(extents: RowExtents, hubs: Hubs, begin: int, end: int) -> Corners:
    """Return the outermost corners of the hubs from position `begin` to `end` of the extents.

    Those of a hub that fills every column are the corners of the band of its rows.
    """
    grid = extents.grid
    rows = extents.stop[begin:end] - extents.start[begin:end]
    start = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    hub = np.repeat(np.arange(end - begin), rows)
    at = np.arange(start[-1]) + (extents.start[begin:end] - start[:-1])[hub]
    row = extents.row[at].astype(np.int64)
    among_all = slice(extents.first_hub + begin, extents.first_hub + end)
    is_around = np.zeros(end - begin, np.bool_)
    if not grid.planar:
        is_around = (hubs.west[among_all] == -180) & (hubs.east[among_all] == 180)

    # Corners of row i of a hub with m rows: the eastern ones are the 2i-th and the next of its
    # 4m corners, the western ones the 2i-th and the next from the end, backwards.
    ring = 4 * start
    eastern = ring[hub] + 2 * (np.arange(len(at)) - start[hub])
    western = ring[hub + 1] - 1 - 2 * (np.arange(len(at)) - start[hub])
    x, y, lon, lat = np.empty((4, 4 * len(at)))
    for into, packed, is_upper in ((western, extents.low, 0), (eastern, extents.high, 1)):
        column = (packed[at] & 0xFFFFFFFF) - 2**31 + is_upper
        turns = packed[at] >> 32
        across, longitude = _across(grid, column, row), drawn_x(grid, column, row)
        if not grid.planar:
            limit = 180 / tile_side(grid)
            bound = limit if is_upper else -limit
            across = np.where(is_around[hub], bound, across + 2 * limit * turns)
            bound = 180 if is_upper else -180
            longitude = np.where(is_around[hub], bound, longitude + 360 * turns)
        for step, edge in ((0, row), (1, row + 1)):
            corner = into + (step if is_upper else -step)
            x[corner], lon[corner] = across, longitude
            y[corner], lat[corner] = _upward(grid, edge), drawn_y(grid, edge)
    return Corners(x, y, lon, lat, ring, ring[:-1] + 2 * rows - 1)


def _most_rows(hubs: Hubs) -> Int64s:
    """Return how many rows of tiles each hub has, at most: both ends may lie in partial rows."""
    shapes = hubs.shapes
    with np.errstate(invalid="ignore"):  # of planar hubs that reach beyond the doubles
        rows = np.ceil((hubs.north - hubs.south) / tile_side(shapes.tiles.grid)) + 1
    fewest: Int64s = np.fmin(rows, shapes.n_tiles).astype(np.int64)
    return fewest


def _fold(hubs: Hubs, first: int, rows: Int64s) -> RowExtents:
    """Return the rows of consecutive hubs that have no more rows than said."""
    from gridcli.raster.enclosing.kernels import fold_rows

    shapes = hubs.shapes
    grid = shapes.tiles.grid
    ends = np.cumsum(rows)
    start = ends - rows
    place = start.copy()
    row = np.empty(int(rows.sum()), np.int32)
    low, high = np.empty((2, len(row)), np.int64)
    # One more for label -1.
    crosses = np.append(~np.bool_(grid.planar) & (hubs.west > hubs.east), False)
    west = np.append(hubs.west, np.nan)
    for tiles, hub in shapes.labelled_blocks():
        is_beyond = np.zeros(len(tiles), np.int8)
        if crosses.any():
            at = np.flatnonzero(crosses[hub])
            is_beyond[at] = grid.edges_x(tiles.x[at], tiles.y[at]) < west[hub[at]]
        fold_rows(hub, tiles.x, tiles.y, is_beyond, first, start, place, row, low, high)
    return RowExtents(grid, first, start, place, row, low, high)


def _across(grid: Grid, column: Int64s, row: Int64s) -> Float64s:
    """Return the western edges of tiles, in tiles (or their heights) from longitude (or x) 0."""
    if grid.planar:
        return column.astype(np.float64)
    if grid.rows_differ:
        return drawn_x(grid, column, row) / tile_side(grid)
    limit = 180 / tile_side(grid)
    return np.clip(column, -limit, limit)


def _upward(grid: Grid, row: Int64s) -> Float64s:
    """Return the southern edges of rows, in tiles from latitude (or y) 0."""
    if grid.planar:
        return row.astype(np.float64)
    if grid.rows_differ:
        return drawn_y(grid, row) / tile_side(grid)
    limit = 90 / tile_side(grid)
    return np.clip(row, -limit, limit)
