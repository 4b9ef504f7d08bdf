"""Writing a state file: a stream of sorted tiles, in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gridcli.dims.columns import TileColumns
from gridcli.states.content import GROUP_ROWS, canonical_json, content_hash, rows_digests
from gridcli.states.info import StateInfo, compress, to_record
from gridcli.states.seal import SealingSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from gridcli.grid.grid import Grid
    from gridcli.output.layer import Sink
    from gridcli.points.batch import RowCounts
    from gridcli.states.info import InputRecord, Rules

ROW_GROUP_ROWS = 2 * GROUP_ROWS
RECORD_KEY, DIGESTS_KEY, FIRST_KEYS_KEY = "gridcli", "gridcli.digests", "gridcli.first_keys"


class StateWriter:
    """Writes tiles, handed over in ascending order, as a state file.

    Leaving the block without `finish` leaves the sink without a footer.

    Parameters
    ----------
    sink : Sink
        Stays open.
    grid : Grid
    rules : Rules

    Examples
    --------
    >>> with StateWriter(outputs["day.parquet"], grid, rules) as writer:  # doctest: +SKIP
    ...     for keys, counts in blocks:
    ...         writer.write(keys, counts)
    ...     info = writer.finish(row_counts, inputs)
    """

    def __init__(self, sink: Sink, grid: Grid, rules: Rules) -> None:
        self._info = StateInfo(grid, rules)
        self._columns = TileColumns(self._info.dims)
        types = self._columns.types
        self._schema = pa.schema([pa.field(name, types[name], nullable=False) for name in types])
        self._sink = SealingSink(sink)
        # Deltas of sorted indexes are small: this beats dictionaries and compression both in size
        # and in time. Without a stored Arrow schema, which would hide the footer's keys.
        self._writer: Any = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="none",
            use_dictionary=False,
            column_encoding=dict.fromkeys(types, "DELTA_BINARY_PACKED"),
            sorting_columns=[pq.SortingColumn(i) for i in (1, 0, *range(2, len(types) - 1))],
            write_page_checksum=True,
            store_schema=False,
        )
        self._waiting: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []
        self._n_waiting = 0
        self._digests: list[bytes] = []
        self._first_keys: list[npt.NDArray[np.uint64]] = []
        self._last_key: np.uint64 | None = None
        self._n_tiles = self._n_points = self._largest = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.abandon()
        self._writer.close()

    def write(self, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        """Append tiles.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n,)
            Strictly ascending, and above all that were written before.
        counts : ndarray of int64, shape (n,)
            At least 1 each.

        Raises
        ------
        OutputError
            The sink cannot be written.
        """
        self._waiting.append((keys, counts))
        self._n_waiting += len(keys)
        if self._n_waiting >= ROW_GROUP_ROWS:
            keys, counts = self._take_waiting()
            n = len(keys) - len(keys) % ROW_GROUP_ROWS
            for start in range(0, n, ROW_GROUP_ROWS):
                rows = slice(start, start + ROW_GROUP_ROWS)
                self._write_group(keys[rows], counts[rows])
            # Copies, so that little waiting does not keep much in memory.
            self._waiting = [(keys[n:].copy(), counts[n:].copy())]
            self._n_waiting = len(keys) - n

    def finish(self, counts: RowCounts, inputs: Sequence[InputRecord]) -> StateInfo:
        """Write what waits, and the footer; return what the file says of itself.

        Parameters
        ----------
        counts : RowCounts
            `used` must be the number of points in all tiles.
        inputs : sequence of InputRecord

        Raises
        ------
        OutputError
            The sink cannot be written.
        """
        keys, tile_counts = self._take_waiting()
        if len(keys):
            self._write_group(keys, tile_counts)
        if counts.points != self._n_points:
            raise ValueError(f"{counts.points} rows were used, but {self._n_points} points counted")
        digests = b"".join(self._digests)
        info = replace(
            self._info,
            counts=counts,
            inputs=tuple(inputs),
            content_hash=content_hash(replace(self._info, counts=counts), digests),
            n_tiles=self._n_tiles,
            n_points=self._n_points,
            largest_count=self._largest,
        )
        first_keys = np.concatenate([np.empty(0, np.uint64), *self._first_keys])
        self._writer.add_key_value_metadata(
            {
                RECORD_KEY: canonical_json(to_record(info)),
                DIGESTS_KEY: compress(digests),
                FIRST_KEYS_KEY: compress(first_keys.astype("<u8").tobytes()),
            }
        )
        self._sink.begin_footer()
        self._writer.close()
        self._sink.end_footer()
        return info

    def _take_waiting(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return all that waits, joined."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        if len(waiting) == 1:
            return waiting[0]
        keys = np.concatenate([np.empty(0, np.uint64), *(keys for keys, _ in waiting)])
        return keys, np.concatenate([np.empty(0, np.int64), *(counts for _, counts in waiting)])

    def _write_group(self, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        """Write one row group."""
        is_after = self._last_key is None or self._last_key < keys[0]
        if not (is_after and np.all(keys[1:] > keys[:-1]) and counts.min() > 0):
            raise ValueError("tiles must be strictly ascending, with at least one point each")
        indexes = self._columns.indexes(keys)
        self._digests.append(rows_digests(indexes, counts))
        self._first_keys.append(keys[:1].copy())
        self._last_key = keys[-1]
        self._n_tiles += len(keys)
        self._n_points += int(counts.sum())
        self._largest = max(self._largest, int(counts.max()))
        table = pa.table([*indexes, counts], schema=self._schema)
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
