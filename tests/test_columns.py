"""Which columns hold the coordinates: `gridcli.points.columns`."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.points.columns import ColumnChoice, choose
from gridcli.points.plan import ReadOptions


def schema_of(*names: str, **types: pa.DataType) -> pa.Schema:
    """Columns of doubles, then some of other types."""
    return pa.schema([(name, pa.float64()) for name in names] + list(types.items()))


def chosen(schema: pa.Schema, **options) -> tuple[str | None, str | None, str | None]:
    choice = choose(schema, ReadOptions(**options), "f")
    return choice.x, choice.y, choice.geometry


BINARY = pa.binary()


@pytest.mark.parametrize(
    ("names", "x", "y"),
    [
        (["lat", "lon"], "lon", "lat"),
        (["LAT", "Lng"], "Lng", "LAT"),
        (["id", "long", "lat", "x", "y"], "long", "lat"),
        (["latitude", "longitude"], "longitude", "latitude"),
        (["Latitude", "Long"], "Long", "Latitude"),
        (["lat", "lon", "latitude", "longitude"], "lon", "lat"),
        (["pickup_latitude", "pickup_longitude", "lat", "lon"], "lon", "lat"),
        (["pickup_lat", "pickup_lon", "dropoff_lat"], "pickup_lon", "pickup_lat"),
        (["lat_deg", "lon_deg", "x", "y"], "lon_deg", "lat_deg"),
        (["GpsLat", "GPSLON"], "GPSLON", "GpsLat"),
        (["start latitude", "start longitude"], "start longitude", "start latitude"),
        (["flat", "lonely", "x", "y"], "x", "y"),
        (["X", "Y"], "X", "Y"),
        (["Lat ", " Lon"], " Lon", "Lat "),
    ],
)
def test_best_rank_wins(names, x, y):
    assert chosen(schema_of(*names)) == (x, y, None)


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["lat", "lon", "lng"], ["--lat lat --lon lon", "--lat lat --lon lng"]),
        (
            ["pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon"],
            ["--lat pickup_lat --lon pickup_lon", "--lat dropoff_lat --lon dropoff_lon"],
        ),
        (["Lat", "LAT", "lon"], ["--lat Lat --lon lon", "--lat LAT --lon lon"]),
    ],
)
def test_two_pairs_in_the_best_rank_are_listed(names, listed):
    with pytest.raises(UsageError) as caught:
        chosen(schema_of(*names))
    for text in listed:
        assert text in str(caught.value)


def test_no_pair_lists_the_columns():
    with pytest.raises(UsageError, match="Its columns: id, speed"):
        chosen(schema_of("id", "speed"))


def test_very_many_columns_are_cut_short():
    with pytest.raises(UsageError, match="and 60 more"):
        chosen(schema_of(*(f"c{i}" for i in range(100))))


def test_named_columns():
    schema = schema_of("a", "B", "lat", "lon")
    assert chosen(schema, x="a", y="b") == ("a", "B", None)


def test_named_columns_differ_in_case_only():
    schema = schema_of("A", "a", "B", "b")
    assert chosen(schema, x="A", y="b") == ("A", "b", None)
    with pytest.raises(UsageError, match="any of Lat, lAt"):
        chosen(schema_of("Lat", "lAt", "lon"), y="LAT", x="lon")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "lon", "y": "north"}, "no column 'north'. Its columns: lat, lon"),
        ({"x": "lon"}, "--lon is given without --lat"),
        ({"y": "lat"}, "--lat is given without --lon"),
        ({"y": "lat", "planar": True}, "--y is given without --x"),
        ({"x": "lon", "y": "LON"}, "both name"),
    ],
)
def test_named_columns_that_do_not_do(options, message):
    with pytest.raises(UsageError, match=message):
        chosen(schema_of("lat", "lon"), **options)


def test_duplicate_names_matter_only_where_chosen():
    assert chosen(schema_of("lat", "lon", "id", "id")) == ("lon", "lat", None)
    for options in ({}, {"x": "lon", "y": "lat"}):
        with pytest.raises(UsageError, match="2 columns are called 'lat'"):
            chosen(schema_of("lat", "lon", "lat"), **options)


def test_planar_prefers_x_and_y():
    names = ["lat", "lon", "X", "Y"]
    assert chosen(schema_of(*names), planar=True) == ("X", "Y", None)
    assert chosen(schema_of(*names, geom=BINARY), planar=True) == ("X", "Y", None)
    assert chosen(schema_of("lat", "lon", geom=BINARY), planar=True) == (None, None, "geom")


@pytest.mark.parametrize(
    "type_",
    [
        BINARY,
        pa.large_binary(),
        pa.binary_view(),
        pa.struct([("x", pa.float64()), ("y", pa.float64())]),
        pa.list_(pa.float64(), 2),
    ],
)
def test_geometry_by_name_ranks_between_affixes_and_x_y(type_):
    assert chosen(schema_of("x", "y", Geometry=type_)) == (None, None, "Geometry")
    assert chosen(schema_of("a_lat", "a_lon", geometry=type_)) == ("a_lon", "a_lat", None)


def test_geometry_of_another_type_is_none():
    assert chosen(schema_of("x", "y", geometry=pa.string())) == ("x", "y", None)


def test_geometry_by_extension_name():
    marked = pa.field("place", BINARY, metadata={"ARROW:extension:name": "geoarrow.wkb"})
    assert chosen(pa.schema([marked, ("geom", BINARY)])) == (None, None, "place")
    other = pa.field("other", BINARY, metadata={"ARROW:extension:name": "geoarrow.wkb"})
    with pytest.raises(UsageError, match="geometry 'place'; geometry 'other'"):
        chosen(pa.schema([marked, other]))


def test_geometry_of_geoparquet():
    geo = {"primary_column": "where", "columns": {"where": {"encoding": "WKB"}}}
    schema = schema_of(where=BINARY, geometry=BINARY).with_metadata({"geo": json.dumps(geo)})
    assert chosen(schema) == (None, None, "where")
    assert chosen(schema.with_metadata({"geo": "{broken"})) == (None, None, "geometry")


def test_choice_in_words():
    assert ColumnChoice("lon", "lat").text == "reading latitude from 'lat', longitude from 'lon'"
    assert ColumnChoice("e", "n", planar=True).text == "reading x from 'e', y from 'n'"
    assert ColumnChoice(None, None, "g").text == "reading points from the geometry column 'g'"


@given(st.permutations(["lat", "lon", "latitude", "longitude", "a_lat", "a_lon", "x", "y", "id"]))
@settings(max_examples=20)
def test_order_of_columns_does_not_matter(names):
    assert chosen(schema_of(*names)) == ("lon", "lat", None)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["tile_x", "tile_y", "count"], "f is a state: .* gridcli agglomerate .* gridcli merge"),
        (["tile_x", "tile_y", "count", "hub_key", "rank"], "f is a file of tiles .* gridcli diff"),
        (["hub_key", "points"], "f holds hubs that gridcli found, not points"),
        (["a", "b"], "f: no columns found"),
    ],
)
def test_files_of_gridcli_itself_are_told_apart(names, told):
    schema = schema_of(*names)
    with pytest.raises(UsageError, match=told):
        chosen(schema.with_metadata({"gridcli": "{}"}))
    with pytest.raises(UsageError, match="no columns found"):
        chosen(schema)
