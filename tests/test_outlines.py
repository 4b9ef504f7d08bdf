"""Outlines of hubs: against the union of tile boxes (shapely), and ring by ring."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError
from gridcli.grid.grid import Grid
from gridcli.output.layer import Geometry
from gridcli.raster.labels import TileLabels
from gridcli.raster.layers import hubs_layer
from gridcli.raster.model import Hubs, HubShapes
from gridcli.raster.outlines import grouping
from gridcli.raster.outlines.geometry import outline_geometry
from gridcli.raster.outlines.grouping import HubTiles, group_by_hub
from gridcli.raster.outlines.layers import clusters_layer, hubs_polygon_layer
from gridcli.tiles.tiles import Tiles
from tests.layer_examples import shapes, written

PLANAR = Grid.planar_prec(0)
RECORD = {"tau": 5}
FLOAT_COLUMNS = (
    *("lon", "lat", "radius_m", "area_m2", "density"),
    *("west", "south", "east", "north"),
)


def hubs_of(tile_sets: list[set[tuple[int, int]]], grid: Grid = PLANAR) -> Hubs:
    """Return hubs of these disjoint sets of (x, y), and one tile that is in none."""
    stray = (1_000, -1_000)
    rows = sorted([(y, x, hub) for hub, tiles in enumerate(tile_sets) for x, y in tiles])
    if not grid.planar:
        stray = (0, 0)
    rows = sorted([*rows, (stray[1], stray[0], -1)])
    y, x, tile_hub = (np.array(column, dtype=np.int32) for column in zip(*rows, strict=True))
    n = len(tile_sets)
    sizes = np.array([len(tiles) for tiles in tile_sets], dtype=np.int64)
    numbers = np.linspace(1, 2, n)
    return Hubs(
        tiles=Tiles(grid, x, y, np.full(len(x), 5, dtype=np.int64)),
        labels=TileLabels([tile_hub]),
        hub_id=np.arange(1, n + 1),
        hub_key=[f"{grid.name}/{x}/{y}" for y, x in (min((y, x) for x, y in s) for s in tile_sets)],
        points=5 * sizes,
        n_tiles=sizes,
        peak=sizes,
        **dict.fromkeys(FLOAT_COLUMNS, numbers),
    )


def outlines_of(tile_sets: list[set[tuple[int, int]]], grid: Grid = PLANAR) -> Geometry:
    return outline_geometry(group_by_hub(hubs_of(tile_sets, grid)), 0, len(tile_sets))


def rings(geometry: Geometry) -> list[list[tuple[float, float]]]:
    ends = geometry.offsets[2]
    vertices = list(zip(geometry.x.tolist(), geometry.y.tolist(), strict=True))
    return [vertices[a:b] for a, b in pairwise(ends)]


def signed_area(ring: list[tuple[float, float]]) -> float:
    x, y = ring[0]
    near = [(a - x, b - y) for a, b in ring]  # indexes near 2^31 would leave the doubles
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(near)) / 2


def check_rings(geometry: Geometry) -> None:
    """Check closure, simple rings, turns at every vertex, and orientation."""
    exteriors = set(geometry.offsets[1].tolist())
    for position, ring in enumerate(rings(geometry)):
        assert ring[0] == ring[-1]
        corners = ring[:-1]
        assert len(set(corners)) == len(corners)
        before_and_after = zip(corners[-1:] + corners[:-1], corners, ring[1:], strict=True)
        for before, at, after in before_and_after:
            assert (before[0] == at[0]) != (at[0] == after[0])
        assert (signed_area(ring) > 0) == (position in exteriors)


def boxes(tiles: set[tuple[int, int]]) -> Any:
    return shapely.union_all([shapely.box(x, y, x + 1, y + 1) for x, y in tiles])


def check(tile_sets: list[set[tuple[int, int]]]) -> None:
    geometry = outlines_of(tile_sets)
    check_rings(geometry)
    for shape, tiles in zip(shapes(geometry), tile_sets, strict=True):
        assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
        assert shape.symmetric_difference(boxes(tiles)).area == 0
        assert shape.area == len(tiles)
        assert len(shape.geoms) == n_parts(tiles)


def n_parts(tiles: set[tuple[int, int]]) -> int:
    """Count the sets of tiles that are connected through sides."""
    left, parts = set(tiles), 0
    while left:
        parts += 1
        waiting = [left.pop()]
        while waiting:
            x, y = waiting.pop()
            near = {(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)} & left
            left -= near
            waiting += near
    return parts


def tiles_in(picture: str) -> set[tuple[int, int]]:
    """Return the tiles marked # in a picture whose last line is row 0."""
    lines = picture.split()[::-1]
    return {(x, y) for y, line in enumerate(lines) for x, mark in enumerate(line) if mark == "#"}


@st.composite
def fills(draw: st.DrawFn) -> set[tuple[int, int]]:
    """Draw a dense random fill, so that saddles, holes and islands in holes are frequent."""
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    density = draw(st.sampled_from([0.3, 0.5, 0.6, 0.75, 0.9]))
    seed = draw(st.integers(0, 2**32 - 1))
    left, bottom = draw(st.integers(-20, 20)), draw(st.integers(-20, 20))
    y, x = np.nonzero(np.random.default_rng(seed).random((height, width)) < density)
    return set(zip((x + left).tolist(), (y + bottom).tolist(), strict=True)) or {(left, bottom)}


