"""The formats of tiles files, each as record batches of the columns that matter.

Files are told apart by their first bytes, so that their names do not matter. All are read in
pieces; GeoJSON a line at a time, as it is written: a feature a line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from gridcli.errors import InputError

SCHEMA = pa.schema(
    {
        "tile_x": pa.int32(),
        "tile_y": pa.int32(),
        "count": pa.int64(),
        "hub_id": pa.int64(),
        "hub_key": pa.string(),
    }
)
COLUMNS = tuple(SCHEMA.names)
N_LABELS = 2
"""Columns of a tile's hub, the last ones; all before them are integers of the tile."""

BATCH_ROWS = 1 << 16
BLOCK_BYTES = 1 << 22
LONGEST_LINE = 1 << 24
"""Bytes of a line of text; what is longer was not written by gridcli."""
SEPARATOR = b"\x1e"
SEQUENCE_SUFFIXES = (".geojsonl", ".ndjson", ".geojsons")


@dataclass(frozen=True)
class Contents:
    """What a file says of itself, and how to read it.

    Attributes
    ----------
    columns : tuple of str or None
        None where no row tells them.
    record : object or None
        The ``gridcli`` record as it stands there, not checked; None: there is none.
    needs_record : bool
        The format has a place for the record.
    batches : callable
        Given a pyarrow.Schema such as `SCHEMA`, returns a fresh iterator of RecordBatches with its
        columns (of any integer and text types).
    """

    columns: tuple[str, ...] | None
    record: Any
    needs_record: bool
    batches: Callable[[Any], Iterator[Any]]


def open_contents(path: str) -> Contents:
    """Return the contents of a file in any format.

    Raises
    ------
    InputError
        The file is in none of the formats.
    pyarrow.ArrowException, OSError
        The file is truncated or corrupt.
    """
    with Path(path).open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PAR1"):
        return _open_parquet(path)
    if head.startswith(b"ARROW1"):
        return _open_arrow(path)
    if not head:
        if path.lower().endswith(SEQUENCE_SUFFIXES):  # a sequence of no features
            return Contents(None, None, needs_record=False, batches=lambda _: iter(()))
        raise InputError(f"{path}: empty file (0 bytes).")
    _check_end(path)
    if head.startswith((b"{", SEPARATOR)):
        return _open_features(path)
    return _open_csv(path)


def _open_parquet(path: str) -> Contents:
    def open_file() -> Any:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)

    with open_file() as file:
        names = tuple(file.schema_arrow.names)
        record = _record((file.metadata.metadata or {}).get(b"gridcli"))

    def batches(schema: Any) -> Iterator[Any]:
        with open_file() as file:
            yield from file.iter_batches(BATCH_ROWS, columns=schema.names, use_threads=False)

    return Contents(names, record, needs_record=True, batches=batches)


def _open_arrow(path: str) -> Contents:
    with pa.OSFile(path) as source, pa.ipc.open_file(source) as reader:
        schema = reader.schema

    def batches(wanted: Any) -> Iterator[Any]:
        options = pa.ipc.IpcReadOptions(
            included_fields=[schema.get_field_index(name) for name in wanted.names],
            use_threads=False,
        )
        with pa.OSFile(path) as source, pa.ipc.open_file(source, options=options) as reader:
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    record = _record((schema.metadata or {}).get(b"gridcli"))
    return Contents(tuple(schema.names), record, needs_record=True, batches=batches)


