"""Rows of batches as tile keys, with a count of what became of every row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import DataError
from gridcli.grid.grid import INT32_MAX, REAL, Grid
from gridcli.grid.project import OUTSIDE_INT32, Selection
from gridcli.points.batch import PointBatch, Reason, RowCounts
from gridcli.raster.projecting import BatchProjector, KeyedRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.reader import OrderedChunk
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.projecting import RowProjector

SAMPLE_ROWS = 10_000


class RowScreen:
    """Projects batches, counts their rows by what becomes of them, and reports the bad ones.

    Owned by one thread.

    Parameters
    ----------
    grid : Grid
    selection : Selection
    rejects : RejectsWriter or None
        Told of every bad row; shared by all threads.
    projector : RowProjector or None
        Makes other keys than those of the grid's tiles.
    """

    def __init__(
        self,
        grid: Grid,
        selection: Selection,
        rejects: RejectsWriter | None,
        projector: RowProjector | None = None,
    ) -> None:
        self._grid = grid
        self._projector = BatchProjector(grid, selection) if projector is None else projector
        self._rejects = rejects
        self._tally = np.zeros(max(OUTSIDE_INT32, *Reason) + 1, np.int64)
        self._counts = RowCounts()

    def pieces(self, chunk: OrderedChunk, batch: PointBatch) -> Iterator[KeyedRows]:
        """Yield the rows of a batch of a chunk as `BatchProjector.pieces` does, and count them.

        Raises
        ------
        DataError
            A planar coordinate lies beyond the 32-bit indexes of the grid.
        """
        rejected: list[npt.NDArray[np.int64]] = []
        reasons: list[npt.NDArray[np.uint8]] = []
        for piece in self._projector.pieces(batch):
            self._counts.used += len(piece.keys)
            if len(piece.unused):
                rejected.append(piece.rejected)
                reasons.append(piece.reasons.copy())  # the next piece overwrites them
                if not piece.by_reader:
                    self._counts.outside += int(np.sum(piece.reasons == Reason.FILTERED))
            yield piece
        self._counts.read += len(batch) + len(batch.ragged)
        self._tally[Reason.RAGGED] += len(batch.ragged)
        if rejected:
            self._reject(chunk, batch, np.concatenate(rejected), np.concatenate(reasons))
        elif batch.ragged and self._rejects is not None:
            self._rejects.add(chunk, batch, np.empty(0, np.int64), np.empty(0, np.uint8))

    def end_chunk(self, chunk: OrderedChunk, n_records: int) -> None:
        """Note that all batches of a chunk, of so many records, have been screened."""
        if self._rejects is not None:
            self._rejects.chunk_done(chunk, n_records)

    def counts(self) -> RowCounts:
        """Return how many rows were screened, and what became of them."""
        total = RowCounts()
        total.add(self._counts)
        for reason in Reason:
            total.reasons[reason] += int(self._tally[reason])
        return total

    def _reject(
        self,
        chunk: OrderedChunk,
        batch: PointBatch,
        rows: npt.NDArray[np.int64],
        reasons: npt.NDArray[np.uint8],
    ) -> None:
        if np.any(reasons == OUTSIDE_INT32):
            raise _index_error(self._grid, batch, rows[reasons == OUTSIDE_INT32])
        self._tally += np.bincount(reasons, minlength=len(self._tally))
        if self._rejects is not None:
            self._rejects.add(chunk, batch, rows, reasons)


def sample_of(batch: PointBatch) -> PointBatch:
    """Return a copy of the first rows of a batch, for a diagnosis when no row was valid."""
    part = slice(0, SAMPLE_ROWS)
    return PointBatch(
        batch.x[part].copy(),
        batch.y[part].copy(),
        batch.unit,
        None if batch.reason is None else batch.reason[part].copy(),
    )


class IndexRangeError(DataError):
    """A coordinate lies beyond the 32-bit indexes of the grid."""


def _index_error(grid: Grid, batch: PointBatch, rows: npt.NDArray[Any]) -> IndexRangeError:
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
    return IndexRangeError(
        f"the coordinate {worst!r} has no tile: its index at {grid.tiles_per_unit:g} tiles a unit "
        f"is beyond 32-bit integers. The finest that works for it is {works}."
    )
