"""Suffixes and formats; GeoParquet, CSV and Arrow read back by other programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from geoparquet_io.core.validate import validate_geoparquet

from gridcli.errors import MissingExtraError, ResourceError, UsageError
from gridcli.output import ahead, rowgroups
from gridcli.output.crs import projjson
from gridcli.output.formats import FORMATS, check_format, format_of, write_layer
from gridcli.output.layer import Geometry, Layer, LayerBatch
from gridcli.output.wkb import encode_wkb
from tests.layer_examples import (
    GEOMETRIES,
    RECORD,
    TABLE,
    empty_layer,
    geometry_of,
    layer_of,
    point_layer,
    points,
    polygons,
    shapes,
    written,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.geojson", "geojson"),
        ("a.JSON", "geojson"),
        ("dir.csv/a.geojsonl", "geojsonl"),
        ("a.ndjson", "geojsonl"),
        ("a.geojsons", "geojsons"),
        ("hubs.tiles.parquet", "parquet"),
        ("a.csv", "csv"),
        ("a.arrow", "arrow"),
    ],
)
def test_the_suffix_decides(path: str, expected: str) -> None:
    assert format_of(path, None) == expected


def test_an_explicit_format_wins() -> None:
    assert format_of("-", "csv") == "csv"
    assert format_of("a.geojson", "parquet") == "parquet"


@pytest.mark.parametrize("path", ["a.shp", "a", ".geojson", "-"])
def test_unknown_formats_are_refused_with_a_list(path: str) -> None:
    with pytest.raises(UsageError, match="geojsons"):
        format_of(path, None)


def test_an_unknown_explicit_format_is_refused() -> None:
    with pytest.raises(UsageError, match="shp is unknown"):
        format_of("a.geojson", "shp")


@pytest.mark.parametrize("name", ["geojson", "geojsonl", "geojsons"])
def test_geojson_is_refused_for_planar_data(name: str) -> None:
    with pytest.raises(UsageError, match="WGS84"):
        check_format(name, planar=True)
    sink = io.BytesIO()
    with pytest.raises(UsageError, match="WGS84"):
        write_layer(layer_of(points(), planar=True), sink, name)
    assert sink.getvalue() == b""


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_wkb_is_what_shapely_writes(kind: str) -> None:
    geometry = GEOMETRIES[kind]()
    expected = [shapely.to_wkb(shape, byte_order=1) for shape in shapes(geometry)]
    assert encode_wkb(geometry).to_pylist() == expected


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_geoparquet_read_back(kind: str, tmp_path: Any) -> None:
    geometry = GEOMETRIES[kind]()
    path = tmp_path / "hubs.parquet"
    path.write_bytes(written(layer_of(geometry), "parquet"))

    table = pq.read_table(path)
    for name in TABLE.column_names:
        np.testing.assert_array_equal(table[name].to_pylist(), TABLE[name].to_pylist())
    expected = shapes(geometry)
    read = [shapely.from_wkb(blob) for blob in table["geometry"].to_pylist()]
    assert all(a.equals_exact(b, 0) for a, b in zip(read, expected, strict=True))
    assert [tuple(box.values()) for box in table["bbox"].to_pylist()] == [
        shape.bounds for shape in expected
    ]

    metadata = pq.read_metadata(path).metadata
    assert json.loads(metadata[b"gridcli"]) == RECORD
    geo = json.loads(metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert "crs" not in column
    assert column["geometry_types"] == [expected[0].geom_type]
    assert tuple(column["bbox"]) == shapely.GeometryCollection(expected).bounds

    rows = duckdb.sql(
        f"SELECT hub_id, geometry, bbox.xmax FROM '{path}' ORDER BY hub_id"
    ).fetchall()
    assert [(row[0], row[2]) for row in rows] == [
        (i + 1, shape.bounds[2]) for i, shape in enumerate(expected)
    ]
    assert [shapely.from_wkb(row[1]) for row in rows] == expected


def geoparquet_problems(path: Any, bad: tuple[str, ...] = ("failed", "warning")) -> list[str]:
    """Return what geoparquet-io finds wrong with the schema and metadata of a file.

    Its checks of the data would download a DuckDB extension; shapely does those here.
    """
    result = validate_geoparquet(str(path), target_version="1.1", validate_data=False)
    assert result.passed_count > 10
    return [f"{c.name}: {c.message}" for c in result.checks if c.status.value in bad]


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_geoparquet_is_valid(kind: str, tmp_path: Any) -> None:
    path = tmp_path / "hubs.parquet"
    path.write_bytes(written(layer_of(GEOMETRIES[kind]()), "parquet"))
    assert geoparquet_problems(path) == []


def test_planar_geoparquet_has_an_unknown_reference_system(tmp_path: Any) -> None:
    path = tmp_path / "hubs.parquet"
    path.write_bytes(written(layer_of(polygons(), planar=True), "parquet"))
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert geo["columns"]["geometry"]["crs"] is None
    assert geoparquet_problems(path, bad=("failed",)) == []  # it warns of the null


def test_planar_geoparquet_with_a_reference_system(tmp_path: Any) -> None:
    pyproj = pytest.importorskip("pyproj")
    path = tmp_path / "hubs.parquet"
    path.write_bytes(written(layer_of(polygons(), planar=True, crs="EPSG:3006"), "parquet"))
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    crs = pyproj.CRS.from_json_dict(geo["columns"]["geometry"]["crs"])
    assert crs == pyproj.CRS("EPSG:3006")
    assert geoparquet_problems(path) == []


@pytest.mark.parametrize("crs", ["EPSG:0", "EPSG", "EPSG:one", "A:B:C"])
def test_unknown_reference_systems_are_refused(crs: str) -> None:
    pytest.importorskip("pyproj")
    with pytest.raises(UsageError, match="--crs"):
        check_format("parquet", planar=True, crs=crs)


def test_reference_systems_need_pyproj(monkeypatch: pytest.MonkeyPatch) -> None:
    projjson.cache_clear()
    monkeypatch.setitem(sys.modules, "pyproj", None)
    with pytest.raises(MissingExtraError, match=r"gridcli\[crs\]"):
        check_format("parquet", planar=True, crs="EPSG:3006")


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_groups_of_rows_do_not_depend_on_batches(name: str) -> None:
    whole = written(point_layer(70_000, 70_000), name)
    assert written(point_layer(70_000, 9_999), name) == whole
    if name == "parquet":
        metadata = pq.read_metadata(io.BytesIO(whole))
        assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
            65_536,
            4_464,
        ]
        assert metadata.row_group(0).column(2).compression == "ZSTD"
        assert pq.read_table(io.BytesIO(whole))["hub_id"].to_pylist() == list(range(70_000))


def test_groups_of_large_geometries_have_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowgroups, "ROW_GROUP_BYTES", 700)
    monkeypatch.setattr(rowgroups, "ROW_GROUP_ROWS", 4)
    shapes_of_rows = [
        shapely.box(0, 0, 9, 9) - shapely.union_all([shapely.box(i, 1, i + 0.5, 2) for i in holes])
        for holes in (range(1, 1 + 5 * (row % 4 == 1)) for row in range(30))
    ]
    schema = pa.schema([("hub_id", pa.int64())])

    def batches(step: int) -> Iterator[LayerBatch]:
        for start in range(0, 30, step):
            rows = shapes_of_rows[start : start + step]
            ids = pa.array(range(start, start + len(rows)), pa.int64())
            table = pa.RecordBatch.from_arrays([ids], schema=schema)
            yield LayerBatch(table, geometry_of([[row] for row in rows], "polygon"))

    groups = {}
    for step in (1, 4, 30):
        layer = Layer("hubs", schema, "polygon", 30, partial(batches, step), record=RECORD)
        groups[step] = written(layer, "parquet")
        assert groups[step] == groups[1]
    metadata = pq.read_metadata(io.BytesIO(groups[1]))
    found = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    sizes = [len(blob) for blob in pq.read_table(io.BytesIO(groups[1]))["geometry"].to_pylist()]
    expected, rows_so_far, bytes_so_far = [], 0, 0
    for size in sizes:
        rows_so_far, bytes_so_far = rows_so_far + 1, bytes_so_far + size
        if rows_so_far == 4 or bytes_so_far >= 700:
            expected.append(rows_so_far)
            rows_so_far = bytes_so_far = 0
    assert found == expected + [rows_so_far] * (rows_so_far > 0)
    assert len(set(found)) > 1


def test_large_batches_are_encoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LARGE_VERTICES", 2)
    sizes = [1, 1, 1, 3, 1, 3, 3, 1, 1]
    made: list[int] = []

    def batches() -> Iterator[LayerBatch]:
        for number, size in enumerate(sizes):
            made.append(number)
            yield LayerBatch(number, Geometry("point", np.zeros(size), np.zeros(size)))

    seen = []
    for number in ahead.encode_ahead(batches(), lambda batch: batch.table, threads=2):
        if sizes[number] > 2:
            assert made[-1] == number
        seen.append(number)
    assert seen == list(range(len(sizes)))


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_csv_read_back(kind: str) -> None:
    geometry = GEOMETRIES[kind]()
    text = written(layer_of(geometry), "csv").decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["hub_key"] for row in rows] == TABLE["hub_key"].to_pylist()
    assert [row["points"] for row in rows] == ["9007199254740991", str(2**53), str(-(2**53)), ""]
    assert [row["density"] for row in rows] == ["0.1", "", "", "1e+22"]
    for row, shape in zip(rows, shapes(geometry), strict=True):
        assert shapely.from_wkt(row["geometry"]).equals_exact(shape, 0)


@pytest.fixture
def plain_arrow() -> Iterator[None]:
    """Arrow without the types of geoarrow, which geoparquet-io registers in this process."""
    from geoarrow.types import type_pyarrow

    type_pyarrow.unregister_extension_types()
    yield
    type_pyarrow.register_extension_types()


@pytest.mark.usefixtures("plain_arrow")
@pytest.mark.parametrize("kind", GEOMETRIES)
def test_arrow_read_back(kind: str) -> None:
    geometry = GEOMETRIES[kind]()
    table = pa.ipc.open_file(written(layer_of(geometry), "arrow")).read_all()
    assert json.loads(table.schema.metadata[b"gridcli"]) == RECORD
    field = table.schema.field("geometry")
    assert field.metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert json.loads(field.metadata[b"ARROW:extension:metadata"]) == {
        "crs": "OGC:CRS84",
        "crs_type": "authority_code",
    }
    read = [shapely.from_wkb(blob) for blob in table["geometry"].to_pylist()]
    assert all(a.equals_exact(b, 0) for a, b in zip(read, shapes(geometry), strict=True))
    assert table["hub_key"].to_pylist() == TABLE["hub_key"].to_pylist()


@pytest.mark.usefixtures("plain_arrow")
@pytest.mark.parametrize(
    ("crs", "expected"),
    [(None, {}), ("EPSG:3006", {"crs": "EPSG:3006", "crs_type": "authority_code"})],
)
def test_arrow_names_a_planar_reference_system(crs: str | None, expected: dict[str, str]) -> None:
    layer = layer_of(polygons(), planar=True, crs=crs)
    schema = pa.ipc.open_file(written(layer, "arrow")).schema
    metadata = schema.field("geometry").metadata[b"ARROW:extension:metadata"]
    assert json.loads(metadata) == expected


@pytest.mark.parametrize("kind", GEOMETRIES)
@pytest.mark.parametrize("batch", [True, False])
def test_empty_tables_are_valid(kind: str, batch: bool, tmp_path: Any) -> None:
    layer = empty_layer(kind, batch=batch)
    names = [*TABLE.column_names, "geometry"]
    assert written(layer, "csv").decode().strip() == ",".join(f'"{name}"' for name in names)
    arrow = pa.ipc.open_file(written(layer, "arrow")).read_all()
    assert (arrow.column_names, len(arrow)) == (names, 0)
    path = tmp_path / "empty.parquet"
    path.write_bytes(written(layer, "parquet"))
    assert pq.read_table(path).column_names == [*names, "bbox"]
    assert json.loads(pq.read_metadata(path).metadata[b"gridcli"]) == RECORD
    assert geoparquet_problems(path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_the_sink_stays_open(name: str) -> None:
    sink = io.BytesIO()
    write_layer(layer_of(points()), sink, name)
    assert not sink.closed


@pytest.mark.parametrize("name", FORMATS)
def test_threads_leave_no_trace(name: str) -> None:
    alone = written(point_layer(1_000, 30), name)
    for threads in (2, 5):
        sink = io.BytesIO()
        write_layer(point_layer(1_000, 30), sink, name, threads=threads)
        assert sink.getvalue() == alone


@pytest.mark.parametrize("threads", [1, 3])
def test_an_encoding_error_ends_the_writing(threads: int) -> None:
    layer = point_layer(100, 10)

    def batches() -> Iterator[LayerBatch]:
        for number, batch in enumerate(point_layer(100, 10).batches()):
            if number == 5:
                raise InterruptedError
            yield batch

    with pytest.raises(InterruptedError):
        write_layer(replace(layer, batches=batches), io.BytesIO(), "csv", threads=threads)


def test_readers_of_the_schema_see_the_footers_keys() -> None:
    schema = pq.read_schema(io.BytesIO(written(layer_of(polygons()), "parquet")))
    assert json.loads(schema.metadata[b"gridcli"]) == RECORD
    assert json.loads(schema.metadata[b"geo"])["version"] == "1.1.0"


def test_text_that_arrow_cannot_hold_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")

    monkeypatch.setattr("gridcli.output.geojson.write_geojson", fail)
    with pytest.raises(ResourceError, match="hubs need more than 2 GiB"):
        written(layer_of(points()), "geojson")