def _record(text: bytes | None) -> Any:
    """Return a record of metadata; what is no JSON stays text, and is no record."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# --- Text -----------------------------------------------------------------------------------------


def _check_end(path: str) -> None:
    """Refuse a file of text whose last line has no end: the rest of it is missing."""
    with Path(path).open("rb") as file:
        file.seek(-1, 2)
        if file.read() != b"\n":
            raise InputError(
                f"{path} ends in the middle of a line, or is no file of tiles at all. It was "
                "probably not written or copied completely: make it anew."
            )


def _open_csv(path: str) -> Contents:
    with Path(path).open("rb") as file:
        header = _line(path, file)
    try:
        (names,) = csv.reader([header.decode().rstrip("\r\n")])
    except (ValueError, csv.Error):
        raise _no_tiles(path) from None
    if not set(COLUMNS) <= set(names):
        return Contents(tuple(names), None, needs_record=False, batches=lambda _: iter(()))

    def batches(schema: Any) -> Iterator[Any]:
        # Block by block: Arrow's own streaming reader reads far ahead.
        for block in _blocks_of_lines(path, len(header)):
            yield from _parsed_csv(block, names, schema)

    return Contents(tuple(names), None, needs_record=False, batches=batches)


def _parsed_csv(block: bytes, names: list[str], schema: Any) -> Iterator[Any]:
    """Yield lines of CSV as record batches."""
    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, block_size=len(block) + 1, use_threads=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=schema.names,
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    yield from table.to_batches()


def _open_features(path: str) -> Contents:
    """Open a FeatureCollection, features a line, or a text sequence of features."""
    with Path(path).open("rb") as file:
        first = _line(path, file)
        begin = file.tell()
        is_collection = first.startswith(b'{"type":"FeatureCollection"')
        second = _line(path, file) if is_collection else b""
    try:
        if is_collection:
            head = json.loads(first.rstrip() + b"]}")
            feature = {} if second.strip() == b"" else json.loads(second.rstrip(b",\n"))
        else:
            head = feature = json.loads(first.lstrip(SEPARATOR))
            begin = 0
        properties = feature.get("properties", {})
        names = tuple(properties) if feature else _columns_of_layer(head.get("name"))
        record = head.get("gridcli")
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise _no_tiles(path) from None
    return Contents(
        names,
        record,
        needs_record=True,
        batches=lambda schema: _features(path, begin, schema, is_collection=is_collection),
    )


def _columns_of_layer(name: object) -> tuple[str, ...] | None:
    """Return columns that tell what an empty layer would hold."""
    return None if name == "tiles" else ("hub_key",) if name in {"hubs", "clusters"} else ()


def _features(path: str, begin: int, schema: Any, *, is_collection: bool) -> Iterator[Any]:
    """Yield the properties of the features as record batches."""
    is_over = False
    for block in _blocks_of_lines(path, begin):
        if is_over:
            raise InputError(f"{path}: goes on behind its end. Write it anew.")
        features = block
        if is_collection:
            end = 0 if block.startswith(b"]") else block.find(b"\n]") + 1
            if end or block.startswith(b"]"):
                features, is_over = block[:end], True
                _check_tail(path, block[end:])
            # A line feed cannot stand within a feature, so this comma is that between two.
            features = features.replace(b"},\n", b"}\n")
        features = features.replace(SEPARATOR, b"")
        if features.strip():
            yield from _parsed(path, features, schema)
    if is_collection and not is_over:
        raise InputError(f"{path} is truncated: the end of its features is missing. Make it anew.")


def _check_tail(path: str, tail: bytes) -> None:
    """Check what stands behind the features."""
    try:
        json.loads(b'{"features":[' + tail)
    except ValueError:
        raise InputError(
            f"{path} is damaged behind its last feature, or was cut short. Make it anew."
        ) from None


def _parsed(path: str, features: bytes, schema: Any) -> Iterator[Any]:
    """Yield the properties of features, one a line."""
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(features),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=LONGEST_LINE),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema({"properties": pa.struct(list(schema))}),
                unexpected_field_behavior="ignore",
            ),
        )
    except pa.ArrowException:  # an integer beyond 2^53 written as a string, or damage
        yield _parsed_in_python(path, features, schema)
        return
    for batch in table.to_batches():
        properties = batch.column("properties")
        yield pa.RecordBatch.from_arrays(properties.flatten(), schema=schema)


def _parsed_in_python(path: str, features: bytes, schema: Any) -> Any:
    """Return the properties of features, whose integers may be strings."""
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    try:
        for line in features.splitlines():
            properties = json.loads(line)["properties"]
            for name in schema.names[:-N_LABELS]:
                columns[name].append(_integer(properties[name]))
            hub_id = properties["hub_id"]
            columns["hub_id"].append(None if hub_id is None else _integer(hub_id))
            columns["hub_key"].append(properties["hub_key"])
        return pa.RecordBatch.from_pydict(columns, schema=schema)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, pa.ArrowException):
        raise InputError(
            f"{path}: a line of it is no feature of a tile: the file is damaged, or something "
            "else than gridcli has rewritten it. Make it anew."
        ) from None


def _integer(value: object) -> int:
    """Return an integer of JSON, which may be a string of digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    return int(value)


def _blocks_of_lines(path: str, begin: int) -> Iterator[bytes]:
    """Yield the file from byte `begin` on, cut at ends of lines."""
    rest = b""
    with Path(path).open("rb") as file:
        file.seek(begin)
        while data := file.read(BLOCK_BYTES):
            data = rest + data
            end = data.rfind(b"\n") + 1
            if not end and len(data) > LONGEST_LINE:
                raise _no_tiles(path)
            if end:
                yield data[:end]
            rest = data[end:]


def _line(path: str, file: IO[bytes]) -> bytes:
    """Return the next line of a file."""
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise _no_tiles(path)
    return line


def _no_tiles(path: str) -> InputError:
    return InputError(
        f"{path} is no file of tiles: it is neither Parquet nor Arrow, nor GeoJSON or CSV as "
        "gridcli writes them. gridcli raster writes one with --tiles."
    )
