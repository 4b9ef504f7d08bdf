"""Row filters: masks against plain Python over random tables, and what the parser refuses."""

from __future__ import annotations

import contextlib
import operator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.points.filterinstants import parse_instant
from gridcli.points.filters import RowFilter
from tests import naive

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
INTEGERS = {
    pa.int8(): (-(2**7), 2**7 - 1),
    pa.int32(): (-(2**31), 2**31 - 1),
    pa.int64(): (-(2**63), 2**63 - 1),
    pa.uint8(): (0, 2**8 - 1),
    pa.uint64(): (0, 2**64 - 1),
}
operators = st.sampled_from(list(COMPARE))


def mask(values: list[Any], kind: pa.DataType, expression: str) -> list[bool]:
    """Mask of a filter over one column called c, whole and sliced."""
    batch = pa.RecordBatch.from_arrays([pa.array(values, kind)], names=["c"])
    bound = RowFilter.parse((expression,)).bind(batch.schema)
    whole = bound.mask(batch)
    assert whole.dtype == np.bool_
    assert whole.tolist()[1:] == bound.mask(batch.slice(1)).tolist()
    return whole.tolist()


def number_literals(low: int, high: int) -> st.SearchStrategy[str]:
    """Numbers as a user writes them, often at the edges of what a column holds."""
    return st.one_of(
        st.integers(low, high).map(str),
        st.sampled_from([low - 1, low, high, high + 1, 2**53 + 1, 0]).map(str),
        st.decimals(-1000, 1000, places=2).map(str),
        st.sampled_from(["0.5", "-0.5", "1e3", "+2", "1e300", "-1e300", ".25", "127.5"]),
    )


# --- Laws -----------------------------------------------------------------------------------------


@given(data=st.data(), kind=st.sampled_from(list(INTEGERS)), op=operators)
@settings(max_examples=60, deadline=None)
def test_integers_compare_exactly(data: st.DataObject, kind: pa.DataType, op: str) -> None:
    low, high = INTEGERS[kind]
    literal = data.draw(number_literals(low, high))
    near = min(max(int(Fraction(literal)), low), high)
    cell = st.one_of(st.integers(low, high), st.sampled_from([near, low, high]), st.none())
    values = data.draw(st.lists(cell, max_size=8))
    expected = [v is not None and COMPARE[op](v, Fraction(literal)) for v in values]
    assert mask(values, kind, f"c {op} {literal}") == expected


@given(
    values=st.lists(st.one_of(st.none(), st.decimals(-999, 999, places=3)), max_size=8),
    literal=number_literals(-999, 999),
    op=operators,
    kind=st.sampled_from([pa.decimal128(6, 3), pa.decimal256(40, 3)]),
)
@settings(max_examples=60, deadline=None)
def test_decimals_compare_exactly(
    values: list[Decimal | None], literal: str, op: str, kind: pa.DataType
) -> None:
    values.append(Decimal("0.500"))
    expected = [v is not None and COMPARE[op](Fraction(v), Fraction(literal)) for v in values]
    assert mask(values, kind, f"c{op}{literal}") == expected


@given(
    values=st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=8),
    literal=st.one_of(
        number_literals(-5, 5), st.floats(allow_nan=False, allow_infinity=False).map(repr)
    ),
    op=operators,
    kind=st.sampled_from([pa.float64(), pa.float32()]),
)
@settings(max_examples=60, deadline=None)
def test_floats_compare_with_the_rounded_literal(
    values: list[float | None], literal: str, op: str, kind: pa.DataType
) -> None:
    number = float(literal)
    if kind == pa.float32() and abs(number) < 3.4e38:
        number = float(np.float32(number))
    values += [number] if kind == pa.float64() or abs(number) < 3.4e38 else []
    expected = [v is not None and COMPARE[op](v, number) for v in values]
    assert mask(values, kind, f"c {op} {literal}") == expected


@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.integers(2**53 - 2, 2**53 + 2).map(str),
            st.sampled_from(["0.1", "1e-1", " .10 ", "0.1000000000000000055", "NA", "x", "inf"]),
            st.floats().map(repr),
        ),
        max_size=8,
    ),
    literal=st.sampled_from(["0.1", "9007199254740993", "9007199254740992", "9007199254740992.5"]),
    op=operators,
    kind=st.sampled_from(
        [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
    ),
)
@settings(max_examples=60, deadline=None)
def test_texts_compare_as_exact_numbers(
    values: list[str | None], literal: str, op: str, kind: pa.DataType
) -> None:
    expected = [
        v is not None
        and naive.read_number(v)[0] == "number"
        and COMPARE[op](Fraction(v.strip()), Fraction(literal))
        for v in values
    ]
    assert mask(values, kind, f"c {op} {literal}") == expected


