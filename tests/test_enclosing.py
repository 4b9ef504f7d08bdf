"""What encloses hubs: convex hulls and smallest ellipses, against shapely and a slow optimiser."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError
from gridcli.grid.ellipsoid import radii_of_curvature, tile_side
from gridcli.grid.grid import Grid
from gridcli.raster.cluster import cluster
from gridcli.raster.enclosing import extents
from gridcli.raster.enclosing.layers import hubs_enclosed_layer
from gridcli.raster.layers import tiles_layer
from gridcli.raster.model import Hubs
from gridcli.raster.outlines import grouping
from gridcli.tiles.tiles import Tiles
from tests import naive
from tests.layer_examples import shapes, written
from tests.test_outlines import fills

if TYPE_CHECKING:
    from collections.abc import Iterable

PLANAR = Grid.planar_prec(0)
G4, G7, REAL = Grid.degrees(4), Grid.degrees(7), Grid.degrees(3.5)
TENS = Grid.degrees(-1)
M25, M1000K = Grid.metres(25), Grid.metres(10**6)
RECORD = {"tau": 5}
AROUND = {(x, y) for x in range(-18, 18) for y in (3, 4)}


def hubs_of(tiles: set[tuple[int, int]], grid: Grid = PLANAR, delta: int = 1) -> Hubs:
    """Return the hubs that tiles (x, y) make."""
    y, x = np.array(sorted((y, x) for x, y in tiles), np.int32).T.copy()
    return cluster(Tiles(grid, x, y, np.full(len(x), 5, np.int64)), mu=1, delta=delta)


def around(grid: Grid, rows: Iterable[int]) -> set[tuple[int, int]]:
    """Return all tiles of some rows, on a grid whose rows differ."""
    columns = grid.columns_of(np.array(list(rows))).tolist()
    return {(x, y) for y, n in zip(rows, columns, strict=True) for x in range(n)}


def tiles_of(hubs: Hubs) -> list[set[tuple[int, int]]]:
    """Return the tiles of each hub."""
    found: list[set[tuple[int, int]]] = [set() for _ in range(len(hubs))]
    for tiles, hub in hubs.labelled_blocks():
        for x, y, h in zip(tiles.x.tolist(), tiles.y.tolist(), hub.tolist(), strict=True):
            found[h].add((x, y))
    return found


def corners_of(tiles: set[tuple[int, int]], grid: Grid = PLANAR) -> list[tuple[float, float]]:
    """Return the corners of tiles, where they are drawn."""
    corners = sorted({(x + i, y, y + j) for x, y in tiles for i in (0, 1) for j in (0, 1)})
    column, row, edge = np.array(corners).T
    x, y = grid.edges_x(column, row), grid.edges_y(edge)
    if grid.rows_differ:
        x, y = x.round(7), y.round(7)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def rows_of(hubs: Hubs, shape: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return columns and geometry of every hub."""
    batches = list(hubs_enclosed_layer(hubs, RECORD, shape=shape).batches())
    rows = [row for batch in batches for row in batch.table.to_pylist()]
    return rows, [each for batch in batches for each in shapes(batch.geometry)]


def check_geometry(shape: Any) -> None:
    """Check that polygons are valid, convex, counter-clockwise and within the earth's range."""
    assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
    for polygon in shape.geoms:
        assert polygon.area > 0
        assert polygon.exterior.is_ccw
        assert not polygon.interiors


def holds(shape: Any, corners: list[tuple[float, float]]) -> bool:
    """Whether every corner lies in the shape, wherever it is written."""
    return all(
        any(shape.covers(shapely.Point(x + turn, y)) for turn in (0, -360, 360)) for x, y in corners
    )


@given(fills())
@settings(max_examples=60, deadline=None)
def test_hulls_are_those_of_all_corners(tiles: set[tuple[int, int]]) -> None:
    hubs = hubs_of(tiles)
    _, found = rows_of(hubs, "hull")
    for shape, of_hub in zip(found, tiles_of(hubs), strict=True):
        check_geometry(shape)
        (polygon,) = shape.geoms
        expected = shapely.convex_hull(shapely.MultiPoint(corners_of(of_hub)))
        # The same vertices, none on a straight side.
        assert polygon.normalize().equals_exact(expected.normalize(), 0)


