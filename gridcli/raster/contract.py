"""Contraction: from points to tile counts (paper: RASTER, Algorithm 1, step 1; P-RASTER, 3.5)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gridcli.points.batch import PointBatch, RowCounts
from gridcli.raster.screening import RowScreen, sample_of
from gridcli.runtime.workers import share_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridcli.grid.grid import Grid
    from gridcli.grid.project import Selection
    from gridcli.points.reader import OrderedChunk
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.projecting import RowProjector
    from gridcli.raster.unique.table import DistinctRows
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.tiles.table import TileTable


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
    distinct : DistinctRows or None
        Collects the used rows, to be counted into the table later, each distinct one once.
    make_projector : callable, optional
        Makes each thread's projector, where keys are not those of the grid's tiles.

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
        distinct: DistinctRows | None = None,
        make_projector: Callable[[Selection], RowProjector] | None = None,
    ) -> None:
        self.grid = grid
        self.selection = selection
        self.table = table
        self.rejects = rejects
        self.distinct = distinct
        self.make_projector = make_projector
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
                self.sample = sample_of(batch)


class _ContractionWorker:
    """One thread of a contraction."""

    def __init__(self, job: Contraction, progress: Progress, stop: StopFlag) -> None:
        self._job = job
        self._progress = progress
        self._stop = stop
        projector = None if job.make_projector is None else job.make_projector(job.selection)
        self._screen = RowScreen(job.grid, job.selection, job.rejects, projector)
        self._appender = job.table.appender()
        self._distinct = None if job.distinct is None else job.distinct.appender()

    def take(self, chunk: OrderedChunk) -> None:
        """Count the points of one chunk."""
        records = 0
        for batch in chunk.decode():
            if self._job.sample is None:
                self._job.keep_sample(batch)
            for piece in self._screen.pieces(chunk, batch):
                self._stop.check()
                if self._distinct is None:
                    self._appender.append(piece.keys, len(piece.keys))
                else:
                    self._distinct.append(batch, piece)
            records += len(batch) + len(batch.ragged)
            self._progress.advance(0, len(batch) + len(batch.ragged))
        self._screen.end_chunk(chunk, records)
        self._progress.advance(chunk.n_bytes, 0)

    def finish(self) -> None:
        """Hand over what the thread still holds."""
        self._appender.flush()
        if self._distinct is not None:
            self._distinct.flush()
        self._job.add_counts(self._screen.counts())
