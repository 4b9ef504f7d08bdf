"""Well-known binary: the geometry column of GeoParquet and Arrow files.

A geometry's bytes are a fixed header of nine bytes for each polygon or multipolygon, four bytes
for each ring and sixteen for each vertex, so every position follows from the nested offsets and
whole columns are written with a few scattered assignments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from gridcli.output.layer import Geometry

POINT, POLYGON, MULTIPOLYGON = 1, 3, 6
LITTLE_ENDIAN = 1
POINT_BYTES, HEADER_BYTES, RING_BYTES, VERTEX_BYTES = 21, 9, 4, 16

Positions = npt.NDArray[np.int64]


def encode_wkb(geometry: Geometry) -> Any:
    """Return the geometries as a pyarrow.BinaryArray of little-endian ISO WKB."""
    if geometry.kind == "point":
        return _encode_points(geometry)
    vertex = _vertices(geometry)
    if geometry.kind == "polygon":
        row_polygons = np.arange(len(geometry) + 1)
        row_headers = np.zeros(len(geometry) + 1, dtype=np.int64)
        polygon_rings, ring_vertices = geometry.offsets
    else:
        row_polygons, polygon_rings, ring_vertices = geometry.offsets
        row_headers = np.arange(len(geometry) + 1)

    # Bytes before each polygon, ring and vertex, counting the headers that precede it.
    headers_of_polygon = (
        np.arange(len(polygon_rings) - 1)
        if geometry.kind == "polygon"
        else np.arange(len(polygon_rings) - 1) + _repeat(row_headers[1:], row_polygons)
    )
    rings_before = polygon_rings[:-1]
    polygon_at = (
        HEADER_BYTES * headers_of_polygon
        + RING_BYTES * rings_before
        + VERTEX_BYTES * ring_vertices[rings_before]
    )
    headers_of_ring = _repeat(headers_of_polygon, polygon_rings) + 1
    ring_at = (
        HEADER_BYTES * headers_of_ring
        + RING_BYTES * np.arange(len(ring_vertices) - 1)
        + VERTEX_BYTES * ring_vertices[:-1]
    )
    bytes_before_vertices = ring_at + RING_BYTES - VERTEX_BYTES * ring_vertices[:-1]
    vertex_at = _repeat(bytes_before_vertices, ring_vertices) + VERTEX_BYTES * np.arange(
        len(vertex)
    )
    rings_of_row = polygon_rings[row_polygons]
    row_at = (
        HEADER_BYTES * (row_headers + row_polygons)
        + RING_BYTES * rings_of_row
        + VERTEX_BYTES * ring_vertices[rings_of_row]
    )

    data = np.empty(int(row_at[-1]), dtype=np.uint8)
    if geometry.kind == "multipolygon":
        _scatter(data, row_at[:-1], _headers(MULTIPOLYGON, np.diff(row_polygons)))
    _scatter(data, polygon_at, _headers(POLYGON, np.diff(polygon_rings)))
    _scatter(data, ring_at, np.diff(ring_vertices).astype("<u4"))
    _scatter(data, vertex_at, vertex)
    return _binary_array(row_at, data)


def _encode_points(geometry: Geometry) -> Any:
    record = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    points = np.empty(len(geometry), dtype=record)
    points["order"], points["type"] = LITTLE_ENDIAN, POINT
    points["x"], points["y"] = geometry.x, geometry.y
    return _binary_array(POINT_BYTES * np.arange(len(geometry) + 1), points)


def _vertices(geometry: Geometry) -> npt.NDArray[Any]:
    """All vertices as pairs of little-endian doubles."""
    vertex = np.empty(len(geometry.x), dtype=[("x", "<f8"), ("y", "<f8")])
    vertex["x"], vertex["y"] = geometry.x, geometry.y
    return vertex


def _headers(kind: int, members: Positions) -> npt.NDArray[Any]:
    record = np.dtype([("order", "u1"), ("type", "<u4"), ("members", "<u4")])
    headers = np.empty(len(members), dtype=record)
    headers["order"], headers["type"], headers["members"] = LITTLE_ENDIAN, kind, members
    return headers


def _repeat(values: npt.NDArray[Any], offsets: Positions) -> npt.NDArray[Any]:
    """Return each value once for every member of its group."""
    return np.repeat(values, np.diff(offsets))


def _scatter(data: npt.NDArray[np.uint8], at: Positions, items: npt.NDArray[Any]) -> None:
    """Write items of some bytes each at unaligned byte positions of `data`."""
    width = items.dtype.itemsize
    raw = np.dtype((np.void, width))
    # A view with an element at every byte; it never reaches beyond the end of `data`.
    every_byte: npt.NDArray[Any] = np.ndarray(
        (max(len(data) - width + 1, 0),), dtype=raw, buffer=data, strides=(1,)
    )
    every_byte[at] = items.view(raw)


def _binary_array(offsets: Positions, data: npt.NDArray[Any]) -> Any:
    return pa.BinaryArray.from_buffers(
        pa.binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)],
    )
