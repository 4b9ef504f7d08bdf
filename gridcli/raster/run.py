"""RASTER end to end: from a reader of points, or from counted tiles, to hubs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gridcli.grid.grid import Grid
from gridcli.points.batch import RowCounts
from gridcli.raster.cluster import cluster
from gridcli.raster.coarsen import SHARE_OF_ROOM, coarsened_blocks
from gridcli.raster.counting import RowRules, count_points
from gridcli.raster.model import Hubs
from gridcli.raster.refine import (
    finer_grid,
    finer_indexes_explained,
    least_subtile_count,
    refine_hubs,
    subtiles_per_side,
)
from gridcli.raster.relax.rows import Relaxation
from gridcli.raster.significant import significant_tiles, told_blocks
from gridcli.runtime.precompile import compile_ahead
from gridcli.runtime.workers import call
from gridcli.tiles.merge import merge_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.significant import EachBlock
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.runs import SortedRun
    from gridcli.tiles.tiles import TileBlocks

LATER_KERNELS = (
    "gridcli.tiles.kernels:append_to_group",
    "gridcli.raster.kernels",
    "gridcli.tiles.kernels:sort_by_key",
    "gridcli.tiles.kernels:extract_group",
    "gridcli.tiles.kernels",
)
"""What a first run compiles beside its reading, in this order."""
HOPS_KERNELS = ("gridcli.raster.hops.kernels",)
RELAX_KERNELS = ("gridcli.raster.relax.kernels",)


@dataclass(frozen=True)
class ClusterOptions:
    """Parameters of RASTER's second step.

    Attributes
    ----------
    tau : int
        Least number of points in a significant tile.
    mu : int
        Least number of tiles in a hub.
    delta : int
        Tiles at most this far apart are neighbours.
    metric : {"chebyshev", "manhattan"}
    window : {"gaps", "all"} or None
    epsilon : int or None
        Which tiles with fewer points count too: see `gridcli.raster.relax.rows`.
    refine : int or None
        Decimal places by which the tiles are finer that show the hubs' shapes.
    """

    tau: int = 5
    mu: int = 4
    delta: int = 1
    metric: str = "chebyshev"
    window: str | None = None
    epsilon: int | None = None
    refine: int | None = None

    @property
    def relaxation(self) -> Relaxation | None:
        """Which tiles with fewer points count too; None: none do."""
        if self.window is None and not self.epsilon:
            return None
        return Relaxation(self.window, self.epsilon or 0)

    @property
    def least_count(self) -> int:
        """Points of the emptiest tile that is needed."""
        return self.tau if self.relaxation is None else self.relaxation.least(self.tau)


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
    options: ClusterOptions,
    rules: RowRules,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
    each_block: EachBlock | None = None,
) -> RasterResult:
    """Contract the points to tiles, agglomerate the significant ones, and describe the hubs.

    Parameters
    ----------
    reader : PointReader
    grid : Grid
        That of the hubs; points are counted on a finer one where hubs are refined.
    options : ClusterOptions
    rules : RowRules
    space : Workspace
    progress : Progress
    stop : StopFlag
    rejects : RejectsWriter or None
    each_block : callable, optional
        Called with the keys and counts of every block of tiles, of any count, in ascending order;
        of the finer ones where hubs are refined.

    Returns
    -------
    RasterResult

    Raises
    ------
    UsageError
        The grid has no finer one to refine hubs with.
    InputError
        An input is missing, truncated or corrupt.
    TooManyBadRowsError, NoValidRowError
        More bad rows than `max_bad` allows, or no valid row at all (both are DataError).
    ResourceError
        The disk is full of what memory does not hold, or something does not fit the limit.
    Interrupted
        A signal arrived.
    """
    is_relaxed = options.relaxation is not None
    compile_ahead(
        LATER_KERNELS
        + (HOPS_KERNELS if grid.rows_differ else ())
        + (RELAX_KERNELS if is_relaxed else ())
    )
    seconds: dict[str, float] = {}
    counted = grid if options.refine is None else finer_grid(grid, options.refine)
    with timed(seconds, "contract"), finer_indexes_explained(options.refine):
        table, counts = count_points(
            reader, counted, rules, space, progress=progress, stop=stop, rejects=rejects
        )
    progress.start(None, "agglomerate")
    if options.refine is not None:
        with timed(seconds, "sort"):
            runs = call(partial(table.close, threads=space.threads, stop=stop), stop)
            del table
        found = cluster_refined(
            *(runs, counted, grid, options, space),
            each_block=each_block,
            stop=stop,
            seconds=seconds,
        )
        return RasterResult(found.hubs, counts, found.distinct_tiles, found.largest_count, seconds)
    with timed(seconds, "sort"):
        least = options.least_count if each_block is None else 1
        drained = call(partial(table.drain, least, threads=space.threads, stop=stop), stop)
        del table
        tiles = significant_tiles(
            drained, grid, options.tau, space, options.relaxation, each_block=each_block, stop=stop
        )
    hubs = cluster_tiles(tiles, options, space, stop=stop, seconds=seconds)
    return RasterResult(hubs, counts, drained.distinct, drained.largest, seconds)


def cluster_tiles(
    tiles: TileBlocks,
    options: ClusterOptions,
    space: Workspace,
    *,
    stop: StopFlag,
    seconds: dict[str, float],
) -> Hubs:
    """Agglomerate significant tiles and describe the hubs; add the stage's time to `seconds`."""
    with timed(seconds, "agglomerate"):
        return call(
            partial(
                cluster,
                tiles,
                mu=options.mu,
                delta=options.delta,
                metric=options.metric,
                threads=space.threads,
                spill=space.spill,
                stop=stop,
                memory_bytes=space.budget.room,
                limit_bytes=space.budget.limit_bytes,
            ),
            stop,
        )


