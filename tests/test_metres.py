"""Grids of tiles in metres: their table of columns, records, and the projection of points."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridcli.errors import InputError, UsageError
from gridcli.grid import metres
from gridcli.grid.ellipsoid import row_areas
from gridcli.grid.grid import Grid
from gridcli.grid.records import grid_of_name, grid_of_record
from gridcli.grid.sizes import metres_of
from tests import naive
from tests.test_projection import project

SIDES = ("1000000", "123456.7", "50000", "1000", "25", "7.5")
ORACLES = {side: naive.MetreGrid(tuple(Grid.metres(side).column_table.tolist())) for side in SIDES}


@pytest.mark.parametrize("side", ["1000000", "777777", "123456.7", "50000", "8000"])
def test_the_table_is_that_of_forty_digits(side):
    oracle = naive.MetreGrid.of_side(Fraction(float(side)))
    assert tuple(Grid.metres(side).column_table.tolist()) == oracle.columns


def test_tiles_are_nearly_square():
    grid = Grid.metres(25)
    rows = np.array([0, 1000, 200_000, 300_000, 399_000, grid.last_row - 5])
    areas = row_areas(grid, rows)
    assert areas[:-2] == pytest.approx(625, rel=0.012)
    assert areas == pytest.approx(625, rel=0.06)


def test_all_tiles_together_are_the_earth():
    grid = Grid.metres(20_000)
    rows = np.arange(grid.first_row, grid.last_row + 1)
    total = math.fsum(row_areas(grid, rows) * grid.columns_of(rows))
    assert total == pytest.approx(510_065_621_724_088, rel=1e-12)


def test_the_table_never_increases_and_ends_with_three():
    for side in SIDES:
        table = Grid.metres(side).column_table
        assert (np.diff(table) <= 0).all()
        assert table[-1] == 3
        assert not table.flags.writeable


def test_edges_are_correctly_rounded_and_end_at_180_and_90():
    for side, oracle in ORACLES.items():
        grid = Grid.metres(side)
        for y in (0, -1, oracle.rows // 3, oracle.rows - 1, -oracle.rows):
            n = oracle.n(y)
            columns = np.array([0, 1, n // 2, n - 1, n])
            exact = [float(Fraction(360 * k - 180 * n, n)) for k in columns.tolist()]
            assert grid.edges_x(columns, np.full(5, y)).tolist() == exact
            assert (exact[0], exact[-1]) == (-180, 180)
            assert grid.edges_y(np.array([y]))[0] == float(Fraction(90 * y, oracle.rows))
        ends = np.array([grid.first_row, grid.last_row + 1])
        assert grid.edges_y(ends).tolist() == [-90, 90]


def near_edges(oracle, *, row=None):
    """Doubles at, and within a few units in the last place of, edges of rows or columns."""

    @st.composite
    def draw(draw):
        if row is None:
            k = draw(st.integers(-oracle.rows, oracle.rows))
            value = float(Fraction(90 * k, oracle.rows))
        else:
            n = oracle.n(row)
            value = float(Fraction(360 * draw(st.integers(0, n + n // 2)) - 180 * n, n))
        for _ in range(draw(st.integers(0, 2))):
            value = math.nextafter(value, draw(st.sampled_from([-math.inf, math.inf])))
        return value

    return draw()


@st.composite
def points(draw):
    side = draw(st.sampled_from(SIDES))
    oracle = ORACLES[side]
    pairs = []
    for _ in range(draw(st.integers(1, 12))):
        lat = draw(
            st.one_of(
                near_edges(oracle),
                st.floats(-90, 90),
                st.floats(89.99, 90),
                st.sampled_from([0.0, -0.0, 90.0, -90.0, 90.1, math.nan]),
            )
        )
        row = 0 if not abs(lat) <= 90 else naive_row(oracle, lat)
        lon = draw(
            st.one_of(
                near_edges(oracle, row=row),
                st.floats(-180, 360),
                st.sampled_from([-180.0, 180.0, 360.0, -1e-300, 359.9999, 360.1, math.inf]),
            )
        )
        pairs.append((lon, lat))
    return side, pairs


def naive_row(oracle, lat):
    return min(max(math.floor(lat / 90 * oracle.rows), -oracle.rows), oracle.rows - 1)


@given(points())
@example(("25", [(180.0, 90.0), (-180.0, -90.0), (360.0, 10.0), (359.9995, 0.0005), (0.0, 0.0)]))
def test_tiles_follow_from_exact_edges(case):
    side, pairs = case
    lon, lat = zip(*pairs, strict=True)
    expected = [ORACLES[side].project(x, y) for x, y in pairs]
    assert project(Grid.metres(side), lon, lat) == expected


@given(points())
def test_a_block_of_many_points_equals_the_points_one_by_one(case):
    side, pairs = case
    grid = Grid.metres(side)
    lon, lat = zip(*(pairs * 150), strict=True)
    single = [project(grid, [x], [y])[0] for x, y in pairs]
    assert project(grid, lon, lat) == single * 150


@pytest.mark.parametrize("side", ["1", "7.5", "25", "1000", "300000"])
def test_the_quick_way_to_the_number_of_columns_is_the_table(side):
    grid = Grid.metres(side)
    rng = np.random.default_rng(1)
    rows = np.unique(
        np.concatenate([rng.integers(grid.first_row, grid.last_row + 1, 20_000), [0, -1]])
    )
    rows = np.append(rows, np.arange(max(0, grid.last_row - 3000), grid.last_row + 1))
    lat = (grid.edges_y(rows) + grid.edges_y(rows + 1)) / 2
    x = grid.columns_of(rows) - 1
    lon = (grid.edges_x(x, rows) + 180) / 2
    begins = range(0, len(lat), 9000)
    found = [project(grid, lon[i : i + 9000], lat[i : i + 9000]) for i in begins]
    assert list(chain(*found)) == list(zip(x.tolist(), rows.tolist(), strict=True))


def test_scaled_integers_use_the_nearest_double():
    grid = Grid.metres(25)
    values = [571234567, -119876543, 1799999999, 3599999999]
    lat = [5 * 10**8] * 4
    assert project(grid, values, lat, Fraction(1, 10**7), np.int64) == project(
        grid, [v / 10**7 for v in values], [50.0] * 4
    )


@given(st.lists(st.tuples(st.floats(-180, 360), st.floats(-90, 90)), min_size=1), st.booleans())
def test_bbox_keeps_what_lies_inside_whichever_way_longitude_is_written(pairs, crosses):
    west, east = (170.0, -160.0) if crosses else (-20.5, 30.25)
    lon, lat = zip(*pairs, strict=True)
    metre, degree = (
        project(grid, lon, lat, bbox=(west, -40.0, east, 60.0))
        for grid in (Grid.metres(1000), Grid.degrees(3))
    )
    assert [isinstance(tile, str) for tile in metre] == [isinstance(tile, str) for tile in degree]
    assert [t for t in metre if isinstance(t, str)] == [t for t in degree if isinstance(t, str)]


@pytest.mark.parametrize(
    ("text", "size"),
    [("25m", "25"), (" 12.50 m ", "12.5"), ("0.5km", "500"), ("1e2m", "100"), ("25", None)],
)
def test_sizes_with_a_unit(text, size):
    found = metres_of(text)
    assert (None if found is None else Grid.metres(found).name) == (size and f"m{size}")


@pytest.mark.parametrize(
    ("text", "words"),
    [("82ft", "unit ft"), ("0.5m", "too fine"), ("1001km", "too large"), ("-3m", "more than 0"),
     ("1e999999999999999999km", "out of range"), ("25M", "unit M")],
)  # fmt: skip
def test_impossible_sizes_are_refused(text, words):
    with pytest.raises(UsageError, match=words):
        Grid.metres(metres_of(text))


def test_descriptions_come_back():
    for name in ("m25", "m12.5", "m1000"):
        grid = grid_of_name(name)
        assert grid.name == name
        assert grid_of_record(grid.describe()) == grid
        assert grid.coarsened(1) == grid
        assert grid.coarsening_to(grid) == 1
    assert Grid.metres(25).coarsening_to(Grid.metres(50)) is None
    assert Grid.metres(25).coarsening_to(Grid.degrees(3)) is None
    assert Grid.degrees(4).coarsening_to(Grid.metres(25)) is None


def test_another_table_is_noticed():
    record = Grid.metres(25).describe()
    with pytest.raises(InputError, match="other numbers of columns"):
        grid_of_record({**record, "columns_sha256": "0" * 64})
    with pytest.raises(InputError, match="unknown"):
        grid_of_record({**record, "scale": (26.0).hex()})
    without = {key: value for key, value in record.items() if key != "columns_sha256"}
    with pytest.raises(InputError, match="other numbers of columns"):
        grid_of_record(without)


def test_tiles_in_metres_are_not_joined_to_larger_ones():
    with pytest.raises(UsageError, match="cannot be joined 2 by 2"):
        Grid.metres(25).coarsened(2)
    with pytest.raises(UsageError):
        grid_of_name("m25x2")


def test_columns_are_asked_for_by_row():
    for ask in (lambda: Grid.metres(25).columns, lambda: Grid.metres(25).edges(np.array([1]))):
        with pytest.raises(ValueError, match="row to row"):
            ask()
    assert Grid.degrees(0).columns_of(np.array([3, -4])).tolist() == [360, 360]
    assert not len(Grid.degrees(0).column_table)
    assert not Grid.degrees(0).rows_differ
    assert metres.column_table(25.0) is Grid.metres("25").column_table
