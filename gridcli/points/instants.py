"""Columns of dates and times as microseconds, exactly enough for any clock: all rounded down."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.errors import UsageError
from gridcli.points import kernels
from gridcli.points.batch import Reason
from gridcli.points.coordinates import first_reason, null_mask, plain

MICROS_PER_DAY = 86_400_000_000
FIRST_MICROS = -719_162 * MICROS_PER_DAY
"""The year 1 begins: no calendar, nor any zone's history, reaches back further."""
END_MICROS = 2_932_897 * MICROS_PER_DAY
"""The year 9999 is over."""

_MICROS = {"s": 10**6, "ms": 10**3, "us": 1}

Instants = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8] | None]


def require_instants(type_: Any, column: str) -> None:
    """Raise UsageError where a column's type holds no dates or times.

    Parameters
    ----------
    type_ : pyarrow.DataType
    column : str
        For the message.
    """
    types = pa.types
    inner = type_.value_type if types.is_dictionary(type_) else type_
    if types.is_integer(inner) or types.is_floating(inner) or types.is_decimal(inner):
        raise UsageError(
            f"the column {column!r} has type {type_}: a number says neither its unit (seconds, "
            "milliseconds?) nor when it begins. Make it a timestamp first, for example with "
            "to_timestamp in SQL."
        )
    if not (
        types.is_timestamp(inner)
        or types.is_date(inner)
        or types.is_string(inner)
        or types.is_large_string(inner)
        or types.is_string_view(inner)
        or types.is_null(inner)
    ):
        raise UsageError(
            f"the column {column!r} has type {type_}, which holds no dates or times: a timestamp, "
            "a date, or texts in ISO 8601 such as 2024-05-31T18:00:00Z are wanted."
        )


def read_instants(array: Any, column: str) -> Instants:
    """Return microseconds since 1970-01-01 UTC, and the reasons of rows that have none.

    Without a zone, UTC is meant; a date is its midnight. Texts are read as `--where` reads them,
    and are null where coordinates would be. Years before 1 and after 9999 are out of range.

    Parameters
    ----------
    array : pyarrow.Array, shape (n,)
    column : str
        For the message.

    Returns
    -------
    micros : ndarray of int64, shape (n,)
        Anything where there is a reason.
    reason : ndarray of uint8, shape (n,), or None

    Raises
    ------
    UsageError
        The type holds no dates or times.

    Examples
    --------
    >>> read_instants(pa.array(["1970-01-01T01:00+01", "1970-01-02"]), "time")[0].tolist()
    [0, 86400000000]
    """
    require_instants(array.type, column)
    array = plain(array)
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    if pa.types.is_string(array.type):
        return _read_texts(array)
    reason = None
    if array.null_count:
        reason = np.where(null_mask(array), np.uint8(Reason.NULL), np.uint8(0))
    if pa.types.is_date32(array.type):
        steps, step = _integers(array.cast(pa.int32()).cast(pa.int64())), MICROS_PER_DAY
    elif pa.types.is_date64(array.type):
        steps, step = _integers(array.cast(pa.int64())), _MICROS["ms"]
    elif array.type.unit == "ns":
        return np.floor_divide(_integers(array.cast(pa.int64())), 1000), reason
    else:
        steps, step = _integers(array.cast(pa.int64())), _MICROS[array.type.unit]
    first, end = FIRST_MICROS // step, END_MICROS // step
    if len(steps) and (int(steps.min()) < first or int(steps.max()) >= end):
        is_beyond = (steps < first) | (steps >= end)
        beyond = np.where(is_beyond, np.uint8(Reason.OUT_OF_RANGE), np.uint8(0))
        reason = first_reason(reason, beyond)
        steps = np.where(is_beyond, 0, steps)
    return steps * step, reason


def _read_texts(array: Any) -> Instants:
    n = len(array)
    micros, reason = np.empty(n, np.int64), np.empty(n, np.uint8)
    if not n:
        return micros, None
    _, offsets, data = array.buffers()
    start = np.frombuffer(offsets, np.int32, count=n + 1, offset=array.offset * 4)
    text = np.frombuffer(data or b"", np.uint8)
    kernels.read_instants(text, start, micros, reason)
    if array.null_count:
        reason[null_mask(array)] = Reason.NULL
    is_beyond = (reason == 0) & ((micros < FIRST_MICROS) | (micros >= END_MICROS))
    reason[is_beyond] = Reason.OUT_OF_RANGE
    return micros, reason if reason.any() else None


def _integers(array: Any) -> npt.NDArray[np.int64]:
    """Return the values of an array of int64; 0 in null rows."""
    values: npt.NDArray[np.int64] = array.fill_null(0).to_numpy(zero_copy_only=False)
    return values
