"""Which coordinates are on the earth (docs/contract.md, section 2), and which tiles on a grid."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid

NULL_ISLAND_DEGREES = Fraction(1, 1000)
"""Half the side of the square around (0, 0) where receivers without a fix report themselves."""


def is_on_earth(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return which points have a latitude in [-90, 90] and a longitude in [-180, 360] (degrees)."""
    inside: npt.NDArray[np.bool_] = (lon >= -180) & (lon <= 360) & (np.abs(lat) <= 90)
    return inside


def is_null_island(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return which points lie within 0.001 degrees of (0, 0), edge included, also around 360."""
    side = float(NULL_ISLAND_DEGREES)
    from_zero = np.minimum(np.abs(lon), np.abs(lon - 360))
    inside: npt.NDArray[np.bool_] = (from_zero <= side) & (np.abs(lat) <= side)
    return inside


def are_tiles(grid: Grid, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> bool:
    """Return whether a grid has all tiles of some indexes (integers); a plane has no end."""
    if grid.planar:
        return True
    if np.any((y < grid.first_row) | (y > grid.last_row)):
        return False
    if grid.rows_differ:
        return not np.any((x < 0) | (x >= grid.columns_of(y)))
    return not np.any((x < grid.first_column) | (x > grid.last_column))