@given(fills())
@settings(max_examples=60, deadline=None)
def test_one_hub_is_the_union_of_its_tiles(tiles: set[tuple[int, int]]) -> None:
    check([tiles])


@given(fills(), st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_hubs_side_by_side_do_not_join(tiles: set[tuple[int, int]], n_hubs: int, seed: int) -> None:
    hub_of = np.random.default_rng(seed).integers(0, n_hubs, len(tiles))
    tile_sets = [
        {t for t, h in zip(sorted(tiles), hub_of, strict=True) if h == hub} for hub in range(n_hubs)
    ]
    check([tiles for tiles in tile_sets if tiles])


@pytest.mark.parametrize(
    ("picture", "holes"),
    [
        ("#", [0]),
        ("## ##", [0]),
        ("#. .#", [0, 0]),
        ("### #.# ###", [1]),
        # a hole that touches its exterior in a corner
        ("### #.# ##.", [1]),
        # two holes that touch each other in a corner
        ("##### #.### ##.## #####", [2]),
        # an island in a hole, and a hole in the island that touches it
        ("###### #....# #.##.# #.#..# #....# ######", [1, 0]),
        ("####### #.....# #.###.# #.#.#.# #.###.# #.....# #######", [1, 1]),
        # a chain of corners around a hole: no ring but four polygons
        (".#. #.# .#.", [0, 0, 0, 0]),
        ("##.## #.#.# .###. #.#.# ##.##", [0, 0, 0, 0, 0]),
    ],
)
def test_pictures(picture: str, holes: list[int]) -> None:
    tiles = tiles_in(picture)
    check([tiles])
    (shape,) = shapes(outlines_of([tiles]))
    assert sorted(len(polygon.interiors) for polygon in shape.geoms) == sorted(holes)


def test_a_large_checkerboard_with_a_frame() -> None:
    size = 60
    tiles = {(x, y) for x in range(size) for y in range(size) if (x + y) % 2 == 0}
    frame = {(x, y) for x in range(-1, size + 1) for y in range(-1, size + 1)} - {
        (x, y) for x in range(size) for y in range(size)
    }
    check([tiles | frame])


def test_extreme_indexes_do_not_overflow() -> None:
    low, high = -(2**31), 2**31 - 1
    geometry = outlines_of([{(high, high), (low, low), (low, high), (high, low)}])
    check_rings(geometry)
    assert geometry.x.max() == 2**31
    assert geometry.y.min() == low
    assert all(signed_area(ring) == 1 for ring in rings(geometry))


def test_a_hub_across_180_degrees_is_cut_there() -> None:
    grid = Grid.degrees(1)
    tiles = {(-1800, 5), (1799, 5), (1799, 6)}
    (shape,) = shapes(outlines_of([tiles], grid))
    assert shapely.is_valid(shape)
    assert sorted(polygon.bounds for polygon in shape.geoms) == [
        (-180.0, 0.5, -179.9, 0.6),
        (179.9, 0.5, 180.0, 0.7),
    ]


@pytest.mark.parametrize("prec", [-0.5, 0.5, 1.25, 3.5])
def test_partial_rows_and_columns_make_no_degenerate_rings(prec: float) -> None:
    grid = Grid.degrees(prec)
    corner = {
        (x, y)
        for x in (grid.first_column, grid.first_column + 1, grid.last_column)
        for y in (grid.first_row, grid.first_row + 1, grid.last_row - 1, grid.last_row)
    }
    geometry = outlines_of([corner - {(grid.last_column, grid.last_row)}], grid)
    check_rings(geometry)
    (shape,) = shapes(geometry)
    assert shapely.is_valid(shape)
    assert shape.bounds == (-180, -90, 180, 90)


@given(st.lists(fills(), min_size=1, max_size=8), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_batches_leave_no_trace(tile_sets: list[set[tuple[int, int]]], size: int) -> None:
    apart = [{(x + 100 * i, y) for x, y in tiles} for i, tiles in enumerate(tile_sets)]
    hubs = hubs_of(apart)
    whole = written(clusters_layer(hubs, RECORD), "csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "TILES_PER_BATCH", size)
        assert written(clusters_layer(hubs, RECORD), "csv") == whole


def test_ranges_cover_every_hub_once() -> None:
    start = np.array([0, 70_000, 70_004, 70_009, 140_000, 140_001])
    tiles = HubTiles(PLANAR, np.empty(0, np.int32), np.empty(0, np.int32), start)
    assert list(tiles.ranges(0, 5)) == [(0, 1), (1, 3), (3, 4), (4, 5)]
    assert list(tiles.ranges(1, 3)) == [(1, 3)]
    assert list(tiles.ranges(2, 2)) == []


def test_clusters_layer_has_a_row_a_hub() -> None:
    tile_sets = [tiles_in("### #.# ###"), {(10, 10)}]
    layer = clusters_layer(hubs_of(tile_sets), RECORD, crs="EPSG:3006")
    assert (layer.name, layer.rows, layer.geometry_kind) == ("clusters", 2, "multipolygon")
    assert (layer.planar, layer.crs, layer.record) == (True, "EPSG:3006", RECORD)
    table = pq.read_table(io.BytesIO(written(replace(layer, crs=None), "parquet")))
    assert table.column_names == ["hub_id", "hub_key", "points", "tiles", "geometry", "bbox"]
    assert table["hub_key"].to_pylist() == ["p0/0/0", "p0/10/10"]
    assert table["tiles"].to_pylist() == [8, 1]
    areas = [shapely.from_wkb(blob).area for blob in table["geometry"].to_pylist()]
    assert areas == [8, 1]


def test_hubs_as_polygons_keep_every_column() -> None:
    hubs = hubs_of([{(10, 10), (11, 10)}, {(-1800, 0)}], Grid.degrees(1))
    collection = json.loads(written(hubs_polygon_layer(hubs, RECORD), "geojson"))
    first, second = collection["features"]
    assert list(first["properties"])[:6] == ["hub_id", "hub_key", "points", "tiles", "lon", "lat"]
    assert len(first["properties"]) == 14
    assert first["geometry"]["coordinates"] == [[[[1, 1], [1.2, 1], [1.2, 1.1], [1, 1.1], [1, 1]]]]
    assert second["geometry"]["coordinates"][0][0][0] == [-180, 0]


def test_no_hub_is_an_empty_layer() -> None:
    layer = clusters_layer(hubs_of([], Grid.degrees(1)), RECORD)
    assert json.loads(written(layer, "geojson"))["features"] == []


def test_an_outline_that_does_not_fit_is_refused_with_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grouping, "TILES_PER_BATCH", 799)
    size = 40
    checks = {(x, y) for x in range(size) for y in range(size) if (x + y) % 2 == 0}
    block = {(x + 100, y) for x in range(size) for y in range(size)}
    hubs = hubs_of([block, checks])
    named = r"outline of hub {}.* {} tiles .* MB.*--max-memory"
    with pytest.raises(ResourceError, match=named.format(1, "1,600")):
        clusters_layer(hubs, RECORD, memory_bytes=2 * 64 * 1600 - 2)
    alone = hubs_of([checks])
    layer = clusters_layer(alone, RECORD, memory_bytes=2 * 100 * 800)  # tiles, but not the boundary
    with pytest.raises(ResourceError, match=named.format(1, "800")):
        written(layer, "csv")
    # The boundary too, but not the 4 000 vertices of 800 squares.
    layer = clusters_layer(alone, RECORD, memory_bytes=2 * 180 * 800)
    with pytest.raises(ResourceError, match=named.format(1, "800")):
        written(layer, "csv")
    enough = written(clusters_layer(alone, RECORD, memory_bytes=2 * 170 * 4000), "csv")
    assert enough == written(clusters_layer(alone, RECORD), "csv")
    monkeypatch.undo()
    assert enough == written(clusters_layer(alone, RECORD, memory_bytes=1), "csv")


def test_a_memory_limit_groups_hubs_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "TILES_PER_BATCH", 1)
    hubs = hubs_of([{(10 * hub + x, 0) for x in range(2 + hub % 3)} for hub in range(20)])
    whole = written(clusters_layer(hubs, RECORD), "csv")
    ranges = list(grouping.hub_ranges(hubs, 4 * 8 * 7))  # seven tiles, in a quarter of it
    assert [first for first, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
    assert ranges[-1][1] == 20
    assert all(hubs.n_tiles[a:b].sum() <= 7 for a, b in ranges)
    assert len(ranges) < 12
    assert list(grouping.hub_ranges(hubs, 1)) == [(hub, hub + 1) for hub in range(20)]
    monkeypatch.setattr(grouping, "TILES_PER_BATCH", 4)  # all hubs are small
    limit = 4 * 8 * 33
    walks = []

    class Counted(HubShapes):
        def labelled_blocks(self) -> Any:
            walks.append(self)
            return super().labelled_blocks()

    counted = replace(hubs, refined=Counted(**vars(hubs.shapes)))
    assert written(clusters_layer(counted, RECORD, memory_bytes=limit), "csv") == whole
    assert len(walks) == len(list(grouping.hub_ranges(hubs, limit))) == 2


def test_hubs_name_what_they_absorbed() -> None:
    hubs = replace(hubs_of([{(0, 0)}, {(5, 5)}, {(9, 9)}]), absorbed=[["p0/1/1", "p0/2/2"], [], []])
    for layer in (hubs_layer(hubs, RECORD), hubs_polygon_layer(hubs, RECORD)):
        assert layer.schema.names[-2:] == ["ymax", "absorbed"]
        rows = [row for batch in layer.batches() for row in batch.table.to_pylist()]
        assert [row["absorbed"] for row in rows] == ["p0/1/1 p0/2/2", None, None]
    assert "absorbed" not in clusters_layer(hubs, RECORD).schema.names
    assert "absorbed" not in hubs_layer(replace(hubs, absorbed=None), RECORD).schema.names
