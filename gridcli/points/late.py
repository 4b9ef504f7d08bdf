"""Columns that are decoded only for the batches that they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridcli.runtime.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class LateRows(Closing):
    """Rows that are read from the beginning, as far as they are asked for.

    Parameters
    ----------
    read : callable
        Returns an iterator of all rows as pyarrow.RecordBatches.
    """

    def __init__(self, read: Callable[[], Iterator[Any]]) -> None:
        self._read = read
        self._batches: Any = None
        self._current: Any = None
        self._end = 0

    def at(self, begin: int, n: int) -> Any:
        """Return some rows, which lie behind those that were asked for before.

        Parameters
        ----------
        begin, n : int
            Rows [begin, begin + n), at least one.

        Returns
        -------
        pyarrow.RecordBatch

        Raises
        ------
        ValueError
            There are fewer rows.
        """
        pieces = []
        while n > 0:
            if begin >= self._end:
                self._advance()
                continue
            piece = self._current.slice(begin - self._end + self._current.num_rows, n)
            pieces.append(piece)
            begin += piece.num_rows
            n -= piece.num_rows
        return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)

    def close(self) -> None:
        """Release what is held for reading on; safe to call twice."""
        if self._batches is not None:
            self._batches.close()
        self._current = None

    def _advance(self) -> None:
        if self._batches is None:
            self._batches = self._read()
        self._current = next(self._batches, None)
        if self._current is None:
            raise ValueError(f"{self._end} rows, fewer than there should be")
        self._end += self._current.num_rows