@dataclass(frozen=True)
class RefinedResult:
    """What refining found.

    Attributes
    ----------
    hubs : Hubs
    distinct_tiles : int
        Tiles with at least one point, of the size of those that hubs consist of.
    largest_count : int
        Points in the fullest of them.
    """

    hubs: Hubs
    distinct_tiles: int
    largest_count: int


def cluster_refined(
    runs: Sequence[SortedRun],
    finer: Grid,
    grid: Grid,
    options: ClusterOptions,
    space: Workspace,
    *,
    each_block: EachBlock | None = None,
    stop: StopFlag,
    seconds: dict[str, float],
) -> RefinedResult:
    """Find hubs on a grid, and their shapes on a finer one; add the stages' times to `seconds`.

    Parameters
    ----------
    runs : sequence of SortedRun
        All tiles of the finer grid; walked twice.
    finer, grid : Grid
    options : ClusterOptions
        With ``refine``.
    space : Workspace
    each_block : callable, optional
        Called with the keys and counts of every block of the finer tiles, in ascending order.
    stop : StopFlag
    seconds : dict

    Raises
    ------
    ResourceError
        The disk is full, or the hubs do not fit in memory.
    Interrupted
        A signal arrived.
    """
    k = options.refine or 0
    m = subtiles_per_side(k)

    def read(least: int = 1) -> Iterable[Counted]:
        room = space.budget.room // SHARE_OF_ROOM
        return merge_runs(
            runs,
            least=least,
            threads=space.threads,
            stop=stop,
            spill=space.spill,
            memory_bytes=room,
        )

    with timed(seconds, "coarsen"):
        told = read() if each_block is None else told_blocks(read(), each_block)
        blocks = coarsened_blocks(told, m, space, least=options.least_count, stop=stop)
        tiles = significant_tiles(blocks, grid, options.tau, space, options.relaxation, stop=stop)
    hubs = cluster_tiles(tiles, options, space, stop=stop, seconds=seconds)
    with timed(seconds, "refine"):
        least = least_subtile_count(options.tau, k)
        hubs = refine_hubs(hubs, read, finer, m, least, space, stop=stop)
    return RefinedResult(hubs, blocks.distinct, blocks.largest)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long a stage takes."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
