"""Rows in the order of the inputs, in groups that end where the rows say.

Threads decode pieces of the inputs in any order. Rows of the earliest piece not yet done are taken
at once; those of pieces ahead of it are held back, in the spill file when they become many.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.runtime.spill import Extent

if TYPE_CHECKING:
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile

GROUP_ROWS = 131_072
GROUP_BYTES = 32 << 20
"""A group ends with its `GROUP_ROWS`-th row, or the row in which it reaches `GROUP_BYTES`."""
OFFSET_BYTES, OTHER_BYTES = 4, 16
"""Of a text or list beside its content; of an element whose type tells no size."""
AHEAD = 2
"""Pieces for each thread that may be begun beyond the earliest one not yet done."""
_TURN_S = 0.05


@dataclass
class _Held:
    """Rows of a piece that is not the earliest: batches, and where spilled ones stand."""

    batches: list[Any] = field(default_factory=list)
    n_bytes: int = 0
    has_ended: bool = False


class RowGroups:
    """Puts the rows of pieces into their order and cuts them into groups; used by all threads.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of all rows.
    spill : SpillFile
    hold_bytes : int
        A piece that is ahead holds so much in memory.
    threads : int
    stop : StopFlag
    """

    def __init__(
        self, schema: Any, spill: SpillFile, hold_bytes: int, threads: int, stop: StopFlag
    ) -> None:
        self._schema = schema
        self._spill = spill
        self._hold_bytes = hold_bytes
        self._ahead = AHEAD * threads
        self._stop = stop
        self._changed = threading.Condition()
        self._front = 0
        self._held: dict[int, _Held] = {}
        self._open: list[Any] = []
        self._open_rows = 0
        self._open_bytes = 0
        self._ready: deque[tuple[int, Any]] = deque()
        self._n_groups = 0
        self._is_abandoned = False

    def begin(self, position: int) -> bool:
        """Wait until a piece is not too far ahead; return False where the run is over.

        Parameters
        ----------
        position : int
            Place of the piece in the order: 0, 1, 2 and so on.
        """
        with self._changed:
            while position > self._front + self._ahead and not self._is_abandoned:
                self._stop.check()
                self._changed.wait(_TURN_S)
            return not self._is_abandoned

    def add(self, position: int, rows: Any) -> None:
        """Take the next rows of a piece (a pyarrow.RecordBatch)."""
        with self._changed:
            if position == self._front:
                self._append(rows)
                return
            held = self._held.setdefault(position, _Held())
            held.n_bytes += rows.nbytes
            if held.n_bytes <= self._hold_bytes:
                held.batches.append(rows)
                return
        # Only this thread adds to this piece; where it comes to the front meanwhile, the rows
        # stand behind those that are taken then.
        extent = self._spill.append(_serialized(rows))
        with self._changed:
            if position == self._front:
                self._append(rows)
            else:
                self._held[position].batches.append(extent)

    def end(self, position: int) -> None:
        """Note that all rows of a piece have been added."""
        with self._changed:
            if position != self._front:
                self._held.setdefault(position, _Held()).has_ended = True
                return
            has_ended = True
            while has_ended:
                self._front += 1
                held = self._held.pop(self._front, None)
                has_ended = held is not None and held.has_ended
                for each in held.batches if held is not None else ():
                    is_spilled = isinstance(each, Extent)
                    self._append(self._read(each) if is_spilled else each)
            self._changed.notify_all()

    def finish(self) -> None:
        """Close the last group, once all pieces have ended."""
        if self._open_rows:
            self._close_group()

    def take(self) -> tuple[int, Any] | None:
        """Return a finished group and its number (from 0), each once; None where there is none.

        Returns
        -------
        number : int
        group : pyarrow.Table
            In any number of chunks.
        """
        with self._changed:
            return self._ready.popleft() if self._ready else None

    def abandon(self) -> None:
        """Let no thread wait any longer: the run has failed."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def _read(self, extent: Extent) -> Any:
        with pa.ipc.open_stream(pa.py_buffer(self._spill.read(extent))) as reader:
            return reader.read_next_batch()

    def _append(self, rows: Any) -> None:
        """Add rows to the open group, and close it as often as it is full."""
        ends = row_ends(rows)
        begin = before = 0
        while begin < rows.num_rows:
            left = GROUP_BYTES - self._open_bytes
            filled = int(np.searchsorted(ends, before + left)) + 1
            stop = min(begin + GROUP_ROWS - self._open_rows, filled, rows.num_rows)
            self._open.append(rows.slice(begin, stop - begin))
            self._open_rows += stop - begin
            self._open_bytes += int(ends[stop - 1]) - before
            begin, before = stop, int(ends[stop - 1])
            if self._open_rows == GROUP_ROWS or self._open_bytes >= GROUP_BYTES:
                self._close_group()

    def _close_group(self) -> None:
        self._ready.append((self._n_groups, pa.Table.from_batches(self._open, self._schema)))
        self._n_groups += 1
        self._open, self._open_rows, self._open_bytes = [], 0, 0


def row_ends(rows: Any) -> npt.NDArray[np.int64]:
    """Return how many bytes all rows up to each one take, about, whatever arrays they lie in.

    Parameters
    ----------
    rows : pyarrow.RecordBatch, of n rows

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    ends = np.zeros(rows.num_rows + 1, np.int64)
    for column in rows.columns:
        ends += _ends(column)
    return ends[1:]


def _ends(array: Any) -> npt.NDArray[np.int64]:
    """Return how many bytes the first 0, 1 ... n elements of an array take, from each one alone."""
    if isinstance(array, pa.ExtensionArray):
        return _ends(array.storage)
    n, types = len(array), pa.types
    ends: npt.NDArray[np.int64] = np.zeros(n + 1, np.int64)
    row_bytes = OTHER_BYTES
    if _has_length(array.type):
        row_bytes = OFFSET_BYTES
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        np.cumsum(lengths, out=ends[1:])
    elif types.is_dictionary(array.type):  # formats resolve them
        row_bytes = 0
        sizes = np.append(np.diff(_ends(array.dictionary)), 0)
        chosen = pc.fill_null(array.indices.cast(pa.int64()), len(array.dictionary))
        np.cumsum(sizes[chosen.to_numpy(zero_copy_only=False)], out=ends[1:])
    elif types.is_struct(array.type):
        row_bytes = 0
        for field in array.flatten():
            ends += _ends(field)
    elif types.is_fixed_size_list(array.type):
        row_bytes, size = 0, array.type.list_size
        ends += _ends(array.values.slice(array.offset * size, n * size))[:: size or 1][: n + 1]
    elif types.is_list(array.type) or types.is_large_list(array.type) or types.is_map(array.type):
        row_bytes = OFFSET_BYTES
        offsets = array.offsets.to_numpy()
        values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        ends += _ends(values)[offsets - offsets[0]]
    elif _has_width(array.type):
        row_bytes = -(-array.type.bit_width // 8)
    ends += row_bytes * np.arange(n + 1)
    return ends


def _has_length(type_: Any) -> bool:
    types = pa.types
    return bool(
        types.is_string(type_)
        or types.is_large_string(type_)
        or types.is_binary(type_)
        or types.is_large_binary(type_)
    )


def _has_width(type_: Any) -> bool:
    try:
        return bool(type_.bit_width >= 0)
    except ValueError:
        return False


def _serialized(rows: Any) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return memoryview(sink.getvalue())
