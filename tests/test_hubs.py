"""Hubs and their layers, compared with exact fractions."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid.ellipsoid import radii_of_curvature
from gridcli.grid.grid import Grid
from gridcli.raster import layers
from gridcli.raster.agglomerate import METRICS
from gridcli.raster.cluster import cluster
from gridcli.raster.layers import gridcli_record, hubs_layer, tiles_layer
from tests import naive
from tests.tile_examples import tile_counts, tiles_of


def hubs_of(grid, count, *, delta=1, metric="chebyshev", mu=1):
    return cluster(tiles_of(grid, count), mu=mu, delta=delta, metric=metric)


def ring(grid, row, columns=None):
    xs = range(grid.first_column, grid.last_column + 1) if columns is None else columns
    return {(x, row): 1 for x in xs}


def assert_same_hubs(hubs, expected):
    grid = hubs.tiles.grid
    side = float(grid.exact_side)
    assert len(hubs) == len(expected)
    assert hubs.hub_id.tolist() == list(range(1, len(expected) + 1))
    members = {}
    for tiles, tile_hub in hubs.labelled_blocks():
        for x, y, hub in zip(tiles.x.tolist(), tiles.y.tolist(), tile_hub.tolist(), strict=True):
            members.setdefault(hub, set()).add((x, y))
    assert members.keys() <= {-1, *range(len(hubs))}
    for i, hub in enumerate(expected):
        assert members[i] == hub.tiles
        assert hubs.hub_key[i] == f"{grid.name}/{hub.smallest[0]}/{hub.smallest[1]}"
        assert (hubs.points[i], hubs.peak[i]) == (hub.points, hub.peak)
        assert hubs.n_tiles[i] == len(hub.tiles)
        rows = [y for _, y in hub.tiles]
        west, east = np.array([hub.columns[0]]), np.array([hub.columns[-1] + 1])
        assert hubs.west[i] == grid.edges_x(west, min(rows))[0]
        assert hubs.east[i] == grid.edges_x(east, min(rows))[0]
        assert hubs.south[i] == grid.edges_y(np.array([min(rows)]))[0]
        assert hubs.north[i] == grid.edges_y(np.array([max(rows) + 1]))[0]
        x, y = float(hub.x) * side, float(hub.y) * side
        if grid.planar:
            unit_x = unit_y = side
            area = side * side * len(hub.tiles)
            assert hubs.lon[i] == pytest.approx(x, rel=1e-12)
        else:
            y = min(90.0, max(-90.0, y))
            assert -180 <= hubs.lon[i] < 180
            assert math.remainder(hubs.lon[i] - x, 360) == pytest.approx(0, abs=1e-12 * 180)
            lat = hubs.lat[i]  # near a pole the cosine hangs on its last digits
            meridian, prime_vertical = radii_of_curvature(np.array([lat]))
            unit_x = prime_vertical[0] * math.cos(math.radians(lat)) * math.radians(side)
            unit_y = meridian[0] * math.radians(side)
            area = math.fsum(naive.tile_area(grid, tile) for tile in hub.tiles)
        assert hubs.lat[i] == pytest.approx(y, rel=1e-12)
        radius = math.sqrt(float(hub.variance_x) * unit_x**2 + float(hub.variance_y) * unit_y**2)
        assert hubs.radius_m[i] == pytest.approx(radius, rel=1e-12, abs=1e-300)
        assert hubs.area_m2[i] == pytest.approx(area, rel=1e-12)
        assert hubs.density[i] == pytest.approx(hub.points / area, rel=1e-12)


@given(
    st.one_of(tile_counts(), tile_counts(largest_count=10**16)),
    st.one_of(st.integers(1, 4), st.integers(1, 40)),
    st.sampled_from(METRICS),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_equal_exact_fractions(case, delta, metric, mu):
    grid, count = case
    components = naive.agglomerate(set(count), delta, metric, grid.columns)
    expected = naive.hubs(components, count, mu, grid)
    hubs = hubs_of(grid, count, delta=delta, metric=metric, mu=mu)
    assert_same_hubs(hubs, expected)


@pytest.mark.parametrize("planar", [True, False])
def test_sums_beyond_int64_are_exact(planar):
    grid = Grid.planar_prec(0) if planar else Grid.degrees(7)
    west, east = (-(2**31), 2**31 - 1) if planar else (grid.last_column - 5, grid.first_column + 9)
    count = {(west, 0): 2**58 + 1, (east, 10): 2**58 + 3, (west + 1, 10): 7}
    components = [set(count)]
    assert_same_hubs(hubs_of(grid, count, delta=2**32), naive.hubs(components, count, 1, grid))


def test_ties_go_to_the_smallest_tile_south_first():
    count = {(50, 1): 3, (10, 2): 3, (0, 9): 2, (1, 9): 2}
    hubs = hubs_of(Grid.degrees(4), count)
    assert hubs.hub_key == ["g4/0/9", "g4/50/1", "g4/10/2"]


@pytest.mark.parametrize("prec", [-1, 0, "0.25"])
def test_a_hub_all_around_the_earth_is_bounded_by_180(prec):
    grid = Grid.degrees(prec)
    hubs = hubs_of(grid, ring(grid, 0))
    assert (hubs.west[0], hubs.east[0]) == (-180, 180)
    assert hubs.lon[0] == pytest.approx(0, abs=1e-9)


def test_a_hub_across_180_has_west_beyond_east():
    grid = Grid.degrees(0)
    hubs = hubs_of(grid, {(178, 0): 1, (179, 0): 1, (-180, 0): 1, (-179, 0): 1, (-178, 0): 1})
    assert (hubs.west[0], hubs.east[0]) == (178, -177)
    assert hubs.lon[0] == -179.5


@pytest.mark.parametrize("prec", ["0.25", "3.5", 4, 7])
@pytest.mark.parametrize("row_of_west", [-1, 1])
def test_hubs_across_180_equal_exact_fractions(prec, row_of_west):
    grid = Grid.degrees(prec)
    first, last = grid.first_column, grid.last_column
    count = {(last - 1, 0): 2, (last, 0): 1, (first, row_of_west): 40, (first + 1, row_of_west): 1}
    assert_same_hubs(hubs_of(grid, count), naive.hubs([set(count)], count, 1, grid))


def test_a_hub_that_ends_at_180_does_not_cross_it():
    hubs = hubs_of(Grid.degrees(0), {(178, 0): 1, (179, 0): 1})
    assert (hubs.west[0], hubs.east[0]) == (178, 180)
    assert hubs.lon[0] == 179


def test_a_hub_wider_than_half_the_earth_begins_after_its_gap():
    grid = Grid.degrees(-1)
    columns = [x for x in range(-18, 18) if x not in {3, 4, 5}]
    hubs = hubs_of(grid, ring(grid, 0, columns))
    assert (hubs.west[0], hubs.east[0]) == (60, 30)
    assert hubs.lon[0] == -135


def test_two_tiles_are_bounded_by_the_shorter_way_around():
    grid = Grid.degrees(-1)
    hubs = hubs_of(grid, {(-9, 0): 1, (10, 0): 1}, delta=17)
    assert (hubs.west[0], hubs.east[0]) == (100, -80)
    hubs = hubs_of(grid, {(-9, 0): 1, (9, 0): 1}, delta=18)
    assert (hubs.west[0], hubs.east[0]) == (-90, 100)


def test_no_tile_and_no_hub():
    grid = Grid.degrees(4)
    assert len(hubs_of(grid, {})) == 0
    few = hubs_of(grid, {(1, 1): 5, (2, 1): 5}, mu=3)
    assert len(few) == 0
    ((_, tile_hub),) = few.labelled_blocks()
    assert tile_hub.tolist() == [-1, -1]
    for layer in (hubs_layer(few, {}), tiles_layer(hubs_of(grid, {}), {})):
        assert layer.rows == 0
        assert list(layer.batches()) == []


def test_mu_below_one_is_a_usage_error():
    with pytest.raises(UsageError, match="--mu 0"):
        hubs_of(Grid.degrees(4), {}, mu=0)


def test_columns_of_the_hubs_layer():
    hubs = hubs_of(Grid.degrees(4), {(0, 0): 2, (1, 0): 3, (5, 5): 1})
    record = gridcli_record(hubs.tiles.grid, 1, 1, 1, "chebyshev")
    layer = hubs_layer(hubs, record)
    assert ",".join(layer.schema.names) == (
        "hub_id,hub_key,points,tiles,lon,lat,radius_m,area_m2,density,peak,west,south,east,north"
    )
    assert (layer.name, layer.geometry_kind, layer.rows, layer.planar) == (
        "hubs",
        "point",
        2,
        False,
    )
    assert layer.record["format_version"] == 1
    (batch,) = layer.batches()
    assert batch.table.schema == layer.schema
    first = batch.table.to_pylist()[0]
    assert (first["points"], first["tiles"], first["hub_key"]) == (5, 2, "g4/0/0")
    assert batch.geometry.x.tolist() == hubs.lon.tolist()
    assert batch.geometry.y.tolist() == hubs.lat.tolist()


def test_planar_layers_name_columns_without_metres():
    hubs = hubs_of(Grid.planar_size(10), {(0, 0): 2})
    layer = hubs_layer(hubs, {}, crs="EPSG:32632")
    assert ",".join(layer.schema.names) == (
        "hub_id,hub_key,points,tiles,x,y,radius,area,density,peak,xmin,ymin,xmax,ymax"
    )
    assert (layer.planar, layer.crs) == (True, "EPSG:32632")
    (batch,) = layer.batches()
    assert batch.table.to_pylist() == [
        {
            "hub_id": 1,
            "hub_key": "t10/0/0",
            "points": 2,
            "tiles": 1,
            "x": 5.0,
            "y": 5.0,
            "radius": 0.0,
            "area": 100.0,
            "density": 0.02,
            "peak": 2,
            "xmin": 0.0,
            "ymin": 0.0,
            "xmax": 10.0,
            "ymax": 10.0,
        }
    ]


def test_a_density_that_is_not_finite_is_null():
    hubs = hubs_of(Grid.planar_size("1e-200"), {(0, 0): 2})
    (batch,) = hubs_layer(hubs, {}).batches()
    assert batch.table.column("density").to_pylist() == [None]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 1000])
def test_tiles_layer_has_a_box_a_tile(monkeypatch, rows_per_batch):
    monkeypatch.setattr(layers, "ROWS_PER_BATCH", rows_per_batch)
    grid = Grid.degrees("0.25")
    last_x, last_y = grid.last_column, grid.last_row
    hubs = hubs_of(grid, {(0, 0): 2, (1, 0): 3, (last_x, last_y): 1}, mu=2)
    layer = tiles_layer(hubs, {"tau": 1})
    batches = list(layer.batches())
    assert len(batches) == math.ceil(3 / rows_per_batch)
    table = pa.Table.from_batches([batch.table for batch in batches], layer.schema)
    assert table.to_pylist()[1:] == [
        {
            "tile_x": 1,
            "tile_y": 0,
            "count": 3,
            "kind": "significant",
            "hub_id": 1,
            "hub_key": "g0.25/0/0",
        },
        {
            "tile_x": last_x,
            "tile_y": last_y,
            "count": 1,
            "kind": "significant",
            "hub_id": None,
            "hub_key": None,
        },
    ]
    for batch in batches:
        rows = len(batch.geometry)
        assert batch.geometry.offsets[1].tolist() == [5 * ring for ring in range(rows + 1)]
    corner = batches[-1].geometry
    west, south = last_x / grid.scale, last_y / grid.scale
    assert corner.x[-5:].tolist() == [west, 180, 180, west, west]
    assert corner.y[-5:].tolist() == [south, south, 90, 90, south]
