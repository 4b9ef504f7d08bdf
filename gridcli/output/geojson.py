"""GeoJSON (RFC 7946), one feature a line (GeoJSONL), and text sequences (RFC 8142).

Text is built a column at a time with pyarrow's kernels; no row passes through Python.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.output.ahead import encode_ahead
from gridcli.output.layer import COORDINATE_DECIMALS, round_coordinates
from gridcli.output.text import JSON_BRACKETS, coordinates_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.output.layer import Layer, LayerBatch, Sink

LARGEST_EXACT_INTEGER = 2**53 - 1
"""Integers beyond this are written as strings: most JSON readers hold numbers as doubles."""
TYPE_NAMES = {"point": "Point", "polygon": "Polygon", "multipolygon": "MultiPolygon"}
NEEDS_ESCAPE = r'["\\\x00-\x1f]'
RECORD_SEPARATOR = "\x1e"


def write_geojson(layer: Layer, sink: Sink, threads: int = 1) -> None:
    """Write one FeatureCollection, a feature a line, with ``gridcli`` and ``bbox`` members."""
    head = (
        f'{{"type":"FeatureCollection","name":{_json(layer.name)},"gridcli":{_json(layer.record)}'
    )
    sink.write(f'{head},"features":[\n'.encode())
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    separator = ",\n"
    first = True

    def batches() -> Iterator[LayerBatch]:
        for batch in layer.batches():
            if len(batch.geometry):
                _extend(bounds, batch)
                yield batch

    encode = partial(_features, before=separator)
    for features in encode_ahead(batches(), encode, threads):
        # Every feature is preceded by a separator; the very first one's is cut off.
        sink.write(_bytes_of(features)[len(separator) if first else 0 :])
        first = False
    sink.write(b"\n]")
    if not first:
        sink.write(f',"bbox":{_json([_short(value) for value in bounds])}'.encode())
    sink.write(b"}\n")


def write_geojson_lines(layer: Layer, sink: Sink, threads: int = 1) -> None:
    """Write a feature a line; the first one carries the ``gridcli`` record."""
    _write_sequence(layer, sink, threads, before="")


def write_geojson_sequence(layer: Layer, sink: Sink, threads: int = 1) -> None:
    """Write an RFC 8142 text sequence; the first feature carries the ``gridcli`` record."""
    _write_sequence(layer, sink, threads, before=RECORD_SEPARATOR)


def _write_sequence(layer: Layer, sink: Sink, threads: int, *, before: str) -> None:
    first = True
    encode = partial(_features, before=before, after="\n")
    for features in encode_ahead(layer.batches(), encode, threads):
        if first and len(features):
            feature = features[0].as_py().removesuffix("}\n")
            sink.write(f'{feature},"gridcli":{_json(layer.record)}}}\n'.encode())
            features = features.slice(1)
            first = False
        sink.write(_bytes_of(features))


def _features(batch: LayerBatch, *, before: str = "", after: str = "") -> Any:
    """Return each row as a feature between two texts: a pyarrow.StringArray."""
    geometry = batch.geometry
    parts: list[Any] = [before + '{"type":"Feature","properties":{']
    for position, field in enumerate(batch.table.schema):
        parts += [
            f"{',' if position else ''}{_json(field.name)}:",
            json_values(batch.table.column(position)),
        ]
    parts += [
        f'}},"geometry":{{"type":"{TYPE_NAMES[geometry.kind]}","coordinates":',
        coordinates_text(geometry, JSON_BRACKETS, COORDINATE_DECIMALS),
        "}}" + after,
    ]
    return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="null")


def json_values(column: Any) -> Any:
    """Return a column's values as JSON texts: a pyarrow.StringArray, null where JSON has null.

    Integers beyond ±(2^53-1) become strings, NaN and infinity null; text, times, decimals and
    whatever else Arrow can print become strings.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return finite.cast(pa.string())
    if pa.types.is_integer(kind):
        text = column.cast(pa.string())
        inexact = _inexact(column)
        return text if inexact is None else pc.if_else(inexact, _quoted(text), text)
    return _json_strings(column.cast(pa.string()))


def _inexact(column: Any) -> Any:
    """Return which integers a double cannot hold exactly; None where there is none."""
    if column.type.bit_width < 64:
        return None
    too_large = pc.greater(column, pa.scalar(LARGEST_EXACT_INTEGER, column.type))
    if pa.types.is_signed_integer(column.type):
        too_large = pc.or_(
            too_large, pc.less(column, pa.scalar(-LARGEST_EXACT_INTEGER, column.type))
        )
    return too_large if pc.any(too_large).as_py() else None


def _json_strings(text: Any) -> Any:
    needs_escape = pc.match_substring_regex(text, NEEDS_ESCAPE)
    quoted = _quoted(text)
    if not pc.any(needs_escape).as_py():
        return quoted
    escaped = pa.array(
        [json.dumps(value, ensure_ascii=False) for value in text.filter(needs_escape).to_pylist()],
        pa.string(),
    )
    return pc.replace_with_mask(quoted, pc.fill_null(needs_escape, fill_value=False), escaped)


def _quoted(text: Any) -> Any:
    return pc.binary_join_element_wise('"', text, '"', "")


def _bytes_of(text: Any) -> memoryview:
    """Return the bytes of consecutive strings without copying them."""
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _extend(bounds: Any, batch: LayerBatch) -> None:
    """Widen west, south, east, north to the coordinates of a batch."""
    x, y = batch.geometry.x, batch.geometry.y
    np.minimum(bounds[:2], (x.min(), y.min()), out=bounds[:2])
    np.maximum(bounds[2:], (x.max(), y.max()), out=bounds[2:])


def _short(value: float) -> float | int:
    """Round a coordinate as `coordinates_text` does; a whole number loses its fraction."""
    rounded = float(round_coordinates(np.float64(value), COORDINATE_DECIMALS))  # type: ignore[arg-type]
    return int(rounded) if rounded.is_integer() else rounded


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
