"""Formats of labelled rows: encoded by any thread, written in order by one at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from gridcli.errors import UsageError
from gridcli.labelling.columns import one_array
from gridcli.labelling.parquet import Encoded, ParquetEncoder, ParquetFile

if TYPE_CHECKING:
    from gridcli.output.layer import Sink

_MUST_BE_QUOTED = '[",\r\n]'


class RowWriter(Protocol):
    """Writes groups of rows."""

    def encode(self, rows: Any) -> Any:
        """Return some rows (a pyarrow.Table) as `write` wants them. Thread-safe."""

    def write(self, encoded: Any) -> None:
        """Append encoded rows."""

    def finish(self) -> None:
        """Write what stands behind the last rows."""


class ParquetRows:
    """Rows as Parquet, each group of rows a row group (a `RowWriter`).

    Parameters
    ----------
    encoder : ParquetEncoder
    sink : Sink
    """

    def __init__(self, encoder: ParquetEncoder, sink: Sink) -> None:
        self._encoder = encoder
        self._sink = sink
        self._file = ParquetFile(encoder)

    def encode(self, rows: Any) -> Encoded:
        """Return the rows as a row group."""
        return self._encoder.encode(rows)

    def write(self, encoded: Encoded) -> None:
        """Append a row group."""
        self._file.add(encoded, self._sink)

    def finish(self) -> None:
        """Write the footer."""
        self._file.finish(self._sink)


class CsvRows:
    """Rows as CSV: a header, and quotes where a cell needs them (a `RowWriter`).

    Null is an empty cell, and an empty text a quoted one.

    Parameters
    ----------
    schema : pyarrow.Schema
    sink : Sink

    Raises
    ------
    UsageError
        A column cannot be written as text.
    """

    def __init__(self, schema: Any, sink: Sink) -> None:
        for field in schema:
            if not has_text(field.type):
                raise UsageError(
                    f"the column {field.name} is {field.type}, which CSV has no text for. Write "
                    "a .parquet or .arrow file, or leave the column out of the inputs."
                )
        self._sink = sink
        header = pa.record_batch({str(i): [name] for i, name in enumerate(schema.names)})
        self._sink.write(_csv_lines([_cells(column) for column in header.columns]))

    def encode(self, rows: Any) -> Any:
        """Return the rows as lines."""
        return _csv_lines([one_array(_cells(column)) for column in rows.columns])

    def write(self, encoded: Any) -> None:
        """Append lines."""
        self._sink.write(encoded)

    def finish(self) -> None:
        """Nothing stands behind the last line."""


class ArrowRows:
    """Rows as Arrow: a file, or a stream where the reader cannot seek (a `RowWriter`).

    Dictionaries are resolved: a file has one for a column, and those of inputs need not fit in it.

    Parameters
    ----------
    schema : pyarrow.Schema
        Its metadata stand in the file.
    sink : Sink
    is_stream : bool
    """

    def __init__(self, schema: Any, sink: Sink, *, is_stream: bool) -> None:
        fields = [f.with_type(_without_dictionary(f.type)) for f in schema]
        self._schema = pa.schema(fields, metadata=schema.metadata)
        new_writer = pa.ipc.new_stream if is_stream else pa.ipc.new_file
        self._writer = new_writer(sink, self._schema)

    def encode(self, rows: Any) -> Any:
        """Return the rows as one record batch."""
        table = rows.cast(pa.schema(list(self._schema)), safe=False)
        arrays = [one_array(column) for column in table.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def write(self, encoded: Any) -> None:
        """Append a record batch."""
        self._writer.write_batch(encoded)

    def finish(self) -> None:
        """Write the footer, or the mark of the stream's end."""
        self._writer.close()


def row_writer(
    schema: Any, sink: Sink, form: str, *, record: dict[str, Any], geo: str | None, is_pipe: bool
) -> RowWriter:
    """Return a writer of rows in a format.

    Parameters
    ----------
    schema : pyarrow.Schema
    sink : Sink
    form : {"parquet", "csv", "arrow"}
    record : dict
        The ``gridcli`` record that files carry.
    geo : str or None
        ``geo`` metadata of GeoParquet.
    is_pipe : bool
        The reader cannot seek.

    Raises
    ------
    UsageError
        The format has no place for a column.
    """
    if form == "csv":
        return CsvRows(schema, sink)
    metadata = row_metadata(record, geo if form == "parquet" else None)
    if form == "arrow":
        return ArrowRows(schema.with_metadata(metadata), sink, is_stream=is_pipe)
    return ParquetRows(parquet_encoder(schema, metadata), sink)


def row_metadata(record: dict[str, Any], geo: str | None) -> dict[str, str]:
    """Return the key-value metadata of a file of rows."""
    metadata = {"gridcli": json.dumps(record, ensure_ascii=False)}
    return metadata if geo is None else {**metadata, "geo": geo}


def parquet_encoder(schema: Any, metadata: dict[str, str]) -> ParquetEncoder:
    """Return the encoder of labelled rows."""
    repeated = tuple(name for name in ("hub_id",) if name in schema.names)
    return ParquetEncoder(schema, metadata, repeated)


def _csv_lines(columns: list[Any]) -> Any:
    """Return columns of cells (pyarrow.StringArray) as lines of CSV: a buffer."""
    if not len(columns[0]):
        return b""
    last = pc.binary_join_element_wise(columns[-1], "", "\n")
    lines = pc.binary_join_element_wise(*columns[:-1], last, ",")
    offsets = lines.buffers()[1]
    first, end = (
        int.from_bytes(offsets[4 * i : 4 * i + 4].to_pybytes(), "little")
        for i in (lines.offset, lines.offset + len(lines))
    )
    return lines.buffers()[2].slice(first, end - first)


def _cells(column: Any) -> Any:
    """Return a column as texts for CSV."""
    text = column.cast(pa.string())
    is_text = pa.types.is_string(_without_dictionary(column.type))
    if is_text or pa.types.is_large_string(_without_dictionary(column.type)):
        needs_quotes = pc.or_(pc.match_substring_regex(text, _MUST_BE_QUOTED), pc.equal(text, ""))
        if pc.any(needs_quotes).as_py():
            escaped = pc.replace_substring(text, '"', '""')
            quoted = pc.binary_join_element_wise('"', escaped, '"', "")
            text = pc.if_else(needs_quotes, quoted, text)
    return pc.fill_null(text, "")


def has_text(type_: Any) -> bool:
    """Whether the values of a type can be told as text."""
    plain = _without_dictionary(type_)
    types = pa.types
    if types.is_nested(plain) or isinstance(plain, pa.BaseExtensionType):
        return False
    if types.is_binary(plain) or types.is_large_binary(plain) or types.is_binary_view(plain):
        return False
    if types.is_fixed_size_binary(plain):
        return False
    try:
        pa.nulls(1, plain).cast(pa.string())
    except pa.ArrowException:
        return False
    return True


def _without_dictionary(type_: Any) -> Any:
    return type_.value_type if pa.types.is_dictionary(type_) else type_
