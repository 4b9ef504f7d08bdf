"""The sequential part of reading CSV: bytes, decompressed, cut into blocks of whole records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from gridcli.errors import InputError, ResourceError
from gridcli.points.csvrecords import last_record_end
from gridcli.points.room import LARGEST_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.plan import Input

BLOCK_BYTES = 4 << 20
RECORD_LIMIT_BYTES = 64 << 20
_BYTES_PER_QUOTE = 12
"""Finding the end of a record takes so much memory for each quote in it (measured: 11)."""
_QUOTES_SHARE = 8
"""And at most one part in so many of the memory limit for all."""

_CODECS = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}


class _CountedFile:
    """The file as it lies on disk, counting what has been read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self.position = 0
        self._file = file

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, n_bytes: int) -> bytes:
        data = self._file.read(n_bytes)
        self.position += len(data)
        return data

    def close(self) -> None:
        self._file.close()


class ByteSource:
    """The decompressed bytes of an input.

    Parameters
    ----------
    source : Input
    stream : binary stream or None
        Where `source` has no path. It is not closed.

    Raises
    ------
    InputError
        The file cannot be opened.
    """

    def __init__(self, source: Input, stream: BinaryIO | None = None) -> None:
        self._source = source
        self._owned: BinaryIO | None = None
        if stream is None:
            if source.path is None:
                raise ValueError("an input without a path needs a stream")
            try:
                stream = self._owned = source.path.open("rb", buffering=0)
            except OSError as error:
                raise InputError(f"{source.name}: cannot be opened: {error.strerror}.") from error
        self._file = _CountedFile(stream)
        self._bytes: Any = self._file
        if source.compression is not None:
            # Arrow's stream goes on through concatenated members and frames, and reports a
            # missing end, unlike a bare decompressor.
            self._bytes = pa.CompressedInputStream(
                pa.PythonFile(self._file, mode="r"), _CODECS[source.compression]
            )

    @property
    def position(self) -> int:
        """Bytes of the (compressed) file read so far."""
        return self._file.position

    def read(self, n_bytes: int) -> bytes:
        """Return the next `n_bytes` bytes; fewer only at the end.

        Raises
        ------
        InputError
            The file cannot be read, or its compressed data is truncated or corrupt.
        """
        parts = []
        try:
            while n_bytes > 0 and (part := self._bytes.read(n_bytes)):
                parts.append(part)
                n_bytes -= len(part)
        except OSError as error:
            raise self._broken(error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _broken(self, error: OSError) -> InputError:
        name, compression = self._source.name, self._source.compression
        if error.errno is not None:
            return InputError(
                f"{name}: reading failed at byte {self.position:,}: {error.strerror}."
            )
        if "runcated" in str(error):
            return InputError(
                f"{name}: the file ends at byte {self.position:,}, in the middle of its "
                f"{compression} data. It was probably not copied completely: fetch it again."
            )
        return InputError(
            f"{name}: the {compression} data is corrupt at or shortly before byte "
            f"{self.position:,} ({error}). Fetch the file again, or check that it is a "
            f"{compression} file."
        )

    def close(self) -> None:
        """Close the file, unless the stream was given; safe to call twice."""
        if self._owned is not None:
            self._owned.close()


@dataclass(frozen=True)
class Block:
    """Whole records of a file.

    Attributes
    ----------
    data : bytes
        Begins at the start of a record and ends after a line end, or with the file.
    n_bytes : int
        Bytes of the (compressed) file read for it.
    """

    data: bytes
    n_bytes: int


class BlockReader:
    """Cuts the bytes of a file into blocks at ends of records.

    Parameters
    ----------
    name : str
        The file, for messages.
    source : ByteSource
    block_bytes : int
        About how long a block is; longer only where one record is.
    memory_bytes : int or None
        Limit on the memory of the whole process.

    Attributes
    ----------
    block_bytes : int
    ended : bool
        Whether all of the file has been read.
    """

    def __init__(
        self, name: str, source: ByteSource, block_bytes: int, memory_bytes: int | None = None
    ) -> None:
        self._name = name
        self._memory_bytes = memory_bytes
        self._record_limit = RECORD_LIMIT_BYTES
        if memory_bytes is not None:
            self._record_limit = min(RECORD_LIMIT_BYTES, memory_bytes // LARGEST_SHARE)
        self._source = source
        self.block_bytes = block_bytes
        self._pending = b""
        self.ended = False
        self._reported = 0

    def head(self, n_bytes: int) -> bytes:
        """Return at least the first `n_bytes` bytes left (all, where there are fewer)."""
        while len(self._pending) < n_bytes and not self.ended:
            self._extend(n_bytes - len(self._pending))
        return self._pending

    def skip(self, n_bytes: int) -> None:
        """Drop the first bytes of what `head` returned."""
        self._pending = self._pending[n_bytes:]

    def blocks(self, delimiter: bytes) -> Iterator[Block]:
        """Yield the rest of the file.

        Raises
        ------
        ResourceError
            A record is longer than `RECORD_LIMIT_BYTES`, or too long for the memory limit.
        """
        if not self.ended and len(self._pending) < self.block_bytes:
            self._extend(self.block_bytes - len(self._pending))
        while True:
            self._check_quotes(self._pending)
            data, end = self._pending, last_record_end(self._pending, delimiter)
            if self.ended:
                end = len(data)
            if end:
                self._pending = data[end:]
                yield self._report(data if end == len(data) else data[:end])
            elif len(data) >= self._record_limit:
                raise ResourceError(self._too_long(data))
            if self.ended:
                break
            # A long record is searched again from its start: doubling keeps that linear.
            longer = max(self.block_bytes, len(self._pending) if not end else 0)
            self._extend(min(longer, self._record_limit - len(self._pending)))
        if self._source.position > self._reported:
            yield self._report(b"")

    def _extend(self, n_bytes: int) -> None:
        more = self._source.read(n_bytes)
        self.ended = len(more) < n_bytes
        self._pending = self._pending + more if self._pending else more

    def _report(self, data: bytes) -> Block:
        n_bytes = self._source.position - self._reported
        self._reported = self._source.position
        return Block(data, n_bytes)

    def _check_quotes(self, data: bytes) -> None:
        """Refuse a long record of which finding the end would take too much memory."""
        if self._memory_bytes is None or len(data) <= 2 * self.block_bytes:
            return
        need = _BYTES_PER_QUOTE * data.count(b'"')
        if need > self._memory_bytes // _QUOTES_SHARE:
            raise ResourceError(
                f"{self._name}: a record longer than {len(data) >> 20} MiB holds so many quotes "
                f"that {need >> 20} MiB are needed to find its end, more than an eighth of the "
                f"memory limit of {self._memory_bytes >> 20} MiB. Give at least --max-memory "
                f"{-(-need * _QUOTES_SHARE >> 20)}MiB, or see whether a quote is never closed."
            )

    def _too_long(self, data: bytes) -> str:
        start = data[:40].decode("utf-8", "replace")
        return (
            f"{self._name}: a record longer than {self._record_limit >> 20} MiB, which begins with "
            f"{start!r}. One record must fit into memory: either a quote is never closed, "
            "or this is no CSV with one record a line."
        )
