"""What readers yield: batches of coordinates, cut into chunks that threads decode in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Reason(IntEnum):
    """Why a row is not used. The first that applies counts (docs/contract.md, section 2)."""

    FILTERED = 1
    RAGGED = 2
    NULL = 3
    NOT_A_NUMBER = 4
    OUT_OF_RANGE = 5
    NULL_ISLAND = 6

    @property
    def label(self) -> str:
        """The name used in summaries, rejects files and metadata, e.g. ``out_of_range``."""
        return self.name.lower()


BAD_REASONS = (
    Reason.RAGGED,
    Reason.NULL,
    Reason.NOT_A_NUMBER,
    Reason.OUT_OF_RANGE,
    Reason.NULL_ISLAND,
)
"""Every reason that makes a row bad; `--max-bad` counts the first four."""


class Origin(Protocol):
    """Tells where the rows of a batch come from; asked only for rows that are reported."""

    def text(self, row: int) -> str:
        """Return the text of row `row` (0-based in the batch) as the user would see it."""

    def line(self, row: int) -> int | None:
        """Return the 1-based line of the row within its chunk, None where a file has no lines."""

    def record(self, row: int) -> int:
        """Return the 1-based record of the row within its chunk (ragged records counted)."""


@dataclass(frozen=True)
class PointBatch:
    """Coordinates of consecutive rows of one input.

    Attributes
    ----------
    x, y : ndarray, shape (n,), float64 or int64
        Longitude and latitude in degrees (or planar x and y). int64 where `unit` is set: then the
        coordinate is exactly ``value * unit``. Whatever stands in a row with a known reason is
        ignored.
    unit : Fraction or None
        Size of one integer step, e.g. Fraction(1, 10**7) for ``--scale 1e-7``.
    reason : ndarray, shape (n,), uint8, or None
        `Reason` of the rows that the reader already knows not to be usable (FILTERED by --where,
        NULL, NOT_A_NUMBER for text); 0 elsewhere. None: no such row. NaN, infinity, range, null
        island and bbox are decided later, by the projection, for all readers alike.
    ragged : tuple of (record, line, text)
        Records dropped by the parser because their number of cells is wrong; they stand beside
        the n rows. Record and line are 1-based within the chunk.
    origin : Origin or None
        Where the rows come from, for `--rejects`.
    table : pyarrow.RecordBatch or None
        The extra columns that were asked for, n rows.
    later : callable or None
        Returns `table`, which is decoded only then; to be called before the next batch is asked
        for, or not at all.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    unit: Fraction | None = None
    reason: npt.NDArray[np.uint8] | None = None
    ragged: tuple[tuple[int, int | None, str], ...] = ()
    origin: Origin | None = None
    table: Any = None
    later: Callable[[], Any] | None = None

    def __len__(self) -> int:
        return len(self.x)


class Chunk(Protocol):
    """A piece of one input: handed out in order by one thread, decoded by any."""

    @property
    def input_index(self) -> int:
        """Index of the input in `PointReader.inputs`."""

    @property
    def chunk_index(self) -> int:
        """0-based index of the chunk within its input."""

    @property
    def n_bytes(self) -> int:
        """Bytes of the file that this chunk stands for; all chunks of an input sum to its size."""

    @property
    def n_lines(self) -> int | None:
        """Lines that the chunk stands for, None where the format has none; may be counted anew."""

    def decode(self) -> Iterator[PointBatch]:
        """Yield the batches of the chunk, in order. Thread-safe against other chunks.

        Raises
        ------
        InputError
            The file is truncated or corrupt.
        """


@dataclass
class RowCounts:
    """How many rows were read, and what became of them: read = used + all reasons.

    Attributes
    ----------
    read, used : int
    outside : int
        Valid points outside --bbox; also counted as FILTERED.
    reasons : dict of Reason to int
    repeated : int or None
        Rows among those used that repeat another one, and so are no points of their own
        (--unique); None where every used row is a point.
    """

    read: int = 0
    used: int = 0
    outside: int = 0
    reasons: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    repeated: int | None = None

    def add(self, other: RowCounts) -> None:
        """Add the counts of another part of the data."""
        self.read += other.read
        self.used += other.used
        self.outside += other.outside
        for reason, count in other.reasons.items():
            self.reasons[reason] += count
        if other.repeated is not None:
            self.repeated = (self.repeated or 0) + other.repeated

    def record(self) -> dict[str, int]:
        """Return the counts as one flat record: read, used, and each reason by its label.

        Rows that are repeated stand beside those used, of which they are a part.
        """
        return {
            "read": self.read,
            "used": self.used,
            **({} if self.repeated is None else {"repeated": self.repeated}),
            **{reason.label: n for reason, n in self.reasons.items()},
        }

    @property
    def points(self) -> int:
        """Used rows that count in a tile."""
        return self.used - (self.repeated or 0)

    @property
    def bad(self) -> int:
        """Rows counted by `--max-bad`: ragged, null, not a number, out of range."""
        return sum(self.reasons[r] for r in BAD_REASONS if r is not Reason.NULL_ISLAND)
