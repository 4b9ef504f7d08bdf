"""Which coordinates are geographic ones at all (docs/contract.md, section 2)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

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
