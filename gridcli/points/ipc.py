"""Arrow IPC: files, whose record batches threads read in any order, and streams, read in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from gridcli.points.arrow import (
    READ_ERRORS,
    Converter,
    HandlePool,
    broken,
    with_partitions,
)
from gridcli.points.ipcsizes import (
    BatchSize,
    Block,
    batch_size,
    record_batch_blocks,
)
from gridcli.points.pieces import DamagedError
from gridcli.points.room import USUAL_BYTES, Room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.batch import Chunk, PointBatch
    from gridcli.points.plan import ColumnPlan, Input


_SMALLER_BATCHES = "write smaller record batches, of 100 000 rows or so"


def open_ipc_file(source: Input, room: Room) -> IpcFileInput:
    """Open an Arrow IPC file (Feather V2) and parse its footer.

    Parameters
    ----------
    source : Input
    room : Room
        For large record batches.

    Raises
    ------
    InputError
        The file is not Arrow IPC, truncated or corrupt.
    """
    try:
        return IpcFileInput(source, room)
    except READ_ERRORS as error:
        raise broken(source, "", error) from error


def open_ipc_stream(source: Input, room: Room, stream: BinaryIO | None = None) -> IpcStreamInput:
    """Open an Arrow IPC stream and read its schema.

    Parameters
    ----------
    source : Input
    room : Room
        For large record batches.
    stream : binary stream, optional
        Where the bytes come from when the input has no path.

    Raises
    ------
    InputError
        The stream is not Arrow IPC, truncated or corrupt.
    """
    try:
        return IpcStreamInput(source, room, stream)
    except READ_ERRORS as error:
        raise broken(source, "", error) from error


def _options(file_schema: Any, columns: list[str] | None) -> Any:
    """Return options that read only `columns` (None: all)."""
    if columns is None:
        return pa.ipc.IpcReadOptions(use_threads=False)
    fields = [i for i, name in enumerate(file_schema.names) if name in columns]
    return pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)


def _checked(rows: Any) -> Any:
    """Return a batch whose buffers are as long as its offsets claim, or raise ArrowInvalid."""
    rows.validate(full=True)
    return rows


def _detached(batches: Iterator[PointBatch]) -> Iterator[PointBatch]:
    """Copy the coordinates: whoever keeps a batch must not keep all rows of the file's with it."""
    for batch in batches:
        yield replace(batch, x=batch.x.copy(), y=batch.y.copy())


class IpcFileInput:
    """An opened Arrow IPC file (an `InputFile`)."""

    def __init__(self, source: Input, room: Room) -> None:
        self.source = source
        self.room = room
        with pa.OSFile(str(source.path), "rb") as file:
            reader = pa.ipc.open_file(file)
            self._file_schema = reader.schema
            self._n_batches = int(reader.num_record_batches)
        self.schema = with_partitions(self._file_schema, source)
        self._handles: HandlePool[Any] | None = None
        self._blocks: list[Block] | None = None
        self._lock = Lock()

    def chunks(self, plan: ColumnPlan, input_index: int) -> Iterator[Chunk]:
        """Yield one chunk a record batch."""
        converter = Converter(self.source, self._file_schema, plan)
        options = _options(self._file_schema, converter.columns)

        def open_handle() -> tuple[Any, Any]:
            file = pa.OSFile(str(self.source.path), "rb")
            return file, pa.ipc.open_file(file, options=options)

        try:
            first = open_handle()
        except READ_ERRORS as error:
            raise broken(self.source, "", error) from error
        handles = HandlePool(open_handle, first, lambda handle: handle[0].close())
        self._handles = handles
        size = self.source.size_bytes or 0
        share = size // max(self._n_batches, 1)
        for index in range(self._n_batches):
            is_last = index == self._n_batches - 1
            n_bytes = size - share * index if is_last else share
            yield IpcFileChunk(input_index, index, n_bytes, self, handles, converter)

    def batch_size(self, index: int) -> BatchSize:
        """Return what a record batch takes, where it matters.

        Raises
        ------
        InputError
            The footer or the batch is corrupt.
        """
        if self.room.limit_bytes is None:
            return BatchSize(0, 0)
        try:
            with Path(str(self.source.path)).open("rb", buffering=0) as file:
                with self._lock:
                    if self._blocks is None:
                        self._blocks = record_batch_blocks(file)
                return batch_size(file, self._blocks[index])
        except (DamagedError, IndexError, OSError) as error:
            raise broken(self.source, f"record batch {index}", error) from error

    def close(self) -> None:
        """Release the file handles."""
        if self._handles is not None:
            self._handles.close()


