"""Hubs in three and four dimensions, against the plainest Python: bins, components, hubs."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.dims.agglomerate import agglomerate
from gridcli.dims.axes import axis_of_description, number_axis, time_axis
from gridcli.dims.binning import DimsProjector
from gridcli.dims.grid import DimsGrid
from gridcli.dims.hubs import DimsTiles, find_dims_hubs
from gridcli.dims.syntax import parse_dims
from gridcli.errors import DataError, InputError, UsageError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.grid.project import Selection
from gridcli.points.batch import PointBatch, Reason
from gridcli.raster.outlines.geometry import outline_geometry
from gridcli.raster.outlines.grouping import group_by_hub
from tests import naive

HOUR, WEEKDAY = time_axis("hour", "time", "0", "UTC"), time_axis("weekday", "time", "0", "UTC")
SPEED = number_axis("speed", "-1", "-20", "65")
AXES = ((HOUR,), (WEEKDAY,), (SPEED,), (HOUR, WEEKDAY), (SPEED, HOUR), (WEEKDAY, SPEED))
PLANES = (Grid.degrees(0), Grid.planar_prec(0))
ZONES = ("UTC", "solar", "Europe/Stockholm", "America/St_Johns", "Pacific/Apia")


def periods_of(grid: DimsGrid) -> tuple[int, ...]:
    """After how many tiles each dimension begins again, 0 for never: y, x and the axes."""
    cyclic = (axis.bins if axis.is_cyclic else 0 for axis in grid.axes)
    return (0, grid.plane.columns, *cyclic)


@st.composite
def tiles_in_dims(draw: st.DrawFn) -> tuple[DimsGrid, list[tuple[int, ...]], list[int]]:
    """Tiles (y, x, bins) of a small world on both sides of 180 degrees, and their counts."""
    grid = DimsGrid(draw(st.sampled_from(PLANES)), draw(st.sampled_from(AXES)))
    columns = st.integers(-2, 2).map(lambda x: (x + 180 + 180) % 360 - 180)
    if grid.plane.planar:
        columns = st.integers(-2, 2)
    # Few places and bins, on both sides of where a circle begins, so that there are neighbours.
    bins = [st.integers(-3, 2).map(lambda k, a=a: a.first + k % a.bins) for a in grid.axes]
    tile = st.tuples(st.integers(-1, 1), columns, *bins)
    tiles = sorted(draw(st.sets(tile, max_size=40)))
    return grid, tiles, draw(st.lists(st.integers(5, 9), min_size=len(tiles), max_size=len(tiles)))


def keys_of(grid: DimsGrid, tiles: list[tuple[int, ...]]) -> np.ndarray:
    """Keys of tiles (y, x, bins)."""
    columns = np.array(tiles, np.int64).reshape(len(tiles), grid.d).T
    y, x, *bins = (np.ascontiguousarray(column) for column in columns)
    return grid.keys(pack(x, y), bins)


@given(tiles_in_dims(), st.integers(1, 3), st.sampled_from(["chebyshev", "manhattan"]))
def test_components_are_those_of_a_search(case, delta, metric):
    grid, tiles, _ = case
    found = agglomerate(grid, keys_of(grid, tiles), delta=delta, metric=metric)
    expected = naive.dims_components(set(tiles), delta, metric, periods_of(grid))
    label = {tile: i for i, component in enumerate(expected) for tile in component}
    assert found.n_components == len(expected)
    assert found.label.tolist() == [label[tile] for tile in tiles]


@given(tiles_in_dims())
def test_keys_sort_by_row_column_and_bins(case):
    grid, tiles, _ = case
    keys = keys_of(grid, tiles)
    assert (keys[1:] > keys[:-1]).all()
    x, y, *bins = (column.tolist() for column in grid.unpack(keys))
    assert list(zip(y, x, *bins, strict=True)) == tiles
    assert keys.max(initial=0) < 2**63


@given(tiles_in_dims(), st.integers(1, 4), st.sampled_from([1, 2]))
def test_hubs_are_those_of_the_oracle(case, mu, delta):
    grid, tiles, counts = case
    count = dict(zip(tiles, counts, strict=True))
    found = find_dims_hubs(
        DimsTiles(grid, keys_of(grid, tiles), np.array(counts, np.int64)),
        mu=mu,
        delta=delta,
        metric="chebyshev",
    )
    components = naive.dims_components(set(tiles), delta, "chebyshev", periods_of(grid))
    expected = [component for component in components if len(component) >= mu]
    expected.sort(key=lambda hub: (-sum(count[tile] for tile in hub), min(hub)))
    assert len(found) == len(expected)
    of_tile = {tile: i for i, hub in enumerate(expected) for tile in hub}
    assert found.hub.tolist() == [of_tile.get(tile, -1) for tile in tiles]
    outlines = group_by_hub(found.plane)
    for i, hub in enumerate(expected):
        y, x, *bins = min(hub)
        assert found.plane.hub_key[i] == "/".join(map(str, [grid.name, x, y, *bins]))
        assert found.plane.hub_id[i] == i + 1
        assert found.n_tiles[i] == len(hub)
        assert found.plane.points[i] == sum(count[tile] for tile in hub)
        assert found.plane.peak[i] == max(count[tile] for tile in hub)
        check_plane(grid, found, i, {tile: count[tile] for tile in hub})
        for position, axis in enumerate(grid.axes):
            first, last = naive.span(
                {tile[2 + position] for tile in hub}, axis.bins if axis.is_cyclic else 0
            )
            begin, end = (edge[i] for edge in found.spans[position])
            unit = 10 if axis is SPEED else 1
            assert (begin, end) == (first * unit, (last + 1) * unit)
    assert len(outlines.x) == sum(found.plane.n_tiles)


def check_plane(grid: DimsGrid, found, i: int, count: dict[tuple[int, ...], int]) -> None:
    """Compare the projection of hub `i` with that of its tiles."""
    plane: Counter[tuple[int, int]] = Counter()
    for (y, x, *_), n in count.items():
        plane[x, y] += n
    (expected,) = naive.hubs([set(plane)], plane, 1, grid.plane)
    hubs = found.plane
    assert hubs.n_tiles[i] == len(plane)
    lon = float(expected.x) - (0 if grid.plane.planar or expected.x < 180 else 360)
    assert hubs.lon[i] == pytest.approx(lon)
    assert hubs.lat[i] == pytest.approx(float(expected.y))
    tiles = group_by_hub(hubs, i, i + 1)
    assert set(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)) == set(plane)
    assert len(outline_geometry(tiles, 0, 1)) == 1
    if not grid.plane.planar:
        area = sum(naive.tile_area(grid.plane, place) for place in plane)
        assert hubs.area_m2[i] == pytest.approx(area)
        assert hubs.west[i] == expected.columns[0]
        assert hubs.east[i] == expected.columns[-1] + 1


@given(
    st.lists(
        st.tuples(
            st.integers(-(10**15), 2 * 10**15),
            st.floats(-180, 360, allow_nan=False).map(lambda lon: round(lon, 5)),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["hour", "weekday"]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from(ZONES),
)
def test_bins_of_times_are_those_of_the_clock(rows, kind, prec, tz):
    axis = time_axis(kind, "when", str(prec), tz)
    grid = DimsGrid(Grid.degrees(0), (axis,))
    table = pa.record_batch({"when": pa.array([m for m, _ in rows]).view(pa.timestamp("us"))})
    lon = np.array([each for _, each in rows])
    batch = PointBatch(lon, np.full(len(lon), 45.5), table=table)
    (piece,) = DimsProjector(grid, Selection()).pieces(batch)
    expected = [naive.clock_bin(m, kind, prec, tz, each) for m, each in rows]
    assert grid.unpack(piece.keys)[2].tolist() == expected


@pytest.mark.parametrize("lon", [0.0, 15.0, -75.0, 11.9, -0.1, 171.3, 200.1, 359.99])
def test_the_sun_is_right_to_the_millisecond(lon):
    axis = time_axis("hour", "when", "0", "solar")
    grid = DimsGrid(Grid.degrees(0), (axis,))
    offset = round(Fraction(repr(lon)) * 240_000) % 86_400_000
    midnight = (86_400_000 - offset) * 1000
    when = pa.array([midnight - 1, midnight]).view(pa.timestamp("us"))
    batch = PointBatch(np.full(2, lon), np.full(2, 45.5), table=pa.record_batch({"when": when}))
    (piece,) = DimsProjector(grid, Selection()).pieces(batch)
    assert grid.unpack(piece.keys)[2].tolist() == [23, 0]


@given(
    st.lists(
        st.one_of(
            st.floats(-60, 60),
            st.decimals(-60, 60, places=2).map(float),
            st.sampled_from([math.nan, math.inf, -20.0, 20.5]),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([("-20", "20.5"), ("0", "10"), ("-0.3", "0.3"), ("-55", "-5")]),
    st.sampled_from([-1, 0, 1, 2]),
)
def test_bins_of_numbers_are_floored_within_their_range(values, limits, prec):
    grid = DimsGrid(Grid.degrees(0), (number_axis("v", str(prec), *limits),))
    low, high = map(float, limits)
    expected = [naive.number_bin(value, prec, low, high) for value in values]
    for column in columns_of(values):
        table = pa.record_batch({"v": column})
        batch = PointBatch(np.full(len(values), 9.5), np.full(len(values), 9.5), table=table)
        (piece,) = DimsProjector(grid, Selection()).pieces(batch)
        found: list[int | str] = ["?"] * len(values)
        for row, tile in zip(piece.used.tolist(), grid.unpack(piece.keys)[2].tolist(), strict=True):
            found[row] = tile
        for row, reason in zip(piece.rejected.tolist(), piece.reasons.tolist(), strict=True):
            found[row] = Reason(reason).label
        assert found == expected


def columns_of(values: list[float]) -> list[pa.Array]:
    """Return the same numbers as columns of several types."""
    columns = [pa.array(values, pa.float64()), pa.array(list(map(repr, values)))]
    if all(math.isfinite(value) and round(value, 2) == value for value in values):
        columns.append(pa.array([Decimal(repr(value)) for value in values], pa.decimal128(6, 2)))
    return columns


def test_the_first_reason_is_that_of_the_coordinates_then_the_smallest():
    grid = DimsGrid(Grid.degrees(0), (HOUR, number_axis("v", "0", "0", "9")))
    table = pa.record_batch(
        {
            "time": pa.array(["x", "2024-01-01", None, "x", "2024-01-01T05:00Z", "2024-01-01"]),
            "v": pa.array(["1", "10", "x", None, "9", "3"]),
        }
    )
    lon = np.array([200.5, 9.5, 9.5, 9.5, 9.5, 999.0])
    known = np.array([0, 0, 0, 0, 0, 0], np.uint8)
    batch = PointBatch(lon, np.full(6, 9.5), reason=known, table=table)
    pieces = list(DimsProjector(grid, Selection(bbox=(9, 9, 10, 10))).pieces(batch))
    reasons = {
        int(row): Reason(reason).label
        for piece in pieces
        for row, reason in zip(piece.rejected, piece.reasons, strict=True)
    }
    wanted = ["filtered", "out_of_range", "null", "null", None, "out_of_range"]
    assert [reasons.get(row) for row in range(6)] == wanted
    assert [row for piece in pieces for row in piece.used.tolist()] == [4]
    assert [grid.unpack(piece.keys)[3].tolist() for piece in pieces][-1] == [8]


def test_one_column_may_serve_two_axes_and_is_found_without_case():
    axes = (time_axis("hour", "TIME", "0", "UTC"), time_axis("weekday", "time", "0", "UTC"))
    grid = DimsGrid(Grid.degrees(0), axes)
    table = pa.record_batch({"Time": pa.array(["1969-12-28T23:30Z", "1970-01-01"])})
    batch = PointBatch(np.full(2, 9.5), np.full(2, 9.5), table=table)
    (piece,) = DimsProjector(grid, Selection()).pieces(batch)
    assert [index.tolist() for index in grid.unpack(piece.keys)[2:]] == [[23, 0], [6, 3]]


def test_planar_places_beyond_the_keys_are_told():
    grid = DimsGrid(Grid.planar_prec(0), (HOUR,))
    far = float(grid.largest_index)
    table = pa.record_batch({"time": pa.array(["2024-01-01"] * 2)})
    batch = PointBatch(np.array([far, -1 - far]), np.array([-1 - far, far]), table=table)
    (piece,) = DimsProjector(grid, Selection()).pieces(batch)
    assert [c.tolist() for c in grid.unpack(piece.keys)[:2]] == [[far, -1 - far], [-1 - far, far]]
    too_far = PointBatch(np.array([far + 1, 0]), np.zeros(2), table=table)
    with pytest.raises(DataError, match="a coarser --prec"):
        list(DimsProjector(grid, Selection()).pieces(too_far))


def test_keys_that_do_not_fit_are_refused_with_numbers():
    with pytest.raises(UsageError, match="1,800,000,000 rows x 3,600,000,000 columns of g7 x 24"):
        DimsGrid(Grid.degrees(7), (HOUR,))
    many = number_axis("v", "9", "0", "2")
    with pytest.raises(UsageError, match="keys of 63 bits"):
        DimsGrid(Grid.planar_prec(0), (many, number_axis("w", "9", "0", "2")))


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (time_axis("hour", "time", "0", "UTC"), "hour(time)0"),
        (time_axis("weekday", "at, Z", "1", "Asia/Tokyo"), "weekday(at%2C%20Z,Asia%2FTokyo)1"),
        (number_axis("km/h", "0.50", "-1e1", "20.50"), "km%2Fh(-10:20.5)0.5"),
    ],
)
def test_axes_are_named_and_described(axis, text):
    assert axis.text == text
    assert axis_of_description(axis.describe()) == axis
    grid = DimsGrid(Grid.degrees(4), (axis,))
    assert grid.name == f"g4+{text}"
    assert DimsGrid.from_description(grid.plane, grid.describe()) == grid


@pytest.mark.parametrize("record", [None, [], [{"kind": "hour"}], [{**HOUR.describe(), "name": 1}]])
def test_records_of_no_axes_are_refused(record):
    with pytest.raises(InputError, match="the dimensions"):
        DimsGrid.from_description(Grid.degrees(4), record)


def test_odd_names_and_any_order_are_understood():
    prec, axes = parse_dims(
        '"my ""odd"" col", LON ,lat, Hour( "t (s)" )',
        "-1, 4,4, 2",
        "solar",
        ['"My ""Odd"" Col" = -3.5:1e2'],
        planar=False,
    )
    assert prec == "4"
    assert [axis.column for axis in axes] == ['my "odd" col', "t (s)"]
    assert axes[0].limits == ("-3.5", "100")
    assert (axes[1].bins, axes[1].tz) == (2400, "solar")


@pytest.mark.parametrize(
    ("dims", "prec", "more", "message"),
    [
        ("lat,lon,hour(t)", None, {}, "a precision for each of its 3 dimensions"),
        ("lat,lon,hour(t)", "4,4", {}, "--prec 4,4 gives 2"),
        ("lat,lon,hour(t)", "4,3,0", {}, "different precisions"),
        ("lat,hour(t)", "4,0", {}, "must be among the dimensions"),
        ("lat,lat,lon", "4,4,4", {}, "must be among the dimensions"),
        ("x,y,hour(t)", "4,4,0", {}, "must be among the dimensions"),
        ("lat,lon,hour(t),", "4,4,0", {}, "nothing follows the last comma"),
        ("lat,lon,hour t", "4,4,0", {}, "'hour t' is not understood"),
        ("lat,lon,minute(t)", "4,4,0", {}, "minute(t) is not understood"),
        ("", "", {}, "'' is not understood"),
        ("lat,lon,hour(t)", "4,4,-1", {}, "24 hours must be a whole number of bins"),
        ("lat,lon,weekday(t)", "4,4,0.5", {}, "7 days must be a whole number of bins"),
        ("lat,lon,hour(t)", "4,4,9", {}, "too fine"),
        ("lat,lon,hour(t)", "4,4,x", {}, "not a number"),
        ("lat,lon,hour(t)", "4,4,nan", {}, "not a finite number"),
        ("lat,lon,hour(t)", "4,4,0", {"tz": "Mars/Olympus"}, "no time zone"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=0:9"], "tz": "UTC"}, "there is none"),
        ("lat,lon,speed", "4,4,0", {}, "needs --range speed=LEAST:LARGEST"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=9:0"]}, "must be less"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=0"]}, "--range 'speed=0' is not understood"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=0:1e999"]}, "is not understood"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=0:9", "SPEED=0:8"]}, "two ranges"),
        ("lat,lon,speed", "4,4,0", {"ranges": ["speed=0:9", "v=0:8"]}, "--range v=...: --dims"),
        ("lat,lon,speed", "4,4,9", {"ranges": ["speed=0:9"]}, "beyond 32-bit integers"),
        ("lat,lon,hour(a),hour(b)", "4,4,0,0", {}, "two dimensions would be called hour"),
        ('lat,lon,"x"', "4,4,0", {"ranges": ["x=0:9"]}, "two dimensions would be called x"),
        ("lat,lon,a,b,c", "4,4,0,0,0", {}, "5 dimensions; at most 4"),
    ],
)
def test_dimensions_that_are_not_understood(dims, prec, more, message):
    options = {"tz": None, "ranges": (), **more}
    with pytest.raises(UsageError) as caught:
        parse_dims(dims, prec, options["tz"], options["ranges"], planar=False)
    assert message in str(caught.value)


def test_scaled_coordinates_have_the_same_keys():
    random = np.random.default_rng(3)
    x, y = (
        random.integers(-18_000_000, 36_000_001, 500),
        random.integers(-9_000_000, 9_000_001, 500),
    )
    when = pa.array(random.integers(0, 2 * 10**15, 500)).view(pa.timestamp("us"))
    table = pa.record_batch({"when": when})
    grid = DimsGrid(Grid.degrees(2), (time_axis("weekday", "when", "2", "solar"),))
    scaled = PointBatch(x, y, Fraction(1, 10**5), table=table)
    plain = PointBatch(x / 10**5, y / 10**5, table=table)
    found = [
        np.concatenate([piece.keys for piece in DimsProjector(grid, Selection()).pieces(batch)])
        for batch in (scaled, plain)
    ]
    assert found[0].tolist() == found[1].tolist()
