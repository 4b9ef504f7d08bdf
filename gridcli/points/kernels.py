"""Reading text in one pass and without copying a cell: coordinates of CSV, dates and times."""

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


# Reasons, as in gridcli.points.batch.Reason; kernels read module constants only.
NULL = 3
NOT_A_NUMBER = 4

BLANK = ord(" ")
DASH = ord("-")
COLON = ord(":")
LOWER = 32
"""Set in ASCII letters that are small."""
DAY_S = 86_400
MICRO = 1_000_000


@part
def _is_space(character):
    return character == BLANK or 9 <= character <= 13


@part
def _two_digits(text, at, end):
    """Return the number that two digits make; -1 where there are none."""
    if at + 2 > end:
        return -1
    tens = np.int64(text[at]) - ZERO
    ones = np.int64(text[at + 1]) - ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -1


@part
def _is_null_word(text, start, end):
    """Whether a trimmed cell is empty, NULL or NA, in any case."""
    if end - start == 4:
        return (
            text[start] | LOWER == ord("n")
            and text[start + 1] | LOWER == ord("u")
            and text[start + 2] | LOWER == ord("l")
            and text[start + 3] | LOWER == ord("l")
        )
    is_na = end - start == 2 and text[start] | LOWER == ord("n") and text[start + 1] | LOWER == 97
    return end == start or is_na


@part
def _days(text, start, end):
    """Return the days from 1970-01-01 to a date YYYY-MM-DD, and whether there is one.

    Days are counted from March, so that a leap day is a year's last (H. Hinnant,
    chrono-compatible low-level date algorithms, 2013).
    """
    century = _two_digits(text, start, end)
    rest = _two_digits(text, start + 2, end)
    month = _two_digits(text, start + 5, end)
    day = _two_digits(text, start + 8, end)
    if century < 0 or rest < 0 or month < 1 or month > 12 or day < 1:
        return 0, False
    year = century * 100 + rest
    if year < 1 or text[start + 4] != DASH or text[start + 7] != DASH:
        return 0, False
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        last = 29 if is_leap else 28
    else:
        last = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
    if day > last:
        return 0, False
    since_march = (month + 9) % 12
    year -= since_march >= 10
    of_year = (153 * since_march + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719_468, True


@part
def _zone_minutes(text, at, end):
    """Return the minutes of a zone +HH, +HHMM or +HH:MM, and whether there is one."""
    if text[at] != DASH and text[at] != ord("+"):
        return 0, False
    sign = -1 if text[at] == DASH else 1
    hours = _two_digits(text, at + 1, end)
    minutes = 0
    at += 3
    if hours >= 0 and at < end:
        at += text[at] == COLON
        minutes = _two_digits(text, at, end)
        at += 2
    is_zone = 0 <= hours < 24 and minutes >= 0 and hours * 60 + minutes < 24 * 60 and at == end
    return sign * (hours * 60 + minutes), is_zone


@part
def _micros(text, start, end):
    """Return the microseconds of a trimmed cell since 1970, and whether it is an instant."""
    days, is_date = _days(text, start, end)
    at = start + 10
    if not is_date or at == end:
        return days * DAY_S * MICRO, is_date
    hour = _two_digits(text, at + 1, end)
    minute = _two_digits(text, at + 4, end)
    is_clock = text[at] == BLANK or text[at] | LOWER == ord("t")
    if not is_clock or hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return 0, False
    if text[at + 3] != COLON:
        return 0, False
    seconds = days * DAY_S + hour * 3600 + minute * 60
    micros = 0
    at += 6
    if at < end and text[at] == COLON:
        second = _two_digits(text, at + 1, end)
        if second < 0 or second > 59:
            return 0, False
        seconds += second
        at += 3
        if at < end and text[at] == POINT:
            at += 1
            first = at
            power = MICRO
            while at < end and ZERO <= text[at] <= ZERO + 9:
                power //= 10
                micros += (np.int64(text[at]) - ZERO) * power
                at += 1
            if at == first or at > first + 9:
                return 0, False
    if at == end:
        return seconds * MICRO + micros, True
    if text[at] == BLANK:
        at += 1
    if text[at] | LOWER == ord("z"):
        return seconds * MICRO + micros, at + 1 == end
    offset, is_zone = _zone_minutes(text, at, end)
    return (seconds - offset * 60) * MICRO + micros, is_zone


@kernel("uint8[:], int32[:], int64[:], uint8[:]")
def read_instants(text, start, micros, reason):
    """Read texts as dates and times in ISO 8601, as `gridcli.points.filterinstants` does.

    Parameters
    ----------
    text : ndarray of uint8
        All cells, one after the other.
    start : ndarray of int32, shape (n + 1,)
        Where each cell begins, and where the last one ends.
    micros : ndarray of int64, shape (n,)
        Receives microseconds since 1970-01-01 UTC, rounded down; 0 where there is a reason.
    reason : ndarray of uint8, shape (n,)
        Receives 0, `NULL` or `NOT_A_NUMBER`.
    """
    for row in range(len(micros)):
        begin = start[row]
        end = start[row + 1]
        while begin < end and _is_space(text[begin]):
            begin += 1
        while end > begin and _is_space(text[end - 1]):
            end -= 1
        value, is_instant = _micros(text, begin, end)
        micros[row] = value if is_instant else 0
        reason[row] = 0
        if not is_instant:
            reason[row] = NULL if _is_null_word(text, begin, end) else NOT_A_NUMBER
