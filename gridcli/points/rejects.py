"""The rejects file: every bad row with its place, its reason and its text."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.points.batch import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridcli.points.batch import PointBatch
    from gridcli.points.plan import Input
    from gridcli.points.reader import OrderedChunk

HEADER = ("file", "row", "line", "reason", "text")


@dataclass(frozen=True)
class _Reject:
    """A bad record; `record` and `line` are 1-based within its chunk."""

    record: int
    line: int | None
    reason: Reason
    text: str


@dataclass
class _ChunkState:
    """What is known of a chunk whose rejects cannot all be written yet."""

    input_index: int
    rejects: list[_Reject] = field(default_factory=list)
    is_done: bool = False
    n_records: int = 0
    n_lines: int = 0


class RejectsWriter:
    """Writes bad rows as CSV in the order of the data, whatever thread finds them.

    Numbers within a chunk become numbers within the file once all earlier chunks are done, so
    rejects of chunks that run ahead are held back until then; those of the earliest chunk not
    yet done are written at once.

    Parameters
    ----------
    write : callable
        Takes the bytes of some rows. An OSError of its own passes through.
    inputs : sequence of Input
        As of `PointReader.inputs`.
    """

    def __init__(self, write: Callable[[bytes], object], inputs: Sequence[Input]) -> None:
        self._write_bytes = write
        self._names = [source.name for source in inputs]
        self._lock = Lock()
        self._chunks: dict[int, _ChunkState] = {}
        self._position = 0
        self._input_index = -1
        self._records_before = 0
        self._lines_before = 0
        self._write([HEADER])

    def add(
        self,
        chunk: OrderedChunk,
        batch: PointBatch,
        rows: npt.NDArray[Any],
        reasons: npt.NDArray[np.uint8],
    ) -> None:
        """Take the bad rows of one batch, and its ragged records. Thread-safe.

        Called at most once a batch, for the batches of a chunk in their order, and needed only
        where there are bad rows or ragged records.

        Parameters
        ----------
        chunk : OrderedChunk
            The chunk that yielded the batch.
        batch : PointBatch
            Read with `ReadOptions.keep_origin`: its origin numbers the rows within the chunk.
        rows : ndarray of int, shape (k,)
            0-based rows of the batch.
        reasons : ndarray of uint8, shape (k,)
            `Reason` of each; rows that the user filtered out are no rejects and left out.
        """
        rejects = [
            _Reject(record, line, Reason.RAGGED, text) for record, line, text in batch.ragged
        ]
        origin = batch.origin
        if origin is not None:
            kept = (reasons != Reason.FILTERED) & (reasons != 0)
            rejects += [
                _Reject(origin.record(row), origin.line(row), Reason(reason), origin.text(row))
                for row, reason in zip(rows[kept].tolist(), reasons[kept].tolist(), strict=True)
            ]
        rejects.sort(key=lambda reject: reject.record)
        with self._lock:
            self._state(chunk).rejects += rejects
            self._flush()

    def chunk_done(self, chunk: OrderedChunk, n_records: int) -> None:
        """Note that a chunk is decoded and all its bad rows are added. Thread-safe.

        Must be called for every chunk, or later ones are held back for ever.

        Parameters
        ----------
        chunk : OrderedChunk
        n_records : int
            Records of the chunk, ragged ones included.
        """
        n_lines = chunk.n_lines or 0
        with self._lock:
            state = self._state(chunk)
            state.is_done = True
            state.n_records = n_records
            state.n_lines = n_lines
            self._flush()

    def _state(self, chunk: OrderedChunk) -> _ChunkState:
        return self._chunks.setdefault(chunk.position, _ChunkState(chunk.input_index))

    def _flush(self) -> None:
        """Write what is known of the earliest chunk, and of those after it while they are done."""
        while (state := self._chunks.get(self._position)) is not None:
            if state.input_index != self._input_index:
                self._input_index = state.input_index
                self._records_before = self._lines_before = 0
            if state.rejects:
                self._write([self._row(reject) for reject in state.rejects])
                state.rejects = []
            if not state.is_done:
                return
            self._records_before += state.n_records
            self._lines_before += state.n_lines
            del self._chunks[self._position]
            self._position += 1

    def _row(self, reject: _Reject) -> tuple[str, int, int | str, str, str]:
        return (
            self._names[self._input_index],
            self._records_before + reject.record,
            "" if reject.line is None else self._lines_before + reject.line,
            reject.reason.label,
            reject.text,
        )

    def _write(self, rows: Sequence[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        # A file's name may hold bytes that are no UTF-8; the rejects stay readable all the same.
        self._write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))
