"""Parquet files: one chunk a row group, decoded by whichever thread takes it.

Row groups are read through the file's own handle of the thread, without pre-buffering: buffered
ranges are never given back on local files (apache/arrow issue 39808), and the default of
`pre_buffer` changed between releases, so it is always passed.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gridcli.points.arrow import (
    BATCH_ROWS,
    READ_ERRORS,
    Converter,
    HandlePool,
    broken,
    with_partitions,
)
from gridcli.points.late import LateRows
from gridcli.points.pages import ColumnChunk, PageNeed, column_chunks, page_need
from gridcli.points.pieces import DamagedError
from gridcli.points.room import USUAL_BYTES, Room

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from gridcli.points.batch import Chunk, PointBatch
    from gridcli.points.plan import ColumnPlan, Input

_BUFFER_BYTES = 1 << 20
_LEAST_BATCH_ROWS = 1 << 10
_FIRST_ROWS = 1 << 6
"""Rows by which the size of all is judged."""
_SMALL_COLUMN_BYTES = USUAL_BYTES // 8
"""Columns of a row group up to this size are taken for one page."""


def open_parquet(source: Input, room: Room) -> ParquetInput:
    """Open a Parquet file and parse its footer.

    Parameters
    ----------
    source : Input
    room : Room
        For row groups of large pages.

    Raises
    ------
    InputError
        The file is not Parquet, truncated or corrupt.
    """
    try:
        return ParquetInput(source, _open(source, None), room)
    except READ_ERRORS as error:
        raise broken(source, "", error) from error


def _open(source: Input, metadata: Any) -> Any:
    return pq.ParquetFile(
        str(source.path), metadata=metadata, pre_buffer=False, buffer_size=_BUFFER_BYTES
    )


class ParquetInput:
    """An opened Parquet file (an `InputFile`)."""

    def __init__(self, source: Input, file: Any, room: Room) -> None:
        self.source = source
        self.room = room
        self._column_chunks: list[list[ColumnChunk]] | None = None
        self._lock = Lock()
        self.metadata = file.metadata
        self._file_schema = file.schema_arrow
        self.schema = with_partitions(self._file_schema, source)
        self.handles: HandlePool[Any] = HandlePool(
            lambda: _open(source, self.metadata), file, lambda handle: handle.close()
        )

    def chunks(self, plan: ColumnPlan, input_index: int) -> Iterator[Chunk]:
        """Yield one chunk a row group.

        Each stands for its share of the file by uncompressed size: asking for the columns'
        compressed sizes ends the process where a footer is corrupt (pyarrow 26.0).
        """
        converter = Converter(self.source, self._file_schema, plan)
        early = converter
        if plan.late:
            early = Converter(self.source, self._file_schema, replace(plan, extra=()))
        size = self.source.size_bytes or 0
        weights = [
            max(self.metadata.row_group(i).total_byte_size, 1)
            for i in range(self.metadata.num_row_groups)
        ]
        total, weight_before = sum(weights), 0
        for row_group, weight in enumerate(weights):
            begin = size * weight_before // total
            weight_before += weight
            n_bytes = size * weight_before // total - begin
            yield ParquetChunk(input_index, row_group, n_bytes, self, converter, early)

    def page_need(self, row_group: int, columns: list[str]) -> PageNeed:
        """Return what the pages of some columns take, where that may be much.

        Raises
        ------
        InputError
            The footer or the header of a page is corrupt.
        """
        most = int(self.metadata.row_group(row_group).total_byte_size)
        if self.room.limit_bytes is None or 2 * most <= USUAL_BYTES:  # also compressed
            return PageNeed(0, 0)
        try:
            with Path(str(self.source.path)).open("rb", buffering=0) as file:
                with self._lock:
                    if self._column_chunks is None:
                        self._column_chunks = column_chunks(file)
                chunks = [each for each in self._column_chunks[row_group] if each.root in columns]
                need = page_need(file, chunks, small_bytes=most)
                if need.total_bytes <= USUAL_BYTES:
                    return need
                return page_need(file, chunks, small_bytes=_SMALL_COLUMN_BYTES)
        except (DamagedError, IndexError, OSError) as error:
            raise broken(self.source, f"row group {row_group}", error) from error

    def close(self) -> None:
        """Release the file handles."""
        self.handles.close()


@dataclass
class ParquetChunk:
    """One row group (a `Chunk`)."""

    input_index: int
    chunk_index: int
    n_bytes: int
    file: ParquetInput
    converter: Converter
    early: Converter
    """Makes batches without the columns that are decoded later."""
    n_lines: int | None = None

    def decode(self) -> Iterator[PointBatch]:
        """Yield the row group's points."""
        need = self.file.page_need(self.chunk_index, self.converter.columns)
        self.file.room.check(
            f"{self.file.source.name}: {self._place}",
            "a page of ",
            need.largest_bytes,
            need.total_bytes,
            "write the file with pages of the usual size, about 1 MB",
        )
        n_read = 0
        late_columns = [name for name in self.converter.columns if name not in self.early.columns]
        late = LateRows(partial(self._read, late_columns))
        with self.file.room.taken(need.total_bytes), late:
            for rows in self._read(self.early.columns):
                begin = 0
                for batch in self.early.batches(rows, n_read):
                    if self.early is not self.converter:
                        read = rows.slice(begin, len(batch))
                        later = partial(self._table, read, late, n_read + begin)
                        batch = replace(batch, later=later)
                    yield batch
                    begin += len(batch)
                n_read += rows.num_rows
        n_rows = int(self.file.metadata.row_group(self.chunk_index).num_rows)
        if n_read != n_rows:
            error = ValueError(f"{n_read} rows instead of {n_rows}")
            raise broken(self.file.source, self._place, error)

    @cached_property
    def _batch_rows(self) -> int:
        """Rows to decode at a time: fewer where they are long.

        Where all columns are read, the first rows tell how long: pages of repeated values are
        small, but each value takes its own space once it is decoded.
        """
        row_group = self.file.metadata.row_group(self.chunk_index)
        fit = USUAL_BYTES * int(row_group.num_rows) // max(int(row_group.total_byte_size), 1)
        if not self.converter.has_extra:
            return min(max(fit, _LEAST_BATCH_ROWS), BATCH_ROWS)
        fit = min(max(fit, 1), BATCH_ROWS)
        with closing(self._batches(self.converter.columns, min(fit, _FIRST_ROWS))) as batches:
            first = next(batches, None)
        if first is None:
            return fit
        return min(fit, max(USUAL_BYTES * int(first.num_rows) // max(int(first.nbytes), 1), 1))

    @property
    def _place(self) -> str:
        return f"row group {self.chunk_index}"

    def _table(self, read: Any, late: LateRows, begin: int) -> Any:
        """Return the extra columns of some rows, of which some columns have been read."""
        columns, names = read.columns, read.schema
        if len(self.converter.columns) > len(self.early.columns):
            try:
                rest = late.at(begin, read.num_rows)
            except ValueError as error:
                raise broken(self.file.source, self._place, error) from error
            columns, names = [*columns, *rest.columns], pa.schema([*names, *rest.schema])
        return self.converter.table(pa.RecordBatch.from_arrays(columns, schema=names))

    def _read(self, columns: list[str]) -> Iterator[Any]:
        """Yield record batches that together hold some columns of the row group."""
        yield from self._batches(columns, self._batch_rows)

    def _batches(self, columns: list[str], n: int) -> Generator[Any, None, None]:
        """Yield record batches of `n` rows."""
        try:
            handle = self.file.handles.take()
            try:
                yield from handle.iter_batches(
                    batch_size=n, row_groups=[self.chunk_index], columns=columns, use_threads=False
                )
            finally:
                self.file.handles.give_back(handle)
        except READ_ERRORS as error:
            raise broken(self.file.source, self._place, error) from error
