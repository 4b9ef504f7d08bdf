"""Parquet files: one chunk a row group, decoded by whichever thread takes it.

Row groups are read through the file's own handle of the thread, without pre-buffering: buffered
ranges are never given back on local files (apache/arrow issue 39808), and the default of
`pre_buffer` changed between releases, so it is always passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from gridcli.points.arrow import (
    BATCH_ROWS,
    LARGE_BATCH_ROWS,
    READ_ERRORS,
    Converter,
    HandlePool,
    broken,
    with_partitions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.batch import Chunk, PointBatch
    from gridcli.points.plan import ColumnPlan, Input

_BUFFER_BYTES = 1 << 20


def open_parquet(source: Input) -> ParquetInput:
    """Open a Parquet file and parse its footer.

    Raises
    ------
    InputError
        The file is not Parquet, truncated or corrupt.
    """
    try:
        return ParquetInput(source, _open(source, None))
    except READ_ERRORS as error:
        raise broken(source, "", error) from error


def _open(source: Input, metadata: Any) -> Any:
    return pq.ParquetFile(
        str(source.path), metadata=metadata, pre_buffer=False, buffer_size=_BUFFER_BYTES
    )


class ParquetInput:
    """An opened Parquet file (an `InputFile`)."""

    def __init__(self, source: Input, file: Any) -> None:
        self.source = source
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
            yield ParquetChunk(input_index, row_group, n_bytes, self, converter)

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
    n_lines: int | None = None

    def decode(self) -> Iterator[PointBatch]:
        """Yield the row group's points."""
        n_read = 0
        for rows in self._read():
            yield from self.converter.batches(rows, n_read)
            n_read += rows.num_rows
        n_rows = self._n_rows
        if n_read != n_rows:
            error = ValueError(f"{n_read} rows instead of {n_rows}")
            raise broken(self.file.source, self._place, error)

    @property
    def _n_rows(self) -> int:
        return int(self.file.metadata.row_group(self.chunk_index).num_rows)

    @property
    def _place(self) -> str:
        return f"row group {self.chunk_index}"

    def _read(self) -> Iterator[Any]:
        """Yield record batches that together hold the row group."""
        columns = self.converter.columns
        try:
            handle = self.file.handles.take()
            try:
                if self._n_rows > LARGE_BATCH_ROWS:
                    yield from handle.iter_batches(
                        batch_size=BATCH_ROWS,
                        row_groups=[self.chunk_index],
                        columns=columns,
                        use_threads=False,
                    )
                else:
                    table = handle.read_row_group(
                        self.chunk_index, columns=columns, use_threads=False
                    )
                    yield from table.to_batches()
            finally:
                self.file.handles.give_back(handle)
        except READ_ERRORS as error:
            raise broken(self.file.source, self._place, error) from error
