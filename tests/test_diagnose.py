"""What the user may have meant: `gridcli.points.diagnose`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.points.batch import PointBatch, Reason
from gridcli.points.columns import ColumnChoice
from gridcli.points.diagnose import suggest
from gridcli.points.plan import ReadOptions

NAMES = ColumnChoice("lon", "lat")


def meant(
    x: list[Any],
    y: list[Any],
    choice: ColumnChoice = NAMES,
    unit: Fraction | None = None,
    **options,
) -> str | None:
    dtype = np.float64 if unit is None else np.int64
    batch = PointBatch(np.array(x, dtype), np.array(y, dtype), unit)
    return suggest(batch, ReadOptions(**options), choice)


def test_swapped_columns():
    assert meant([57.7, 57.8], [111.9, 112.0]) == "--lat lon --lon lat"


def test_swapped_columns_with_odd_names():
    assert meant([57.7], [111.9], ColumnChoice("my x", "y'")) == "--lat 'my x' --lon 'y'\"'\"''"


def test_swapped_under_a_scale():
    unit = Fraction(1, 10**7)
    found = meant([577000000], [1119000000], unit=unit, scale=unit)
    assert found == "--lat lon --lon lat --scale 1e-7"


@pytest.mark.parametrize("power", [5, 6, 7])
def test_whole_numbers_are_scaled(power):
    x, y = round(119.9 * 10**power), round(57.7 * 10**power)
    expected = f"--lat lat --lon lon --scale 1e-{power}"
    assert meant([x], [y]) == expected
    assert meant([float(x)], [float(y)]) == expected


def test_scale_that_should_not_be():
    unit = Fraction(1, 10**7)
    assert meant([11], [57], unit=unit, scale=unit) == "--lat lat --lon lon"


def test_projected_coordinates():
    assert meant([500000.5], [6200000.25]) == "--planar --x lon --y lat"
    assert meant([500000], [6200000], ColumnChoice("x", "y")) == "--planar --x x --y y"
    assert meant([500000.5], [6200000.25], ColumnChoice(None, None, "geometry")) == "--planar"


def test_nothing_helps():
    assert meant([], []) is None
    assert meant([float("nan")], [float("inf")]) is None
    assert meant([1e300], [1e300]) is None
    assert meant([0.0], [0.0]) is None
    assert meant([0.0], [0.0], ColumnChoice(None, None, "geometry")) is None
    assert meant([1e6], [1e6], planar=True) is None


def test_rows_with_a_reason_do_not_count():
    reason = np.array([Reason.NOT_A_NUMBER, 0, 0], np.uint8)
    batch = PointBatch(np.array([1e300, 57.7, 57.8]), np.array([0, 111.9, 112]), reason=reason)
    assert suggest(batch, ReadOptions(), NAMES) == "--lat lon --lon lat"


def test_a_few_odd_rows_do_not_matter():
    x, y = [57.7] * 200 + [1e6], [111.9] * 201
    assert meant(x, y) == "--lat lon --lon lat"
    assert meant(x[100:150] + x[-1:], y[:51]) == "--planar --x lon --y lat"


@given(
    st.lists(
        st.tuples(st.floats(-180, 360), st.floats(-90, 90)).filter(
            lambda p: abs(p[0]) > 1 or abs(p[1]) > 1
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=50)
def test_swapped_data_is_always_recognised(points):
    lon, lat = [p[0] for p in points], [p[1] for p in points]
    assert meant(lat, lon) == "--lat lon --lon lat"
