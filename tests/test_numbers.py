"""The number grammar against Python's float() and int(), and against Arrow's own parser."""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.points.batch import Reason
from gridcli.points.csvcells import CellReader
from gridcli.points.csvpoints import read_csv_points
from gridcli.points.numbers import NULL_SPELLINGS, exact_value, parse_numbers, parse_scaled
from gridcli.points.plan import ColumnPlan
from tests import naive

NUMBERS = ["1", "+1", "-0", "1.", ".5", "-.5e3", "1E+5", "01", "5e-324", "1e-999", "1e300", " 7\t"]
TEXTS = [
    "nan", "-NaN", "nan(1)", "inf", "-Infinity", "1e999", "0x10", "0x1p3", "1_000", "1,5", ".",
    "-", "+-1", "1e", "e5", "1d5", "1f", "\u0661", "1 2", "1\x00", "--1", "abc", "N/A", "none",
]  # fmt: skip
NULLS = ["", " ", "\t", "NULL", "null", "Null", "NA", "na", "nA", " NA ", None]

plain_doubles = st.floats(allow_nan=False, allow_infinity=False).map(repr)
digits = st.text("0123456789", max_size=25)
decimals = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    digits,
    st.sampled_from(["", "."]),
    digits,
    st.sampled_from(["", "e5", "E-7", "e+300", "e-320", "e400"]),
)
noise = st.text("0123456789+-.eExXnaifNULl _,'\u0661\u00e9", max_size=8)
integers = st.integers(-(2**64), 2**64).map(str)
padded = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", " ", "\t", "\n", "\v\f"]),
    st.one_of(plain_doubles, decimals, integers),
    st.sampled_from(["", " ", "\r"]),
)
cells = st.one_of(
    st.none(), plain_doubles, decimals, noise, integers, padded,
    st.sampled_from(NUMBERS + TEXTS + NULLS),
)  # fmt: skip


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def check_against_oracle(column: list[str | None], strings: pa.Array) -> None:
    values, is_null, is_text = parse_numbers(strings)
    for row, cell in enumerate(column):
        kind, value = naive.read_number(cell)
        assert (bool(is_null[row]), bool(is_text[row])) == (kind == "null", kind == "text"), cell
        if kind == "number":
            assert bits(values[row]) == bits(value), cell
        else:
            assert math.isnan(values[row])


@pytest.mark.parametrize(
    ("cells", "kind"), [(NUMBERS, "number"), (TEXTS, "text"), (NULLS, "null")], ids=str
)
def test_examples_are_what_the_contract_says(cells: list[str | None], kind: str) -> None:
    _, is_null, is_text = parse_numbers(pa.array(cells, pa.string()))
    assert is_null.tolist() == [kind == "null"] * len(cells)
    assert is_text.tolist() == [kind == "text"] * len(cells)


@given(st.lists(cells, max_size=12), st.sampled_from([pa.string(), pa.large_string()]))
@settings(max_examples=60, deadline=None)
def test_numbers_equal_python_floats(column: list[str | None], kind: pa.DataType) -> None:
    check_against_oracle(column, pa.array(column, kind))


@given(st.lists(plain_doubles, max_size=12))
@settings(max_examples=30, deadline=None)
def test_clean_columns_equal_python_floats(column: list[str]) -> None:
    check_against_oracle(list(column), pa.array(column, pa.string()))


def test_sliced_column() -> None:
    strings = pa.array(["x", "1", None, "2 ", "y"]).slice(1, 3)
    values, is_null, is_text = parse_numbers(strings)
    assert values[[0, 2]].tolist() == [1.0, 2.0]
    assert is_null.tolist() == [False, True, False]
    assert not is_text.any()


