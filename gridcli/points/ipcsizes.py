"""How large the record batches of Arrow IPC are, before they are read.

pyarrow tells it of no batch that it has not read and decompressed. It stands in the flatbuffers of
the file's footer and of the batches.
Source: https://github.com/apache/arrow/tree/main/format (File.fbs, Message.fbs)
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from io import RawIOBase

from gridcli.points.pieces import DamagedError, read_piece

_TAIL = struct.Struct("<i6s")
"""Length of the footer, then the magic bytes."""
_BLOCK = struct.Struct("<qi4xq")
"""Offset, length of the metadata, length of the body."""
_BUFFER = struct.Struct("<qq")
"""Offset within the body, length."""
_FOOTER_BATCHES = 3
_MESSAGE_HEADER, _BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 2, 3
_CONTINUATION = b"\xff\xff\xff\xff"
_PREFIX = struct.Struct("<q")
"""What a compressed buffer begins with: its length when decompressed; -1: it is not compressed."""


@dataclass(frozen=True)
class BatchSize:
    """What a record batch takes.

    Attributes
    ----------
    body_bytes : int
        In the file, of all columns: they are read together.
    decompressed_bytes : int
        0 where nothing is compressed.
    """

    body_bytes: int
    decompressed_bytes: int

    @property
    def largest_bytes(self) -> int:
        """The batch as it lies in the file, or in memory."""
        return max(self.body_bytes, self.decompressed_bytes)

    @property
    def total_bytes(self) -> int:
        """Held at once at most."""
        return self.body_bytes + self.decompressed_bytes


@dataclass(frozen=True)
class Block:
    """Where a record batch stands in a file.

    Attributes
    ----------
    offset : int
        Of its metadata; the body follows.
    metadata_bytes, body_bytes : int
    """

    offset: int
    metadata_bytes: int
    body_bytes: int


def record_batch_blocks(file: RawIOBase) -> list[Block]:
    """Return where the record batches of an IPC file stand, from its footer.

    Parameters
    ----------
    file : unbuffered binary file
        Can be read at any place.

    Raises
    ------
    DamagedError
        The footer is corrupt.
    """
    size = os.fstat(file.fileno()).st_size
    footer_bytes, _ = _TAIL.unpack(read_piece(file, size - _TAIL.size, _TAIL.size))
    footer = _Flatbuffer(read_piece(file, size - _TAIL.size - footer_bytes, footer_bytes))
    return [Block(*fields) for fields in footer.structs(footer.root(), _FOOTER_BATCHES, _BLOCK)]


def batch_size(file: RawIOBase, block: Block) -> BatchSize:
    """Return what a record batch of a file takes.

    Parameters
    ----------
    file : unbuffered binary file
        Can be read at any place.
    block : Block

    Raises
    ------
    DamagedError
        Its metadata is corrupt.
    """
    if block.body_bytes < 0:
        raise DamagedError("a record batch has a negative length")
    data = read_piece(file, block.offset, block.metadata_bytes)
    # Before version 0.15 the length stood alone, without a mark that goes on.
    message = _Flatbuffer(data[8 if data.startswith(_CONTINUATION) else 4 :])
    batch = message.table(message.root(), _MESSAGE_HEADER)
    if message.field(batch, _BATCH_COMPRESSION) is None:
        return BatchSize(block.body_bytes, 0)
    decompressed = 0
    body = block.offset + block.metadata_bytes
    for offset, length in message.structs(batch, _BATCH_BUFFERS, _BUFFER):
        if length > 0:
            (n_bytes,) = _PREFIX.unpack(read_piece(file, body + offset, _PREFIX.size))
            decompressed += n_bytes if n_bytes >= 0 else length
    return BatchSize(block.body_bytes, decompressed)


class _Flatbuffer:
    """Tables of a flatbuffer: positions in bytes; all that is read lies within them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def root(self) -> int:
        """Return the position of the root table."""
        return self._number("<I", 0)

    def field(self, table: int, number: int) -> int | None:
        """Return the position of a field; None where it is left out."""
        vtable = table - self._number("<i", table)
        entry = 4 + 2 * number
        if entry >= self._number("<H", vtable):
            return None
        offset = self._number("<H", vtable + entry)
        return table + offset if offset else None

    def table(self, table: int, number: int) -> int:
        """Return the position of a table that a field points to."""
        place = self.field(table, number)
        if place is None:
            raise DamagedError("a field is missing")
        return place + self._number("<I", place)

    def structs(self, table: int, number: int, kind: struct.Struct) -> list[tuple[int, ...]]:
        """Return a vector of structs; empty where the field is left out."""
        place = self.field(table, number)
        if place is None:
            return []
        place += self._number("<I", place)
        size = kind.size * self._number("<I", place)
        if place + 4 + size > len(self._data):
            raise DamagedError("a vector is longer than the bytes")
        return list(kind.iter_unpack(self._data[place + 4 : place + 4 + size]))

    def _number(self, kind: str, place: int) -> int:
        if place < 0 or place + struct.calcsize(kind) > len(self._data):
            raise DamagedError("a place lies outside of the bytes")
        return int(struct.unpack_from(kind, self._data, place)[0])
