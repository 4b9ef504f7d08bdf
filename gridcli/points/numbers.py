"""The one number grammar: which texts are numbers, in every reader, filter and column.

A number is an optional sign, ASCII digits with an optional fraction (a digit on at least one
side of the point), and an optional exponent; ASCII whitespace around it is ignored. Its value is
the nearest double, as Python's ``float`` gives it, and must be finite. Empty cells, ``NULL`` and
``NA`` (in any case) are null. Everything else is text: ``nan``, ``inf``, ``0x1F``, ``1_000``,
``1,5``, ``1e999``.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUMBER_PATTERN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
"""Regular expression of a number, for Python's `re` and for RE2 alike."""

NULL_WORDS = ("", "null", "na")

NULL_SPELLINGS = tuple(
    "".join(letters)
    for word in NULL_WORDS
    for letters in product(*({letter, letter.upper()} for letter in word))
)
"""Every spelling of a null cell, for readers that match cells literally."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_Parsed = tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]


def parse_numbers(strings: Any) -> _Parsed:
    """Read texts as doubles.

    Parameters
    ----------
    strings : pyarrow.Array of string, shape (n,)

    Returns
    -------
    values : ndarray of float64, shape (n,)
        Correctly rounded; NaN where a cell is null or text.
    is_null, is_text : ndarray of bool, shape (n,)

    Examples
    --------
    >>> values, is_null, is_text = parse_numbers(pa.array(["1.5", "NA", "inf"]))
    >>> values.tolist(), is_null.tolist(), is_text.tolist()
    ([1.5, nan, nan], [False, True, False], [False, False, True])
    """
    try:
        # Arrow's own cast takes no whitespace and no null words: where it succeeds for all cells,
        # those with a finite value are exactly those that the grammar calls numbers.
        numbers, is_null = pc.cast(strings, pa.float64()), _to_mask(pc.is_null(strings))
    except pa.ArrowInvalid:
        cells, is_null, _ = _split(strings)
        numbers = pc.cast(cells, pa.float64())
    values = pc.fill_null(numbers, math.nan).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    return np.where(finite, values, math.nan), is_null, ~(finite | is_null)


def parse_scaled(strings: Any) -> _Parsed:
    """Read texts as exact 64-bit integers (coordinates under ``--scale``).

    A number whose value is not an integer, or does not fit, is text: ``5``, ``+5``, ``5.0`` and
    ``5e0`` are 5; ``5.5`` and ``1e19`` are text.

    Parameters
    ----------
    strings : pyarrow.Array of string, shape (n,)

    Returns
    -------
    values : ndarray of int64, shape (n,)
        0 where a cell is null or text.
    is_null, is_text : ndarray of bool, shape (n,)
    """
    holds_hex = pc.any(pc.match_substring(strings, "x", ignore_case=True)).as_py()
    if not holds_hex:  # Arrow reads 0x1F as an integer
        try:
            integers = pc.cast(strings, pa.int64())
        except pa.ArrowInvalid:
            pass
        else:
            is_null = _to_mask(pc.is_null(integers))
            values = pc.fill_null(integers, 0).to_numpy(zero_copy_only=False)
            return values, is_null, np.zeros(len(values), dtype=np.bool_)
    cells, is_null, is_text = _split(strings)
    values = np.zeros(len(is_null), dtype=np.int64)
    for row, cell in enumerate(cells.to_pylist()):
        if cell is None:
            continue
        integer = _exact_integer(cell)
        if integer is None:
            is_text[row] = True
        else:
            values[row] = integer
    return values, is_null, is_text


def exact_value(number: str) -> Fraction | None:
    """Return the exact value of a number's text; None where it is not a finite double.

    Parameters
    ----------
    number : str
        Matches `NUMBER_PATTERN`, no whitespace. Below the smallest double it counts as 0.
    """
    nearest = float(number)
    if not math.isfinite(nearest):
        return None
    return Fraction(Decimal(number)) if nearest else Fraction(0)


def _exact_integer(number: str) -> int | None:
    if abs(float(number)) > 2.0**63:  # first, since 1e999999999 would be a long integer
        return None
    try:
        value = Decimal(number)
    except InvalidOperation:  # an exponent of twenty digits
        return None
    if value != value.to_integral_value() or not _INT64_MIN <= value <= _INT64_MAX:
        return None
    return int(value)


def _split(strings: Any) -> tuple[Any, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the cells that are numbers by the grammar (others null), and the two masks."""
    cells = pc.ascii_trim_whitespace(strings)
    null = pc.or_(
        pc.is_null(cells), pc.is_in(pc.ascii_lower(cells), pa.array(NULL_WORDS, cells.type))
    )
    number = pc.fill_null(pc.match_substring_regex(cells, f"^(?:{NUMBER_PATTERN})$"), False)
    is_null = _to_mask(null)
    is_text = ~(is_null | _to_mask(number))
    return pc.if_else(number, cells, pa.scalar(None, cells.type)), is_null, is_text


def _to_mask(booleans: Any) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = booleans.to_numpy(zero_copy_only=False)
    return mask