@given(fills())
@example({(0, 0)})
@example({(x, 0) for x in range(40)})
@example({(x, x) for x in range(40)})
@example({(x, y) for x in range(-30, 30) for y in range(-30, 30) if x * x + y * y < 900})
@settings(max_examples=50, deadline=None)
def test_ellipses_enclose_all_corners_with_the_smallest_area(tiles: set[tuple[int, int]]) -> None:
    hubs = hubs_of(tiles, delta=2)
    rows, found = rows_of(hubs, "ellipse")
    for row, shape, of_hub in zip(rows, found, tiles_of(hubs), strict=True):
        check_geometry(shape)
        corners = corners_of(of_hub)
        assert holds(shape, corners)
        hull = shapely.convex_hull(shapely.MultiPoint(corners)).exterior.coords[:-1]
        least = naive.least_ellipse_area(hull)
        area = math.pi * row["semi_major"] * row["semi_minor"]
        assert least * (1 - 1e-12) <= area <= 1.001 * least
        drawn = area * 64 / math.pi * math.tan(math.pi / 64)  # by a polygon of 64 sides around it
        assert area < shape.area <= 1.0001 * drawn
        assert row["semi_major"] >= row["semi_minor"]
        assert 0 <= row["azimuth_deg"] < 180
        assert all(_is_inside(row, shape.centroid, corner) for corner in corners)


def _is_inside(row: dict[str, Any], centre: Any, corner: tuple[float, float]) -> bool:
    """Whether the ellipse that the columns describe holds a point."""
    dx, dy = corner[0] - centre.x, corner[1] - centre.y
    angle = math.radians(row["azimuth_deg"])
    along = dx * math.sin(angle) + dy * math.cos(angle)
    across = dx * math.cos(angle) - dy * math.sin(angle)
    return math.hypot(along / row["semi_major"], across / row["semi_minor"]) <= 1 + 1e-4


@given(fills(), st.integers(-(2**30), 2**30), st.integers(-(2**30), 2**30))
@settings(max_examples=30, deadline=None)
def test_a_moved_hub_is_enclosed_the_same_way(
    tiles: set[tuple[int, int]], dx: int, dy: int
) -> None:
    here = hubs_of(tiles)
    there = hubs_of({(x + dx, y + dy) for x, y in tiles})
    for shape in ("hull", "ellipse"):
        rows, found = rows_of(here, shape)
        moved_rows, moved = rows_of(there, shape)
        for name in ("semi_major", "semi_minor", "azimuth_deg") if shape == "ellipse" else ():
            assert [row[name] for row in rows] == [row[name] for row in moved_rows]
        for a, b in zip(found, moved, strict=True):
            assert shapely.transform(a, lambda at: np.add(at, (dx, dy))).equals_exact(b, 0)


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
@pytest.mark.parametrize(
    ("grid", "at"),
    [
        (G4, (99_538, 509_590)),
        (G7, (99_538_123, 509_590_321)),
        (REAL, (31_477, 161_146)),
        (M25, (600_000, 256_000)),
    ],
    ids=["g4", "g7", "g3.5", "m25"],
)
@given(tiles=fills())
@settings(max_examples=15, deadline=None)
def test_written_coordinates_enclose_the_written_tiles(
    shape: Any, grid: Grid, at: tuple[int, int], tiles: set[tuple[int, int]]
) -> None:
    hubs = hubs_of({(x + at[0], y + at[1]) for x, y in tiles}, grid)
    layer = hubs_enclosed_layer(hubs, RECORD, shape=shape)
    features = json.loads(written(layer, "geojson"))["features"]
    in_parquet = pq.read_table(io.BytesIO(written(layer, "parquet")))["geometry"].to_pylist()
    tile_rows = json.loads(written(tiles_layer(hubs, RECORD), "geojson"))["features"]
    for feature, blob in zip(features, in_parquet, strict=True):
        drawn = shapely.from_geojson(json.dumps(feature["geometry"]))
        check_geometry(drawn)
        hub_id = feature["properties"]["hub_id"]
        of_hub = [row for row in tile_rows if row["properties"]["hub_id"] == hub_id]
        corners = [at for row in of_hub for at in row["geometry"]["coordinates"][0]]
        if shape == "ellipse":
            assert holds(drawn, corners)
            assert shapely.from_wkb(blob).equals_exact(drawn, 0)
        else:
            # Sides of a hull go along corners, which are rounded like all coordinates.
            assert drawn.buffer(1.5e-7).covers(shapely.MultiPoint(corners))


@pytest.mark.parametrize(
    ("tiles", "major", "minor", "azimuth"),
    [
        ({(0, 0)}, math.sqrt(0.5), math.sqrt(0.5), 0),
        ({(0, 0), (1, 0)}, math.sqrt(2), math.sqrt(0.5), 90),
        ({(0, 0), (0, 1), (0, 2)}, math.sqrt(4.5), math.sqrt(0.5), 0),
        ({(0, 0), (1, 1)}, None, None, 45),
        ({(0, 1), (1, 0)}, None, None, 135),
    ],
)
def test_simple_ellipses(
    tiles: set[tuple[int, int]], major: float | None, minor: float | None, azimuth: float
) -> None:
    ((row,), _) = rows_of(hubs_of(tiles), "ellipse")
    assert row["azimuth_deg"] == pytest.approx(azimuth, abs=1e-9)
    if major is not None:
        assert row["semi_major"] == pytest.approx(major, rel=1e-9)
        assert row["semi_minor"] == pytest.approx(minor, rel=1e-9)


