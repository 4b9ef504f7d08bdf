"""From a reader of points to a table of tiles, and whether the rows were good enough."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gridcli.errors import DataError
from gridcli.grid.project import Selection
from gridcli.points.batch import BAD_REASONS, PointBatch, Reason, RowCounts
from gridcli.raster.contract import Contraction
from gridcli.tiles.table import TableSizes, TileTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridcli.grid.grid import Grid
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace


@dataclass(frozen=True)
class MaxBad:
    """How many bad rows are accepted: a number of rows, or a share of those read."""

    rows: int | None = None
    share: Fraction | None = None

    def allows(self, counts: RowCounts) -> bool:
        """Whether the bad rows (not the null island) stay within the limit."""
        if self.rows is not None:
            return counts.bad <= self.rows
        return self.share is None or counts.bad <= self.share * counts.read

    def __str__(self) -> str:
        return str(self.rows) if self.rows is not None else f"{float(100 * (self.share or 0)):g} %"


@dataclass(frozen=True)
class RowRules:
    """Which rows count, and how many bad ones are accepted.

    Attributes
    ----------
    keep_null_island : bool
    bbox : tuple of float or None
        West, south, east, north in degrees (or coordinate units); west > east crosses 180.
    max_bad : MaxBad or None
    """

    keep_null_island: bool = False
    bbox: tuple[float, float, float, float] | None = None
    max_bad: MaxBad | None = None


class TooManyBadRowsError(DataError):
    """More rows are bad than `RowRules.max_bad` allows."""


class NoValidRowError(DataError):
    """Rows were read, but none of them has valid coordinates.

    Attributes
    ----------
    sample : PointBatch or None
        Some of the rows, for a diagnosis.
    """

    def __init__(self, message: str, sample: PointBatch | None) -> None:
        super().__init__(message)
        self.sample = sample


def count_points(
    reader: PointReader,
    grid: Grid,
    rules: RowRules,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
) -> tuple[TileTable, RowCounts]:
    """Contract all points of a reader; return the table, and what became of the rows.

    Raises
    ------
    InputError
        An input is missing, truncated or corrupt.
    TooManyBadRowsError, NoValidRowError
        More bad rows than `rules.max_bad` allows, or no valid row at all (both are DataError).
    ResourceError
        The disk is full of what memory does not hold.
    Interrupted
        A signal arrived.
    """
    sizes = TableSizes.within(space.budget.limit_bytes)
    table = TileTable(sizes, budget=space.budget, spill=space.spill)
    selection = Selection(rules.bbox, rules.keep_null_island)
    job = Contraction(grid, selection, table, rejects=rejects)
    progress.start(reader.total_bytes, "contract")
    counts = job.run(reader.chunks(), threads=space.threads, progress=progress, stop=stop)
    check_rows(counts, rules.max_bad, job.sample)
    return table, counts


def check_rows(counts: RowCounts, max_bad: MaxBad | None, sample: PointBatch | None) -> None:
    """Refuse data with too many bad rows, or without a single good one.

    Raises
    ------
    TooManyBadRowsError, NoValidRowError
    """
    if max_bad is not None and not max_bad.allows(counts):
        counted = _listed(counts, [r for r in BAD_REASONS if r is not Reason.NULL_ISLAND])
        raise TooManyBadRowsError(
            f"{counts.bad:,} of {counts.read:,} rows are bad ({counted}), more than "
            f"--max-bad {max_bad} allows."
        )
    some_valid = counts.used or counts.outside
    if not some_valid and counts.read > counts.reasons[Reason.FILTERED]:
        raise NoValidRowError(
            f"none of the {counts.read:,} rows that were read has valid coordinates "
            f"({_listed(counts, BAD_REASONS)}).",
            sample,
        )


def _listed(counts: RowCounts, reasons: Iterable[Reason]) -> str:
    return ", ".join(f"{counts.reasons[r]:,} {r.label}" for r in reasons if counts.reasons[r])