@given(
    values=st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=8),
    literal=st.text(max_size=4),
    op=operators,
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
)
@settings(max_examples=60, deadline=None)
def test_texts_compare_as_texts(
    values: list[str | None], literal: str, op: str, kind: pa.DataType
) -> None:
    values.append(literal)
    expected = [v is not None and COMPARE[op](v, literal) for v in values]
    quoted = literal.replace("'", "''")
    assert mask(values, kind, f"c {op} '{quoted}'") == expected


zones = st.one_of(
    st.none(), st.integers(-14 * 4, 14 * 4).map(lambda n: timezone(timedelta(minutes=15 * n)))
)


@given(
    values=st.lists(
        st.one_of(st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))),  # noqa: DTZ001
        max_size=6,
    ),
    literal=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones),  # noqa: DTZ001
    op=operators,
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    column_zone=st.sampled_from([None, "UTC", "Europe/Berlin"]),
    separator=st.sampled_from("T "),
)
@settings(max_examples=60, deadline=None)
def test_timestamps_compare_exactly(
    values: list[datetime | None],
    literal: datetime,
    op: str,
    unit: str,
    column_zone: str | None,
    separator: str,
) -> None:
    digits = {"s": 10**6, "ms": 1000, "us": 1, "ns": 1}[unit]
    instant = literal if literal.tzinfo else literal.replace(tzinfo=UTC)
    values.append(instant.astimezone(UTC).replace(tzinfo=None))
    values = [v and v.replace(microsecond=v.microsecond // digits * digits) for v in values]
    expected = [v is not None and COMPARE[op](v.replace(tzinfo=UTC), instant) for v in values]
    column = pa.array(values, pa.timestamp(unit)).cast(pa.int64())
    column = column.cast(pa.timestamp(unit, tz=column_zone))
    batch = pa.RecordBatch.from_arrays([column], names=["c"])
    row_filter = RowFilter.parse((f"c {op} '{literal.isoformat(separator)}'",))
    assert row_filter.bind(batch.schema).mask(batch).tolist() == expected


@given(
    values=st.lists(
        st.one_of(st.none(), st.dates(date(2024, 2, 27), date(2024, 3, 2))), max_size=6
    ),
    literal=st.sampled_from(["2024-02-29", "2024-02-29T12:00", "2024-03-01T00:00:00+05:30"]),
    op=operators,
    kind=st.sampled_from([pa.date32(), pa.date64()]),
)
@settings(max_examples=60, deadline=None)
def test_dates_are_midnights_in_utc(
    values: list[date | None], literal: str, op: str, kind: pa.DataType
) -> None:
    instant = datetime.fromisoformat(literal)
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    midnights = [v and datetime(v.year, v.month, v.day, tzinfo=UTC) for v in values]
    expected = [v is not None and COMPARE[op](v, instant) for v in midnights]
    assert mask(values, kind, f"c {op} '{literal}'") == expected


@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-3, 3)),
            st.one_of(st.none(), st.sampled_from(["a", "b", "it's", ""])),
            st.one_of(st.none(), st.booleans()),
        ),
        max_size=12,
    ),
    chosen=st.lists(
        st.sampled_from(
            [
                ("n in (1, 2, -3)", lambda n, s, b: n in {1, 2, -3}),
                ("N IN (1.0)", lambda n, s, b: n == 1),
                ("s in ('a', 'it''s')", lambda n, s, b: s in {"a", "it's"}),
                ("s = ''", lambda n, s, b: s == ""),
                ("s is null", lambda n, s, b: s is None),
                ("n Is Not Null", lambda n, s, b: n is not None),
                ('"odd ""b""" = true', lambda n, s, b: b is True),
                ('"odd ""b""" != TRUE', lambda n, s, b: b is False),
                ('"odd ""b""" in (true, false)', lambda n, s, b: b is not None),
                ("n != 0", lambda n, s, b: n is not None and n != 0),
            ]
        ),
        max_size=3,
    ),
)
@settings(max_examples=60, deadline=None)
def test_all_conditions_must_hold(rows: list[tuple[Any, Any, Any]], chosen: list[Any]) -> None:
    schema = pa.schema([("n", pa.int16()), ("s", pa.string()), ('odd "b"', pa.bool_())])
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    row_filter = RowFilter.parse(tuple(expression for expression, _ in chosen)).bind(schema)
    expected = [all(holds(*row) for _, holds in chosen) for row in rows]
    assert row_filter.mask(batch).tolist() == expected


# --- Cases ----------------------------------------------------------------------------------------


def test_nanoseconds_count() -> None:
    column = pa.array([1, 2, 3], pa.timestamp("ns"))
    batch = pa.RecordBatch.from_arrays([column], names=["c"])
    row_filter = RowFilter.parse(("c >= '1970-01-01T00:00:00.000000002Z'",))
    assert row_filter.mask(batch).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "text", ["2024", "2024-02-30", "2024-01-01T25:00", "yesterday", "2024-01-01 1:00", "12:00"]
)
def test_no_instant(text: str) -> None:
    assert parse_instant(text) is None
    with pytest.raises(UsageError, match="no date or time in ISO 8601"):
        mask([], pa.timestamp("s"), f"c > '{text}'")


