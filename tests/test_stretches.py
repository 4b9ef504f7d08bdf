"""Outlines where rows have different columns: against the union of tile boxes (shapely)."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError
from gridcli.grid.grid import Grid
from gridcli.output.layer import Geometry
from gridcli.raster.outlines import grouping
from gridcli.raster.outlines.geometry import outline_geometry
from gridcli.raster.outlines.grouping import HubTiles
from tests.layer_examples import shapes
from tests.test_outlines import rings, signed_area

CONTINENTS, TOWNS, YARDS = Grid.metres(10**6), Grid.metres(10**4), Grid.metres(25)

Tile = tuple[int, int]


def hub_tiles(tile_sets: list[set[Tile]], grid: Grid) -> HubTiles:
    """Return the tiles (x, y) of hubs, as `group_by_hub` does."""
    tiles = [tile for of_hub in tile_sets for tile in sorted(of_hub, key=lambda t: (t[1], t[0]))]
    x, y = np.array(tiles, np.int32).reshape(-1, 2).T.copy()
    start = np.concatenate([[0], np.cumsum([len(of_hub) for of_hub in tile_sets])])
    return HubTiles(grid, x, y, start.astype(np.int64))


def outlines_of(tile_sets: list[set[Tile]], grid: Grid) -> Geometry:
    return outline_geometry(hub_tiles(tile_sets, grid), 0, len(tile_sets))


@cache
def ends(tile: Tile, grid: Grid) -> tuple[float, float]:
    """Return the western and the eastern end of a tile, to seven decimals."""
    (n,) = grid.columns_of(np.array([tile[1]])).tolist()
    west, east = (Fraction(360 * x - 180 * n, n) for x in (tile[0], tile[0] + 1))
    return round(float(west), 7), round(float(east), 7)


def touch(a: Tile, b: Tile, grid: Grid) -> bool:
    """Whether two tiles share a length of a side, on this side of 180 degrees."""
    west, east = zip(ends(a, grid), ends(b, grid), strict=True)
    if a[1] == b[1]:
        return max(west) == min(east)
    return abs(a[1] - b[1]) == 1 and max(west) < min(east)


def parts_of(tiles: set[Tile], grid: Grid) -> list[set[Tile]]:
    """Return the sets of tiles that are connected through lengths of sides."""
    left, parts = set(tiles), []
    while left:
        part, waiting = set(), [left.pop()]
        while waiting:
            part.add(at := waiting.pop())
            near = {other for other in left if touch(at, other, grid)}
            left -= near
            waiting += near
        parts.append(part)
    return sorted(parts, key=lambda part: min((y, x) for x, y in part))


def box(tile: Tile, grid: Grid) -> shapely.Polygon:
    west, east = ends(tile, grid)
    south, north = grid.edges_y(np.array([tile[1], tile[1] + 1])).round(7)
    return shapely.box(west, south, east, north)


def check_rings(geometry: Geometry) -> None:
    """Check closure, simple rings, turns at every vertex, and orientation."""
    exteriors = set(geometry.offsets[1].tolist())
    for position, ring in enumerate(rings(geometry)):
        assert ring[0] == ring[-1]
        corners = ring[:-1]
        assert len(set(corners)) == len(corners)
        sides = [(a[0] == b[0], a[1] == b[1]) for a, b in pairwise(ring)]
        assert all(is_upright != is_level for is_upright, is_level in sides)
        assert all(a != b for a, b in pairwise([*sides, sides[0]]))
        assert (signed_area(ring) > 0) == (position in exteriors)


def check(tile_sets: list[set[Tile]], grid: Grid) -> None:
    geometry = outlines_of(tile_sets, grid)
    check_rings(geometry)
    for shape, tiles in zip(shapes(geometry), tile_sets, strict=True):
        assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
        boxes = [box(tile, grid) for tile in tiles]
        assert math.isclose(shape.area, math.fsum(each.area for each in boxes), rel_tol=1e-9)
        assert shape.symmetric_difference(shapely.union_all(boxes)).area <= 1e-12 * shape.area
        parts = parts_of(tiles, grid)
        assert len(shape.geoms) == len(parts)
        for polygon, part in zip(shape.geoms, parts, strict=True):
            least = min(part, key=lambda tile: (tile[1], tile[0]))
            assert polygon.covers(box(least, grid).centroid)


@st.composite
def places(draw: st.DrawFn, grid: Grid, lowest: int, highest: int) -> set[Tile]:
    """Draw a dense random fill of some rows, all tiles near one meridian or all around."""
    rows = range(draw(st.integers(lowest, highest - 1)), highest)
    rows = rows[: draw(st.integers(1, 8))]
    density = draw(st.sampled_from([0.3, 0.5, 0.6, 0.75, 0.9]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0, 0.1, 0.25, 1 / 3, 0.5, 0.99]))
    width = draw(st.integers(1, 12))
    tiles = set()
    for row in rows:
        (n,) = grid.columns_of(np.array([row])).tolist()
        first = min(round(n * share), max(n - width, 0))
        columns = np.arange(first, min(first + width, n))
        tiles |= {(x, row) for x in columns[random.random(len(columns)) < density].tolist()}
    return tiles or {(0, lowest)}


@pytest.mark.parametrize(
    ("grid", "lowest", "highest"),
    [
        (CONTINENTS, CONTINENTS.first_row, CONTINENTS.last_row + 1),
        (TOWNS, 500, 600),
        (TOWNS, TOWNS.last_row - 12, TOWNS.last_row + 1),
        (YARDS, 256_000, 256_100),
        (YARDS, YARDS.first_row, YARDS.first_row + 12),
    ],
    ids=["continents", "towns", "towns-at-the-pole", "yards", "yards-at-the-pole"],
)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_one_hub_is_the_union_of_its_tiles(
    grid: Grid, lowest: int, highest: int, data: st.DataObject
) -> None:
    check([data.draw(places(grid, lowest, highest))], grid)


@given(places(TOWNS, 900, 1000), st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_hubs_side_by_side_do_not_join(tiles: set[Tile], n_hubs: int, seed: int) -> None:
    hub_of = np.random.default_rng(seed).integers(0, n_hubs, len(tiles))
    tile_sets = [
        {t for t, h in zip(sorted(tiles), hub_of, strict=True) if h == hub} for hub in range(n_hubs)
    ]
    check([tiles for tiles in tile_sets if tiles], TOWNS)


def rows_alike(grid: Grid, n: int) -> list[int]:
    """Return a row whose next ones have as many columns, for corners in which tiles touch."""
    columns = grid.columns_of(np.arange(grid.last_row + 1))
    runs = np.flatnonzero(columns[: -n + 1] == columns[n - 1 :])
    return [int(row) for row in runs]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.4, 0.5, 0.6, 0.8]))
@settings(max_examples=40, deadline=None)
def test_tiles_that_touch_in_corners(seed: int, density: float) -> None:
    """Where rows have equal columns, saddles, holes and islands in holes are frequent."""
    low = rows_alike(TOWNS, 9)[0]
    y, x = np.nonzero(np.random.default_rng(seed).random((9, 9)) < density)
    tiles = set(zip((x + 700).tolist(), (y + low).tolist(), strict=True)) or {(0, low)}
    check([tiles], TOWNS)
    # The same corners as on a grid of squares.
    (squares,) = shapes(outlines_of([tiles], Grid.planar_prec(0)))
    (found,) = shapes(outlines_of([tiles], TOWNS))

    def placed(corners: np.ndarray) -> np.ndarray:
        x, y = corners.astype(np.int64).T
        edges = np.column_stack([TOWNS.edges_x(x, np.full(len(x), low)), TOWNS.edges_y(y)])
        return edges.round(7)

    assert shapely.transform(squares, placed).normalize().equals_exact(found.normalize(), 0)


def test_rows_of_halves_share_corners_in_the_middle_of_sides() -> None:
    """A row of 2n columns under one of n: corners above lie on every second one below."""
    columns = CONTINENTS.columns_of(np.arange(CONTINENTS.last_row + 1)).tolist()
    pairs = [
        (row, n) for row, (n, m) in enumerate(pairwise(columns)) if math.gcd(n, m) > 1 != n - m
    ]
    for row, n in pairs:
        for tiles in (
            {(x, row) for x in range(0, n, 2)} | {(x, row + 1) for x in range(columns[row + 1])},
            {(x, row) for x in range(n)} | {(x, row + 1) for x in range(0, columns[row + 1], 2)},
            {(x, row) for x in range(n // 2)}
            | {(x, row + 1) for x in range(columns[row + 1] // 2, columns[row + 1])},
        ):
            check([tiles], CONTINENTS)
    assert pairs


def test_tiles_that_meet_by_less_than_the_last_place_touch_in_a_corner() -> None:
    row = 256_000
    assert (
        0
        < 360 / YARDS.columns_of(np.array([row + 1]))[0]
        - 360 / YARDS.columns_of(np.array([row]))[0]
        < 1e-8
    )
    for tiles in ({(1, row), (0, row + 1)}, {(0, row), (1, row + 1)}):
        pinched = {(0, row - 1), (1, row - 1), (2, row - 1), *tiles}
        check([tiles, pinched], YARDS)
        for shape in shapes(outlines_of([tiles, pinched], YARDS)):
            written = shapely.transform(shape, lambda corners: corners.round(7))
            assert shapely.is_valid(written)
            assert written.equals_exact(shape, 0)


def test_a_hub_across_180_degrees_is_cut_there() -> None:
    row = 256_000
    (n,) = YARDS.columns_of(np.array([row])).tolist()
    (shape,) = shapes(outlines_of([{(0, row), (n - 1, row)}], YARDS))
    assert len(shape.geoms) == 2
    assert shape.bounds[::2] == (-180, 180)


def test_the_whole_earth_is_one_ring() -> None:
    rows = np.arange(CONTINENTS.first_row, CONTINENTS.last_row + 1)
    columns = CONTINENTS.columns_of(rows).tolist()
    tiles = {(x, y) for y, n in zip(rows.tolist(), columns, strict=True) for x in range(n)}
    (shape,) = shapes(outlines_of([tiles], CONTINENTS))
    assert shape.equals(shapely.box(-180, -90, 180, 90))
    (polygon,) = shape.geoms
    assert len(polygon.exterior.coords) == 5


def test_edges_are_equal_only_where_the_longitudes_are() -> None:
    random = np.random.default_rng(1)
    n = random.integers(39_999_000, 40_000_000, 20_000)
    k = random.integers(n // 2, n)
    for m in (n - 1, n - 2, n + 1, n // 2, n // 3):
        for near in (k * m // n, k * m // n + 1):  # the neighbours in the other row
            equal = k * m == near * n
            here, there = (360 * k - 180 * n) / n, (360 * near - 180 * m) / m
            assert ((here == there) == equal).all()
    halves = random.integers(1, 20_000_000, 20_000)
    part = random.integers(0, halves)
    assert (
        (360 * part - 180 * halves) / halves == (720 * part - 360 * halves) / (2 * halves)
    ).all()


def test_an_outline_that_does_not_fit_is_refused_with_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grouping, "TILES_PER_BATCH", 1)
    tiles = hub_tiles([{(x, y) for x in range(0, 80, 2) for y in range(900, 940)}], TOWNS)
    whole = outline_geometry(tiles, 0, 1)
    n = 40 * 40
    named = rf"outline of hub 1 .* {n:,} tiles .* MB.*--max-memory"
    # Not even the tiles; without the lines between rows; without the corners.
    for bytes_per_tile in (64, 64 + 90 + 50, 64 + 90 + 150):
        with pytest.raises(ResourceError, match=named):
            outline_geometry(tiles, 0, 1, 2 * n * bytes_per_tile)
    enough = outline_geometry(tiles, 0, 1, 2 * 170 * len(whole.x))
    assert enough.x.tolist() == whole.x.tolist()
