"""Arrow columns of every numeric type as coordinates: `gridcli.points.coordinates`."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.points.batch import Reason
from gridcli.points.coordinates import first_reason, read_column, read_pair, require_numeric

E7 = Fraction(1, 10**7)


def exact(array: pa.Array, scale: Fraction | None = None) -> list[Any]:
    """Return the exact value of each row, or its reason."""
    column = read_column(array, scale)
    reason = np.zeros(len(array), np.uint8) if column.reason is None else column.reason
    unit = column.unit or Fraction(1)
    return [
        Reason(r) if r else Fraction(value) * unit
        for value, r in zip(column.values.tolist(), reason.tolist(), strict=True)
    ]


def plain(values: list[Any], scale: Fraction | None = None) -> list[Any]:
    unit = scale or Fraction(1)
    return [Reason.NULL if value is None else Fraction(value) * unit for value in values]


INTEGERS = [5, None, -7, 100, 0]
DECIMALS = [Decimal("1.25"), None, Decimal("-0.01"), Decimal("99.99"), Decimal(0)]


@pytest.mark.parametrize("scale", [None, E7])
@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64"])
def test_integers(name, scale):
    assert exact(pa.array(INTEGERS, getattr(pa, name)()), scale) == plain(INTEGERS, scale)


@pytest.mark.parametrize("scale", [None, E7])
@pytest.mark.parametrize("name", ["uint8", "uint16", "uint32", "uint64"])
def test_unsigned_integers(name, scale):
    values = [5, None, 200]
    assert exact(pa.array(values, getattr(pa, name)()), scale) == plain(values, scale)


def test_integers_beyond_64_bits_are_out_of_range():
    values = pa.array([1, 2**63, None], pa.uint64())
    assert exact(values, E7) == [E7, Reason.OUT_OF_RANGE, Reason.NULL]
    floats = pa.array([1.0, 2.0**63, -(2.0**64)])
    assert exact(floats, E7) == [E7, Reason.OUT_OF_RANGE, Reason.OUT_OF_RANGE]


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.float64()])
def test_floats_are_widened_exactly(type_):
    values = [0.5, None, -1.25, 1 / 3]
    wide = [None if v is None else float(type_.to_pandas_dtype()(v)) for v in values]
    assert exact(pa.array(wide, type_)) == plain(wide)


def test_floats_under_a_scale_must_be_whole():
    values = pa.array([5.0, None, 5.5, float("nan"), float("inf"), -3.0])
    bad = Reason.NOT_A_NUMBER
    found = exact(values, E7)
    assert found == [5 * E7, Reason.NULL, bad, bad, Reason.OUT_OF_RANGE, -3 * E7]


@pytest.mark.parametrize("scale", [None, E7])
@pytest.mark.parametrize("make", [pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256])
def test_decimals(make, scale):
    array = pa.array(DECIMALS, make(6, 2))
    assert exact(array, scale) == plain(DECIMALS, scale)
    assert read_column(array, scale).unit == Fraction(1, 100) * (scale or 1)


@pytest.mark.parametrize("make", [pa.decimal128, pa.decimal256])
def test_decimals_with_too_many_digits_are_the_nearest_doubles(make):
    values = [Decimal("52.123456789012345678"), Decimal("-0.3"), None]
    array = pa.array(values, make(38, 18))
    assert read_column(array, None).unit is None
    assert exact(array) == [Fraction(52.123456789012345678), Fraction(-0.3), Reason.NULL]
    huge = pa.array([Decimal(10) ** 19, Decimal(7)], make(30, 0))
    assert exact(huge) == [Fraction(1e19), 7]
    assert exact(huge, E7) == [Reason.OUT_OF_RANGE, 7 * E7]


def test_decimals_of_multiples_of_ten():
    array = pa.array([Decimal("1.2E+3"), Decimal("-1E+2")], pa.decimal128(5, -2))
    assert exact(array) == [1200, -100]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts(type_):
    array = pa.array(["1.5", None, "NA", "x", " 2 "], type_)
    assert exact(array) == [1.5, Reason.NULL, Reason.NULL, Reason.NOT_A_NUMBER, 2]
    assert exact(pa.array(["15", "1.5"], type_), E7) == [15 * E7, Reason.NOT_A_NUMBER]


def test_dictionaries():
    assert exact(pa.array(["1.5", None, "1.5", "x"]).dictionary_encode()) == [
        1.5,
        Reason.NULL,
        1.5,
        Reason.NOT_A_NUMBER,
    ]
    assert exact(pa.array([1.5, None, 1.5]).dictionary_encode()) == plain([1.5, None, 1.5])


def test_only_nulls():
    assert exact(pa.nulls(2)) == [Reason.NULL] * 2
    assert exact(pa.nulls(2, pa.decimal128(30, 20)), E7) == [Reason.NULL] * 2


ARRAYS = [
    pa.array(INTEGERS, pa.int32()),
    pa.array(DECIMALS, pa.decimal32(6, 2)),
    pa.array(DECIMALS, pa.decimal64(6, 2)),
    pa.array(DECIMALS, pa.decimal128(6, 2)),
    pa.array([0.5, None, 1.5, 2.5, 3.5]),
    pa.array([0.5, None, 1.5, 2.5, 3.5], pa.float32()),
    pa.array(["0.5", None, "x", "2.5", "3.5"]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_slices_and_empty_arrays(array):
    for start in range(6):
        for n in range(6 - start):
            assert exact(array.slice(start, n)) == exact(array)[start : start + n]


def test_pair_in_the_finer_unit():
    x = pa.array([Decimal("1.5"), Decimal("-2.5")], pa.decimal128(5, 1))
    y = pa.array([Decimal("0.001"), None], pa.decimal128(5, 3))
    xs, ys, unit, reason = read_pair(x, y, None)
    assert (xs.tolist(), ys.tolist()[:1], unit) == ([1500, -2500], [1], Fraction(1, 1000))
    assert reason is not None
    assert reason.tolist() == [0, Reason.NULL]


def test_pair_that_no_common_unit_holds():
    x = pa.array([Decimal(10) ** 16], pa.decimal128(20, 0))
    y = pa.array([Decimal("0.123")], pa.decimal128(5, 3))
    xs, ys, unit, _ = read_pair(x, y, None)
    assert (xs.tolist(), ys.tolist(), unit) == ([1e16], [0.123], None)


@pytest.mark.parametrize("other", [pa.array([0.3]), pa.array(["0.3"]), pa.array([1], pa.int8())])
def test_pair_of_decimals_and_doubles_is_doubles(other):
    xs, ys, unit, reason = read_pair(pa.array([Decimal("0.29")]), other, None)
    assert (xs.tolist(), unit, reason) == ([0.29], None, None)
    assert ys.dtype == np.float64


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.decimals(-180, 180, places=7)),
            st.one_of(st.none(), st.decimals(-90, 90, places=4)),
        ),
        max_size=8,
    )
)
@settings(max_examples=50)
def test_decimal_pairs_are_exact(rows):
    x = pa.array([row[0] for row in rows], pa.decimal128(12, 7))
    y = pa.array([row[1] for row in rows], pa.decimal128(9, 4))
    xs, ys, unit, reason = read_pair(x, y, None)
    assert unit == E7
    for i, (a, b) in enumerate(rows):
        if a is None or b is None:
            assert reason is not None
            assert reason[i] == Reason.NULL
        else:
            assert (int(xs[i]) * unit, int(ys[i]) * unit) == (Fraction(a), Fraction(b))
            assert reason is None or reason[i] == 0


def test_first_reason():
    a = np.array([0, 0, 3, 4], np.uint8)
    b = np.array([0, 4, 4, 3], np.uint8)
    found = first_reason(a, b)
    assert found is not None
    assert found.tolist() == [0, 4, 3, 3]
    assert first_reason(a, None) is a
    assert first_reason(None, b) is b
    assert first_reason(None, None) is None


@pytest.mark.parametrize("type_", [pa.bool_(), pa.date32(), pa.binary(), pa.struct([])])
def test_other_types_are_refused_by_name(type_):
    schema = pa.schema([("lat", type_), ("ok", pa.dictionary(pa.int8(), pa.string()))])
    require_numeric(schema, "ok", "f.parquet")
    with pytest.raises(UsageError, match=r"f\.parquet: the column 'lat' has type"):
        require_numeric(schema, "lat", "f.parquet")
