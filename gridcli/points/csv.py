"""CSV and TSV inputs: opened once, cut into blocks by one thread, parsed by any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from gridcli.errors import UsageError
from gridcli.points.arrow import with_partitions
from gridcli.points.csvblocks import BLOCK_BYTES, BlockReader, ByteSource
from gridcli.points.csvcells import CellReader
from gridcli.points.csvheader import read_header
from gridcli.points.csvrecords import count_lines
from gridcli.points.names import listed, require_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.points.batch import PointBatch
    from gridcli.points.plan import ColumnPlan, Input, ReadOptions


@dataclass(frozen=True)
class CsvChunk:
    """One block of a CSV file (a `gridcli.points.batch.Chunk`)."""

    input_index: int
    chunk_index: int
    n_bytes: int
    data: bytes
    lines_before: int
    """Lines of the file before `data` that belong to no other chunk: the header's."""
    cells: CellReader

    @property
    def n_lines(self) -> int:
        """Lines that the chunk stands for: added up, they make its lines those of the file."""
        return self.lines_before + count_lines(self.data)

    def decode(self) -> Iterator[PointBatch]:
        """Yield the chunk's one batch (also where all its records are ragged)."""
        yield self.cells.read(self.data, self.lines_before)


class CsvFile:
    """An opened CSV file (a `gridcli.points.plan.InputFile`); `open_csv` makes one."""

    def __init__(
        self, source: Input, options: ReadOptions, stream: BinaryIO | None, block_bytes: int
    ) -> None:
        self._source = source
        self._bytes = ByteSource(source, stream)
        try:
            self._reader = BlockReader(source.name, self._bytes, block_bytes, options.memory_bytes)
            self._header = read_header(source, self._reader, options.columns)
        except BaseException:
            self.close()
            raise
        self._partitions = {
            name: value
            for name, value in source.partitions.items()
            if name not in self._header.names
        }

    @property
    def schema(self) -> Any:
        """pyarrow.Schema of the file's columns, then the partitions' (all of them text)."""
        own = pa.schema([(name, pa.string()) for name in self._header.names])
        return with_partitions(own, self._source)

    def chunks(self, plan: ColumnPlan, input_index: int) -> Iterator[CsvChunk]:
        """Yield the pieces of the file in order.

        Raises
        ------
        UsageError
            A column of the plan is missing, or its name stands twice in the header.
        InputError
            The file cannot be read, or its compressed data is truncated or corrupt.
        ResourceError
            A record is longer than the limit.
        """
        cells = self._cell_reader(plan)
        lines_before = self._header.n_lines
        blocks = self._reader.blocks(self._header.delimiter.encode())
        for chunk_index, block in enumerate(blocks):
            yield CsvChunk(input_index, chunk_index, block.n_bytes, block.data, lines_before, cells)
            lines_before = 0

    def close(self) -> None:
        """Close the file; a stream that was given stays open."""
        self._bytes.close()

    def _cell_reader(self, plan: ColumnPlan) -> CellReader:
        if plan.x is None or plan.y is None:
            raise UsageError(
                f"{self._source.name}: a geometry column cannot be read from CSV. Name columns "
                "of numbers with --lat and --lon (--x and --y for planar data)."
            )
        filtered = plan.row_filter.columns if plan.row_filter is not None else ()
        texts = [name for name in (*filtered, *plan.extra) if name not in self._partitions]
        return CellReader(
            name=self._source.name,
            delimiter=self._header.delimiter,
            n_columns=len(self._header.names),
            x=self._position(plan.x),
            y=self._position(plan.y),
            texts={name: self._position(name) for name in texts},
            partitions=self._partitions,
            plan=plan,
        )

    def _position(self, name: str) -> int:
        names = self._header.names
        if name not in names:
            raise UsageError(
                f"{self._source.name}: no column {name!r}. Its columns: {listed(names)}."
            )
        require_unique(names, name, self._source.name)
        return names.index(name)


def open_csv(
    source: Input,
    options: ReadOptions,
    stream: BinaryIO | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> CsvFile:
    """Open a CSV or TSV file and read its header.

    The delimiter is a tab where the file's name has the suffix ``.tsv``; otherwise it is the one
    of ``, ; tab |`` that occurs most often in the header, or under ``--columns`` one that cuts
    the first row into as many cells as there are names.

    Parameters
    ----------
    source : Input
    options : ReadOptions
    stream : binary stream or None
        What to read where `source` has no path. It is not closed.
    block_bytes : int
        About how much text a chunk holds; no result depends on it.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or is no text in UTF-8.
    UsageError
        Its first row is no header and `options.columns` is missing or does not fit.
    """
    return CsvFile(source, options, stream, block_bytes)
