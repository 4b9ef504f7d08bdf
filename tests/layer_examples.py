"""Small layers for the tests of output formats, and their rows in plain Python."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from gridcli.output.formats import write_layer
from gridcli.output.layer import Geometry, Layer, LayerBatch

RECORD = {"format_version": 1, "grid": {"name": "g4", "planar": False}, "tau": 5, "note": 'ä "b"'}

TABLE = pa.table(
    {
        "hub_id": pa.array([1, 2, 3, 4], pa.int64()),
        "hub_key": pa.array(["g4/1/2", 'quote " back \\', "line\nend\x01\x1e\x7f", "snow ☃ 𝄞"]),
        "points": pa.array([2**53 - 1, 2**53, -(2**53), None], pa.int64()),
        "density": pa.array([0.1, float("nan"), float("-inf"), 1e22], pa.float64()),
        "kept": pa.array([True, False, None, True]),
    }
)


def arrays(*values: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.array(value, dtype=np.int64) for value in values)


def points() -> Geometry:
    x = np.array([0.0, -179.12345678, 1e-9, 12.5])
    y = np.array([-0.0, 89.99999999, -33.0000001, 45.123456749])
    return Geometry("point", x, y)


def polygons() -> Geometry:
    """Return four polygons, the second one with a hole, the last one with two."""
    rows = [
        shapely.box(0, 0, 1, 1),
        shapely.box(0, 0, 5, 5) - shapely.box(1, 1, 2, 2),
        shapely.box(-180, -90, -179.9, -89.9),
        shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2) - shapely.box(3.25, 3, 4, 4),
    ]
    return geometry_of([[row] for row in rows], "polygon")


def multipolygons() -> Geometry:
    """Return four rows of one, two, three and one polygons, with and without holes."""
    hole = shapely.box(10, 10, 15, 15) - shapely.box(11, 11, 12, 12)
    rows = [
        [shapely.box(0, 0, 1, 1)],
        [shapely.box(0.1, 0.2, 1, 1), hole],
        [hole, shapely.box(20, 20, 21, 21), shapely.box(-3, -3, -2, -2)],
        [hole],
    ]
    return geometry_of(rows, "multipolygon")


def geometry_of(rows: list[list[Any]], kind: Any) -> Geometry:
    """Lay shapely polygons out as a Geometry: exteriors counter-clockwise, holes clockwise."""
    polygons_of_row, rings_of_polygon, vertices_of_ring = [0], [0], [0]
    vertices: list[tuple[float, float]] = []
    for row in rows:
        for polygon in row:
            polygon = shapely.geometry.polygon.orient(polygon)
            for ring in (polygon.exterior, *polygon.interiors):
                vertices += ring.coords
                vertices_of_ring.append(len(vertices))
            rings_of_polygon.append(len(vertices_of_ring) - 1)
        polygons_of_row.append(len(rings_of_polygon) - 1)
    x, y = np.array(vertices, dtype=np.float64).reshape(-1, 2).T.copy()
    offsets = arrays(polygons_of_row, rings_of_polygon, vertices_of_ring)
    return Geometry(kind, x, y, offsets if kind == "multipolygon" else offsets[1:])


def shapes(geometry: Geometry) -> list[Any]:
    """Return the rows as shapely geometries, built vertex by vertex."""
    if geometry.kind == "point":
        return [shapely.Point(x, y) for x, y in zip(geometry.x, geometry.y, strict=True)]
    rings, vertices = geometry.offsets[-2:]
    polygons = []
    for p in range(len(rings) - 1):
        loops = [
            [
                (float(geometry.x[v]), float(geometry.y[v]))
                for v in range(vertices[r], vertices[r + 1])
            ]
            for r in range(rings[p], rings[p + 1])
        ]
        polygons.append(shapely.Polygon(loops[0], loops[1:]))
    if geometry.kind == "polygon":
        return polygons
    rows = geometry.offsets[0]
    return [shapely.MultiPolygon(polygons[a:b]) for a, b in itertools.pairwise(rows)]


GEOMETRIES = {"point": points, "polygon": polygons, "multipolygon": multipolygons}


def layer_of(geometry: Geometry, table: Any = TABLE, **options: Any) -> Layer:
    """Return a layer of one batch."""
    columns = [column.combine_chunks() for column in table.columns]
    batch = pa.RecordBatch.from_arrays(columns, schema=table.schema)
    return Layer(
        name="hubs",
        schema=table.schema,
        geometry_kind=geometry.kind,
        rows=len(table),
        batches=lambda: iter([LayerBatch(batch, geometry)]),
        **{"record": RECORD, **options},
    )


def point_layer(rows: int, step: int) -> Layer:
    """Return a layer of points that arrive `step` rows at a time."""
    ids = np.arange(rows, dtype=np.int64)
    x, y = ids / 1000.0 % 180, ids / 7000.0 % 90
    schema = pa.schema([("hub_id", pa.int64()), ("hub_key", pa.string())])

    def batches() -> Any:
        for first in range(0, rows, step):
            part = slice(first, first + step)
            columns = [pa.array(ids[part]), pa.array([f"g4/{i}" for i in ids[part]], pa.string())]
            yield LayerBatch(
                pa.RecordBatch.from_arrays(columns, schema=schema),
                Geometry("point", x[part], y[part]),
            )

    return Layer("hubs", schema, "point", rows, batches, record=RECORD)


def empty_layer(kind: str = "multipolygon", *, batch: bool = True) -> Layer:
    """Return a layer without rows: of one empty batch, or of none."""
    nothing = np.empty(0)
    zero = np.zeros(1, dtype=np.int64)
    depth = {"point": 0, "polygon": 2, "multipolygon": 3}[kind]
    geometry = Geometry(kind, nothing, nothing, (zero,) * depth)  # type: ignore[arg-type]
    layer = layer_of(geometry, TABLE.slice(0, 0))
    if batch:
        return layer
    return Layer(layer.name, layer.schema, geometry.kind, 0, lambda: iter(()), record=RECORD)


def written(layer: Layer, name: str) -> bytes:
    """Return the bytes of a layer in a format."""
    sink = io.BytesIO()
    write_layer(layer, sink, name)
    return sink.getvalue()
