"""Where the records of a piece of CSV begin and end: quotes, cuts, lines, and texts.

The rules are those of Arrow's parser (and of Python's `csv`): a quote opens a quoted part only
as the first character of a cell; inside, a doubled quote is a quote, and the next single one
closes it; after that, quotes are plain text. LF, CR LF and CR end a record; empty lines are no
records. Every function here takes bytes that begin at the start of a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTE, LF, CR = b'"\n\r'


def quote_marks(data: bytes, delimiter: bytes) -> npt.NDArray[np.int64]:
    """Return the positions where quoted parts open and close, alternating.

    A position with an odd number of marks before it lies inside a quoted part. (A doubled quote
    may appear as a close and an open side by side, with nothing between.)
    """
    if QUOTE not in data:
        return np.empty(0, dtype=np.int64)
    characters = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(characters == QUOTE)
    openers = quotes[::2]
    before = characters[openers - 1]
    proper = (before == delimiter[0]) | (before == LF) | (before == CR) | (before == QUOTE)
    proper[0] |= openers[0] == 0
    if proper.all():
        return quotes
    # Some quote stands in the middle of a cell (5" pipe), where it means nothing.
    return np.fromiter(_scan_quotes(data, quotes, delimiter), dtype=np.int64)


def _scan_quotes(data: bytes, quotes: npt.NDArray[np.int64], delimiter: bytes) -> Iterator[int]:
    cell_starts_after = {delimiter[0], LF, CR}
    inside = False
    skipped = -1
    for position in quotes.tolist():
        if position == skipped:
            continue
        if inside:
            if data[position + 1 : position + 2] == b'"':
                skipped = position + 1
                continue
            inside = False
            yield position
        elif position == 0 or data[position - 1] in cell_starts_after:
            inside = True
            yield position


def last_record_end(data: bytes, delimiter: bytes) -> int:
    """Return where the last complete record of `data` ends, its LF included; 0 if none does."""
    end = data.rfind(b"\n") + 1
    if end == 0:
        return 0
    marks = quote_marks(data, delimiter)
    while end:
        marks_before = int(np.searchsorted(marks, end - 1))
        if marks_before % 2 == 0:
            break
        end = data.rfind(b"\n", 0, marks[marks_before - 1]) + 1
    return end


def first_record(data: bytes, delimiter: bytes) -> tuple[int, int, int] | None:
    """Return start and end of the first record, and where what follows it begins.

    None where the record, or the line end after it, may go on beyond `data`.
    """
    bounds = RecordIndex(data, delimiter).bounds
    if len(bounds.start) == 0 or bounds.end[0] + 1 >= len(data):
        return None
    end = int(bounds.end[0])
    return int(bounds.start[0]), end, end + (2 if data[end : end + 2] == b"\r\n" else 1)


def count_lines(data: bytes) -> int:
    """Return the number of line ends: LF, CR LF, and CR."""
    lines = data.count(b"\n")
    if CR in data:
        lines += data.count(b"\r") - data.count(b"\r\n")
    return lines


class RecordBounds(NamedTuple):
    """Where records lie: positions, and the 1-based lines on which they begin."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecordIndex:
    """The records of a piece of CSV, numbered from 1; made only where a record is reported.

    Attributes
    ----------
    data : bytes
    delimiter : bytes
        One character.
    lines_before : int
        Lines that stand before `data` in the same chunk (the header).
    """

    data: bytes
    delimiter: bytes
    lines_before: int = 0

    def text(self, record: int) -> str:
        """Return a record as it stands in the file, without its line end."""
        bounds = self.bounds
        start, end = bounds.start[record - 1], bounds.end[record - 1]
        return self.data[start:end].decode("utf-8", "replace")

    def line(self, record: int) -> int:
        """Return the 1-based line on which a record begins."""
        return self.lines_before + int(self.bounds.line[record - 1])

    @cached_property
    def bounds(self) -> RecordBounds:
        """Start, end, and line (from 1) of every record within `data`."""
        characters = np.frombuffer(self.data, dtype=np.uint8)
        is_lf = characters == LF
        is_lone_cr = characters == CR
        is_lone_cr[:-1] &= ~is_lf[1:]
        line_ends = np.flatnonzero(is_lf | is_lone_cr)
        marks = quote_marks(self.data, self.delimiter)
        outside = np.searchsorted(marks, line_ends) % 2 == 0
        record_ends = line_ends[outside]
        starts = np.append(0, record_ends + 1)
        ends = np.append(record_ends, len(characters))
        lines = np.append(1, np.flatnonzero(outside) + 2)
        ends -= (
            (ends > starts) & (np.append(characters, 0)[ends] == LF) & (characters[ends - 1] == CR)
        )
        filled = ends > starts
        return RecordBounds(starts[filled], ends[filled], lines[filled])


@dataclass(frozen=True)
class CsvOrigin:
    """`gridcli.points.batch.Origin` of the rows that one chunk of CSV holds.

    Attributes
    ----------
    index : RecordIndex
    ragged : tuple of int
        The records that are no rows, ascending.
    """

    index: RecordIndex
    ragged: tuple[int, ...]

    def record(self, row: int) -> int:
        """Return the 1-based record of row `row`, ragged records counted."""
        return row + 1 + int(np.searchsorted(self._rows_before_ragged, row, side="right"))

    def line(self, row: int) -> int:
        """Return the 1-based line on which row `row` begins."""
        return self.index.line(self.record(row))

    def text(self, row: int) -> str:
        """Return row `row` as it stands in the file."""
        return self.index.text(self.record(row))

    @cached_property
    def _rows_before_ragged(self) -> npt.NDArray[np.int64]:
        ragged = np.array(self.ragged, dtype=np.int64)
        return ragged - 1 - np.arange(len(ragged))
