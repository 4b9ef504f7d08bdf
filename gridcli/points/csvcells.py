"""From a block of CSV to coordinates and columns: by the kernel, else by Arrow's parser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from gridcli.errors import InputError
from gridcli.points.arrow import HIVE_NULL
from gridcli.points.batch import PointBatch, Reason
from gridcli.points.coordinates import first_reason, read_pair
from gridcli.points.csvpoints import read_csv_points
from gridcli.points.csvrecords import CsvOrigin, RecordIndex
from gridcli.points.numbers import NULL_SPELLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridcli.points.plan import ColumnPlan


@dataclass(frozen=True)
class CellReader:
    """Turns blocks of one file into batches. Immutable, so any number of threads may share it.

    Attributes
    ----------
    name : str
        The file, for messages.
    delimiter : str
    n_columns : int
        Cells that a record has unless it is ragged.
    x, y : int
        Positions of the coordinates.
    texts : dict of str to int
        Names and positions of the columns that filters and outputs need.
    partitions : dict of str to str
        Constant columns that they may need.
    plan : ColumnPlan
    """

    name: str
    delimiter: str
    n_columns: int
    x: int
    y: int
    texts: Mapping[str, int]
    partitions: Mapping[str, str]
    plan: ColumnPlan

    def read(self, data: bytes, lines_before: int) -> PointBatch:
        """Parse whole records.

        Parameters
        ----------
        data : bytes
            Begins at the start of a record.
        lines_before : int
            Lines of the chunk that stand before `data`.

        Raises
        ------
        InputError
            A column that is needed as text is not in UTF-8.
        """
        index = RecordIndex(data, self.delimiter.encode(), lines_before)
        if self.plan.scale is None and self.plan.row_filter is None and not self.plan.extra:
            points = read_csv_points(data, self.delimiter, self.n_columns, self.x, self.y)
            if points is not None:
                ragged, origin = self._records(index, points.ragged)
                return PointBatch(
                    points.x, points.y, reason=points.reason, ragged=ragged, origin=origin
                )
        return self._read_by_arrow(data, index)

    def _read_by_arrow(self, data: bytes, index: RecordIndex) -> PointBatch:
        dropped: list[int] = []
        try:
            cells = self._parse(data, self._number_type(data), dropped)
        except pa.ArrowInvalid:
            # Some cell is no number to Arrow, which does not say which: all of them as text.
            dropped = []
            cells = self._parse_as_text(data, dropped)
        x, y, unit, reason = read_pair(
            _one_array(cells, self.x), _one_array(cells, self.y), self.plan.scale
        )
        if self.plan.row_filter is not None:
            columns = self._text_columns(cells, self.plan.row_filter.columns)
            kept = self.plan.row_filter.mask(columns)
            filtered = np.where(kept, np.uint8(0), np.uint8(Reason.FILTERED))
            reason = first_reason(filtered, reason)
        ragged, origin = self._records(index, dropped)
        table = self._text_columns(cells, self.plan.extra) if self.plan.extra else None
        return PointBatch(x, y, unit=unit, reason=reason, ragged=ragged, origin=origin, table=table)

    def _records(
        self, index: RecordIndex, dropped: list[int]
    ) -> tuple[tuple[tuple[int, int, str], ...], CsvOrigin | None]:
        """Return the ragged records of a batch, and the origin of its rows if it is wanted."""
        ragged = tuple((record, index.line(record), index.text(record)) for record in dropped)
        return ragged, CsvOrigin(index, tuple(dropped)) if self.plan.keep_origin else None

    def _number_type(self, data: bytes) -> Any:
        """Type to read coordinates with at first."""
        if not {self.x, self.y}.isdisjoint(self.texts.values()):
            return pa.string()
        if self.plan.scale is None:
            return pa.float64()
        # Arrow reads 0x1F as an integer, which the grammar does not.
        return pa.string() if b"0x" in data or b"0X" in data else pa.int64()

    def _parse(self, data: bytes, number_type: Any, ragged: list[int]) -> Any:
        """Return the needed columns, named by position; records dropped go to `ragged`."""
        types = {str(position): pa.string() for position in self.texts.values()}
        types |= {str(self.x): number_type, str(self.y): number_type}
        if not data.strip(b"\r\n"):
            return pa.table({name: pa.array([], kind) for name, kind in types.items()})

        def skip(row: Any) -> str:
            ragged.append(row.number)
            return "skip"

        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=[str(k) for k in range(self.n_columns)],
            ),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(
                check_utf8=False,
                column_types=types,
                include_columns=list(types),
                null_values=NULL_SPELLINGS,
                quoted_strings_can_be_null=True,
            ),
        )

    def _parse_as_text(self, data: bytes, ragged: list[int]) -> Any:
        try:
            return self._parse(data, pa.string(), ragged)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.name}: cannot be parsed as CSV: {error}.") from error

    def _text_columns(self, cells: Any, names: tuple[str, ...]) -> Any:
        """Return text columns by name: an empty cell is null, any other text stays as it is."""
        columns = []
        for name in names:
            if name in self.texts:
                column = _one_array(cells, self.texts[name])
                _check_utf8(column, self.name, name)
                columns.append(
                    pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
                )
            else:
                value = self.partitions[name]
                scalar = pa.scalar(None if value == HIVE_NULL else value, pa.string())
                columns.append(pa.repeat(scalar, cells.num_rows))
        return pa.RecordBatch.from_arrays(columns, names=list(names))


def _one_array(table: Any, position: int) -> Any:
    column = table.column(str(position))
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _check_utf8(column: Any, file: str, name: str) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{file}: column {name} is not in UTF-8. Convert the file, e.g. with "
            "iconv -f LATIN1 -t UTF-8."
        ) from error
