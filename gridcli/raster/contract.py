"""Contraction: from points to tile counts (paper: RASTER, Algorithm 1, step 1; P-RASTER, 3.5)."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import DataError
from gridcli.grid.grid import INT32_MAX, REAL, Grid
from gridcli.grid.project import OUTSIDE_INT32, Selection
from gridcli.points.batch import PointBatch, Reason, RowCounts
from gridcli.raster.projecting import BatchProjector
from gridcli.runtime.workers import share_out
from gridcli.tiles.table import TileTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.reader import OrderedChunk
    from gridcli.points.rejects import RejectsWriter
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag

SAMPLE_ROWS = 10_000


class Contraction:
    """Counts the points of a reader into a tile table.

    Parameters
    ----------
    grid : Grid
    selection : Selection
    table : TileTable
        Counts are added to it.
    rejects : RejectsWriter or None
        Told of every bad row.

    Attributes
    ----------
    counts : RowCounts
        Complete for all chunks so far whenever `run` returns.
    sample : PointBatch or None
        Some of the rows, for a diagnosis when none was valid.
    """

    def __init__(
        self,
        grid: Grid,
        selection: Selection,
        table: TileTable,
        *,
        rejects: RejectsWriter | None = None,
    ) -> None:
        self.grid = grid
        self.selection = selection
        self.table = table
        self.rejects = rejects
        self.counts = RowCounts()
        self.sample: PointBatch | None = None
        self._lock = threading.Lock()

    def run(
        self,
        chunks: Iterator[OrderedChunk],
        *,
        threads: int,
        progress: Progress,
        stop: StopFlag,
    ) -> RowCounts:
        """Count all chunks; return how many rows were read so far and what became of them.

        Raises
        ------
        InputError
            An input is corrupt.
        DataError
            A planar coordinate lies beyond the 32-bit indexes of the grid.
        """
        share_out(chunks, lambda: _ContractionWorker(self, progress, stop), threads, stop)
        return self.counts

    def add_counts(self, counts: RowCounts) -> None:
        """Add one thread's counts."""
        with self._lock:
            self.counts.add(counts)

    def keep_sample(self, batch: PointBatch) -> None:
        """Keep the first batch that any thread offers."""
        with self._lock:
            if self.sample is None and len(batch):
                part = slice(0, SAMPLE_ROWS)
                self.sample = PointBatch(
                    batch.x[part].copy(),
                    batch.y[part].copy(),
                    batch.unit,
                    None if batch.reason is None else batch.reason[part].copy(),
                )


class _ContractionWorker:
    """One thread of a contraction."""

    def __init__(self, job: Contraction, progress: Progress, stop: StopFlag) -> None:
        self._job = job
        self._progress = progress
        self._stop = stop
        self._projector = BatchProjector(job.grid, job.selection)
        self._appender = job.table.appender()
        self._tally = np.zeros(max(OUTSIDE_INT32, *Reason) + 1, np.int64)
        self._counts = RowCounts()

    def take(self, chunk: OrderedChunk) -> None:
        """Count the points of one chunk."""
        records = 0
        for batch in chunk.decode():
            if self._job.sample is None:
                self._job.keep_sample(batch)
            self._take_batch(chunk, batch)
            records += len(batch) + len(batch.ragged)
            self._progress.advance(0, len(batch) + len(batch.ragged))
        if self._job.rejects is not None:
            self._job.rejects.chunk_done(chunk, records)
        self._progress.advance(chunk.n_bytes, 0)

    def finish(self) -> None:
        """Hand over what the thread still holds."""
        self._appender.flush()
        for reason in Reason:
            self._counts.reasons[reason] += int(self._tally[reason])
        self._job.add_counts(self._counts)

    def _take_batch(self, chunk: OrderedChunk, batch: PointBatch) -> None:
        rejected: list[npt.NDArray[np.int64]] = []
        reasons: list[npt.NDArray[np.uint8]] = []
        for piece in self._projector.pieces(batch):
            self._stop.check()
            self._appender.append(piece.keys, len(piece.keys))
            self._counts.used += len(piece.keys)
            if len(piece.unused):
                rejected.append(piece.rejected)
                reasons.append(piece.reasons.copy())  # the next piece overwrites them
                if not piece.by_reader:
                    self._counts.outside += int(np.sum(piece.reasons == Reason.FILTERED))
        self._counts.read += len(batch) + len(batch.ragged)
        self._tally[Reason.RAGGED] += len(batch.ragged)
        if rejected:
            self._reject(chunk, batch, np.concatenate(rejected), np.concatenate(reasons))
        elif batch.ragged and self._job.rejects is not None:
            self._job.rejects.add(chunk, batch, np.empty(0, np.int64), np.empty(0, np.uint8))

    def _reject(
        self,
        chunk: OrderedChunk,
        batch: PointBatch,
        rows: npt.NDArray[np.int64],
        reasons: npt.NDArray[np.uint8],
    ) -> None:
        if np.any(reasons == OUTSIDE_INT32):
            raise _index_error(self._job.grid, batch, rows[reasons == OUTSIDE_INT32])
        self._tally += np.bincount(reasons, minlength=len(self._tally))
        if self._job.rejects is not None:
            self._job.rejects.add(chunk, batch, rows, reasons)


def _index_error(grid: Grid, batch: PointBatch, rows: npt.NDArray[Any]) -> DataError:
    """Error for coordinates whose tile index does not fit, naming a precision that works."""
    unit = 1.0 if batch.unit is None else float(batch.unit)
    values = np.concatenate([batch.x[rows], batch.y[rows]]).astype(np.float64) * unit
    worst = float(values[np.argmax(np.abs(values))])
    if grid.name.startswith("t"):
        size = abs(worst) / INT32_MAX
        digit = 10.0 ** (math.floor(math.log10(size)) - 1)
        works = f"--tile-size {math.ceil(size / digit) * digit:g}"
    else:
        works = f"--prec {math.floor(math.log10(INT32_MAX / abs(worst)))}"
        if grid.rule == REAL:
            works += " or a real precision below it"
    return DataError(
        f"the coordinate {worst!r} has no tile: its index at {grid.tiles_per_unit:g} tiles a unit "
        f"is beyond 32-bit integers. The finest that works for it is {works}."
    )
