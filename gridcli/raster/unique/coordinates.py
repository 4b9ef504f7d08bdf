"""Coordinates as bits that are equal where the numbers are, whatever they were written as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fractions import Fraction

EXACT_INTEGERS = 2**53
"""Integers below this are doubles."""


def coordinate_bits(
    values: npt.NDArray[Any], unit: Fraction | None, *, wraps: bool = False
) -> npt.NDArray[np.uint64]:
    """Return the bits of the doubles nearest to some coordinates; those of -0 are those of 0.

    Parameters
    ----------
    values : ndarray of float64 or, with `unit`, int64, shape (n,)
        Finite.
    unit : Fraction or None
        Size of one integer step.
    wraps : bool
        Longitudes: 360 is taken from those of 180 and more, which is exact up to 360.
    """
    doubles = values if unit is None else nearest_doubles(values, unit)
    if wraps and len(doubles) and doubles.max() >= 180.0:
        doubles = np.where(doubles >= 180.0, doubles - 360.0, doubles)
    bits: npt.NDArray[np.uint64] = (doubles + 0.0).view(np.uint64)
    return bits


def nearest_doubles(values: npt.NDArray[np.int64], unit: Fraction) -> npt.NDArray[np.float64]:
    """Return the doubles nearest to ``values * unit``: rounded once, as a reader of text does.

    Parameters
    ----------
    values : ndarray of int64, shape (n,)
    unit : Fraction
    """
    numerator, denominator = unit.numerator, unit.denominator
    products: npt.NDArray[np.float64] = values.astype(np.float64) * float(numerator)
    doubles = products / float(denominator)
    # A quotient of two doubles is rounded once; larger integers are no doubles, but Python's own
    # division of integers rounds once too.
    if denominator >= EXACT_INTEGERS:
        large = np.arange(len(values))
    else:
        large = np.flatnonzero(np.abs(products) >= EXACT_INTEGERS)
    doubles[large] = [value * numerator / denominator for value in values[large].tolist()]
    return doubles
