"""Hubs of tiles in metres, against exact fractions; and that they are alike everywhere on earth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.grid import keys
from gridcli.grid.ellipsoid import radii_of_curvature
from gridcli.grid.grid import Grid
from gridcli.grid.project import Projector, Selection
from gridcli.raster import hubs as hubs_module
from gridcli.raster.agglomerate import METRICS
from gridcli.raster.cluster import cluster
from gridcli.raster.naming import labelled_tiles
from gridcli.raster.places import HubSums
from gridcli.tiles.tiles import Tiles
from tests import naive
from tests.test_metres_agglomerate import both, significant
from tests.tile_examples import tiles_of


def assert_same_hubs(hubs, expected):
    grid = hubs.tiles.grid
    assert hubs.hub_key == [f"{grid.name}/{hub.smallest[0]}/{hub.smallest[1]}" for hub in expected]
    assert hubs.points.tolist() == [hub.points for hub in expected]
    assert hubs.peak.tolist() == [hub.peak for hub in expected]
    assert hubs.n_tiles.tolist() == [len(hub.tiles) for hub in expected]
    assert hubs.west.tolist() == [float(hub.west) for hub in expected]
    assert hubs.east.tolist() == [float(hub.east) for hub in expected]
    for i, hub in enumerate(expected):
        rows = [y for _, y in hub.tiles]
        assert hubs.south[i] == grid.edges_y(np.array([min(rows)]))[0]
        assert hubs.north[i] == grid.edges_y(np.array([max(rows) + 1]))[0]
        assert -180 <= hubs.lon[i] < 180
        assert math.remainder(hubs.lon[i] - float(hub.lon), 360) == pytest.approx(0, abs=1e-9)
        assert hubs.lat[i] == pytest.approx(float(hub.lat), rel=1e-12, abs=1e-12)
        meridian, prime_vertical = radii_of_curvature(hubs.lat[i : i + 1])
        radius = math.hypot(
            math.sqrt(float(hub.variance_lon))
            * math.radians(prime_vertical[0] * math.cos(math.radians(hubs.lat[i]))),
            math.sqrt(float(hub.variance_lat)) * math.radians(meridian[0]),
        )
        assert hubs.radius_m[i] == pytest.approx(radius, rel=1e-9, abs=1e-3)
        assert hubs.area_m2[i] == pytest.approx(hub.area, rel=1e-12)
        assert hubs.density[i] == pytest.approx(hub.points / hub.area, rel=1e-12)


@settings(max_examples=50)
@given(
    significant(),
    st.integers(1, 3),
    st.sampled_from(METRICS),
    st.integers(1, 3),
    st.sampled_from([3, 10**16]),
    st.randoms(use_true_random=False),
)
def test_equal_exact_fractions(case, delta, metric, mu, largest, random):
    side, tiles = case
    grid, oracle = both(side)
    count = {tile: random.randint(1, largest) for tile in sorted(tiles)}
    expected = naive.metre_hubs(oracle, oracle.agglomerate(tiles, delta, metric), count, mu)
    hubs = cluster(tiles_of(grid, count), mu=mu, delta=delta, metric=metric)
    assert_same_hubs(hubs, expected)


@pytest.mark.parametrize("side", ["25", "1000", "300000"])
@pytest.mark.parametrize("row", [0, -1, 0.5, -0.7, 1.0, -1.0])
def test_hubs_across_180_equal_exact_fractions(side, row):
    grid = Grid.metres(side)
    y = max(grid.first_row, min(grid.last_row - 1, int(row * grid.last_row)))
    n = grid.columns_of(np.array([y, y + 1])).tolist()
    count = {(0, y): 1, (n[0] - 1, y): 40, (n[0] - 2, y): 2, (0, y + 1): 9, (n[1] - 1, y + 1): 5}
    oracle = naive.MetreGrid(tuple(grid.column_table.tolist()))
    expected = naive.metre_hubs(oracle, [set(count)], count, 1)
    hubs = cluster(tiles_of(grid, count), mu=1)
    assert_same_hubs(hubs, expected)


def test_a_hub_around_the_earth_is_bounded_by_180_or_by_its_gap(monkeypatch):
    monkeypatch.setattr(hubs_module, "LEAST_RANGES", 4)
    grid, oracle = both("300000")
    rows = (5, 6)
    full = {(x, y): 1 + x % 3 for y in rows for x in range(oracle.n(y))}
    gap = {tile: n for tile, n in full.items() if not 0.3 < tile[0] / oracle.n(tile[1]) < 0.35}
    for count in (full, gap):
        hubs = cluster(tiles_of(grid, count), mu=1)
        assert_same_hubs(hubs, naive.metre_hubs(oracle, [set(count)], count, 1))
    assert hubs.west[0] > hubs.east[0]


@settings(max_examples=30)
@given(significant(), st.integers(1, 2))
def test_places_of_a_file_of_tiles_are_those_of_its_hubs(case, delta):
    side, tiles = case
    count = {tile: 1 + i for i, tile in enumerate(sorted(tiles))}
    hubs = cluster(tiles_of(both(side)[0], count), mu=1, delta=delta)
    width = hubs.east - hubs.west + np.where(hubs.east < hubs.west, 360, 0)
    sums = HubSums(hubs.tiles.grid)
    list(sums.watch(labelled_tiles(hubs)))
    places = sums.places()
    if len(tiles):
        assert places.points.tolist() == hubs.points.tolist()
        off = np.mod(places.x - hubs.lon + 180, 360) - 180
        assert np.abs(off[width < 170]).max(initial=0) < 1e-9
        assert places.y == pytest.approx(hubs.lat, abs=1e-9)


def cloud(rng, n=20_000):
    """Points of one place some 900 m long, and of a smaller one beside it, in metres."""
    east = np.concatenate([rng.normal(0, 150, n), rng.normal(1100, 80, n // 2)])
    north = np.concatenate([rng.normal(0, 80, n), rng.normal(0, 80, n // 2)])
    return east, north


@pytest.mark.parametrize("lat", [0, -10, 35, 52.5, -60, 75, -85, 89])
@pytest.mark.parametrize("lon", [0, 13.4, 180, -77])
def test_a_place_is_the_same_hub_wherever_it_lies(lat, lon):
    """But for the tiles along its edge, which the grid cuts elsewhere."""
    east, north = cloud(np.random.default_rng(5))
    found = {}
    for place in ((0.0, 20.0), (lat, lon)):
        meridian, prime_vertical = radii_of_curvature(np.array([place[0]]))
        y = place[0] + np.degrees(north / meridian[0])
        x = place[1] + np.degrees(east / (prime_vertical[0] * np.cos(np.radians(y))))
        grid = Grid.metres(25)
        selection = Selection(keep_null_island=True)
        projected = Projector(grid, selection).project((x + 180) % 360 - 180, y)
        tiles, count = np.unique(projected.keys, return_counts=True)
        chosen = count >= 4
        table = Tiles(grid, *keys.unpack(tiles[chosen]), count[chosen])
        found[place] = cluster(table, mu=20)
    here, there = found.values()
    assert len(there) == len(here) == 2
    for name, within in (
        ("n_tiles", 0.06),
        ("area_m2", 0.06),
        ("points", 0.01),
        ("radius_m", 0.02),
    ):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=within), name
    rows = 2.1 * float(Grid.metres(25).exact_side)
    assert there.north - there.south == pytest.approx(here.north - here.south, abs=rows)
