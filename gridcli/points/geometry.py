"""Points in geometry columns: GeoParquet's well-known binary, and GeoArrow's coordinates.

Sources: GeoParquet 1.1 (metadata key ``geo``), OGC Simple Features 1.2.1, section 8.2 (WKB), the
PostGIS manual (EWKB flags), GeoArrow 0.2 (extension names and memory layout).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.errors import UsageError
from gridcli.points.batch import Reason
from gridcli.points.coordinates import null_mask

_NAMES = ("geometry", "geom")
_POINT_EXTENSIONS = ("geoarrow.point", "geoarrow.wkb", "ogc.wkb")
_KINDS = {
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}

_POINT = 1
_LITTLE_ENDIAN = 1
_EWKB_SRID = np.uint32(0x20000000)
_EWKB_FLAGS = np.uint32(0xE0000000)
_POINT_BYTES = 21
"""One byte for the order, four for the type, sixteen for x and y."""
_HEADER_BYTES = 5
_SRID_BYTES = 4


def point_columns(schema: Any) -> list[str]:
    """Return the columns of a pyarrow.Schema that may hold points.

    The primary column of GeoParquet; else those that carry a GeoArrow extension name; else those
    called geometry or geom whose type could hold points.
    """
    primary = _geo_metadata(schema).get("primary_column")
    if primary in schema.names:
        return [str(primary)]
    fields = list(schema)
    marked = [f.name for f in fields if _extension_name(f) in _POINT_EXTENSIONS]
    return marked or [
        f.name for f in fields if f.name.casefold() in _NAMES and is_point_type(f.type)
    ]


def is_point_type(type_: Any) -> bool:
    """Return whether a column of this pyarrow type could hold points."""
    type_ = getattr(type_, "storage_type", type_)
    if pa.types.is_struct(type_):
        found = {field.name: field.type for field in type_}
        return all(pa.types.is_floating(found.get(name, pa.null())) for name in ("x", "y"))
    if pa.types.is_fixed_size_list(type_):
        return 2 <= type_.list_size <= 4 and bool(pa.types.is_floating(type_.value_type))
    return _is_binary(type_)


def require_points(schema: Any, column: str, name: str) -> None:
    """Raise UsageError where the type or the metadata says that `column` holds no points."""
    record = _geo_metadata(schema).get("columns", {}).get(column, {})
    kinds = record.get("geometry_types") or []
    if kinds and not any(kind.split()[0] == "Point" for kind in kinds):
        raise _not_points(column, name, ", ".join(kinds))
    type_ = schema.field(column).type
    if not is_point_type(type_):
        raise UsageError(
            f"{name}: the geometry column {column!r} has type {type_}, which holds no points."
        )


def read_points(
    array: Any, column: str, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.uint8] | None]:
    """Return x, y and the reasons (None: none) of a geometry array of n points.

    Parameters
    ----------
    array : pyarrow.Array
        Well-known binary, ``struct<x, y>`` or a fixed-size list of 2 to 4 numbers.
    column, name : str
        The column and its file, for messages.

    Raises
    ------
    UsageError
        A geometry is not a point.
    """
    array = getattr(array, "storage", array)
    if pa.types.is_struct(array.type):
        x, y = (_floats(array.field(axis)) for axis in ("x", "y"))
        null = null_mask(array) | null_mask(array.field("x")) | null_mask(array.field("y"))
        reason = np.where(null, np.uint8(Reason.NULL), np.uint8(0))
    elif pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        start = array.offset * width
        values = _floats(array.values.slice(start, len(array) * width)).reshape(-1, width)
        x, y = np.ascontiguousarray(values[:, 0]), np.ascontiguousarray(values[:, 1])
        reason = np.where(null_mask(array), np.uint8(Reason.NULL), np.uint8(0))
    else:
        x, y, reason = _read_wkb(array, column, name)
    # An empty point has NaN for both; one NaN alone is a broken number.
    empty = np.isnan(x) & np.isnan(y) & (reason == 0)
    reason[empty] = Reason.NULL
    return x, y, reason if reason.any() else None


def _read_wkb(
    array: Any, column: str, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    data, start, size = _bytes_of(array)
    n = len(start)
    if n and array.null_count == 0 and bool((size == _POINT_BYTES).all()):
        packed = data[start[0] : start[0] + n * _POINT_BYTES].reshape(n, _POINT_BYTES)
        plain = np.frombuffer(b"\x01\x01\x00\x00\x00", dtype=np.uint8)
        if bool((packed[:, :_HEADER_BYTES] == plain).all()):
            xy = np.ascontiguousarray(packed[:, _HEADER_BYTES:]).view("<f8")
            x, y = np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])
            return x, y, np.zeros(n, dtype=np.uint8)
    return _read_any_wkb(data, start, size, null_mask(array), column, name)


def _read_any_wkb(
    data: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    null: npt.NDArray[np.bool_],
    column: str,
    name: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Read points of either byte order, with or without Z, M and an SRID, row by row in numpy."""
    n = len(start)
    x, y = np.zeros(n), np.zeros(n)
    reason = np.where(null | (size == 0), np.uint8(Reason.NULL), np.uint8(0))
    rows = np.flatnonzero(reason == 0)
    broken = size[rows] < _HEADER_BYTES
    reason[rows[broken]] = Reason.NOT_A_NUMBER
    rows = rows[~broken]
    little = data[start[rows]] == _LITTLE_ENDIAN
    kind = _gather(data, start[rows] + 1, 4, little, "u4")[:, 0].astype(np.uint32)
    base = (kind & ~_EWKB_FLAGS) % 1000
    other = np.flatnonzero(base != _POINT)
    if len(other):
        code = int(base[other[0]])
        raise _not_points(column, name, _KINDS.get(code, f"geometry type {code}"))
    header = _HEADER_BYTES + np.where(kind & _EWKB_SRID, _SRID_BYTES, 0)
    broken = size[rows] < header + 16
    reason[rows[broken]] = Reason.NOT_A_NUMBER
    rows, little, header = rows[~broken], little[~broken], header[~broken]
    xy = _gather(data, start[rows] + header, 16, little, "f8")
    x[rows], y[rows] = xy[:, 0], xy[:, 1]
    return x, y, reason


