"""Projection of points to tiles, against the decimal digits."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.project import OUTSIDE_INT32, Projector, Selection
from gridcli.grid.records import grid_of_record
from gridcli.points.batch import Reason
from tests import naive

PRECISIONS = ["-1", "0", "1", "2", "4", "5", "6", "7", "0.9", "3.5", "4.25", "6.9"]


def project(grid, lon, lat, unit=None, dtype=np.float64, **selection):
    """Tiles and reasons as the program finds them, one per point in order."""
    found = Projector(grid, Selection(**selection)).project(
        np.array(lon, dtype), np.array(lat, dtype), unit
    )
    x, y = (part.tolist() for part in keys.unpack(found.keys))
    used = iter(zip(x, y, strict=True))
    reasons = dict(zip(found.rejected.tolist(), found.reasons.tolist(), strict=True))
    return [Reason(reasons[i]).label if i in reasons else next(used) for i in range(len(lon))]


def near_edges(prec):
    """Doubles at, and within a few units in the last place of, multiples of 10^-prec."""

    @st.composite
    def draw(draw, bound):
        steps = bound * 10 ** max(prec, 0)
        value = draw(st.integers(-steps, steps)) / 10 ** max(prec, 0)
        for _ in range(draw(st.integers(0, 3))):
            value = math.nextafter(value, draw(st.sampled_from([-math.inf, math.inf])))
        return value

    return draw


def coordinates(low, high, edge_bound, prec):
    digits = st.integers(low * 10**7, high * 10**7).map(lambda k: k / 10**7)
    anything = st.floats(allow_nan=True, allow_infinity=True)
    return st.one_of(
        st.floats(low, high), digits, near_edges(prec)(edge_bound), anything, st.floats(-1e-3, 1e-3)
    )


@st.composite
def points(draw):
    prec = draw(st.sampled_from(PRECISIONS))
    whole = math.floor(float(prec))
    pair = st.tuples(coordinates(-180, 360, 180, whole), coordinates(-90, 90, 90, whole))
    return prec, draw(st.lists(pair, min_size=1, max_size=20))


@given(points())
@example(("2", [(0.29, 0.29), (-0.29, -0.29), (180.0, 90.0), (-180.0, -90.0), (360.0, 10.0)]))
@example(("3.5", [(180.0, 90.0), (-180.0, -90.0), (359.9999, 10.0), (360.0, 10.0)]))
@example(("4", [(360.0, 0.0), (359.9995, 0.0005), (-0.0005, 0.001), (0.0011, 0.0)]))
def test_tiles_follow_from_the_decimal_digits(case):
    prec, pairs = case
    lon, lat = zip(*pairs, strict=True)
    expected = [naive.project(x, y, prec) for x, y in pairs]
    assert project(Grid.degrees(prec), lon, lat) == expected


@given(points())
def test_a_block_of_many_points_equals_the_points_one_by_one(case):
    prec, pairs = case
    grid = Grid.degrees(prec)
    lon, lat = zip(*(pairs * 150), strict=True)
    single = [project(grid, [x], [y])[0] for x, y in pairs]
    assert project(grid, lon, lat) == single * 150


@pytest.mark.parametrize("prec", PRECISIONS)
def test_all_indexes_lie_on_the_grid(prec):
    grid = Grid.degrees(prec)
    lon = [-180.0, 180.0, 360.0, math.nextafter(180, 0), math.nextafter(360, 0), -1e-300, 179.5]
    lat = [-90.0, 90.0, math.nextafter(90, 0), math.nextafter(-90, 0), 1.0, 2.0, -45.0]
    for x, y in project(grid, lon, lat):
        assert grid.first_column <= x <= grid.last_column
        assert grid.first_row <= y <= grid.last_row


@given(st.integers(-180 * 10**6, 180 * 10**6 - 1), st.integers(0, 6))
def test_adding_360_to_the_decimal_longitude_changes_nothing(micro_degrees, prec):
    grid = Grid.degrees(prec)
    west, east = micro_degrees / 10**6, (micro_degrees + 360 * 10**6) / 10**6
    if east <= 360:
        assert project(grid, [west], [50.0]) == project(grid, [east], [50.0])


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1), st.integers(0, 4))
def test_coarsening_equals_contracting_at_the_coarser_precision(pairs, steps):
    lon, lat = zip(*pairs, strict=True)
    fine = project(Grid.degrees(5), lon, lat, keep_null_island=True)
    coarse = project(Grid.degrees(5 - steps), lon, lat, keep_null_island=True)
    assert [(x // 10**steps, y // 10**steps) for x, y in fine] == coarse


@given(
    st.lists(
        st.tuples(st.integers(-(2 * 10**9), 4 * 10**9), st.integers(-(10**9), 10**9)), min_size=1
    ),
    st.sampled_from(["-1", "0", "3", "4", "7"]),
)
def test_scaled_integers_are_never_taken_through_a_float(pairs, prec):
    lon, lat = zip(*pairs, strict=True)
    unit = Fraction(1, 10**7)
    scale = Fraction(10) ** int(prec)

    def expected(x, y):
        if not (-180 <= x * unit <= 360 and -90 <= y * unit <= 90):
            return "out_of_range"
        wrapped = x * unit - 360 if x * unit >= 180 else x * unit
        if abs(wrapped) <= Fraction(1, 1000) and abs(y * unit) <= Fraction(1, 1000):
            return "null_island"
        return math.floor(wrapped * scale), min(math.floor(y * unit * scale), int(90 * scale) - 1)

    assert project(Grid.degrees(prec), lon, lat, unit, np.int64) == [
        expected(x, y) for x, y in pairs
    ]


def test_scaled_integers_at_a_real_precision_use_the_nearest_double():
    grid = Grid.degrees("3.5")
    values = [571234567, -119876543, 1799999999, 3599999999]
    floats = [v / 10**7 for v in values]
    lat = [5 * 10**8] * 4
    assert project(grid, values, lat, Fraction(1, 10**7), np.int64) == project(
        grid, floats, [50.0] * 4
    )


@given(st.lists(st.tuples(st.floats(-180, 360), st.floats(-90, 90)), min_size=1), st.booleans())
def test_bbox_keeps_what_lies_inside_whichever_way_longitude_is_written(pairs, crosses):
    west, east = (170.0, -160.0) if crosses else (-20.5, 30.25)
    grid, lon, lat = Grid.degrees(3), *zip(*pairs, strict=True)

    def is_inside(x, y):
        wrapped = x - 360 if x >= 180 else x
        inside_lon = wrapped >= west or wrapped <= east if crosses else west <= wrapped <= east
        return inside_lon and -40 <= y <= 60

    everything = project(grid, lon, lat)
    boxed = project(grid, lon, lat, bbox=(west, -40.0, east, 60.0))
    for (x, y), free, kept in zip(pairs, everything, boxed, strict=True):
        if isinstance(free, str):
            assert kept == free
        else:
            assert kept == (free if is_inside(x, y) else "filtered")


@pytest.mark.parametrize("unit", [None, Fraction(1, 10)])
def test_the_edge_of_a_crossing_box_is_inside(unit):
    values = [-0.1, 170.0, 0.0, 169.9] if unit is None else [-1, 1700, 0, 1699]
    dtype = np.float64 if unit is None else np.int64
    found = project(
        *(Grid.degrees(1), values, [1.0 if unit is None else 10] * 4, unit, dtype),
        bbox=(170.0, -10.0, -0.1, 10.0),
    )
    assert [tile == "filtered" for tile in found] == [False, False, True, True]


def test_a_box_across_0_where_longitudes_run_to_360():
    found = project(Grid.degrees(1), [-5.0, 355.0, 5.0, 20.0], [1.0] * 4, bbox=(350, 0, 10, 2))
    assert [tile == "filtered" for tile in found] == [False, False, False, True]


def test_a_planar_point_outside_the_box_needs_no_index():
    for unit, dtype in ((None, np.float64), (Fraction(1), np.int64)):
        found = Projector(Grid.planar_prec(3), Selection(bbox=(0, 0, 10, 10))).project(
            np.array([5, 10**12], dtype), np.array([5, 5], dtype), unit
        )
        assert found.reasons.tolist() == [Reason.FILTERED]


def test_bbox_holds_for_scaled_integers_too():
    unit, grid = Fraction(1, 10**7), Grid.degrees(4)
    lon, lat = [-30 * 10**7, 10**8, 3500000000, 175 * 10**7], [10**8] * 4
    boxed = project(grid, lon, lat, unit, np.int64, bbox=(-20.0, -90.0, 20.0, 90.0))
    assert boxed == ["filtered", (100000, 100000), (-100000, 100000), "filtered"]


@pytest.mark.parametrize("unit", [Fraction(1, 10**17), Fraction(7, 3 * 10**18)])
def test_scales_beyond_64_bits_are_refused(unit):
    with pytest.raises(UsageError, match="64 bits"):
        project(Grid.degrees(4), [1], [1], unit, np.int64)
    assert project(Grid.degrees(4), [10**16], [10**16], Fraction(1, 10**16), np.int64) == [
        (10**4, 10**4)
    ]


def test_null_island_can_be_kept():
    assert project(Grid.degrees(4), [0.0], [0.0]) == ["null_island"]
    assert project(Grid.degrees(4), [0.0], [0.0], keep_null_island=True) == [(0, 0)]


@given(
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1),
    st.sampled_from([0.1, 0.25, 1.0, 3.0, 25.0]),
)
def test_planar_tiles_begin_at_multiples_of_their_size(pairs, size):
    x, y = zip(*pairs, strict=True)

    def tile(value):
        return naive.largest_tile(value, lambda k: float(k * size), math.floor(value / size))

    assert project(Grid.planar_size(size), x, y) == [(tile(a), tile(b)) for a, b in pairs]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(-3, 3))
def test_planar_precisions_follow_from_the_digits(values, prec):
    tiles = [(naive.floor_tile(v, prec), naive.floor_tile(0.5, prec)) for v in values]
    assert project(Grid.planar_prec(prec), values, [0.5] * len(values)) == tiles


def test_planar_indexes_beyond_int32_are_told_apart():
    projector = Projector(Grid.planar_prec(3), Selection())
    found = projector.project(np.array([1e300, 2.0e6, 2.2e6, np.inf]), np.zeros(4))
    assert found.rejected.tolist() == [0, 2, 3]
    assert found.reasons.tolist() == [OUTSIDE_INT32, OUTSIDE_INT32, Reason.NOT_A_NUMBER]
    found = projector.project(np.array([10**12, 10**6]), np.array([0, 0]), Fraction(1, 100))
    assert found.rejected.tolist() == [0]


@pytest.mark.parametrize(
    ("prec", "words"),
    [("8", "finest"), ("7.2", "finest"), ("-2", "larger than 10"), ("x", "not a number"),
     ("nan", "finite"), ("1e400", "out of range")],
)  # fmt: skip
def test_impossible_precisions_are_refused(prec, words):
    with pytest.raises(UsageError, match=words):
        Grid.degrees(prec) if words != "out of range" else Grid.planar_prec(prec)


@pytest.mark.parametrize("prec", PRECISIONS)
def test_a_description_makes_the_same_grid_again(prec):
    grid = Grid.degrees(prec)
    assert grid_of_record(grid.describe()) == grid
