"""Points around both poles and at 180 degrees, on every kind of geographic grid."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.grid import keys
from gridcli.grid.project import Projector, Selection
from gridcli.grid.records import grid_of_name
from gridcli.raster.cluster import cluster
from gridcli.tiles.tiles import Tiles
from tests import naive
from tests.test_hubs import assert_same_hubs as assert_same_degrees
from tests.test_metres_hubs import assert_same_hubs as assert_same_metres

GRIDS = ["g-1", "g0", "g1", "g0.25", "g3.5", "g4", "m1000000", "m300000", "m25"]
SEAMS = [-180.0, 180.0, 360.0, 0.0, 359.99999, 179.99995, -179.99995]
LATITUDES = [90.0, -90.0, 89.99995, -89.99995, 89.5, -89.5, 0.0, 45.0]


def nudged(value, low, high):
    """A value, or a number close to it."""
    steps = st.integers(-3, 3).map(lambda k: k * 5e-5)
    digits = st.sampled_from([0.0, 1.0, -1.0]).map(lambda side: math.nextafter(value, side * 1e3))
    near = st.one_of(st.just(value), steps.map(lambda step: value + step), digits)
    return near.map(lambda x: min(max(x, low), high))


points = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(SEAMS).flatmap(lambda x: nudged(x, -180, 360)), st.floats(-180, 360)
        ),
        st.sampled_from(LATITUDES).flatmap(lambda y: nudged(y, -90, 90)),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60)
@given(
    st.sampled_from(GRIDS), points, st.integers(1, 2), st.sampled_from(["chebyshev", "manhattan"])
)
def test_hubs_are_those_of_the_oracle(name, pairs, delta, metric):
    grid = grid_of_name(name)
    lon, lat = (np.array(axis, np.float64) for axis in zip(*pairs, strict=True))
    found = Projector(grid, Selection(keep_null_island=True)).project(lon, lat)
    assert len(found.keys) == len(pairs)
    tiles, n = np.unique(found.keys, return_counts=True)
    hubs = cluster(Tiles(grid, *keys.unpack(tiles), n), mu=1, delta=delta, metric=metric)
    if grid.rows_differ:
        oracle = naive.MetreGrid(tuple(grid.column_table.tolist()))
        count = Counter(oracle.project(x, y, island=-1) for x, y in pairs)
        components = oracle.agglomerate(set(count), delta, metric)
        assert_same_metres(hubs, naive.metre_hubs(oracle, components, count, 1))
    else:
        count = Counter(naive.project(x, y, name[1:], island=-1) for x, y in pairs)
        components = naive.agglomerate(set(count), delta, metric, grid.columns)
        assert_same_degrees(hubs, naive.hubs(components, count, 1, grid))


@pytest.mark.parametrize("size", ["--prec=-1", "--prec=0.25", "--prec=4", "--tile-size=25m"])
def test_outputs_are_valid(gridcli, tmp_path, size):
    rng = np.random.default_rng(3)
    lon = np.concatenate([rng.choice(SEAMS, 300), rng.uniform(-180, 360, 300)])
    lat = rng.choice(LATITUDES, 600) + rng.choice([0.0, 4e-5, -4e-5], 600)
    rows = zip(lon.tolist(), np.clip(lat, -90, 90).tolist(), strict=True)
    text = "lon,lat\n" + "".join(f"{x!r},{y!r}\n" for x, y in rows)
    (tmp_path / "in.csv").write_text(text)
    hubs, *shapes = (tmp_path / f"{name}.geojson" for name in ("hubs", "tiles", "clusters"))
    ran = gridcli(
        *("raster", tmp_path / "in.csv", size, "--tau", 1, "--mu", 1, "--keep-null-island"),
        *("-o", hubs, "--tiles", shapes[0], "--clusters", shapes[1], "-q"),
    )
    assert ran.code == 0, ran.err
    found = json.loads(hubs.read_text())["features"]
    assert sum(hub["properties"]["points"] for hub in found) == 600
    for hub in found:
        told = hub["properties"]
        assert -180 <= told["lon"] < 180
        assert -90 <= told["south"] <= told["lat"] <= told["north"] <= 90
        assert -180 <= told["west"] <= 180
        assert -180 <= told["east"] <= 180
        assert told["area_m2"] > 0
    for path in shapes:
        for feature in json.loads(path.read_text())["features"]:
            assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid
