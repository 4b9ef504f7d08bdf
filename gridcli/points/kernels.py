"""Reading coordinates straight out of CSV text, in one pass and without copying a cell."""

from __future__ import annotations

import numpy as np

from gridcli.runtime.jit import kernel, part

QUOTE = ord('"')
POINT = ord(".")
MINUS = ord("-")
ZERO = ord("0")

ONE = np.uint64(1)
"""Positions are unsigned, which spares numba's test for negative indexes: a third of the time."""

POWERS = np.array([float(10**k) for k in range(23)])
"""The powers of ten that are doubles."""
MAX_DIGITS = 18
"""Significant digits that surely fit int64."""
EXACT_INTEGERS = 2**53
SPLIT = 2.0**27 + 1
"""Dekker's constant: splits a double into two halves of its digits."""
DOUBT = 1e-9
"""Far above the relative error of a correction, which is 2^-52."""


@part
def _divide(digits, divisor):
    """Return the double nearest to digits / divisor; NaN where that is in doubt.

    `digits` is an integer below 10^18, `divisor` one of `POWERS`. Up to 2^53 both are doubles, so
    that IEEE division rounds once (Clinger 1990). Beyond, the quotient is corrected by the exact
    remainder (Dekker's product, 1971); where the correction lies so near a tie that its own
    rounding might matter, the answer is NaN.
    """
    high = float(digits)
    quotient = high / divisor
    if digits <= EXACT_INTEGERS:
        return quotient
    low = float(digits - int(high))
    scaled = SPLIT * quotient
    quotient_high = scaled - (scaled - quotient)
    quotient_low = quotient - quotient_high
    scaled = SPLIT * divisor
    divisor_high = scaled - (scaled - divisor)
    divisor_low = divisor - divisor_high
    product = quotient * divisor
    error = quotient_high * divisor_high - product
    error += quotient_high * divisor_low + quotient_low * divisor_high
    error += quotient_low * divisor_low
    correction = (((high - product) - error) + low) / divisor
    nearest = quotient + correction * (1.0 + DOUBT)
    return nearest if nearest == quotient + correction * (1.0 - DOUBT) else np.nan


@part
def _read_decimal(text, start, ends_cell, powers):
    """Read a cell that is a plain decimal: a minus, digits, a point, digits.

    Returns its value, NaN for any other cell (be it a number or not), and where reading stopped,
    which is the end of the cell unless the value is NaN.
    """
    position = start
    is_negative = text[position] == MINUS
    if is_negative:
        position += ONE
    digits = 0
    first = position
    digit = np.int64(text[position]) - ZERO
    while 0 <= digit <= 9:
        digits = digits * 10 + digit
        position += ONE
        digit = np.int64(text[position]) - ZERO
    power = 0
    n_digits = np.int64(position - first)
    if digit == POINT - ZERO:
        position += ONE
        point = position
        digit = np.int64(text[position]) - ZERO
        while 0 <= digit <= 9:
            digits = digits * 10 + digit
            position += ONE
            digit = np.int64(text[position]) - ZERO
        power = np.int64(position - point)
        n_digits += power
    if not ends_cell[text[position]] or n_digits == 0 or power >= len(powers):
        return np.nan, position
    if n_digits > MAX_DIGITS:
        while first < position and (text[first] == ZERO or text[first] == POINT):
            n_digits -= text[first] == ZERO
            first += ONE
        if n_digits > MAX_DIGITS:
            return np.nan, position
    value = _divide(digits, powers[power])
    return -value if is_negative else value, position


@part
def _after_quotes(text, start):
    """Return where the quoted part that begins at `start` has ended (at most the last place)."""
    position = start + ONE
    last = np.uint64(len(text) - 1)
    while position < last:
        if text[position] == QUOTE:
            if text[position + ONE] != QUOTE:
                return position + ONE
            position += ONE
        position += ONE
    return last


@kernel(
    "uint8[:], int64, uint8[:], float64[:], int64, int64, int64,"
    " float64[:], float64[:], int64[:,:], int64[:] -> int64, int64, int64"
)
def read_points(
    text, delimiter, ends_cell, powers, n_columns, x_column, y_column, x, y, odd, ragged
):
    """Read two columns of decimals from records of CSV.

    Parameters
    ----------
    text : ndarray of uint8
        Whole records; the last character is a line end.
    delimiter : int
    ends_cell : ndarray of uint8, shape (256,)
        1 for the delimiter, LF and CR, else 0.
    powers : ndarray of float64
        `POWERS`.
    n_columns, x_column, y_column : int
        Cells of a record, and which of them are wanted.
    x, y : ndarray of float64, shape (len(text) // n_columns + 1,)
        Receive the coordinates; NaN where a cell is no plain decimal.
    odd : ndarray of int64, shape (any, 4)
        Receives such cells: row, 0 for x or 1 for y, start and end in `text`.
    ragged : ndarray of int64, shape (any,)
        Receives the records (from 1) that have another number of cells.

    Returns
    -------
    n_rows, n_odd, n_ragged : int
        n_rows is -1 where a coordinate is quoted, or where `odd` or `ragged` is full: such text
        is left to another reader.
    """
    n_rows = n_odd = n_ragged = n_records = 0
    position = np.uint64(0)
    length = np.uint64(len(text))
    while position < length:
        if ends_cell[text[position]] and text[position] != delimiter:
            position += ONE  # an empty line, or the LF of CR LF
            continue
        n_records += 1
        column = 0
        n_odd_before = n_odd
        while True:
            start = position
            is_x = column == x_column
            if is_x or column == y_column:
                if text[position] == QUOTE or n_odd == len(odd):
                    return -1, 0, 0
                value, position = _read_decimal(text, position, ends_cell, powers)
                if is_x:
                    x[n_rows] = value
                else:
                    y[n_rows] = value
                if value != value:
                    while not ends_cell[text[position]]:
                        position += ONE
                    odd[n_odd, 0] = n_rows
                    odd[n_odd, 1] = 0 if is_x else 1
                    odd[n_odd, 2] = start
                    odd[n_odd, 3] = position
                    n_odd += 1
            elif text[position] == QUOTE:
                position = _after_quotes(text, position)
            while not ends_cell[text[position]]:
                position += ONE
            column += 1
            if text[position] != delimiter:
                break
            position += ONE
        position += ONE
        if column == n_columns:
            n_rows += 1
        elif n_ragged == len(ragged):
            return -1, 0, 0
        else:
            ragged[n_ragged] = n_records
            n_ragged += 1
            n_odd = n_odd_before
    return n_rows, n_odd, n_ragged