@dataclass
class IpcFileChunk:
    """One record batch of an IPC file (a `Chunk`)."""

    input_index: int
    chunk_index: int
    n_bytes: int
    file: IpcFileInput
    handles: HandlePool[Any]
    converter: Converter
    n_lines: int | None = None

    def decode(self) -> Iterator[PointBatch]:
        """Yield the record batch's points."""
        size, place = self.file.batch_size(self.chunk_index), f"record batch {self.chunk_index}"
        self.file.room.check(
            f"{self.file.source.name}: {place}",
            "",
            size.largest_bytes,
            size.total_bytes,
            _SMALLER_BATCHES,
        )
        with self.file.room.taken(size.total_bytes):
            try:
                handle = self.handles.take()
                try:
                    rows = _checked(handle[1].get_batch(self.chunk_index))
                finally:
                    self.handles.give_back(handle)
            except READ_ERRORS as error:
                raise broken(self.file.source, place, error) from error
            batches = self.converter.batches(rows, 0)
            usual = self.file.room.is_usual(size.total_bytes)
            yield from batches if usual else _detached(batches)
            del rows, batches  # before its room is given back


class IpcStreamInput:
    """An opened Arrow IPC stream (an `InputFile`)."""

    def __init__(self, source: Input, room: Room, stream: BinaryIO | None) -> None:
        self.source = source
        self.room = room
        if stream is None:
            self._file = pa.OSFile(str(source.path), "rb")
        else:
            self._file = pa.PythonFile(stream, mode="r")
        try:
            # The columns are fixed when a stream is opened, before its schema is known: all of
            # them are read.
            self._reader = pa.ipc.open_stream(self._file, options=_options(None, None))
            self._file_schema = self._reader.schema
        except BaseException:
            self._file.close()
            raise
        self.schema = with_partitions(self._file_schema, source)

    def chunks(self, plan: ColumnPlan, input_index: int) -> Iterator[Chunk]:
        """Yield one chunk a record batch, read when it is asked for."""
        converter = Converter(self.source, self._file_schema, plan)
        index, left, pending = 0, self.source.size_bytes, self._next(0, converter.columns)
        while pending is not None:
            rows, n_bytes = pending
            held = n_bytes
            if held > USUAL_BYTES:
                self.room.wait_for_others()
            pending = self._next(index + 1, converter.columns)
            if left is not None:
                n_bytes = left if pending is None else min(left, n_bytes)
                left -= n_bytes
            self.room.hold(held)
            yield IpcStreamChunk(input_index, index, n_bytes, rows, converter, self.room, held)
            del rows
            index += 1

    def close(self) -> None:
        """Release the file handle."""
        self._file.close()

    def _next(self, index: int, columns: list[str]) -> tuple[Any, int] | None:
        """Return some columns of the next record batch and its whole size; None at the end."""
        try:
            rows = self._reader.read_next_batch()
            n_bytes = int(rows.get_total_buffer_size())
            self.room.check(
                f"{self.source.name}: record batch {index}", "", n_bytes, n_bytes, _SMALLER_BATCHES
            )
            rows = _checked(rows.select(columns))
        except StopIteration:
            return None
        except READ_ERRORS as error:
            raise broken(self.source, f"record batch {index}", error) from error
        return rows, n_bytes


@dataclass
class IpcStreamChunk:
    """One record batch of an IPC stream (a `Chunk`)."""

    input_index: int
    chunk_index: int
    n_bytes: int
    rows: Any
    converter: Converter
    room: Room
    held_bytes: int
    n_lines: int | None = None

    def decode(self) -> Iterator[PointBatch]:
        """Yield the record batch's points; they can be read once."""
        try:
            batches = self.converter.batches(self.rows, 0)
            yield from batches if self.room.is_usual(self.held_bytes) else _detached(batches)
        finally:
            self.rows = None
            self.room.give_back(self.held_bytes)
