"""The second pass: all inputs read again (or for the first time), and each row told its hub.

Source: RASTER' and RASTER* (paper, 3.4 and 4.1), which hold the points of clusters, or all points,
in memory. Here they stream: the tiles are known, so a row needs no other row.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.grid import keys as tile_keys
from gridcli.grid.project import Selection
from gridcli.labelling.columns import REASON_COLUMN, filtered, one_array
from gridcli.labelling.groups import RowGroups
from gridcli.points.batch import PointBatch, Reason, RowCounts
from gridcli.raster.counting import check_rows
from gridcli.raster.screening import RowScreen, sample_of
from gridcli.runtime.workers import call, share_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridcli.grid.grid import Grid
    from gridcli.labelling.columns import RowColumns
    from gridcli.labelling.formats import RowWriter
    from gridcli.labelling.membership import HubNames, Membership
    from gridcli.points.reader import OrderedChunk, PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.counting import RowRules
    from gridcli.raster.projecting import RowProjector
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace

MIB = 1 << 20
THREAD_BYTES = 112 * MIB
"""What a thread takes beside what it holds back: 65 536 rows of up to 24 MiB, some of them again,
and a group of 32 MiB that it encodes."""
LEAST_HOLD_BYTES, MOST_HOLD_BYTES = 8 * MIB, 256 * MIB


@dataclass(frozen=True)
class Labelling:
    """How rows are labelled.

    Attributes
    ----------
    grid : Grid
        Of the tiles; may be a coarsened one.
    membership : Membership
    names : HubNames
    columns : RowColumns
    keep_noise : bool
        Rows in no hub are written too, with the reason where they are bad.
    make_projector : callable or None
        Makes each thread's projector, where keys are not those of the grid's tiles.
    """

    grid: Grid
    membership: Membership
    names: HubNames
    columns: RowColumns
    keep_noise: bool
    make_projector: Callable[[Selection], RowProjector] | None = None


@dataclass(frozen=True)
class Labelled:
    """What a second pass has done.

    Attributes
    ----------
    counts : RowCounts
        Of the rows read.
    in_hubs, written : int
        Rows.
    """

    counts: RowCounts
    in_hubs: int
    written: int


def row_schema(columns: RowColumns, *, keep_noise: bool) -> Any:
    """Return the pyarrow.Schema of labelled rows."""
    added = [pa.field("hub_id", pa.int64()), pa.field("hub_key", pa.string())]
    if keep_noise:
        added.append(pa.field(REASON_COLUMN, pa.string()))
    return pa.schema([*columns.schema, *added])


def label_rows(
    reader: PointReader,
    labelling: Labelling,
    rules: RowRules,
    writer: RowWriter,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
) -> Labelled:
    """Write the rows of a reader with their hubs, in the order of the inputs.

    What is written depends neither on the number of threads nor on the memory.

    Parameters
    ----------
    reader : PointReader
        Hands on all columns.
    labelling : Labelling
    rules : RowRules
    writer : RowWriter
    space : Workspace
    progress : Progress
    stop : StopFlag
    rejects : RejectsWriter, optional

    Raises
    ------
    InputError
        An input is missing, truncated or corrupt.
    TooManyBadRowsError, NoValidRowError
        More bad rows than `rules.max_bad` allows, or no valid row at all (both are DataError).
    ResourceError
        The disk is full of what memory does not hold.
    Interrupted
        A signal arrived.
    """
    room = space.budget.room
    threads = max(1, min(space.threads, room // THREAD_BYTES))
    hold_bytes = (room - threads * THREAD_BYTES) // (2 * threads)
    hold_bytes = min(max(hold_bytes, LEAST_HOLD_BYTES), MOST_HOLD_BYTES)
    job = _Job(labelling, rules, writer, rejects, progress, stop)
    job.groups = RowGroups(job.row_schema, space.spill, hold_bytes, threads, stop)
    progress.start(reader.total_bytes, "label")
    try:
        share_out(reader.chunks(), lambda: _Worker(job, reader), threads, stop)
        progress.start(None, "write")
        job.groups.finish()
        call(job.write_ready, stop)
        call(writer.finish, stop)
    finally:
        job.abandon()
    check_rows(job.counts, rules.max_bad, job.sample)
    return Labelled(job.counts, job.in_hubs, job.written)


class _Job:
    """What the threads of a second pass share."""

    groups: RowGroups

    def __init__(
        self,
        labelling: Labelling,
        rules: RowRules,
        writer: RowWriter,
        rejects: RejectsWriter | None,
        progress: Progress,
        stop: StopFlag,
    ) -> None:
        self.labelling = labelling
        self.selection = Selection(rules.bbox, rules.keep_null_island)
        self.rejects = rejects
        self.progress = progress
        self.stop = stop
        self.sample: PointBatch | None = None
        self.counts = RowCounts()
        self.in_hubs = self.written = 0
        told = [pa.field("hub", pa.int32()), pa.field("why", pa.uint8())]
        self.row_schema = pa.schema(
            [*labelling.columns.schema, *(told if labelling.keep_noise else told[:1])]
        )
        """Of rows on their way: hubs by position, reasons by number."""
        self._writer = writer
        self._names = row_schema(labelling.columns, keep_noise=labelling.keep_noise).names
        self._hub_id = np.asarray(labelling.names.hub_id, np.int64)
        self._hub_keys = pa.array(labelling.names.hub_key, pa.string())
        self._reasons = pa.array([reason.label for reason in Reason])
        self._lock = threading.Lock()
        self._encoded: dict[int, Any] = {}
        self._next_group = 0
        self._is_abandoned = False

    def add_counts(self, counts: RowCounts, in_hubs: int, written: int) -> None:
        """Add one thread's counts."""
        with self._lock:
            self.counts.add(counts)
            self.in_hubs += in_hubs
            self.written += written

    def keep_sample(self, batch: PointBatch) -> None:
        """Keep some rows of the first batch that any thread offers."""
        with self._lock:
            if self.sample is None and len(batch):
                self.sample = sample_of(batch)

    def write_ready(self) -> None:
        """Encode finished groups of rows, and write those whose turn it is."""
        while (taken := self.groups.take()) is not None:
            number, rows = taken
            encoded = self._writer.encode(self._named(rows))
            with self._lock:
                if self._is_abandoned:
                    return
                self._encoded[number] = encoded
                while self._next_group in self._encoded:
                    self._writer.write(self._encoded.pop(self._next_group))
                    self._next_group += 1

    def abandon(self) -> None:
        """Write no more, and let no thread wait."""
        self.groups.abandon()
        self._is_abandoned = True

    def _named(self, rows: Any) -> Any:
        """Return rows with the columns that tell of their hub, for its position."""
        n_columns = len(self.labelling.columns.schema)
        encoded = one_array(rows.column(n_columns)).dictionary_encode()
        hub_id = pa.array(self._hub_id).take(encoded.dictionary)
        hub_key = pa.DictionaryArray.from_arrays(
            encoded.indices, self._hub_keys.take(encoded.dictionary)
        )
        added = [hub_id.take(encoded.indices), hub_key]
        if self.labelling.keep_noise:
            added.append(self._reasons.take(one_array(rows.column(n_columns + 1))))
        return pa.Table.from_arrays([*rows.columns[:n_columns], *added], names=self._names)