def test_axes_are_measured_in_metres_at_the_centroid() -> None:
    hubs = hubs_of({(250_000, 599_999), (250_001, 599_999)}, G4)
    ((row,), _) = rows_of(hubs, "ellipse")
    meridian, prime_vertical = radii_of_curvature(hubs.lat)
    side = math.radians(1e-4)
    wide = math.sqrt(2) * side * prime_vertical[0] * math.cos(math.radians(hubs.lat[0]))
    high = math.sqrt(0.5) * side * meridian[0]
    # Twice as wide as high in degrees, and about as wide as high at 60 degrees.
    longer, shorter = max(wide, high), min(wide, high)
    assert row["semi_major_m"] == pytest.approx(longer, rel=1e-9)
    assert row["semi_minor_m"] == pytest.approx(shorter, rel=1e-9)
    assert row["azimuth_deg"] == pytest.approx(90 if wide > high else 0, abs=1e-6)


@pytest.mark.parametrize("side", ["1e-200", "1e200"])
def test_axes_of_tiles_of_any_size(side: str) -> None:
    ((row,), _) = rows_of(hubs_of({(0, 0), (1, 0)}, Grid.planar_size(side)), "ellipse")
    assert row["semi_major"] == pytest.approx(math.sqrt(2) * float(side), rel=1e-9)
    assert row["semi_minor"] == pytest.approx(math.sqrt(0.5) * float(side), rel=1e-9)
    assert row["azimuth_deg"] == pytest.approx(90)


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
@pytest.mark.parametrize(
    ("tiles", "grid"),
    [
        ({(1_799_998, 5), (1_799_999, 6), (-1_800_000, 5), (-1_799_999, 4)}, G4),
        ({(-1_800_000, 7)}, G4),  # whose ellipse crosses 180 degrees though the hub does not
        ({(1_799_999, -7)}, G4),
        ({(REAL.last_column, 3), (REAL.first_column, 4)}, REAL),
        ({(REAL.last_column, REAL.last_row)}, REAL),
        ({(100, 899_999), (101, 899_998)}, G4),
        ({(100, -900_000)}, G4),
        (AROUND, TENS),
        ({(x, y) for x in range(-18, 18) for y in (-9, -8)}, TENS),
        (AROUND - {(0, 3), (0, 4)}, TENS),
        (AROUND - {(x, y) for x in range(-9, 1) for y in (3, 4)}, TENS),
        ({(x, y) for x in range(-18, 4) for y in range(-9, 9)} | {(17, 0)}, TENS),
        ({(x, y) for x in range(-18, 18) for y in range(-9, 9)}, TENS),
        ({(0, 9), (0, 8), (1, 8)}, M1000K),  # at the pole, where a row has few columns
        ({(x, -7) for x in range(12)} | {(20, -7), (0, -8)}, M1000K),
        ({(0, 2), (0, 3), (33, 3)}, M1000K),
        (around(M1000K, {2, 3}), M1000K),
        (around(M1000K, range(-5, 10)), M1000K),
        (around(M25, {M25.last_row - 1, M25.last_row}), M25),
        ({(x, 200_000) for x in (0, 1, 1_135_567)} | {(1, 200_001), (1_135_562, 200_001)}, M25),
    ],
)
def test_the_ends_of_the_earth(shape: Any, tiles: set[tuple[int, int]], grid: Grid) -> None:
    hubs = hubs_of(tiles, grid)
    assert len(hubs) == 1
    layer = hubs_enclosed_layer(hubs, RECORD, shape=shape)
    (batch,) = layer.batches()
    (found,) = shapes(batch.geometry)
    feature = json.loads(written(layer, "geojson"))["features"][0]["geometry"]
    for each in (found, shapely.from_geojson(json.dumps(feature))):
        check_geometry(each)
        west, south, east, north = each.bounds
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
        assert len(each.geoms) <= 2
    assert holds(found, corners_of(tiles, grid))
    row = batch.table.to_pylist()[0]
    assert all(value is None or math.isfinite(value) for value in list(row.values())[2:])


