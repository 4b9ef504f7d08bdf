"""Areas and radii of the WGS84 ellipsoid, compared with 60-digit evaluation and integration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.grid.ellipsoid import (
    column_overlap,
    radii_of_curvature,
    row_areas,
    tile_area,
    tile_side,
)
from gridcli.grid.grid import Grid
from gridcli.grid.records import grid_of_name
from tests import naive

EARTH_M2 = 510_065_621_724_089
NAMES = [
    "g-1",
    "g0",
    "g0.25",
    "g3.5",
    "g4",
    "g7",
    "g-1x7",
    "g-1x8",
    "g0x7",
    "g0.25x3",
    "g3.5x12",
    "g4x7",
    "g4x999",
    "g7x11",
]


@given(st.sampled_from(NAMES), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_rows_equal_the_formula_in_sixty_digits(name, place):
    grid = grid_of_name(name)
    row = round(grid.first_row + place * (grid.last_row - grid.first_row))
    expected = naive.tile_area(grid, (0, row))
    assert row_areas(grid, np.array([row], np.int32))[0] == pytest.approx(expected, rel=2e-15)


@pytest.mark.parametrize("name", NAMES)
def test_rows_at_poles_and_equator_equal_the_formula_in_sixty_digits(name):
    grid = grid_of_name(name)
    first, last = grid.first_row, grid.last_row
    rows = np.clip([first, first + 1, -1, 0, last - 1, last], first, last).astype(np.int32)
    expected = [naive.tile_area(grid, (0, row)) for row in rows.tolist()]
    np.testing.assert_allclose(row_areas(grid, rows), expected, rtol=2e-15)


@pytest.mark.parametrize(
    "name", ["g-1", "g0", "g0.25", "g1", "g2.5", "g-1x7", "g-1x40", "g0x7", "g1x11", "g2.5x6"]
)
def test_all_tiles_make_the_earth(name):
    grid = grid_of_name(name)
    rows = np.arange(grid.first_row, grid.last_row + 1, dtype=np.int32)
    circle = grid.columns - column_overlap(grid)
    assert row_areas(grid, rows).sum() * circle == pytest.approx(EARTH_M2, abs=1)


def test_area_equals_the_integral_of_the_surface_element():
    south, north = np.radians(47.0), np.radians(48.0)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    latitude = (south + north) / 2 + (north - south) / 2 * nodes
    meridian, prime_vertical = radii_of_curvature(np.degrees(latitude))
    element = meridian * prime_vertical * np.cos(latitude)
    expected = (weights * element).sum() * (north - south) / 2 * 0.01
    area = tile_area(np.array([np.pi / 2 - (south + north) / 2]), np.array([north - south]), 0.01)
    assert area[0] == pytest.approx(expected, rel=1e-13)


def test_radii_at_equator_and_pole():
    meridian, prime_vertical = radii_of_curvature(np.array([0.0, 90.0]))
    polar = 6_399_593.6258  # a^2 / b, the same in every direction
    np.testing.assert_allclose(meridian, [6_335_439.3273, polar], atol=1e-4)
    np.testing.assert_allclose(prime_vertical, [6_378_137.0, polar], atol=1e-4)


def test_planar_tiles_are_squares_that_no_column_lacks():
    grid = Grid.planar_size("2.5")
    assert row_areas(grid, np.array([-4, 9], np.int32)).tolist() == [6.25, 6.25]
    assert column_overlap(grid) == 0
    assert tile_side(grid) == 2.5
    assert tile_side(Grid.planar_prec(2)) == 0.01
