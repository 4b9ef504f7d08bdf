"""From batches of points to tile keys: which rows have a tile, and why the others have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from gridcli.grid.project import PIECE, Projector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.grid.project import Selection
    from gridcli.points.batch import PointBatch

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KeyedRows:
    """Some rows of a batch: the keys of those that are used, and why the others are not.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n_used,)
        In the order of the rows; a view of a buffer, valid until the next piece.
    rows : ndarray of int64, shape (n,), or range
        Positions in the batch.
    unused : ndarray of int64, shape (n_rejected,)
        Positions in `rows` of those that are not used.
    reasons : ndarray of uint8, shape (n_rejected,)
        Why: a `Reason`, or `gridcli.grid.project.OUTSIDE_INT32`.
    by_reader : bool
        Whether the reader, before any projection, found them not to be usable.
    """

    keys: npt.NDArray[np.uint64]
    rows: Int64s | range
    unused: Int64s
    reasons: npt.NDArray[np.uint8]
    by_reader: bool = False

    @property
    def used(self) -> Int64s:
        """Positions in the batch of the rows that `keys` belong to."""
        is_used = np.ones(len(self.rows), np.bool_)
        is_used[self.unused] = False
        return self._in_batch(np.flatnonzero(is_used))

    @property
    def rejected(self) -> Int64s:
        """Positions in the batch of the rows that `reasons` belong to."""
        return self._in_batch(self.unused)

    def _in_batch(self, positions: Int64s) -> Int64s:
        if isinstance(self.rows, range):
            return positions + self.rows.start
        return self.rows[positions]


class RowProjector(Protocol):
    """What turns batches into keys, be it of places alone (`BatchProjector`) or of more."""

    def pieces(self, batch: PointBatch) -> Iterator[KeyedRows]:
        """Yield all rows of a batch, each in one piece."""


class BatchProjector:
    """Projects batches of points, piece by piece; owned by one thread.

    Parameters
    ----------
    grid : Grid
    selection : Selection
    """

    def __init__(self, grid: Grid, selection: Selection) -> None:
        self._projector = Projector(grid, selection)

    def pieces(self, batch: PointBatch) -> Iterator[KeyedRows]:
        """Yield all rows of a batch, each in one piece; first those known not to be usable.

        Raises
        ------
        UsageError
            The unit of the batch and the grid need more than 64 bits.
        """
        x, y = batch.x, batch.y
        rows: Int64s | range = range(len(batch))
        if batch.reason is not None:
            known = np.flatnonzero(batch.reason)
            unused: Int64s = np.arange(len(known))
            yield KeyedRows(
                np.empty(0, np.uint64), known, unused, batch.reason[known], by_reader=True
            )
            rows = np.flatnonzero(batch.reason == 0)
            x, y = x[rows], y[rows]
        for start in range(0, len(x), PIECE):
            piece = slice(start, start + PIECE)
            projected = self._projector.project(x[piece], y[piece], batch.unit)
            yield KeyedRows(projected.keys, rows[piece], projected.rejected, projected.reasons)
