"""Points in geometry columns, against shapely and geoarrow: `gridcli.points.geometry`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.points.batch import Reason
from gridcli.points.geometry import read_points, require_points
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader

NULL, BAD = Reason.NULL, Reason.NOT_A_NUMBER


def rows(array: pa.Array) -> list[Any]:
    x, y, reason = read_points(array, "geometry", "f")
    assert len(x) == len(y) == len(array)
    known = [0] * len(x) if reason is None else reason.tolist()
    return [
        Reason(r) if r else (a, b) for a, b, r in zip(x.tolist(), y.tolist(), known, strict=True)
    ]


POINTS = [
    shapely.Point(11.9, 57.7),
    shapely.Point(-180, -90),
    None,
    shapely.Point(1, 2, 3),
    shapely.Point(),
    shapely.set_srid(shapely.Point(5, 6), 4326),
]
EXPECTED = [(11.9, 57.7), (-180.0, -90.0), NULL, (1.0, 2.0), NULL, (5.0, 6.0)]


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_well_known_binary_of_every_kind(flavor, byte_order, type_):
    has_srid = flavor == "extended"
    values = shapely.to_wkb(POINTS, flavor=flavor, byte_order=byte_order, include_srid=has_srid)
    array = pa.array(values.tolist(), type_)
    assert rows(array) == EXPECTED
    for start in range(len(POINTS) + 1):
        assert rows(array.slice(start)) == EXPECTED[start:]


def test_byte_orders_and_dimensions_mixed():
    points = [shapely.Point(i, -i) if i % 2 else shapely.Point(i, -i, 9) for i in range(6)]
    values = [shapely.to_wkb(p, byte_order=i // 2 % 2) for i, p in enumerate(points)]
    assert rows(pa.array(values)) == [(float(i), float(-i)) for i in range(6)]


@given(st.lists(st.tuples(*[st.floats(allow_nan=False)] * 2), max_size=10))
@settings(max_examples=50)
def test_plain_points(points):
    wkb = pa.array(shapely.to_wkb(shapely.points(points or np.zeros((0, 2)))).tolist(), pa.binary())
    assert rows(wkb) == points


def test_fixed_size_binary():
    values = [shapely.to_wkb(shapely.Point(1, 2)), shapely.to_wkb(shapely.Point(3, 4))]
    assert rows(pa.array(values, pa.binary(21))) == [(1.0, 2.0), (3.0, 4.0)]


def test_cut_values_are_no_numbers():
    whole = shapely.to_wkb(shapely.Point(1, 2))
    values = [whole[:size] for size in range(1, 21)]
    assert rows(pa.array([b"", *values, whole])) == [NULL, *[BAD] * 20, (1.0, 2.0)]


def test_one_nan_is_left_to_the_projection():
    ((x, y),) = rows(pa.array([shapely.to_wkb(shapely.Point(math.nan, 1))]))
    assert math.isnan(x)
    assert y == 1.0


@pytest.mark.parametrize(
    "geometry", [shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (1, 1)])]
)
def test_other_geometries_are_named(geometry):
    values = [shapely.to_wkb(shapely.Point(1, 2)), shapely.to_wkb(geometry)]
    with pytest.raises(UsageError, match=geometry.geom_type):
        rows(pa.array(values))


STRUCT = pa.struct([("x", pa.float64()), ("y", pa.float64()), ("z", pa.float64())])


@pytest.mark.parametrize("type_", [STRUCT, pa.list_(pa.float64(), 3), pa.list_(pa.float32(), 3)])
def test_geoarrow_coordinates(type_):
    values: list[Any] = [(1.0, 2.0, 0.0), None, (3.0, 4.0, 0.0), (math.nan, math.nan, 0.0)]
    if type_ == STRUCT:
        values = [v and dict(zip("xyz", v, strict=True)) for v in values]
    array = pa.array(values, type_)
    expected = [(1.0, 2.0), NULL, (3.0, 4.0), NULL]
    assert rows(array) == expected
    for start in range(4):
        assert rows(array.slice(start)) == expected[start:]


def test_null_within_a_struct():
    assert rows(pa.array([{"x": None, "y": 1.0, "z": 0.0}], STRUCT)) == [NULL]


def test_metadata_that_says_polygon():
    geo = {"primary_column": "g", "columns": {"g": {"geometry_types": ["Polygon"]}}}
    schema = pa.schema([("g", pa.binary())], metadata={"geo": json.dumps(geo)})
    with pytest.raises(UsageError, match="holds Polygon, not points"):
        require_points(schema, "g", "f")
    geo["columns"]["g"]["geometry_types"] = ["Point Z"]
    require_points(schema.with_metadata({"geo": json.dumps(geo)}), "g", "f")
    with pytest.raises(UsageError, match="has type int8"):
        require_points(pa.schema([("g", pa.int8())]), "g", "f")


def points_read(path: Path, **options: Any) -> list[Any]:
    with PointReader([str(path)], ReadOptions(keep_origin=True, **options)) as reader:
        assert reader.choice == "reading points from the geometry column 'geometry'"
        found = []
        for chunk in reader.chunks():
            for batch in chunk.decode():
                assert batch.origin is not None
                assert batch.origin.text(0).startswith("geometry=")
                found += list(zip(batch.x.tolist(), batch.y.tolist(), strict=True))
        return found


def test_geoparquet_written_by_gdal(tmp_path):
    import pyogrio

    path = tmp_path / "points.gpkg"
    values = np.array(shapely.to_wkb(shapely.points([[11.9, 57.7], [1, 2]])), dtype=object)
    pyogrio.raw.write(
        path, values, [np.array([1, 2])], ["id"], geometry_type="Point", crs="EPSG:4326"
    )
    _, table = pyogrio.raw.read_arrow(path)
    name = next(n for n in table.column_names if n in {"wkb_geometry", "geom"})
    names = ["geometry" if n == name else n for n in table.column_names]
    pq.write_table(table.rename_columns(names), tmp_path / "points.parquet")
    assert points_read(tmp_path / "points.parquet") == [(11.9, 57.7), (1.0, 2.0)]


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("type_", [STRUCT, pa.list_(pa.float64(), 3), pa.binary()])
def test_geometry_in_every_format(tmp_path, suffix, type_):
    values: list[Any] = [(1.0, 2.0, 0.0), (3.0, 4.0, 0.0)]
    if type_ == STRUCT:
        values = [dict(zip("xyz", v, strict=True)) for v in values]
    elif type_ == pa.binary():
        values = [shapely.to_wkb(shapely.Point(v)) for v in values]
    table = pa.table({"id": [1, 2], "geometry": pa.array(values, type_)})
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        new = pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)
    assert points_read(path) == [(1.0, 2.0), (3.0, 4.0)]


def test_registered_extension_type(tmp_path):
    import geoarrow.pyarrow as ga

    points = ga.as_wkb(ga.array(["POINT (1 2)", "POINT (3 4)"]))
    pq.write_table(pa.table({"geometry": points}), tmp_path / "a.parquet")
    assert points_read(tmp_path / "a.parquet") == [(1.0, 2.0), (3.0, 4.0)]
    native = ga.as_geoarrow(ga.array(["POINT (1 2)", "POINT (3 4)"]))
    pq.write_table(pa.table({"geometry": native}), tmp_path / "b.parquet")
    assert points_read(tmp_path / "b.parquet") == [(1.0, 2.0), (3.0, 4.0)]
