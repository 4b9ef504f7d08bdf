"""From a reader of points to a table of tiles, and whether the rows were good enough."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gridcli.errors import DataError
from gridcli.grid.project import Selection
from gridcli.points.batch import BAD_REASONS, PointBatch, Reason, RowCounts
from gridcli.points.room import EXPECTED_BYTES, release_unused, threads_that_fit
from gridcli.raster.contract import Contraction
from gridcli.runtime.workers import call
from gridcli.tiles.table import TableSizes, TileTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gridcli.grid.grid import Grid
    from gridcli.points.reader import OrderedChunk, PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.projecting import RowProjector
    from gridcli.raster.unique.rule import UniqueRule
    from gridcli.raster.unique.table import DistinctRows
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.partitions import PartitionRun


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
    unique : UniqueRule or None
        Each distinct coordinate counts once; None: each row counts.
    """

    keep_null_island: bool = False
    bbox: tuple[float, float, float, float] | None = None
    max_bad: MaxBad | None = None
    unique: UniqueRule | None = None


class Checkpointing(Protocol):
    """Where a long contraction saves what it has counted.

    Attributes
    ----------
    spill : SpillFile
        Takes the tiles.
    runs : sequence of PartitionRun
        What was counted before.
    counts : RowCounts
        The rows of that.
    """

    @property
    def spill(self) -> SpillFile:
        """The file that tiles are spilled to."""

    @property
    def runs(self) -> Sequence[PartitionRun]:
        """Tiles counted before."""

    @property
    def counts(self) -> RowCounts:
        """Rows counted before."""

    def is_due(self) -> bool:
        """Whether it is time to save."""

    def save(self, runs: Sequence[PartitionRun], counts: RowCounts, n_inputs: int) -> None:
        """Save all runs and counts: those of the first `n_inputs` inputs, and of before."""


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
    checkpoint: Checkpointing | None = None,
    make_projector: Callable[[Selection], RowProjector] | None = None,
) -> tuple[TileTable, RowCounts]:
    """Contract all points of a reader; return the table, and what became of the rows.

    Parameters
    ----------
    reader : PointReader
    grid : Grid
    rules : RowRules
    space : Workspace
    progress : Progress
    stop : StopFlag
    rejects : RejectsWriter, optional
    checkpoint : Checkpointing, optional
        What was counted before; and where to save what is counted now, between two inputs.
    make_projector : callable, optional
        Makes each thread's projector, where keys are not those of the grid's tiles.

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
    limit = space.budget.limit_bytes
    sizes, threads = TableSizes.within(limit), threads_that_fit(limit, space.threads)
    space.budget.expect(threads * (EXPECTED_BYTES + sizes.thread_bytes) + sizes.shared_bytes)
    if checkpoint is None:
        table = TileTable(sizes, budget=space.budget, spill=space.spill)
    else:
        table = TileTable(sizes, budget=space.budget, spill=checkpoint.spill, runs=checkpoint.runs)
    selection = Selection(rules.bbox, rules.keep_null_island)
    distinct = None if rules.unique is None else _collector(rules.unique, grid, space, threads)
    job = Contraction(
        grid, selection, table, rejects=rejects, distinct=distinct, make_projector=make_projector
    )
    if checkpoint is not None:
        job.counts.add(checkpoint.counts)
    progress.start(reader.total_bytes, "contract")
    rounds = _Rounds(reader.chunks(), checkpoint)
    while not rounds.is_over:
        job.run(rounds.next_round(), threads=threads, progress=progress, stop=stop)
        if checkpoint is not None and not rounds.is_over:
            call(partial(table.spill, threads=space.threads, stop=stop), stop)
            checkpoint.save(table.spilled, job.counts, rounds.next_input)
    counts = job.counts
    release_unused()
    check_rows(counts, rules.max_bad, job.sample)
    if distinct is not None:
        progress.start(None, "unique")
        counts.repeated = counts.used - distinct.count_into(table, stop=stop)
    return table, counts


def _collector(rule: UniqueRule, grid: Grid, space: Workspace, threads: int) -> DistinctRows:
    """Return what collects the distinct rows of a run that reads with some threads."""
    from gridcli.raster.unique.table import THREAD_BYTES, DistinctRows

    space.budget.expect(threads * (EXPECTED_BYTES + THREAD_BYTES))
    return DistinctRows(rule, space, planar=grid.planar)


class _Rounds:
    """Chunks up to the end of an input at which a checkpoint is due; then those after it."""

    def __init__(self, chunks: Iterator[OrderedChunk], checkpoint: Checkpointing | None) -> None:
        self._chunks = chunks
        self._checkpoint = checkpoint
        self._coming = next(chunks, None)

    @property
    def is_over(self) -> bool:
        return self._coming is None

    @property
    def next_input(self) -> int:
        """Index of the first input that has not been read."""
        assert self._coming is not None  # noqa: S101 - asked only between rounds
        return self._coming.input_index

    def next_round(self) -> Iterator[OrderedChunk]:
        while self._coming is not None:
            chunk, self._coming = self._coming, None
            yield chunk
            self._coming = next(self._chunks, None)
            if (
                self._checkpoint is not None
                and self._coming is not None
                and self._coming.input_index != chunk.input_index
                and self._checkpoint.is_due()
            ):
                return


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
