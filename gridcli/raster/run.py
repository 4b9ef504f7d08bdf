"""RASTER end to end: from a reader of points to hubs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from gridcli.errors import DataError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.project import Selection
from gridcli.points.batch import BAD_REASONS, PointBatch, Reason, RowCounts
from gridcli.raster.cluster import cluster
from gridcli.raster.contract import Contraction
from gridcli.raster.model import Hubs
from gridcli.runtime.precompile import compile_ahead
from gridcli.runtime.threads import usable_cores
from gridcli.runtime.workers import call
from gridcli.tiles.table import TileTable
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag


LATER_KERNELS = (
    "gridcli.tiles.kernels:append_to_group",
    "gridcli.raster.kernels",
    "gridcli.tiles.kernels:sort_by_key",
    "gridcli.tiles.kernels:extract_group",
    "gridcli.tiles.kernels",
)
"""What a first run compiles beside its reading, in this order."""


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
class RasterOptions:
    """Parameters of RASTER, and which rows count.

    Attributes
    ----------
    tau : int
        Least number of points in a significant tile.
    mu : int
        Least number of tiles in a hub.
    delta : int
        Tiles at most this far apart are neighbours.
    metric : {"chebyshev", "manhattan"}
    threads : int
        0: all cores that this process may use.
    keep_null_island : bool
    bbox : tuple of float or None
        West, south, east, north in degrees (or coordinate units); west > east crosses 180.
    max_bad : MaxBad or None
    """

    tau: int = 5
    mu: int = 4
    delta: int = 1
    metric: str = "chebyshev"
    threads: int = 0
    keep_null_island: bool = False
    bbox: tuple[float, float, float, float] | None = None
    max_bad: MaxBad | None = None


class TooManyBadRowsError(DataError):
    """More rows are bad than `RasterOptions.max_bad` allows."""


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


@dataclass(frozen=True)
class RasterResult:
    """What a run found.

    Attributes
    ----------
    hubs : Hubs
    counts : RowCounts
    distinct_tiles : int
        Tiles with at least one point.
    largest_count : int
        Points in the fullest tile; 0 where there is none.
    seconds : dict of str to float
        Wall-clock seconds by stage.
    """

    hubs: Hubs
    counts: RowCounts
    distinct_tiles: int
    largest_count: int
    seconds: dict[str, float] = field(default_factory=dict)


def find_hubs(
    reader: PointReader,
    grid: Grid,
    options: RasterOptions,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
) -> RasterResult:
    """Contract the points to tiles, agglomerate the significant ones, and describe the hubs.

    Parameters
    ----------
    reader : PointReader
    grid : Grid
    options : RasterOptions
    progress : Progress
    stop : StopFlag
    rejects : RejectsWriter or None

    Returns
    -------
    RasterResult

    Raises
    ------
    InputError
        An input is missing, truncated or corrupt.
    TooManyBadRowsError, NoValidRowError
        More bad rows than `max_bad` allows, or no valid row at all (both are DataError).
    Interrupted
        A signal arrived.
    """
    compile_ahead(LATER_KERNELS)
    threads = options.threads or usable_cores()
    seconds: dict[str, float] = {}
    job = Contraction(
        grid,
        Selection(options.bbox, options.keep_null_island),
        TileTable(),
        rejects=rejects,
    )
    with _timed(seconds, "contract"):
        progress.start(reader.total_bytes, "contract")
        counts = job.run(reader, threads=threads, progress=progress, stop=stop)
    _check(counts, options.max_bad, job.sample)
    progress.start(None, "agglomerate")
    with _timed(seconds, "sort"):
        counted = call(partial(job.table.finish, options.tau, threads=threads), stop)
        del job  # the table is larger than all that follows
        tiles = Tiles(grid, *keys.unpack(counted.keys), counted.counts)
    with _timed(seconds, "agglomerate"):
        hubs = call(
            partial(
                cluster,
                tiles,
                mu=options.mu,
                delta=options.delta,
                metric=options.metric,
                threads=threads,
                stop=stop,
            ),
            stop,
        )
    return RasterResult(hubs, counts, counted.distinct, counted.largest, seconds)


def _check(counts: RowCounts, max_bad: MaxBad | None, sample: PointBatch | None) -> None:
    """Refuse data with too many bad rows, or without a single good one."""
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


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
