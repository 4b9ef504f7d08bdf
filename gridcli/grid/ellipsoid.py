"""The WGS84 ellipsoid: exact areas of tiles, and radii of curvature.

Source: Snyder, Map Projections: A Working Manual (USGS Professional Paper 1395), equation 3-12
for areas and section 4 for radii.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid

SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
SEMI_MINOR_M = SEMI_MAJOR_M * (1 - FLATTENING)
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)
ECCENTRICITY = math.sqrt(ECCENTRICITY_2)

Float64s = npt.NDArray[np.float64]


def row_areas(grid: Grid, rows: npt.NDArray[np.int32]) -> Float64s:
    """Return the area of one whole tile in each row, in square metres (square units if planar).

    Rows that reach beyond a pole (of real precisions, and of coarsened grids) are clipped there.
    Latitudes are measured from the nearer pole in tiles, so that no digit is lost in small tiles
    or near a pole.

    Parameters
    ----------
    grid : Grid
    rows : ndarray of int32, shape (n,)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    side = tile_side(grid)
    if grid.planar:
        return np.full(len(rows), side * side)
    step = math.radians(side)
    width = 2 * math.pi / grid.columns_of(rows) if grid.rows_differ else step
    polar_height = float(90 / grid.exact_side - grid.last_row)
    from_equator = np.abs(rows + 0.5)
    is_polar = from_equator > grid.last_row
    colatitude = np.where(is_polar, polar_height / 2, grid.last_row - from_equator + polar_height)
    height = np.where(is_polar, polar_height, 1.0)
    return tile_area(colatitude * step, height * step, width)


def tile_side(grid: Grid) -> float:
    """Return the height of a tile, and its width where rows are alike, in degrees or units."""
    return float(grid.exact_side)


def column_overlap(grid: Grid) -> float:
    """Return how many tiles longer the columns are than the circle: what partial columns lack."""
    return 0.0 if grid.planar else float(grid.columns - 360 / grid.exact_side)


def tile_area(colatitude: Float64s, height: Float64s, width: Float64s | float) -> Float64s:
    """Return the area between two parallels and two meridians on WGS84, in square metres.

    With s = sin(latitude), the area from the equator is, per radian of longitude,
    ``b^2/2 (s / (1 - e^2 s^2) + atanh(e s) / e)``; the difference of two such terms is written
    without subtracting nearly equal numbers.

    Parameters
    ----------
    colatitude : ndarray of float64
        Angle from the middle parallel to the nearer pole, in radians.
    height, width : ndarray of float64, or float
        Differences of latitude and longitude, in radians.
    """
    sin_half = np.sin(height / 2)
    difference = 2 * np.sin(colatitude) * sin_half  # s2 - s1
    product = np.cos(colatitude) ** 2 - sin_half**2  # s1 s2
    remainder = 1 - ECCENTRICITY_2 * product
    fraction = (1 + ECCENTRICITY_2 * product) / (remainder**2 - ECCENTRICITY_2 * difference**2)
    logarithm = np.arctanh(ECCENTRICITY * difference / remainder) / ECCENTRICITY
    area: Float64s = SEMI_MINOR_M**2 / 2 * width * (difference * fraction + logarithm)
    return area


def radii_of_curvature(latitude: Float64s) -> tuple[Float64s, Float64s]:
    """Return the radii of curvature in the meridian and in the prime vertical, in metres.

    Parameters
    ----------
    latitude : ndarray of float64
        Degrees.
    """
    root = np.sqrt(1 - ECCENTRICITY_2 * np.sin(np.radians(latitude)) ** 2)
    return SEMI_MAJOR_M * (1 - ECCENTRICITY_2) / root**3, SEMI_MAJOR_M / root


def metres_per_radian(latitude: Float64s) -> tuple[Float64s, Float64s]:
    """Return how many metres a radian of longitude and of latitude measures in the local plane.

    Parameters
    ----------
    latitude : ndarray of float64
        Degrees.

    Returns
    -------
    east, north : ndarray of float64
    """
    meridian, prime_vertical = radii_of_curvature(latitude)
    return prime_vertical * np.cos(np.radians(latitude)), meridian
