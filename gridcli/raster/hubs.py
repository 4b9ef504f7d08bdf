"""Hubs: what each component of significant tiles amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid.ellipsoid import column_overlap, radii_of_curvature, row_areas, tile_side
from gridcli.raster.agglomerate import rows_of
from gridcli.raster.model import Components, Hubs

if TYPE_CHECKING:
    from gridcli.tiles.tiles import Tiles

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

LARGEST_PRODUCT = 2.0**62
"""Sums of int64 products bounded by this (computed in doubles) do not overflow."""


@dataclass(frozen=True)
class _Extents:
    """Where hubs lie, one element each, in tile indexes.

    Attributes
    ----------
    first_tile : position of the smallest tile among the tiles
    west, east : first and last column, going east; west > east for a hub that crosses 180 degrees
    south, north : first and last row
    """

    first_tile: Int64s
    west: Int64s
    east: Int64s
    south: Int64s
    north: Int64s


def build_hubs(tiles: Tiles, components: Components, *, mu: int = 4) -> Hubs:
    """Return the components of at least `mu` tiles as hubs, largest first.

    Sums are taken over the tiles in their order, so they depend on nothing else. A hub that goes
    around the earth begins east of its widest empty range of columns; of equally wide ones, at
    180 degrees if that is one of them, else at the westernmost.

    Parameters
    ----------
    tiles : Tiles
        The significant tiles.
    components : Components
        Their components, of `agglomerate`.
    mu : int
        Smallest number of tiles of a hub, at least 1.

    Raises
    ------
    UsageError
        `mu` is below 1.
    """
    if mu < 1:
        raise UsageError(f"--mu {mu} must be at least 1: it is the fewest tiles that make a hub.")
    from gridcli.raster import kernels

    tile_hub, sums = _rank_components(tiles, components, mu)
    first_tile = sums[:, kernels.FIRST_TILE].copy()
    west, east = _columns_of(
        tiles, tile_hub, sums[:, kernels.X_MIN].copy(), sums[:, kernels.X_MAX].copy()
    )
    south = tiles.y[first_tile].astype(np.int64)
    north = tiles.y[sums[:, kernels.LAST_TILE]].astype(np.int64)
    extents = _Extents(first_tile, west, east, south, north)
    exact, floating = _sum_tiles(tiles, tile_hub, extents)
    lon, lat = _centroids(tiles, tile_hub, extents, exact)
    points = sums[:, kernels.POINTS].copy()
    area = floating[:, kernels.AREA] + floating[:, kernels.AREA_LOST]
    with np.errstate(divide="ignore", invalid="ignore"):
        density = points / area  # of planar tiles so small that their area is 0: infinite
    grid = tiles.grid
    corners = zip(tiles.x[first_tile].tolist(), south.tolist(), strict=True)
    return Hubs(
        tiles=tiles,
        tile_hub=tile_hub,
        hub_id=np.arange(1, len(sums) + 1),
        hub_key=[f"{grid.name}/{x}/{y}" for x, y in corners],
        points=points,
        n_tiles=sums[:, kernels.N_TILES].copy(),
        peak=sums[:, kernels.PEAK].copy(),
        lon=lon,
        lat=lat,
        radius_m=_radii(tiles, lat, floating, points),
        area_m2=area,
        density=density,
        west=grid.edges_x(west),
        south=grid.edges_y(south),
        east=grid.edges_x(east + 1),
        north=grid.edges_y(north + 1),
    )


def _rank_components(tiles: Tiles, components: Components, mu: int) -> tuple[Int32s, Int64s]:
    """Return the hub of each tile, and the sums of `sum_components` of each hub, in hub order."""
    from gridcli.raster.kernels import POINTS, sum_components

    n_tiles = np.bincount(components.label, minlength=components.n_components)
    kept = np.flatnonzero(n_tiles >= mu)
    position = np.full(components.n_components, -1, np.int32)
    position[kept] = np.arange(len(kept))
    sums = np.zeros((len(kept), 7), np.int64)
    sum_components(position[components.label], tiles.x, tiles.count, sums)
    # Components are numbered by their smallest tile, so a stable sort settles ties.
    order = np.argsort(-sums[:, POINTS], kind="stable")
    position[kept[order]] = np.arange(len(kept))
    return position[components.label], sums[order]


def _columns_of(
    tiles: Tiles, tile_hub: Int32s, x_min: Int64s, x_max: Int64s
) -> tuple[Int64s, Int64s]:
    """Return the first and last column of each hub, going east: outside is its widest gap."""
    columns = tiles.grid.columns
    is_wide = np.zeros(len(x_min) + 1, np.bool_)  # one more for tile_hub -1
    if columns:
        is_wide[:-1] = x_max - x_min > columns - (x_max - x_min)
    if not is_wide.any():  # no gap within can be wider than the one from x_max to x_min
        return x_min, x_max
    chosen = np.flatnonzero(is_wide[tile_hub])
    order = np.lexsort((tiles.x[chosen], tile_hub[chosen]))
    hub = tile_hub[chosen][order]
    x = tiles.x[chosen][order].astype(np.int64)
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


def _sum_tiles(tiles: Tiles, tile_hub: Int32s, extents: _Extents) -> tuple[Int64s, Float64s]:
    """Return the exact and the floating sums of `sum_hubs`."""
    from gridcli.raster.kernels import sum_hubs

    exact = np.zeros((len(extents.west), 4), np.int64)
    floating = np.zeros((len(extents.west), 6))
    sum_hubs(
        tile_hub,
        tiles.x,
        tiles.y,
        tiles.count,
        row_areas(tiles.grid, rows_of(tiles)[1]),
        extents.first_tile,
        extents.west,
        tiles.grid.columns,
        column_overlap(tiles.grid),
        exact,
        floating,
    )
    return exact, floating


def _centroids(
    tiles: Tiles, tile_hub: Int32s, extents: _Extents, exact: Int64s
) -> tuple[Float64s, Float64s]:
    """Return longitude and latitude (or x and y) of the centroids."""
    from gridcli.raster.kernels import SUM_BEYOND, SUM_POINTS, SUM_X, SUM_Y

    grid = tiles.grid
    points = exact[:, SUM_POINTS]
    sums = exact[:, [SUM_X, SUM_Y]]
    whole = sums // points[:, None]
    rest = sums - whole * points[:, None]
    width = extents.east - extents.west
    width += np.where(width < 0, grid.columns, 0)
    reach = np.maximum(width, extents.north - extents.south).astype(np.float64)
    for hub in np.flatnonzero(reach * points >= LARGEST_PRODUCT):
        whole[hub], rest[hub] = _mean_in_python(tiles, tile_hub, extents, int(hub))
    offset = rest / points[:, None] + 0.5
    offset[:, 0] -= exact[:, SUM_BEYOND] / points * column_overlap(grid)
    x = grid.edges(tiles.x[extents.first_tile] + whole[:, 0] + offset[:, 0])
    y = grid.edges(extents.south + whole[:, 1] + offset[:, 1])
    if grid.planar:
        return x, y
    x = np.where(x >= 180, x - 360, np.where(x < -180, x + 360, x))
    return x, np.clip(y, -90.0, 90.0)  # the centre of a partial row can lie beyond the pole


def _mean_in_python(
    tiles: Tiles, tile_hub: Int32s, extents: _Extents, hub: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return quotients and remainders of the mean offsets of a hub too large for int64 sums."""
    members = np.flatnonzero(tile_hub == hub)
    west, columns = int(extents.west[hub]), tiles.grid.columns
    xs = [x + columns if x < west else x for x in tiles.x[members].tolist()]
    ys = tiles.y[members].tolist()
    counts = tiles.count[members].tolist()
    points = sum(counts)
    x, x_rest = divmod(sum((x - xs[0]) * c for x, c in zip(xs, counts, strict=True)), points)
    y, y_rest = divmod(sum((y - ys[0]) * c for y, c in zip(ys, counts, strict=True)), points)
    return (x, y), (x_rest, y_rest)


def _radii(tiles: Tiles, lat: Float64s, floating: Float64s, points: Int64s) -> Float64s:
    """Return the count-weighted RMS distance of tile centres from the centroid, per hub."""
    from gridcli.raster.kernels import SPREAD_X, SPREAD_Y

    unit_x: Float64s | float
    unit_y: Float64s | float
    if tiles.grid.planar:
        unit_x = unit_y = tile_side(tiles.grid)
    else:
        meridian, prime_vertical = radii_of_curvature(lat)
        step = np.radians(tile_side(tiles.grid))
        unit_x = prime_vertical * np.cos(np.radians(lat)) * step
        unit_y = meridian * step
    x = np.sqrt(floating[:, SPREAD_X] / points) * unit_x
    y = np.sqrt(floating[:, SPREAD_Y] / points) * unit_y
    return np.hypot(x, y)