def _gather(
    data: npt.NDArray[np.uint8],
    at: npt.NDArray[np.int64],
    width: int,
    little: npt.NDArray[np.bool_],
    dtype: str,
) -> npt.NDArray[Any]:
    """Return the numbers that stand in `width` bytes from each place in `at`, one row each."""
    taken = np.ascontiguousarray(data[at[:, None] + np.arange(width)])
    return np.where(little[:, None], taken.view("<" + dtype), taken.view(">" + dtype))


def _bytes_of(
    array: Any,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the data of a binary array, and where each row's value starts and how long it is."""
    if pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    elif not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        array = array.cast(pa.large_binary())
    offset_type = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    _, offset_buffer, data_buffer = array.buffers()
    n = len(array)
    if n == 0:
        empty = np.zeros(0, dtype=np.int64)
        return np.zeros(0, dtype=np.uint8), empty, empty
    raw = np.frombuffer(offset_buffer, dtype=offset_type)[array.offset : array.offset + n + 1]
    offsets: npt.NDArray[np.int64] = raw.astype(np.int64)
    data = np.frombuffer(b"" if data_buffer is None else data_buffer, dtype=np.uint8)
    return data, offsets[:-1], offsets[1:] - offsets[:-1]


def _floats(array: Any) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False)


def _is_binary(type_: Any) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _extension_name(field: Any) -> str:
    name = getattr(field.type, "extension_name", None)
    if name is None:
        name = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode(errors="replace")
    return str(name)


def _geo_metadata(schema: Any) -> dict[str, Any]:
    """Return GeoParquet's record of the file, empty where there is none that can be read."""
    try:
        record = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _not_points(column: str, name: str, kinds: str) -> UsageError:
    return UsageError(
        f"{name}: the geometry column {column!r} holds {kinds}, not points. "
        "Convert it to points first, or name other columns."
    )
