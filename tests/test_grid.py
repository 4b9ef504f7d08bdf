"""Grids: coarsening by an integer, names, and descriptions that come back from files."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import InputError, UsageError
from gridcli.grid.grid import INT32_MAX, Grid
from gridcli.grid.records import grid_of_name, grid_of_record
from tests.tile_examples import GRIDS

FACTORS = st.sampled_from([1, 2, 3, 4, 5, 7, 10, 12, 20, 100, 250, 1000])
COARSE = (
    *GRIDS,
    Grid.degrees(4).coarsened(7),
    Grid.degrees("3.5").coarsened(12),
    Grid.planar_prec(2).coarsened(4),
    Grid.planar_size("0.1").coarsened(3),
)


@pytest.mark.parametrize(
    ("grid", "m", "expected"),
    [
        (Grid.degrees(4), 10, Grid.degrees(3)),
        (Grid.degrees(4), 1000, Grid.degrees(1)),
        (Grid.degrees(0), 10, Grid.degrees(-1)),
        (Grid.degrees(4).coarsened(4), 5, Grid.degrees(3).coarsened(2)),
        (Grid.planar_prec(0), 100, Grid.planar_prec(-2)),
        (Grid.planar_prec(-1), 10, Grid.planar_prec(-2)),
        (Grid.planar_prec(25), 1, Grid.planar_prec(25)),
    ],
)
def test_powers_of_ten_are_precisions(grid, m, expected):
    assert grid.coarsened(m) == expected


@pytest.mark.parametrize(
    ("grid", "m", "name"),
    [
        (Grid.degrees(4), 2, "g4x2"),
        (Grid.degrees(4), 20, "g3x2"),
        (Grid.degrees(-1), 10, "g-1x10"),
        (Grid.degrees(0), 100, "g-1x10"),
        (Grid.degrees("3.5"), 10, "g3.5x10"),
        (Grid.planar_size(25), 4, "t25x4"),
        (Grid.planar_size(25), 10, "t25x10"),
        (Grid.planar_prec(-22), 10, "p-22x10"),
        (Grid.planar_prec(25), 10, "p25x10"),
    ],
)
def test_names_of_coarsened_grids(grid, m, name):
    coarse = grid.coarsened(m)
    assert coarse.name == name
    assert grid_of_name(name) == coarse


@given(st.sampled_from(COARSE), FACTORS, FACTORS)
def test_coarsening_composes(grid, a, b):
    assert grid.coarsened(a).coarsened(b) == grid.coarsened(a * b)
    assert grid.coarsened(a).coarsening_to(grid.coarsened(a * b)) == b


def test_what_no_integer_coarsens_to():
    assert Grid.degrees(4).coarsening_to(Grid.degrees("3.5")) is None
    assert Grid.degrees(4).coarsening_to(Grid.degrees(5)) is None
    assert Grid.degrees("4.5").coarsening_to(Grid.degrees("3.5")) is None
    assert Grid.degrees(4).coarsening_to(Grid.planar_prec(3)) is None
    assert Grid.planar_prec(300).coarsening_to(Grid.planar_prec(-300)) is None
    assert Grid.degrees(4).coarsening_to(Grid.degrees(4)) == 1


@given(st.sampled_from(COARSE), FACTORS, st.floats(0, 1))
def test_edges_are_correctly_rounded(grid, m, place):
    coarse = grid.coarsened(m)
    index = round(place * INT32_MAX) if grid.planar else round(place * coarse.last_column)
    base = Fraction(coarse.scale)
    for k in (index, -index - 1, 0):
        steps = k * coarse.multiple
        exact = steps * base if coarse.rule == 1 else steps / base
        assert coarse.edges(np.array([k]))[0] == float(exact)


@given(st.sampled_from([g for g in COARSE if not g.planar]), FACTORS)
def test_ranges_are_those_of_the_base_divided_and_symmetric(grid, m):
    coarse = grid.coarsened(m)
    assert (coarse.first_column, coarse.last_column) == (
        grid.first_column // m,
        grid.last_column // m,
    )
    assert (coarse.first_row, coarse.last_row) == (grid.first_row // m, grid.last_row // m)
    assert coarse.first_column == -coarse.last_column - 1
    assert coarse.columns == coarse.last_column * 2 + 2
    assert coarse.edges_x(
        np.array([coarse.first_column, coarse.last_column + 1]), np.zeros(2, np.int64)
    ).tolist() == [
        -180,
        180,
    ]


@given(st.sampled_from([g for g in COARSE if not g.planar]), st.integers(1, INT32_MAX // 1000))
def test_any_multiple_leaves_columns_on_both_sides(grid, m):
    coarse = grid.coarsened(m)
    assert coarse.columns >= 2
    west, east = coarse.edges(np.array([coarse.first_column, coarse.first_column + 1]))
    assert west <= -180 < east


def test_coarsening_that_cannot_be():
    with pytest.raises(UsageError, match="at least 1"):
        Grid.degrees(4).coarsened(0)
    with pytest.raises(UsageError, match="too large"):
        Grid.degrees(4).coarsened(3).coarsened(INT32_MAX)
    with pytest.raises(UsageError, match="too large"):
        Grid.planar_prec(-300).coarsened(7)


@given(st.sampled_from(COARSE), FACTORS)
def test_descriptions_come_back(grid, m):
    coarse = grid.coarsened(m)
    assert grid_of_record(coarse.describe()) == coarse


def test_a_description_without_multiple_is_of_none():
    record = Grid.degrees(4).describe()
    del record["multiple"]
    assert grid_of_record(record) == Grid.degrees(4)


def test_a_real_precision_keeps_the_scale_of_the_file():
    grid = Grid.degrees("3.5")
    other = replace(grid, scale=math.nextafter(grid.scale, 0))
    assert grid_of_record(other.describe()) == other


GOOD = Grid.degrees(4).coarsened(2).describe()


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "g4",
        {},
        {"name": "g4"},
        {**GOOD, "name": "g4"},
        {**GOOD, "name": "g4x02"},
        {**GOOD, "name": "g4x20", "multiple": 20},
        {**GOOD, "name": "g99"},
        {**GOOD, "name": "m25"},
        {**GOOD, "name": "g4x" + "9" * 30},
        {**GOOD, "name": 4},
        {**GOOD, "planar": True},
        {**GOOD, "planar": None},
        {**GOOD, "rule": "real"},
        {**GOOD, "scale": (1e5).hex()},
        {**GOOD, "scale": "0x1p99999"},
        {**GOOD, "scale": "ten"},
        {**GOOD, "scale": 10000.0},
        {**GOOD, "scale": None},
        {**GOOD, "multiple": 3},
        {**GOOD, "multiple": "2"},
        {**GOOD, "columns_of_row": "hash"},
        {**Grid.degrees("3.5").describe(), "scale": (3162.0).hex()},
        {**Grid.degrees("3.5").describe(), "scale": "nan"},
    ],
)
def test_what_describes_no_grid_is_refused(record):
    with pytest.raises(InputError, match="damaged, or was made by a newer version"):
        grid_of_record(record)
