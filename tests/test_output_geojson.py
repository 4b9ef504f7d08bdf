"""GeoJSON, GeoJSONL and text sequences against json, shapely and GDAL."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.output.geojson import json_values
from gridcli.output.layer import Geometry
from tests.layer_examples import (
    GEOMETRIES,
    RECORD,
    TABLE,
    empty_layer,
    layer_of,
    point_layer,
    points,
    shapes,
    written,
)


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def parsed(text: bytes | str) -> Any:
    return json.loads(text, parse_constant=refuse)


def plain_value(value: Any) -> Any:
    """Return what JSON should hold for a Python value."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > 2**53 - 1:
        return str(value)
    return value


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_collection_equals_the_rows(kind: str) -> None:
    geometry = GEOMETRIES[kind]()
    collection = parsed(written(layer_of(geometry), "geojson"))
    assert collection["type"] == "FeatureCollection"
    assert collection["gridcli"] == RECORD
    rows = TABLE.to_pylist()
    assert len(collection["features"]) == len(rows)
    for feature, row, shape in zip(collection["features"], rows, shapes(geometry), strict=True):
        assert set(feature) == {"type", "properties", "geometry"}
        assert feature["properties"] == {k: plain_value(v) for k, v in row.items()}
        expected = shapely.transform(shape, lambda xy: np.round(xy, 7))
        assert shapely.geometry.shape(feature["geometry"]).equals_exact(expected, 0)
    west, south, east, north = collection["bbox"]
    everything = shapely.GeometryCollection(shapes(geometry))
    assert (west, south, east, north) == tuple(round(v, 7) for v in everything.bounds)


def test_coordinates_have_seven_decimals_and_no_negative_zero() -> None:
    text = written(layer_of(points()), "geojson").decode()
    features = text.split('"coordinates":')[1:]
    assert [f.split("}")[0] for f in features] == [
        "[0,0]",
        "[-179.1234568,90]",
        "[0,-33.0000001]",
        "[12.5,45.1234567]",
    ]
    assert '"bbox":[-179.1234568,-33.0000001,12.5,90]' in text


@given(st.lists(st.floats(-180, 180), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_coordinate_text_is_the_rounded_number(values: list[float]) -> None:
    x = np.array(values)
    table = pa.table({"a": pa.array(range(len(x)))})
    text = written(layer_of(Geometry("point", x, x), table), "geojsonl").decode()
    for line, value in zip(text.splitlines(), values, strict=True):
        number = line.split('"coordinates":[')[1].split(",")[0]
        assert float(number) == round(value, 7)
        assert number != "-0"
        digits, _, exponent = number.partition("e")
        assert len(digits.partition(".")[2]) - int(exponent or 0) <= 7


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_text_survives(values: list[str | None]) -> None:
    texts = json_values(pa.array(values, pa.string())).to_pylist()
    assert [None if t is None else parsed(t) for t in texts] == values


@given(st.lists(st.floats(), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_floats_read_back_the_same(values: list[float]) -> None:
    texts = json_values(pa.array(values, pa.float64())).to_pylist()
    assert [None if t is None else float(parsed(t)) for t in texts] == [
        plain_value(v) for v in values
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([2**63, 5], pa.uint64()), [str(2**63), 5]),
        (pa.array([-5, None], pa.int8()), [-5, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a\tb", None], pa.large_string()), ["a\tb", None]),
        (pa.array([0], pa.timestamp("s", "UTC")), ["1970-01-01 00:00:00Z"]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array([None], pa.null()), [None]),
    ],
)
def test_values_of_other_types(column: Any, expected: list[Any]) -> None:
    texts = json_values(column).to_pylist()
    assert [None if t is None else parsed(t) for t in texts] == expected


@pytest.mark.parametrize(("name", "lead"), [("geojsonl", ""), ("geojsons", "\x1e")])
def test_sequences_hold_a_feature_a_line_and_the_record_once(name: str, lead: str) -> None:
    text = written(layer_of(points()), name).decode()
    lines = text.removesuffix("\n").split("\n")
    assert all(line.startswith(lead + "{") for line in lines)
    features = [parsed(line.removeprefix(lead)) for line in lines]
    collection = parsed(written(layer_of(points()), "geojson"))
    assert features[0].pop("gridcli") == RECORD
    assert features == collection["features"]


@pytest.mark.parametrize("name", ["geojson", "geojsonl", "geojsons"])
def test_batches_leave_no_trace(name: str) -> None:
    assert written(point_layer(100, 7), name) == written(point_layer(100, 100), name)


@pytest.mark.parametrize("batch", [True, False])
def test_empty_layers_are_valid(batch: bool) -> None:
    collection = parsed(written(empty_layer(batch=batch), "geojson"))
    assert collection["features"] == []
    assert collection["gridcli"] == RECORD
    assert "bbox" not in collection
    assert written(empty_layer(batch=batch), "geojsonl") == b""
    assert written(empty_layer(batch=batch), "geojsons") == b""


@pytest.mark.parametrize("kind", GEOMETRIES)
@pytest.mark.parametrize("name", ["geojson", "geojsonl", "geojsons"])
def test_gdal_reads_it(kind: str, name: str, tmp_path: Any) -> None:
    path = tmp_path / f"hubs.{name}"
    path.write_bytes(written(layer_of(GEOMETRIES[kind]()), name))
    info, _, geometry, columns = pyogrio.raw.read(path)
    assert info["crs"] in ("EPSG:4326", "OGC:CRS84")
    assert list(info["fields"]) == TABLE.column_names
    ids, keys = columns[0], columns[1]
    assert ids.tolist() == [1, 2, 3, 4]
    assert keys.tolist() == TABLE["hub_key"].to_pylist()
    for blob, shape in zip(geometry, shapes(GEOMETRIES[kind]()), strict=True):
        expected = shapely.transform(shape, lambda xy: np.round(xy, 7))
        assert shapely.from_wkb(blob).equals_exact(expected, 0)


def test_gdal_reads_an_empty_collection(tmp_path: Any) -> None:
    path = tmp_path / "hubs.geojson"
    path.write_bytes(written(empty_layer(), "geojson"))
    assert pyogrio.read_info(path)["features"] == 0