def test_booleans_in_texts() -> None:
    values = ["true", "False", " TRUE ", "1", None]
    assert mask(values, pa.string(), "c = true") == [True, False, True, False, False]
    assert mask(values, pa.string(), "c != true") == [False, True, False, False, False]


def test_other_layouts() -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([1, None]))
    for array in (runs, pa.array([1, 1, None]), pa.array([1, 1, None]).dictionary_encode()):
        batch = pa.RecordBatch.from_arrays([array], names=["c"])
        assert RowFilter.parse(("c = 1",)).mask(batch).tolist() == [True, True, False]
    assert mask([None, None], pa.null(), "c = 1") == [False, False]
    assert mask([[1], None], pa.list_(pa.int8()), "c is null") == [False, True]


def test_columns_are_found_without_case_once() -> None:
    schema = pa.schema([("Speed", pa.int8()), ("speed limit", pa.int8()), ("SPEED", pa.int8())])
    row_filter = RowFilter.parse(('"Speed Limit" > 1', "Speed > 1", "Speed < 9"))
    assert row_filter.columns == ("Speed Limit", "Speed")
    assert row_filter.bind(schema).columns == ("speed limit", "Speed")
    with pytest.raises(UsageError, match=r"--where 'speed > 1': .*Speed, SPEED"):
        RowFilter.parse(("speed > 1",)).bind(schema)
    with pytest.raises(UsageError, match=r"no column 'sped'\. Its columns: Speed, speed limit"):
        RowFilter.parse(("sped > 1",)).bind(schema)
    with pytest.raises(UsageError, match="2 columns are called 'a'"):
        RowFilter.parse(("a = 1",)).bind(pa.schema([("a", pa.int8()), ("a", pa.int8())]))


@pytest.mark.parametrize(
    ("kind", "expression", "problem"),
    [
        (pa.int32(), "c = '5'", "type int32; compare it with a number, without quotes"),
        (pa.float64(), "c in (1, true)", "type double; compare it with a number"),
        (pa.timestamp("s"), "c > 5", r"type timestamp\[s\]; compare it with a date or time in"),
        (pa.bool_(), "c = 1", "type bool; compare it with true or false"),
        (pa.bool_(), "c < true", "true and false go with =, != and in only"),
        (pa.string(), "c < true", "true and false go with =, != and in only"),
        (pa.list_(pa.int8()), "c = 1", "type list<.*cannot be compared"),
        (pa.struct([("a", pa.int8())]), "c = 'x'", "type struct<.*cannot be compared"),
        (pa.time32("s"), "c = '12:00'", r"type time32\[s\], which cannot be compared"),
    ],
)
def test_literals_must_go_with_the_type(kind: pa.DataType, expression: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"--where .*{problem}"):
        RowFilter.parse((expression,)).bind(pa.schema([("c", kind)]))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "name of a column is missing (at its end)"),
        ("speed", "an operator is missing (at its end)"),
        ("speed >", "a number, a 'text', true or false is missing (at its end)"),
        ("speed = fast", "in single quotes: 'fast' (at character 9, before 'fast')"),
        ('speed = "fast"', "in single quotes: 'fast' (at character 9"),
        ("speed == 5", "write = (at character 7, before '== 5')"),
        ("speed <> 5", "write != (at character 7"),
        ("speed =< 5", "an operator is missing (at character 7"),
        ("speed = null", "write 'is null' or 'is not null' (at character 9"),
        ("speed is 5", "'null' or 'not null' is missing (at character 10"),
        ("speed in 5", "'(' is missing (at character 10"),
        ("speed in ()", "a number, a 'text', true or false is missing (at character 11"),
        ("speed in (5", "',' or ')' is missing (at its end)"),
        ("speed > 5 and n < 3", "a second condition is a second --where (at character 11"),
        ("speed > 1_000", "this is no number (at character 9"),
        ("speed > 0x10", "this is no number (at character 9"),
        ("speed > 1e999", "the number is too large (at character 9"),
        ("speed = 'fast", "the quote ' is never closed (at character 9"),
        ("speed > $5", "'$' has no meaning here (at character 9"),
        ("5 < speed", "name of a column is missing (at character 1"),
        ("__import__('os')", "an operator is missing (at character 11"),
    ],
)
def test_refused_expressions_say_where(expression: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        RowFilter.parse((expression,))
    message = str(caught.value)
    assert message.startswith(f"--where {expression!r}: ")
    assert problem in message


@given(st.text("ab1 =<>!'\"(),.+-einsull", max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_parser_parses_or_refuses(expression: str) -> None:
    with contextlib.suppress(UsageError):
        (condition,) = RowFilter.parse((expression,)).conditions
        assert condition.expression == expression
