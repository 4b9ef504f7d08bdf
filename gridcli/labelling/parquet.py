"""Parquet whose row groups are encoded by several threads, and put into one file in order.

A writer of pyarrow's works on one core. So every row group is encoded as a file of its own, in
memory; its pages are copied into the real file, and its entry of the footer with all offsets moved
by the distance. The footer is that of a file without rows, with these entries put in.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gridcli.errors import UsageError
from gridcli.labelling.columns import one_array
from gridcli.points.thrift import CompactReader, Wanted

if TYPE_CHECKING:
    from gridcli.output.layer import Sink

MAGIC = b"PAR1"
TAIL_BYTES = 8
"""Length of the footer, 4 bytes little-endian, and the magic bytes."""
COMPRESSION = "zstd"

_NUM_ROWS, _ROW_GROUPS = 3, 4
"""Fields of FileMetaData."""
_ORDINAL = 7
_COLUMN = {2: None, 3: {9: None, 10: None, 11: None}}
"""ColumnChunk: file_offset; of its ColumnMetaData the offsets of data, index and dictionary."""
_ROW_GROUP: Wanted = {1: _COLUMN, 5: None, _ORDINAL: None}
"""RowGroup: columns, file_offset, ordinal."""
_FOOTER: Wanted = {_NUM_ROWS: None, _ROW_GROUPS: _ROW_GROUP}
_STRUCT_TYPE = 12
_MOST_IN_HEAD = 14
"""Lists of more elements have their length behind the first byte."""


@dataclass(frozen=True)
class Encoded:
    """A row group as it lies in a file of its own.

    Attributes
    ----------
    pages : pyarrow.Buffer
        Begins behind the magic bytes.
    footer : bytes
    n_rows : int
    """

    pages: Any
    footer: bytes
    n_rows: int


@dataclass(frozen=True)
class _Placed:
    """A value of a footer, and where it stands there."""

    value: Any
    begin: int
    end: int


class _PlacingReader(CompactReader):
    """Tells where each value begins and ends."""

    def _value(self, kind: int, wanted: Wanted, depth: int) -> _Placed:
        begin = self.position
        return _Placed(super()._value(kind, wanted, depth), begin, self.position)


class ParquetEncoder:
    """Encodes row groups of one schema; used by any number of threads.

    Parameters
    ----------
    schema : pyarrow.Schema
        As readers are to see it.
    metadata : mapping of str to str
        Key-value metadata of the file.
    repeated : tuple of str
        Columns that repeat few values: they are encoded with dictionaries, as texts are.

    Raises
    ------
    UsageError
        Parquet has no place for the type of a column.
    """

    def __init__(self, schema: Any, metadata: Mapping[str, str], repeated: tuple[str, ...]) -> None:
        self.schema = schema
        self._stored = pa.schema([f.with_type(_stored_type(f.type)) for f in schema])
        # Dictionaries of distinct numbers cost time, and make times and positions larger.
        texts = [f.name for f in self._stored if _is_text(f.type)]
        self._options = {
            "compression": COMPRESSION,
            "use_dictionary": [*texts, *repeated] or False,
        }
        self._empty = self._empty_footer(dict(metadata))

    def encode(self, rows: Any) -> Encoded:
        """Return some rows as one row group.

        Parameters
        ----------
        rows : pyarrow.Table
            With the columns of the schema; dictionaries may stand for texts.
        """
        arrays = [
            _as_stored(column, field.type)
            for column, field in zip(rows.columns, self.schema, strict=True)
        ]
        fields = [f.with_type(a.type) for f, a in zip(self._stored, arrays, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, table.schema, store_schema=False, **self._options) as writer:
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
        data = sink.getvalue()
        begin = _footer_begin(data)
        pages = data.slice(len(MAGIC), begin - len(MAGIC))
        return Encoded(pages, data[begin:-TAIL_BYTES].to_pybytes(), table.num_rows)

    def footer(self, entries: bytes, n_groups: int, n_rows: int) -> bytes:
        """Return the end of a file whose row groups have these entries."""
        found = _PlacingReader(self._empty).struct(_FOOTER)
        head = (
            bytes([n_groups << 4 | _STRUCT_TYPE])
            if n_groups <= _MOST_IN_HEAD
            else bytes([0xF0 | _STRUCT_TYPE]) + _varint(n_groups)
        )
        patches = [
            (found[_NUM_ROWS], _varint(n_rows << 1)),
            (found[_ROW_GROUPS], head + entries),
        ]
        footer = _patched(self._empty, 0, len(self._empty), patches)
        return footer + len(footer).to_bytes(4, "little") + MAGIC

    def _empty_footer(self, metadata: dict[str, str]) -> bytes:
        """Return the footer of a file without rows, with the schema as readers see it."""
        sink = pa.BufferOutputStream()
        try:
            with pq.ParquetWriter(sink, self.schema, **self._options) as writer:
                writer.add_key_value_metadata(metadata)
        except pa.ArrowNotImplementedError as error:
            raise UsageError(
                f"Parquet has no place for a column of the inputs ({error}). Write .arrow instead."
            ) from error
        data = sink.getvalue()
        return bytes(data[_footer_begin(data) : -TAIL_BYTES].to_pybytes())


class ParquetFile:
    """Puts encoded row groups into a file, one after the other.

    Parameters
    ----------
    encoder : ParquetEncoder
    """

    def __init__(self, encoder: ParquetEncoder) -> None:
        self._encoder = encoder
        self._entries: list[bytes] = []
        self._n_groups = 0
        self._n_rows = 0
        self._size = 0

    def add(self, group: Encoded, sink: Sink) -> int:
        """Append a row group; return how many bytes are held of it, for the footer."""
        if self._size == 0:
            sink.write(MAGIC)
            self._size = len(MAGIC)
        entry = _moved(group.footer, self._size - len(MAGIC), self._n_groups)
        self._entries.append(entry)
        sink.write(group.pages)
        self._size += group.pages.size
        self._n_groups += 1
        self._n_rows += group.n_rows
        return len(entry)

    def take_entries(self) -> bytes:
        """Hand over what is held for the footer; `finish` is to get it back."""
        entries, self._entries = b"".join(self._entries), []
        return entries

    def finish(self, sink: Sink, taken: bytes = b"") -> None:
        """Append the footer; `taken` is all that was taken of it, in order."""
        if self._size == 0:
            sink.write(MAGIC)
        entries = taken + self.take_entries()
        sink.write(self._encoder.footer(entries, self._n_groups, self._n_rows))


def _moved(footer: bytes, distance: int, ordinal: int) -> bytes:
    """Return the only row group's entry of a footer, its pages moved by some bytes."""
    (group,) = _PlacingReader(footer).struct(_FOOTER)[_ROW_GROUPS].value
    offsets = [group.value.get(5)]
    for column in group.value[1].value:
        offsets += [column.value.get(2), *column.value[3].value.values()]
    patches = [
        (offset, _varint((offset.value + distance) << 1))
        for offset in offsets
        if offset is not None and offset.value > 0  # 0: the writer tells none
    ]
    if _ORDINAL in group.value:
        patches.append((group.value[_ORDINAL], _varint(ordinal << 1)))
    return _patched(footer, group.begin, group.end, patches)


def _patched(data: bytes, begin: int, end: int, patches: list[tuple[_Placed, bytes]]) -> bytes:
    """Return a part of some bytes with other values in some places."""
    parts = []
    for place, value in sorted(patches, key=lambda patch: patch[0].begin):
        parts += [data[begin : place.begin], value]
        begin = place.end
    return b"".join([*parts, data[begin:end]])


def _varint(value: int) -> bytes:
    """Return a number in Thrift's base 128; twice a number that is not negative is its zigzag."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _footer_begin(data: Any) -> int:
    length = int.from_bytes(data[-TAIL_BYTES : -TAIL_BYTES + 4].to_pybytes(), "little")
    return int(data.size) - TAIL_BYTES - length


def _stored_type(type_: Any) -> Any:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _as_stored(column: Any, type_: Any) -> Any:
    """Return a chunked column as one array, as the writer's bytes depend on chunks.

    Dictionaries of the inputs depend on chunks, too; those that stand for texts were made here.
    """
    return one_array(column.cast(type_.value_type) if pa.types.is_dictionary(type_) else column)


def _is_text(type_: Any) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))