class _Worker:
    """One thread of a second pass."""

    def __init__(self, job: _Job, reader: PointReader) -> None:
        self._job = job
        self._inputs = reader.inputs
        self._multiple = job.labelling.grid.multiple
        make = job.labelling.make_projector
        projector = None if make is None else make(job.selection)
        self._screen = RowScreen(job.labelling.grid.base, job.selection, job.rejects, projector)
        self._in_hubs = self._written = 0

    def take(self, chunk: OrderedChunk) -> None:
        """Label the rows of one chunk."""
        job = self._job
        if not job.groups.begin(chunk.position):
            return
        records = 0
        try:
            for batch in chunk.decode():
                if job.sample is None:
                    job.keep_sample(batch)
                rows = self._rows(chunk, batch)
                if rows is not None:
                    job.groups.add(chunk.position, rows)
                    job.write_ready()
                records += len(batch) + len(batch.ragged)
                job.progress.advance(0, len(batch) + len(batch.ragged))
            job.groups.end(chunk.position)
            job.write_ready()
        except BaseException:
            job.abandon()
            raise
        self._screen.end_chunk(chunk, records)
        job.progress.advance(chunk.n_bytes, 0)

    def finish(self) -> None:
        """Hand over what the thread has counted."""
        self._job.add_counts(self._screen.counts(), self._in_hubs, self._written)

    def _rows(self, chunk: OrderedChunk, batch: PointBatch) -> Any:
        """Return the rows of a batch that are written, or None where there are none."""
        hub = np.full(len(batch), -1, np.int32)
        why = np.zeros(len(batch), np.uint8)
        for piece in self._screen.pieces(chunk, batch):
            self._job.stop.check()
            found = self._job.labelling.membership.hubs_of(self._coarse(piece.keys))
            if len(piece.unused) or not isinstance(piece.rows, range):
                hub[piece.used] = found
                why[piece.rejected] = piece.reasons
            else:
                hub[piece.rows.start : piece.rows.stop] = found
        chosen = hub >= 0
        n_in_hubs = n_chosen = int(np.count_nonzero(chosen))
        if self._job.labelling.keep_noise:
            chosen = why != Reason.FILTERED
            n_chosen = int(np.count_nonzero(chosen))
        if n_chosen == 0:
            return None
        self._in_hubs += n_in_hubs
        self._written += n_chosen
        name = self._inputs[chunk.input_index].name
        table = batch.table if batch.later is None else batch.later()
        arrays = self._job.labelling.columns.conform(table, name)
        rows = pa.RecordBatch.from_arrays(arrays, schema=self._job.labelling.columns.schema)
        if n_chosen < len(batch):
            rows, hub, why = filtered(rows, chosen), hub[chosen], why[chosen]
        told = [pa.array(hub, mask=hub < 0)]
        if self._job.labelling.keep_noise:
            # Reasons are numbered from 1, and positions in their list from 0.
            told.append(pa.array(why - np.uint8(1), mask=why == 0))
        return pa.RecordBatch.from_arrays([*rows.columns, *told], schema=self._job.row_schema)

    def _coarse(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Return the keys on the grid of the tiles, which may be a coarsened one."""
        if self._multiple == 1:
            return keys
        x, y = tile_keys.unpack(keys)
        return tile_keys.pack(x // self._multiple, y // self._multiple)
