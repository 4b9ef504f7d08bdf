"""Rows of tiles that are square in metres: how many there are, and their columns.

All rows are equally high in degrees. The columns of a row divide its parallel, so that a row nearer
to a pole has fewer of them; a table holds their numbers, for one hemisphere, since the other one
is its mirror image. It is made with additions, multiplications, divisions and square roots alone,
which IEEE 754 rounds alike everywhere; libraries of trigonometric functions differ in their last
digits, and near a tie one digit would be another column.
"""

from __future__ import annotations

import hashlib
import math
import threading
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gridcli.grid.ellipsoid import ECCENTRICITY_2, SEMI_MAJOR_M

QUARTER_MERIDIAN_M = Fraction("10001965.7293127")
"""From the equator to a pole along a meridian of WGS84."""
_BLOCK = 1 << 15
_SINE = [(-1) ** power / math.factorial(2 * power + 1) for power in range(11)]
"""Taylor's coefficients; the first that is left out adds less than 2e-18 up to 90 degrees."""
_lock = threading.Lock()


def rows_to_pole(side_m: float) -> int:
    """Return the rows of a hemisphere: so many that their height is nearest to the side."""
    side = Fraction(side_m)
    fewer = max(1, int(QUARTER_MERIDIAN_M / side))
    heights = {n: QUARTER_MERIDIAN_M / n for n in (fewer, fewer + 1)}
    return min(heights, key=lambda n: abs(heights[n] - side))


def column_table(side_m: float) -> npt.NDArray[np.int32]:
    """Return the number of columns of each row, from the equator to a pole.

    As many as make the width of a tile, along the parallel in the middle of its row, nearest to
    the side; at least one.

    Parameters
    ----------
    side_m : float
        Side of the tiles in metres.

    Returns
    -------
    ndarray of int32, shape (rows_to_pole(side_m),)
        Read-only, and shared by all callers; it never increases.
    """
    with _lock:  # threads that ask at the same time wait for one table
        return _column_table(side_m)


def table_digest(side_m: float) -> str:
    """Return the SHA-256 of the table, as little-endian int32: what states and outputs record."""
    table = column_table(side_m)
    with _lock:
        return _digest(side_m, len(table))


@lru_cache(maxsize=2)
def _column_table(side_m: float) -> npt.NDArray[np.int32]:
    n_rows = rows_to_pole(side_m)
    table = np.empty(n_rows, np.int32)
    for begin in range(0, n_rows, _BLOCK):  # of a size that stays in the cache
        row = np.arange(begin, min(begin + _BLOCK, n_rows))
        sine = _sine((2 * (n_rows - row) - 1) * (math.pi / (4 * n_rows)))  # of the colatitude
        root = np.sqrt((1 - ECCENTRICITY_2) + ECCENTRICITY_2 * (sine * sine))
        sides = 2 * math.pi * SEMI_MAJOR_M / side_m * (sine / root)  # around the parallel
        fewer = np.floor(sides)
        # Where the widths of `fewer` and of one more column are equally far from the side.
        tie = 2 * fewer * (fewer + 1) / (2 * fewer + 1)
        table[row] = np.maximum(fewer + (sides > tie), 1)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=8)
def _digest(side_m: float, n_rows: int) -> str:  # noqa: ARG001 - the table follows from the side
    return hashlib.sha256(_column_table(side_m).astype("<i4", copy=False).data).hexdigest()


def _sine(angle: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the sine of angles up to 90 degrees, the same on every machine."""
    square = angle * angle
    value: npt.NDArray[np.float64] = np.full_like(angle, _SINE[-1])
    for coefficient in _SINE[-2::-1]:
        value *= square
        value += coefficient
    value *= angle
    return value


def columns_of(table: npt.NDArray[np.int32], rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the number of columns of each row, those of the south being negative."""
    row = np.asarray(rows, np.int64)
    return table[np.where(row < 0, -1 - row, row)].astype(np.int64)
