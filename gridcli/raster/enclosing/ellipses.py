"""The ellipse of the smallest area around each hub, in numbers and as a polygon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.grid.ellipsoid import metres_per_radian, tile_side
from gridcli.output.layer import COORDINATE_DECIMALS
from gridcli.raster.enclosing.hulls import hulls_of
from gridcli.raster.enclosing.rings import Rings, clipped, multipolygons, split_at_180

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.output.layer import Geometry
    from gridcli.raster.enclosing.extents import Corners

Float64s = npt.NDArray[np.float64]

N_CORNERS = 64
UNITS_PER_DEGREE = 10**COORDINATE_DECIMALS
"""Corners of polygons are whole numbers of these, the last place that GeoJSON is written with."""
UNITS_PER_TILE = 1 << 20
"""Corners of planar polygons: tile indexes in such units are exact doubles."""
MARGIN_UNITS = 1.5
"""How far sides of a polygon lie outside its ellipse: a corner of a tile and one of the polygon
move by up to sqrt(1/2) each when they are rounded."""
ROUNDING_UNITS = 1e-6
"""What longitudes in these units may be off by as doubles, and a little more."""
ROUND = 1e-9
"""Axes that differ by less than this part are those of a circle."""


@dataclass(frozen=True)
class Ellipses:
    """The smallest ellipses around hubs, one element each.

    Attributes
    ----------
    grid : Grid
    x, y : ndarray of float64
        Centre, in tiles from `west`, `south`.
    f, g, h : ndarray of float64
        The ellipse is the image of the unit circle (u, v) as ``x + f u, y + g u + h v``.
    west, east, south : ndarray of float64
        Where the hub lies, in tiles from the origin of coordinates.
    """

    grid: Grid
    x: Float64s
    y: Float64s
    f: Float64s
    g: Float64s
    h: Float64s
    west: Float64s
    east: Float64s
    south: Float64s


def enclosing_ellipses(corners: Corners, grid: Grid) -> Ellipses:
    """Return the ellipse of the smallest area that holds all corners of each hub's tiles.

    Which ellipse is the smallest does not depend on the scales of the axes, so it is found in
    tiles.
    """
    from gridcli.raster.enclosing.kernels import smallest_ellipses

    hull, start = hulls_of(corners.x, corners.y, corners.start, corners.top)
    x, y = corners.x[hull], corners.y[hull]
    west, east = np.minimum.reduceat(x, start[:-1]), np.maximum.reduceat(x, start[:-1])
    south = np.minimum.reduceat(y, start[:-1])
    # From the hub's own corner, so that a hub that is moved has the same ellipse to the last bit.
    x -= np.repeat(west, np.diff(start))
    y -= np.repeat(south, np.diff(start))
    found = np.empty((len(west), 5))
    smallest_ellipses(x, y, start, *np.empty((3, len(x))), found)
    x, y, f, g, h = np.ascontiguousarray(found.T)
    return Ellipses(grid, x, y, f, g, h, west, east, south)


def axes(ellipses: Ellipses, lat: Float64s) -> tuple[Float64s, Float64s, Float64s]:
    """Return the semi-axes in metres (planar: units of the coordinates) and the azimuth.

    Parameters
    ----------
    ellipses : Ellipses
    lat : ndarray of float64
        Latitude of the local plane of each hub, in degrees.

    Returns
    -------
    semi_major, semi_minor : ndarray of float64
    azimuth : ndarray of float64
        Degrees of the major axis clockwise from north (from +y), in [0, 180); 0 for a circle.
    """
    side = tile_side(ellipses.grid)
    east: Float64s | float
    north: Float64s | float
    if ellipses.grid.planar:
        unit, east, north = side, 1.0, 1.0  # tiles of any size have squares that are doubles
    else:
        unit = math.radians(side)
        east, north = metres_per_radian(lat)
    f, g, h = ellipses.f * east, ellipses.g * north, ellipses.h * north
    major, minor = _semi_axes(f, g, h)
    azimuth = np.degrees(np.arctan2(2 * f * g, g * g + h * h - f * f)) / 2 % 180
    azimuth[(azimuth >= 180) | (major - minor <= ROUND * major)] = 0  # -1e-20 % 180 is 180
    return unit * major, unit * minor, azimuth


def ellipse_geometry(ellipses: Ellipses) -> Geometry:
    """Return each ellipse as a polygon around it that also holds it once it is rounded.

    Up to `N_CORNERS` corners. Cut off is what lies beyond a pole, and where the ellipse would go
    around the earth and meet itself, what lies west and east of the hub: neither holds a tile.

    Returns
    -------
    Geometry
        Of kind "multipolygon", a row a hub.
    """
    grid, n = ellipses.grid, len(ellipses.x)
    units = UNITS_PER_TILE if grid.planar else tile_side(grid) * UNITS_PER_DEGREE
    rings = _circumscribed(ellipses, units)
    if grid.planar:
        at = Rings(
            grid.edges(rings.x / UNITS_PER_TILE),
            grid.edges(rings.y / UNITS_PER_TILE),
            rings.start,
            rings.row,
        )
        return multipolygons(at, n)
    half_turn, pole = 180.0 * UNITS_PER_DEGREE, 90.0 * UNITS_PER_DEGREE
    west, east = rings.bounds("x")
    overlaps = east - west >= 2 * half_turn
    low = np.where(overlaps, np.floor(ellipses.west * units + ROUNDING_UNITS), -np.inf)
    high = np.where(overlaps, np.ceil(ellipses.east * units - ROUNDING_UNITS), np.inf)
    rings = clipped(rings, "x", low, high, in_whole_units=True)
    rings = clipped(rings, "y", -pole, pole, in_whole_units=True)
    rings = split_at_180(rings, half_turn, in_whole_units=True)
    x, y = rings.x / UNITS_PER_DEGREE, rings.y / UNITS_PER_DEGREE
    return multipolygons(Rings(x, y, rings.start, rings.row), n)


def _semi_axes(f: Float64s, g: Float64s, h: Float64s) -> tuple[Float64s, Float64s]:
    """Return the semi-major and the semi-minor axis of the images of the unit circle."""
    xx, yy = f * f, g * g + h * h
    major = np.sqrt((xx + yy) / 2 + np.hypot((xx - yy) / 2, f * g))
    return major, np.minimum(f * h / major, major)


def _circumscribed(ellipses: Ellipses, units: float) -> Rings:
    """Return polygons around the ellipses, corners in whole units from the origin.

    Their sides touch the ellipse, first at the end of its major axis, but for `MARGIN_UNITS`.
    Rounding can leave dents, which a convex hull fills.
    """
    f, g, h = (of[:, None] * units for of in (ellipses.f, ellipses.g, ellipses.h))
    major, minor = _semi_axes(f, g, h)
    angle = np.arctan2(2 * f * g, f * f - g * g - h * h) / 2
    turns = [2 * math.pi * corner / N_CORNERS for corner in range(N_CORNERS + 1)]
    cos, sin = (np.array([of(turn) for turn in turns]) for of in (math.cos, math.sin))
    # Side i is the line  cos_i p/major + sin_i q/minor = reach_i  along the axes.
    reach = 1 + MARGIN_UNITS * np.hypot(cos / major, sin / minor)
    p = major * (reach[:, :-1] * sin[1:] - reach[:, 1:] * sin[:-1]) / sin[1]
    q = minor * (reach[:, 1:] * cos[:-1] - reach[:, :-1] * cos[1:]) / sin[1]

    origin = np.rint(np.stack([ellipses.west, ellipses.south]) * units)
    centre = np.stack([ellipses.west, ellipses.south]) * units - origin
    centre += np.stack([ellipses.x, ellipses.y]) * units
    x = np.rint(centre[0][:, None] + np.cos(angle) * p - np.sin(angle) * q)
    y = np.rint(centre[1][:, None] + np.sin(angle) * p + np.cos(angle) * q)
    lowest = np.argmin(y, axis=1)[:, None]
    upwards = (lowest + np.arange(N_CORNERS)) % N_CORNERS
    x, y = (np.take_along_axis(of, upwards, axis=1) for of in (x, y))
    begin = N_CORNERS * np.arange(len(x) + 1)
    top = begin[:-1] + np.argmax(y, axis=1)
    hull, start = hulls_of(x.ravel(), y.ravel(), begin, top)
    row = hull // N_CORNERS
    return Rings(
        x.ravel()[hull] + origin[0][row],
        y.ravel()[hull] + origin[1][row],
        start,
        np.arange(len(x)),
    )
