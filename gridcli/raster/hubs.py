"""Hubs: what each component of significant tiles amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid.ellipsoid import column_overlap, radii_of_curvature, row_areas, tile_side
from gridcli.raster.agglomerate import rows_of
from gridcli.raster.labels import labelled_blocks
from gridcli.raster.model import Hubs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.labels import TileLabels
    from gridcli.runtime.signals import StopFlag
    from gridcli.tiles.tiles import TileBlocks, Tiles

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

LARGEST_PRODUCT = 2.0**62
"""Sums of int64 products bounded by this (computed in doubles) do not overflow."""
LEAST_COLUMNS = 1 << 20
"""Columns of wide hubs that are collected before they are made distinct again."""
HUB_SHIFT = np.uint64(32)
COLUMN_BIAS = 1 << 31


@dataclass(frozen=True)
class _LabelledTiles:
    """The tiles with the hub of each, -1 for none; every walk may be stopped by a signal."""

    tiles: TileBlocks
    labels: TileLabels
    stop: StopFlag | None

    @property
    def grid(self) -> Grid:
        return self.tiles.grid

    def blocks(self) -> Iterator[tuple[Tiles, Int32s]]:
        for block in labelled_blocks(self.tiles, self.labels):
            if self.stop is not None:
                self.stop.check()
            yield block


@dataclass(frozen=True)
class _Extents:
    """Where hubs lie, one element each, in tile indexes.

    Attributes
    ----------
    first_x, south : the smallest tile, which lies in the first row
    north : last row
    west, east : first and last column, going east; west > east for a hub that crosses 180 degrees
    """

    first_x: Int64s
    south: Int64s
    north: Int64s
    west: Int64s
    east: Int64s


def check_mu(mu: int) -> None:
    """Raise `UsageError` where `mu` is below 1."""
    if mu < 1:
        raise UsageError(f"--mu {mu} must be at least 1: it is the fewest tiles that make a hub.")


def build_hubs(
    tiles: TileBlocks, labels: TileLabels, sums: Int64s, *, stop: StopFlag | None = None
) -> Hubs:
    """Describe hubs whose tiles are known and counted.

    Sums are taken over the tiles in their order, so they depend on nothing else. A hub that goes
    around the earth begins east of its widest empty range of columns; of equally wide ones, at
    180 degrees if that is one of them, else at the westernmost.

    Parameters
    ----------
    tiles : TileBlocks
        The significant tiles.
    labels : TileLabels
        The hub of each tile, -1 for none.
    sums : ndarray of int64, shape (n_hubs, 8)
        The sums of `gridcli.raster.kernels.sum_components` of each hub, in hub order.
    stop : StopFlag or None
    """
    from gridcli.raster import kernels

    grid = tiles.grid
    labelled = _LabelledTiles(tiles, labels, stop)
    west, east = _columns_of(labelled, sums[:, kernels.X_MIN].copy(), sums[:, kernels.X_MAX].copy())
    first_x, south = sums[:, kernels.X_FIRST].copy(), sums[:, kernels.Y_FIRST].copy()
    extents = _Extents(first_x, south, sums[:, kernels.Y_LAST].copy(), west, east)
    points = sums[:, kernels.POINTS].copy()
    n_tiles, peak = sums[:, kernels.N_TILES].copy(), sums[:, kernels.PEAK].copy()
    exact, floating = _sum_tiles(labelled, extents)
    lon, lat = _centroids(labelled, extents, exact)
    area = floating[:, kernels.AREA] + floating[:, kernels.AREA_LOST]
    with np.errstate(divide="ignore", invalid="ignore"):
        density = points / area  # of planar tiles so small that their area is 0: infinite
    corners = zip(first_x.data, south.data, strict=True)  # Python ints, one by one
    return Hubs(
        tiles=tiles,
        labels=labels,
        hub_id=np.arange(1, len(sums) + 1),
        hub_key=[f"{grid.name}/{x}/{y}" for x, y in corners],
        points=points,
        n_tiles=n_tiles,
        peak=peak,
        lon=lon,
        lat=lat,
        radius_m=_radii(grid, lat, floating, points),
        area_m2=area,
        density=density,
        west=grid.edges_x(west, south),
        south=grid.edges_y(south),
        east=grid.edges_x(east + 1, south),
        north=grid.edges_y(extents.north + 1),
    )


def _columns_of(labelled: _LabelledTiles, x_min: Int64s, x_max: Int64s) -> tuple[Int64s, Int64s]:
    """Return the first and last column of each hub, going east: outside is its widest gap."""
    columns = labelled.grid.columns
    is_wide = np.zeros(len(x_min) + 1, np.bool_)  # one more for label -1
    if columns:
        is_wide[:-1] = x_max - x_min > columns - (x_max - x_min)
    if not is_wide.any():  # no gap within can be wider than the one from x_max to x_min
        return x_min, x_max
    hub, x = _distinct_columns(labelled, is_wide)
    starts = np.flatnonzero(np.diff(hub, prepend=-1))
    ends = np.append(starts[1:], len(hub)) - 1
    following = np.append(x[1:], 0)
    following[ends] = x[starts] + columns
    steps = following - x
    widest = np.maximum.reduceat(steps, starts)
    crosses = widest > steps[ends]  # otherwise the widest gap, or one of them, is at 180 degrees
    wanted = np.repeat(np.where(crosses, widest, -1), ends - starts + 1)
    candidates = np.flatnonzero(steps == wanted)
    crossing, first = np.unique(hub[candidates], return_index=True)
    x_min[crossing] = following[candidates[first]]
    x_max[crossing] = x[candidates[first]]
    return x_min, x_max


def _distinct_columns(
    labelled: _LabelledTiles, is_chosen: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s]:
    """Return the pairs of hub and column that tiles of the chosen hubs have, sorted."""
    found: list[npt.NDArray[np.uint64]] = []
    waiting, enough = 0, LEAST_COLUMNS
    for tiles, hub in labelled.blocks():
        chosen = np.flatnonzero(is_chosen[hub])
        column = (tiles.x[chosen].astype(np.int64) + COLUMN_BIAS).astype(np.uint64)
        found.append(np.unique(hub[chosen].astype(np.uint64) << HUB_SHIFT | column))
        waiting += len(found[-1])
        if waiting > enough:
            found = [np.unique(np.concatenate(found))]
            waiting = len(found[0])
            enough = 2 * waiting + LEAST_COLUMNS
    pairs = np.unique(np.concatenate(found))
    x = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64) - COLUMN_BIAS
    return (pairs >> HUB_SHIFT).astype(np.int64), x


def _sum_tiles(labelled: _LabelledTiles, extents: _Extents) -> tuple[Int64s, Float64s]:
    """Return the exact and the floating sums of `sum_hubs`."""
    from gridcli.raster.kernels import sum_hubs

    grid = labelled.grid
    exact = np.zeros((len(extents.west), 4), np.int64)
    floating = np.zeros((len(extents.west), 6))
    for tiles, hub in labelled.blocks():
        sum_hubs(
            hub,
            tiles.x,
            tiles.y,
            tiles.count,
            row_areas(grid, rows_of(tiles)[1]),
            extents.first_x,
            extents.south,
            extents.west,
            grid.columns,
            column_overlap(grid),
            exact,
            floating,
        )
    return exact, floating


def _centroids(
    labelled: _LabelledTiles, extents: _Extents, exact: Int64s
) -> tuple[Float64s, Float64s]:
    """Return longitude and latitude (or x and y) of the centroids."""
    from gridcli.raster.kernels import SUM_BEYOND, SUM_POINTS, SUM_X, SUM_Y

    grid = labelled.grid
    points = exact[:, SUM_POINTS]
    sums = exact[:, [SUM_X, SUM_Y]]
    whole = sums // points[:, None]
    rest = sums - whole * points[:, None]
    width = extents.east - extents.west
    width += np.where(width < 0, grid.columns, 0)
    reach = np.maximum(width, extents.north - extents.south).astype(np.float64)
    large = np.flatnonzero(reach * points >= LARGEST_PRODUCT)
    if len(large):
        whole[large], rest[large] = _means_in_python(labelled, extents, large)
    offset = rest / points[:, None] + 0.5
    offset[:, 0] -= exact[:, SUM_BEYOND] / points * column_overlap(grid)
    x = grid.edges(extents.first_x + whole[:, 0] + offset[:, 0])
    y = grid.edges(extents.south + whole[:, 1] + offset[:, 1])
    if grid.planar:
        return x, y
    x = np.where(x >= 180, x - 360, np.where(x < -180, x + 360, x))
    return x, np.clip(y, -90.0, 90.0)  # the centre of a partial row can lie beyond the pole


def _means_in_python(
    labelled: _LabelledTiles, extents: _Extents, hubs: Int64s
) -> tuple[list[list[int]], list[list[int]]]:
    """Return quotients and remainders of the mean offsets of hubs too large for int64 sums."""
    columns = labelled.grid.columns
    is_chosen = np.zeros(len(extents.west) + 1, np.bool_)  # one more for label -1
    is_chosen[hubs] = True
    sums = {int(hub): [0, 0, 0] for hub in hubs}
    for tiles, hub in labelled.blocks():
        chosen = np.flatnonzero(is_chosen[hub])
        of = hub[chosen]
        x = tiles.x[chosen].astype(np.int64)
        first_x, west = extents.first_x[of], extents.west[of]
        beyond = (x < west).astype(np.int64) - (first_x < west)
        dx = x - first_x + beyond * columns
        dy = tiles.y[chosen] - extents.south[of]
        rows = zip(of.tolist(), dx.tolist(), dy.tolist(), tiles.count[chosen].tolist(), strict=True)
        for each, x_offset, y_offset, count in rows:
            total = sums[each]
            total[0] += x_offset * count
            total[1] += y_offset * count
            total[2] += count
    means = [[divmod(total[axis], total[2]) for axis in (0, 1)] for total in sums.values()]
    return [[x[0], y[0]] for x, y in means], [[x[1], y[1]] for x, y in means]


def _radii(grid: Grid, lat: Float64s, floating: Float64s, points: Int64s) -> Float64s:
    """Return the count-weighted RMS distance of tile centres from the centroid, per hub."""
    from gridcli.raster.kernels import SPREAD_X, SPREAD_Y

    unit_x: Float64s | float
    unit_y: Float64s | float
    if grid.planar:
        unit_x = unit_y = tile_side(grid)
    else:
        meridian, prime_vertical = radii_of_curvature(lat)
        step = np.radians(tile_side(grid))
        unit_x = prime_vertical * np.cos(np.radians(lat)) * step
        unit_y = meridian * step
    x = np.sqrt(floating[:, SPREAD_X] / points) * unit_x
    y = np.sqrt(floating[:, SPREAD_Y] / points) * unit_y
    return np.hypot(x, y)