@given(st.lists(cells, max_size=12))
@settings(max_examples=60, deadline=None)
def test_scaled_values_are_exact_integers(column: list[str | None]) -> None:
    values, is_null, is_text = parse_scaled(pa.array(column, pa.string()))
    assert values.dtype == np.int64
    for row, cell in enumerate(column):
        kind, integer = naive.read_integer(cell)
        assert (bool(is_null[row]), bool(is_text[row])) == (kind == "null", kind == "text"), cell
        assert int(values[row]) == (integer if kind == "number" else 0), cell


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9007199254740993.0", 2**53 + 1),
        ("5e3", 5000),
        ("9223372036854775808", None),
        ("1e999999999999", None),
        ("1e-999999999999999999999", None),
        ("0x10", None),
        ("481234567.5", None),
    ],
)
def test_scaled_bounds(cell: str, value: int | None) -> None:
    for column in ([cell], [cell, "x"]):
        values, _, is_text = parse_scaled(pa.array(column))
        assert bool(is_text[0]) == (value is None)
        assert int(values[0]) == (value or 0)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_arrow_and_the_grammar_agree_on_every_cell(
    rows: list[tuple[str | None, str | None]], scaled: bool
) -> None:
    """Rows read alone may take Arrow's parser; with a spoilt neighbour they never do."""
    rows = [(x or "", y or "") for x, y in rows]
    rows = [row for row in rows if not any("\x00" in cell for cell in row)]
    plan = ColumnPlan("x", "y", scale=Fraction(1, 10**7) if scaled else None)
    reader = CellReader("test", ",", 2, 0, 1, {}, {}, plan)
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    spoilt = reader.read("\n".join([*quoted, "spoilt,spoilt"]).encode(), 0)
    for k, (row, line) in enumerate(zip(rows, quoted, strict=True)):
        alone = reader.read(line.encode(), 0)
        for batch, at in ((alone, 0), (spoilt, k)):
            reason = 0 if batch.reason is None else int(batch.reason[at])
            numbers = (batch.x[at].item(), batch.y[at].item())
            is_finite = all(map(math.isfinite, numbers))
            read = naive.read_integer if scaled else naive.read_number
            kinds = [read(cell) for cell in row]
            if any(kind == "null" for kind, _ in kinds):
                assert reason == Reason.NULL, row
            elif any(kind == "text" for kind, _ in kinds):
                # nan and inf may stay as such: the projection rejects them.
                assert reason == Reason.NOT_A_NUMBER or (reason == 0 and not is_finite), row
            else:
                assert reason == 0, row
                expected = [value for _, value in kinds]
                assert [bits(v) for v in numbers] == [bits(v) for v in expected], row


def test_every_null_spelling_once() -> None:
    assert len(NULL_SPELLINGS) == len(set(NULL_SPELLINGS)) == 1 + 2**4 + 2**2
    assert {word.lower() for word in NULL_SPELLINGS} == {"", "null", "na"}


def test_exact_values() -> None:
    assert exact_value("0.1") == Fraction(1, 10)
    assert exact_value("9007199254740993") == 2**53 + 1
    assert exact_value("1e-999999999") == 0
    assert exact_value("1e999999999") is None
    assert re.fullmatch(r"[0-9]+", str(exact_value("1e300")))


# --- The kernel that reads plain decimals out of CSV text -----------------------------------------

significant = st.text("0123456789", min_size=1, max_size=19)
plain_decimals = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["", "0", "00000"]),
    significant,
    st.one_of(st.just(""), st.text("0123456789", max_size=23).map(".{}".format)),
)


def halfway(value: float, power: int) -> str:
    """A decimal of `power` places next to the middle between a double and the next."""
    middle = (Fraction(value) + Fraction(math.nextafter(value, math.inf))) / 2
    digits = str(round(middle * 10**power)).zfill(power + 1)
    return f"{digits[: len(digits) - power]}.{digits[len(digits) - power :]}"


near_ties = st.builds(halfway, st.floats(0.001, 180), st.integers(11, 18))
unquoted = cells.map(lambda cell: re.sub('[,\n\r"]', "", cell or ""))


@given(
    st.lists(st.one_of(plain_decimals, near_ties, plain_doubles, unquoted), min_size=1, max_size=20)
)
@settings(max_examples=60, deadline=None)
def test_the_kernel_agrees_with_the_grammar(column: list[str]) -> None:
    data = "".join(f"{cell},1,{cell}\n" for cell in column).encode()
    points = read_csv_points(data, ",", 3, 2, 0)
    assert points is not None
    assert points.ragged == []
    for row, cell in enumerate(column):
        kind, value = naive.read_number(cell)
        reason = 0 if points.reason is None else int(points.reason[row])
        assert reason == {"number": 0, "null": Reason.NULL, "text": Reason.NOT_A_NUMBER}[kind], cell
        if kind == "number":
            assert bits(points.x[row]) == bits(points.y[row]) == bits(value), cell


def test_the_kernel_leaves_quotes_and_dirty_text_to_arrow() -> None:
    assert read_csv_points(b'"1",2\n', ",", 2, 0, 1) is None
    for record in (b"x,1\n", b"1\n"):
        assert read_csv_points(record * 20, ",", 2, 0, 1) is not None
        assert read_csv_points(record * 5000, ",", 2, 0, 1) is None