def test_a_hub_that_goes_around_has_the_band_of_its_rows_as_hull() -> None:
    ((_,), (found,)) = rows_of(hubs_of(AROUND - {(0, 3)}, TENS), "hull")
    assert found.equals(shapely.box(-180, 30, 180, 50))


def test_hulls_across_180_degrees_are_cut_there() -> None:
    ((_,), (found,)) = rows_of(hubs_of({(17, 0), (-18, 1)}, TENS), "hull")
    west = shapely.Polygon([(170, 0), (180, 0), (180, 20), (170, 10)])
    east = shapely.Polygon([(-180, 0), (-170, 10), (-170, 20), (-180, 20)])
    assert found.equals(shapely.MultiPolygon([west, east]))


def test_columns_stand_before_what_was_absorbed() -> None:
    hubs = replace(hubs_of({(0, 0)}), absorbed=[["p0/1/1"]])
    layer = hubs_enclosed_layer(hubs, RECORD, shape="ellipse", crs="EPSG:3006")
    names = ["ymax", "semi_major", "semi_minor", "azimuth_deg", "absorbed"]
    assert layer.schema.names[-5:] == names
    assert [field.type for field in layer.schema][-4:-1] == [pa.float64()] * 3
    assert (layer.planar, layer.crs, layer.geometry_kind) == (True, "EPSG:3006", "multipolygon")
    rows, _ = rows_of(hubs_of({(0, 0)}, G4), "ellipse")
    assert list(rows[0])[-3:] == ["semi_major_m", "semi_minor_m", "azimuth_deg"]
    rows, _ = rows_of(hubs_of({(0, 0)}, G4), "hull")
    assert list(rows[0])[-1] == "north"


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
def test_a_memory_limit_leaves_no_trace(shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = {(20 * hub + x, y) for hub in range(30) for x in range(3) for y in range(1 + hub % 7)}
    hubs = hubs_of(tiles, G4)
    whole = written(hubs_enclosed_layer(hubs, RECORD, shape=shape), "csv")
    monkeypatch.setattr(extents, "BYTES_PER_ENCLOSED_ROW", 0)
    for rows, limit, most in ((1, None, 1), (20, None, 1), (1, 4 * 20 * 12, 20), (1, 1, 30)):
        monkeypatch.setattr(extents, "ROWS_PER_BATCH", rows)
        layer = hubs_enclosed_layer(hubs, RECORD, shape=shape, memory_bytes=limit)
        assert written(layer, "csv") == whole
        folded = list(extents.row_extents(hubs, limit))
        assert most // 2 < len(folded) <= most
        assert sum(len(each.start) for each in folded) == 30


def test_rows_that_do_not_fit_are_refused_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    hubs = hubs_of({(0, y) for y in range(100)} | {(5, y) for y in range(90)})
    monkeypatch.setattr(extents, "ROWS_PER_BATCH", 10)
    enough = 100 * 500 * grouping.SHARE_OF_OUTLINE
    hubs_enclosed_layer(hubs, RECORD, shape="hull", memory_bytes=enough)
    with pytest.raises(ResourceError, match=r"hub 1 .* 100 rows .* MB.*--max-memory"):
        hubs_enclosed_layer(hubs, RECORD, shape="hull", memory_bytes=enough - 2)


def test_no_hub_is_an_empty_layer() -> None:
    y = x = np.empty(0, np.int32)
    hubs = cluster(Tiles(G4, x, y, np.empty(0, np.int64)))
    for shape in ("hull", "ellipse"):
        layer = hubs_enclosed_layer(hubs, RECORD, shape=shape)  # type: ignore[arg-type]
        assert json.loads(written(layer, "geojson"))["features"] == []


@pytest.mark.parametrize(
    ("grid", "at"),
    [
        (Grid.planar_size("0.003"), (2**31 - 8, -(2**31))),
        (Grid.planar_prec(2.5), (2_000_000, 7_000_000)),
        (Grid.planar_prec(3).coarsened(7), (-900_000, 33)),
        (Grid.planar_size(10**12), (5, 5)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("shape", ["hull", "ellipse"])
def test_tiles_of_any_size_and_place_are_enclosed(
    shape: Any, grid: Grid, at: tuple[int, int]
) -> None:
    tiles = {(at[0] + x, at[1] + y) for x in range(7) for y in range(3)}
    ((row,), (found,)) = rows_of(hubs_of(tiles, grid), shape)
    check_geometry(found)
    assert holds(found, corners_of(tiles, grid))
    if shape == "ellipse":
        side = tile_side(grid)
        assert row["semi_major"] == pytest.approx(7 * math.sqrt(0.5) * side)
        assert row["semi_minor"] == pytest.approx(3 * math.sqrt(0.5) * side)
        assert row["azimuth_deg"] == pytest.approx(90)
