"""From Arrow columns of any numeric type to coordinates, exactly.

Doubles are handed on without a copy; smaller types are widened; decimals, and integers under
``--scale``, stay 64-bit integers with a unit, because floor division of the integer finds the
right tile where a product with 1e-7 would not (docs/contract.md, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.errors import UsageError
from gridcli.points import numbers
from gridcli.points.batch import Reason

_INT64_MAX = 2**63 - 1
_FLOAT_BEYOND_INT64 = 2.0**63
_MAX_DIGITS = 16
"""360 degrees still fit 64 bits in units of 10^-16."""


@dataclass(frozen=True)
class Coordinates:
    """One or two columns of coordinates.

    Attributes
    ----------
    values : ndarray of float64 or int64, shape (n,)
    unit : Fraction or None
        Size of one integer step; None for float64.
    reason : ndarray of uint8, shape (n,), or None
        `Reason` of the rows whose value cannot be used; None where there is none.
    """

    values: npt.NDArray[Any]
    unit: Fraction | None = None
    reason: npt.NDArray[np.uint8] | None = None


def require_numeric(schema: Any, column: str, name: str) -> None:
    """Raise UsageError where a column's type cannot hold coordinates.

    Parameters
    ----------
    schema : pyarrow.Schema
    column, name : str
        The column and its file, for the message.
    """
    type_ = schema.field(column).type
    if not is_numeric(type_):
        raise UsageError(
            f"{name}: the column {column!r} has type {type_}, which is no coordinate. "
            "Name a column of numbers (or of texts that are numbers)."
        )


def is_numeric(type_: Any) -> bool:
    """Whether a column of the type can hold numbers, or texts that are numbers."""
    inner = type_.value_type if pa.types.is_dictionary(type_) else type_
    return bool(
        pa.types.is_floating(inner)
        or pa.types.is_integer(inner)
        or pa.types.is_decimal(inner)
        or _is_text(inner)
        or pa.types.is_null(inner)
    )


def read_pair(
    x_array: Any, y_array: Any, scale: Fraction | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Fraction | None, npt.NDArray[np.uint8] | None]:
    """Return x, y, their common unit and the reasons of two columns of n rows.

    Parameters
    ----------
    x_array, y_array : pyarrow.Array, shape (n,)
        Of any type that `require_numeric` lets pass.
    scale : Fraction or None
        --scale.
    """
    x, y = read_column(x_array, scale), read_column(y_array, scale)
    if x.unit != y.unit:
        x, y = _same_unit(x, y) or (_as_doubles(x_array), _as_doubles(y_array))
    return x.values, y.values, x.unit, first_reason(x.reason, y.reason)


def read_column(array: Any, scale: Fraction | None) -> Coordinates:
    """Return the coordinates of one column.

    Integers and texts are 64-bit integers in units of `scale` where that is given, else doubles.
    Decimals are integers in units of their last digit; where these do not fit 64 bits they are
    read as doubles without `scale`, and with it those rows are out of range.
    """
    array = plain(array)
    type_ = array.type
    if pa.types.is_floating(type_) and scale is None:
        values = _numpy(array)
        return Coordinates(values.astype(np.float64, copy=False), None, _null_reason(array))
    if pa.types.is_null(type_):
        array = array.cast(pa.string())
    if pa.types.is_decimal(array.type):
        return _read_decimals(array, scale)
    if _is_text(array.type):
        return _read_text(array, scale)
    if pa.types.is_floating(type_):
        return _read_whole_floats(array, scale)
    values, reason = _numpy(array), _null_reason(array)
    if scale is None:
        return Coordinates(values.astype(np.float64), None, reason)
    if type_ == pa.uint64():
        too_large = values > np.uint64(_INT64_MAX)
        reason = first_reason(reason, _where(too_large, Reason.OUT_OF_RANGE))
    return Coordinates(values.astype(np.int64, copy=False), scale, reason)


def first_reason(
    a: npt.NDArray[np.uint8] | None, b: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8] | None:
    """Return the smaller of two reasons of each row; 0 and None stand for no reason."""
    if a is None or b is None:
        return b if a is None else a
    # Less one, no reason is the largest uint8 and gives way to every reason.
    one = np.uint8(1)
    first: npt.NDArray[np.uint8] = np.minimum(a - one, b - one) + one
    return first


def null_mask(array: Any) -> npt.NDArray[np.bool_]:
    """Return which rows of a pyarrow.Array are null."""
    mask: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return mask


def _read_text(array: Any, scale: Fraction | None) -> Coordinates:
    if scale is None:
        values, is_null, is_text = numbers.parse_numbers(array)
    else:
        values, is_null, is_text = numbers.parse_scaled(array)
    reason = first_reason(_where(is_null, Reason.NULL), _where(is_text, Reason.NOT_A_NUMBER))
    return Coordinates(values, scale, reason)


def _read_whole_floats(array: Any, scale: Fraction | None) -> Coordinates:
    """Read a float column under --scale, as files have it whose integers met a null."""
    values = _numpy(array).astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        whole = np.floor(values) == values
        fits = np.abs(values) < _FLOAT_BEYOND_INT64
    integers = np.where(whole & fits, values, 0.0).astype(np.int64)
    reason = first_reason(_null_reason(array), _where(~whole, Reason.NOT_A_NUMBER))
    return Coordinates(integers, scale, first_reason(reason, _where(~fits, Reason.OUT_OF_RANGE)))


def _read_decimals(array: Any, scale: Fraction | None) -> Coordinates:
    values, fits = _unscaled(array)
    null = _null_reason(array)
    digits = array.type.scale
    if null is not None:
        fits |= null != 0
    if scale is None and (digits > _MAX_DIGITS or not fits.all()):
        return _as_doubles(array)
    reason = first_reason(null, _where(~fits, Reason.OUT_OF_RANGE))
    return Coordinates(values, (scale or Fraction(1)) / Fraction(10) ** digits, reason)


def _unscaled(array: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the integers behind a decimal column, and which of them fit 64 bits."""
    width = array.type.bit_width // 8
    data = np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8)
    data = data[array.offset * width :][: len(array) * width]
    if width <= 8:
        values = data.view(f"<i{width}").astype(np.int64)
        return values, np.ones(len(values), dtype=np.bool_)
    words = data.view("<i8").reshape(-1, width // 8)
    values = np.ascontiguousarray(words[:, 0])
    # The higher words only repeat the sign where the number fits the lowest.
    return values, (words[:, 1:] == (values >> 63)[:, None]).all(axis=1)


def _as_doubles(array: Any) -> Coordinates:
    """Read a column as the doubles nearest to its values.

    Arrow's own cast from decimals is not correctly rounded, so they go through their digits.
    """
    array = plain(array)
    if pa.types.is_decimal(array.type):
        return _read_text(array.cast(pa.string()), None)
    return read_column(array, None)


def _same_unit(x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates] | None:
    """Return two integer columns in the finer of their units; None where that cannot hold them."""
    if x.unit is None or y.unit is None:
        return None
    unit = min(x.unit, y.unit)
    result = []
    for column, own in ((x, x.unit), (y, y.unit)):
        factor = int(own / unit)
        largest = _INT64_MAX // factor
        used = column.values if column.reason is None else column.values[column.reason == 0]
        if len(used) and (int(used.max()) > largest or int(used.min()) < -largest):
            return None
        # What overflows now stands in rows that are not used.
        values = column.values if factor == 1 else column.values * np.int64(factor)
        result.append(Coordinates(values, unit, column.reason))
    return result[0], result[1]


def plain(array: Any) -> Any:
    """Return an array without dictionary, in a layout that the readers below know."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type) or pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    return array


def _numpy(array: Any) -> npt.NDArray[Any]:
    """Return the values of a primitive array without a copy; a null row holds anything."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    if len(array) == 0:
        return np.empty(0, dtype=dtype)
    values: npt.NDArray[Any] = np.frombuffer(
        array.buffers()[1], dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize
    )
    return values


def _null_reason(array: Any) -> npt.NDArray[np.uint8] | None:
    return _where(null_mask(array), Reason.NULL) if array.null_count else None


def _where(mask: npt.NDArray[np.bool_], reason: Reason) -> npt.NDArray[np.uint8] | None:
    """Return `reason` where the mask is set; None where it is nowhere."""
    return np.where(mask, np.uint8(reason), np.uint8(0)) if mask.any() else None


def _is_text(type_: Any) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )
