"""Row filters (`--where`): parsed once, bound to each input's columns, evaluated on batches.

Comparisons are exact where the column is: integers, decimals, dates and timestamps are compared
with the literal's exact value, however many digits either has, and so are texts that hold
numbers. In float columns the literal is first rounded to the column's type. A date or timestamp
without a zone, in a literal or in a column, is taken as UTC.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.errors import UsageError
from gridcli.points.filterinstants import NANOSECONDS, parse_instant
from gridcli.points.filtersyntax import Condition, Value, parse_condition
from gridcli.points.names import find, require_unique
from gridcli.points.numbers import exact_value, parse_numbers

if TYPE_CHECKING:
    from gridcli.points.filtersyntax import Operator

_COMPARE: dict[Operator, Any] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARROW_COMPARE: dict[Operator, Any] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowFilter:
    """Conditions that must all hold for a row to be used.

    Attributes
    ----------
    conditions : tuple of Condition

    Examples
    --------
    >>> rows = pa.RecordBatch.from_pydict({"speed": [3, None, 70]})
    >>> RowFilter.parse(("Speed > 2.5", "speed < 50")).bind(rows.schema).mask(rows).tolist()
    [True, False, False]
    """

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, expressions: tuple[str, ...]) -> RowFilter:
        """Return the filter of `--where` expressions.

        Raises
        ------
        UsageError
            An expression does not follow the syntax.
        """
        return cls(tuple(parse_condition(expression) for expression in expressions))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the filter reads, each once."""
        return tuple(dict.fromkeys(condition.column for condition in self.conditions))

    def bind(self, schema: Any) -> RowFilter:
        """Return the filter with columns spelled as in `schema` (found without case).

        Parameters
        ----------
        schema : pyarrow.Schema

        Raises
        ------
        UsageError
            A column is missing or ambiguous, or its type does not go with a literal.
        """
        bound = []
        for condition in self.conditions:
            where = _where(condition)
            column = find(schema.names, condition.column, where)
            require_unique(schema.names, column, where)
            condition = replace(condition, column=column)
            nothing = pa.schema([schema.field(column)]).empty_table()
            _holds(condition, nothing.column(0).combine_chunks())
            bound.append(condition)
        return RowFilter(tuple(bound))

    def mask(self, table: Any) -> _Mask:
        """Return which rows all conditions hold for; a null holds for `is null` only.

        Parameters
        ----------
        table : pyarrow.RecordBatch, n rows
            Has at least `columns`, spelled the same.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        masks = (_holds(each, table.column(each.column)) for each in self.conditions)
        return reduce(operator.and_, masks, np.ones(table.num_rows, dtype=np.bool_))


def _holds(condition: Condition, array: Any) -> _Mask:
    if condition.operator == "is null":
        return _to_mask(pc.is_null(array))
    if condition.operator == "is not null":
        return _to_mask(pc.is_valid(array))
    array = _plain(array)
    op: Operator = "=" if condition.operator == "in" else condition.operator
    return reduce(
        operator.or_, (_compare(condition, array, op, value) for value in condition.values)
    )


def _compare(condition: Condition, array: Any, op: Operator, value: Value) -> _Mask:
    """Compare a column with one literal, as the column's type asks for."""
    kind, types = array.type, pa.types
    if types.is_null(kind):
        return np.zeros(len(array), dtype=np.bool_)
    if types.is_string(kind) or types.is_large_string(kind):
        return _compare_text(condition, array, op, value)
    if types.is_integer(kind) or types.is_decimal(kind) or types.is_floating(kind):
        _require(condition, array, value, "number", "a number, without quotes")
        if types.is_floating(kind):
            return _compare_floats(array, op, float(value.content))
        number = exact_value(value.content)
        assert number is not None  # noqa: S101 - the parser takes no other
        if types.is_decimal(kind):
            return _compare_decimals(array, op, number)
        bits = kind.bit_width
        lowest = -(2 ** (bits - 1)) if types.is_signed_integer(kind) else 0
        return _compare_steps(array, op, number, lowest, lowest + 2**bits - 1)
    if types.is_timestamp(kind) or types.is_date(kind):
        example = "a date or time in single quotes, e.g. '2024-05-31' or '2024-05-31T18:00:00Z'"
        _require(condition, array, value, "text", example)
        instant = parse_instant(value.content)
        if instant is None:
            raise UsageError(
                f"{_where(condition)}: '{value.content}' is no date or time in ISO 8601. "
                f"Write {example}."
            )
        return _compare_instants(array, op, instant)
    if types.is_boolean(kind):
        _require(condition, array, value, "boolean", "true or false")
        return _compare_booleans(condition, array, op, value)
    raise UsageError(
        f"{_where(condition)}: the column '{condition.column}' has type {kind}, which cannot be "
        "compared with a literal; only 'is null' and 'is not null' work on it."
    )


def _compare_text(condition: Condition, array: Any, op: Operator, value: Value) -> _Mask:
    """Compare texts as texts, as numbers, or as booleans: as the literal is."""
    if value.kind == "text":
        return _to_mask(_ARROW_COMPARE[op](array, pa.scalar(value.content, array.type)))
    if value.kind == "boolean":
        words = pc.ascii_lower(pc.ascii_trim_whitespace(array))
        is_boolean = pc.is_in(words, pa.array(["true", "false"], array.type))
        booleans = pc.if_else(is_boolean, pc.equal(words, "true"), pa.scalar(None, pa.bool_()))
        return _compare_booleans(condition, booleans, op, value)
    numbers, is_null, is_text = parse_numbers(array)
    nearest = float(value.content)
    holds: _Mask = _COMPARE[op](numbers, nearest) & ~(is_null | is_text)
    # Rounding keeps the order, so only numbers that round to the literal's double are undecided.
    tied = numbers == nearest
    if tied.any():
        texts = pc.dictionary_encode(array.filter(pa.array(tied)))
        exact = exact_value(value.content)
        decided = [
            _COMPARE[op](exact_value(text.strip()), exact) for text in texts.dictionary.to_pylist()
        ]
        holds[tied] = np.array(decided, dtype=np.bool_)[texts.indices.to_numpy()]
    return holds


def _compare_floats(array: Any, op: Operator, number: float) -> _Mask:
    if array.type != pa.float64():
        with np.errstate(over="ignore"):
            rounded = float(array.type.to_pandas_dtype()(number))
        number = rounded if np.isfinite(rounded) else number
        array = array.cast(pa.float64())
    return _to_mask(_ARROW_COMPARE[op](array, number))


def _compare_decimals(array: Any, op: Operator, number: Fraction) -> _Mask:
    digits, scale = array.type.precision, array.type.scale
    if not pa.types.is_decimal128(array.type):
        array = array.cast(pa.decimal256(76, scale))
    highest = 10**digits - 1
    steps = number * Fraction(10) ** scale
    return _compare_steps(array, op, steps, -highest, highest)


def _compare_instants(array: Any, op: Operator, instant: int) -> _Mask:
    """Compare dates and timestamps with nanoseconds since 1970-01-01 UTC."""
    if pa.types.is_date32(array.type):
        array, step = array.cast(pa.int32()).cast(pa.int64()), NANOSECONDS["day"]
    elif pa.types.is_date64(array.type):
        array, step = array.cast(pa.int64()), NANOSECONDS["ms"]
    else:
        array, step = array.cast(pa.int64()), NANOSECONDS[array.type.unit]
    return _compare_steps(array, op, Fraction(instant, step), -(2**63), 2**63 - 1)


def _compare_steps(array: Any, op: Operator, number: Fraction, lowest: int, highest: int) -> _Mask:
    """Compare a column of integers, or of decimals in steps of their last digit, exactly.

    Parameters
    ----------
    array : pyarrow.Array of an integer or decimal type
    op : Operator
    number : Fraction
        In steps of the column.
    lowest, highest : int
        Range of the column's type, in steps.
    """
    step = number.numerator // number.denominator
    if step != number:
        if op in {"=", "!="}:
            return _constant(array, op == "!=")
        op = "<=" if op in {"<", "<="} else ">"
    if not lowest <= step <= highest:
        return _constant(array, _COMPARE[op](0, step))
    scalar = Decimal(f"{step}E{-array.type.scale}") if pa.types.is_decimal(array.type) else step
    return _to_mask(_ARROW_COMPARE[op](array, pa.scalar(scalar, array.type)))


def _compare_booleans(condition: Condition, array: Any, op: Operator, value: Value) -> _Mask:
    if op not in {"=", "!="}:
        raise UsageError(f"{_where(condition)}: true and false go with =, != and in only.")
    return _to_mask(_ARROW_COMPARE[op](array, value.content == "true"))


def _constant(array: Any, answer: bool) -> _Mask:
    return _to_mask(pc.is_valid(array)) & answer


def _require(condition: Condition, array: Any, value: Value, kind: str, what: str) -> None:
    if value.kind != kind:
        raise UsageError(
            f"{_where(condition)}: the column '{condition.column}' has type {array.type}; "
            f"compare it with {what}."
        )


def _plain(array: Any) -> Any:
    """Return an array without dictionary, runs, or extension type, and no string view."""
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    return array.cast(pa.string()) if pa.types.is_string_view(array.type) else array


def _to_mask(booleans: Any) -> _Mask:
    mask: _Mask = pc.fill_null(booleans, False).to_numpy(zero_copy_only=False)
    return mask


def _where(condition: Condition) -> str:
    return f"--where {condition.expression!r}"
