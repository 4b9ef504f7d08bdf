"""Hubs: what each component of significant tiles amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid.ellipsoid import metres_per_radian, row_areas, tile_side
from gridcli.grid.ring import Ring
from gridcli.raster.agglomerate import rows_of
from gridcli.raster.gaps import beyond_widest_gaps
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
LEAST_RANGES = 1 << 17
"""Ranges of columns of wide hubs that are collected before they are joined again."""


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
    """Where hubs lie, one element each.

    Attributes
    ----------
    first_x, south : the smallest tile, which lies in the first row
    north : last row
    west, east : first and last column, going east; west > east for a hub that crosses 180 degrees

    Rows are indexes, places along them are in units of centres (`gridcli.grid.ring`).
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

    grid, ring = tiles.grid, Ring.of(tiles.grid)
    labelled = _LabelledTiles(tiles, labels, stop)
    ends = _columns_of(labelled, sums[:, kernels.X_MIN].copy(), sums[:, kernels.X_MAX].copy())
    first_x, south = sums[:, kernels.X_FIRST].copy(), sums[:, kernels.Y_FIRST].copy()
    extents = _Extents(
        ring.centres(first_x, south),
        south,
        sums[:, kernels.Y_LAST].copy(),
        *(ring.centre_of(end) for end in ends),
    )
    points = sums[:, kernels.POINTS].copy()
    n_tiles, peak = sums[:, kernels.N_TILES].copy(), sums[:, kernels.PEAK].copy()
    exact, floating, bounds = _sum_tiles(labelled, extents)
    if not grid.rows_differ:
        west, east = grid.edges_x(extents.west, south), grid.edges_x(extents.east + 1, south)
    else:
        west = bounds[:, kernels.WEST]
        crosses = np.isfinite(bounds[:, kernels.EAST_BEYOND])
        east = np.where(crosses, bounds[:, kernels.EAST_BEYOND], bounds[:, kernels.EAST])
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
        west=west,
        south=grid.edges_y(south),
        east=east,
        north=grid.edges_y(extents.north + 1),
    )


def _columns_of(labelled: _LabelledTiles, x_min: Int64s, x_max: Int64s) -> tuple[Int64s, Int64s]:
    """Return the first and last column of each hub, going east: outside is its widest gap.

    All are in units of ends (`gridcli.grid.ring`).
    """
    around = Ring.of(labelled.grid).ends_around
    is_wide = np.zeros(len(x_min) + 1, np.bool_)  # one more for label -1
    if around:
        is_wide[:-1] = x_max - x_min > around - (x_max - x_min)
    if not is_wide.any():  # no gap within can be wider than the one from x_max to x_min
        return x_min, x_max
    hub, west, east = beyond_widest_gaps(*_covered(labelled, is_wide), around)
    x_min[hub], x_max[hub] = west, east
    return x_min, x_max


def _covered(
    labelled: _LabelledTiles, is_chosen: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s, Int64s]:
    """Return the ranges of columns that tiles of the chosen hubs cover: hub, first and last.

    Sorted, and none touches another of the same hub.
    """
    ring = Ring.of(labelled.grid)
    found = [np.empty((3, 0), np.int64)]
    waiting, enough = 0, LEAST_RANGES
    for tiles, hub in labelled.blocks():
        for begin in range(0, len(tiles), LEAST_RANGES):
            piece, of = tiles.piece(begin, begin + LEAST_RANGES), hub[begin : begin + LEAST_RANGES]
            chosen = is_chosen[of]
            ends = ring.ends(piece.x[chosen], piece.y[chosen])
            found.append(_joined_ranges(np.stack([of[chosen].astype(np.int64), *ends])))
            waiting += found[-1].shape[1]
            if waiting > enough:
                found = [_joined_ranges(np.hstack(found))]
                waiting = found[0].shape[1]
                enough = 2 * waiting + LEAST_RANGES
    hub_of, first, last = _joined_ranges(np.hstack(found))
    return hub_of, first, last


def _joined_ranges(ranges: Int64s) -> Int64s:
    """Return ranges (hub, first, last; one a column), joined where they touch or overlap, sorted.

    Along each hub, a range begins where none is open, and ends where none is open any more.
    """
    hub = np.concatenate([ranges[0], ranges[0]])
    at = np.concatenate([ranges[1], ranges[2] + 1])
    ends = np.repeat([False, True], ranges.shape[1])
    order = np.lexsort((ends, at, hub))  # where one begins as another ends, something stays open
    depth = np.cumsum(np.where(ends[order], -1, 1))
    last = np.flatnonzero(depth == 0)
    first = np.append(0, last + 1)[:-1]
    return np.stack([hub[order[first]], at[order[first]], at[order[last]] - 1])


def _sum_tiles(labelled: _LabelledTiles, extents: _Extents) -> tuple[Int64s, Float64s, Float64s]:
    """Return the exact and the floating sums of `sum_hubs`, and its bounds."""
    from gridcli.raster.kernels import sum_hubs

    grid, ring = labelled.grid, Ring.of(labelled.grid)
    n_hubs = len(extents.west)
    exact = np.zeros((n_hubs, 4), np.int64)
    floating = np.zeros((n_hubs, 6))
    bounds = np.tile([np.inf, -np.inf, -np.inf], (n_hubs if grid.rows_differ else 0, 1))
    for tiles, hub in labelled.blocks():
        rows = rows_of(tiles)[1]
        sum_hubs(
            hub,
            tiles.x,
            tiles.y,
            tiles.count,
            row_areas(grid, rows),
            grid.columns_of(rows) if grid.rows_differ else np.empty(0, np.int64),
            extents.first_x,
            extents.south,
            extents.west,
            ring.around,
            ring.overlap,
            exact,
            floating,
            bounds,
        )
    return exact, floating, bounds


def _centroids(
    labelled: _LabelledTiles, extents: _Extents, exact: Int64s
) -> tuple[Float64s, Float64s]:
    """Return longitude and latitude (or x and y) of the centroids."""
    from gridcli.raster.kernels import SUM_BEYOND, SUM_POINTS, SUM_X, SUM_Y

    ring = Ring.of(labelled.grid)
    points = exact[:, SUM_POINTS]
    sums = exact[:, [SUM_X, SUM_Y]]
    whole = sums // points[:, None]
    rest = sums - whole * points[:, None]
    width = extents.east - extents.west
    width += np.where(width < 0, ring.around, 0)
    reach = np.maximum(width, extents.north - extents.south).astype(np.float64)
    large = np.flatnonzero(reach * points >= LARGEST_PRODUCT)
    if len(large):
        whole[large], rest[large] = _means_in_python(labelled, extents, large)
    offset = rest / points[:, None] + 0.5
    offset[:, 0] -= exact[:, SUM_BEYOND] / points * ring.overlap
    x = ring.x(extents.first_x + whole[:, 0] + offset[:, 0])
    # Clipped, for the centre of a partial row can lie beyond the pole.
    return x, labelled.grid.edges_y(extents.south + whole[:, 1] + offset[:, 1])


def _means_in_python(
    labelled: _LabelledTiles, extents: _Extents, hubs: Int64s
) -> tuple[list[list[int]], list[list[int]]]:
    """Return quotients and remainders of the mean offsets of hubs too large for int64 sums."""
    ring = Ring.of(labelled.grid)
    is_chosen = np.zeros(len(extents.west) + 1, np.bool_)  # one more for label -1
    is_chosen[hubs] = True
    sums = {int(hub): [0, 0, 0] for hub in hubs}
    for tiles, hub in labelled.blocks():
        chosen = np.flatnonzero(is_chosen[hub])
        of = hub[chosen]
        x = ring.centres(tiles.x[chosen], tiles.y[chosen])
        first_x, west = extents.first_x[of], extents.west[of]
        beyond = (x < west).astype(np.int64) - (first_x < west)
        dx = x - first_x + beyond * ring.around
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

    unit_x, unit_y = Ring.of(grid).unit, tile_side(grid)
    x = np.sqrt(floating[:, SPREAD_X] / points) * unit_x
    y = np.sqrt(floating[:, SPREAD_Y] / points) * unit_y
    if not grid.planar:
        east, north = metres_per_radian(lat)
        x = np.radians(x) * east
        y = np.radians(y) * north
    return np.hypot(x, y)
