"""RASTER in d dimensions, end to end: from a reader of points, or counted tiles, to hubs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gridcli.dims.binning import DimsProjector, check_columns
from gridcli.dims.hubs import DimsHubs, DimsTiles, find_dims_hubs
from gridcli.errors import ResourceError
from gridcli.grid.project import Selection
from gridcli.raster.cluster import LEAST_BYTES
from gridcli.raster.counting import NoValidRowError, RowRules, count_points
from gridcli.raster.projecting import BatchProjector
from gridcli.raster.run import LATER_KERNELS, ClusterOptions, timed
from gridcli.runtime.precompile import compile_ahead
from gridcli.runtime.workers import call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridcli.dims.grid import DimsGrid
    from gridcli.points.batch import RowCounts
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.counting import Checkpointing
    from gridcli.raster.significant import EachBlock
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.table import TileTable

DIMS_KERNELS = (*LATER_KERNELS, "gridcli.dims.kernels")

BYTES_PER_TILE = 200
"""Memory for each significant tile, all of which are held: its key and count, and what joining,
projecting and describing it takes."""


@dataclass(frozen=True)
class DimsResult:
    """What a run found; as `gridcli.raster.run.RasterResult`."""

    hubs: DimsHubs
    counts: RowCounts
    distinct_tiles: int
    largest_count: int
    seconds: dict[str, float] = field(default_factory=dict)


def find_hubs_in_dims(
    reader: PointReader,
    grid: DimsGrid,
    options: ClusterOptions,
    rules: RowRules,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
    each_block: EachBlock | None = None,
) -> DimsResult:
    """Contract the points to tiles, agglomerate the significant ones, and describe the hubs.

    Parameters and errors are those of `gridcli.raster.run.find_hubs`, and moreover:

    Raises
    ------
    UsageError
        A column's type goes with no axis of its kind.
    ResourceError
        The significant tiles do not fit the limit of memory.
    """
    compile_ahead(DIMS_KERNELS)
    seconds: dict[str, float] = {}
    with timed(seconds, "contract"):
        table, counts = count_in_dims(
            reader, grid, rules, space, progress=progress, stop=stop, rejects=rejects
        )
    progress.start(None, "agglomerate")
    with timed(seconds, "sort"):
        least = options.tau if each_block is None else 1
        drained = call(partial(table.drain, least, threads=space.threads, stop=stop), stop)
        del table
        tiles = significant_dims_tiles(drained, grid, options.tau, space, each_block=each_block)
    hubs = cluster_dims_tiles(tiles, options, stop=stop, seconds=seconds)
    return DimsResult(hubs, counts, drained.distinct, drained.largest, seconds)


def count_in_dims(
    reader: PointReader,
    grid: DimsGrid,
    rules: RowRules,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
    checkpoint: Checkpointing | None = None,
) -> tuple[TileTable, RowCounts]:
    """Contract all points of a reader; see `gridcli.raster.counting.count_points`.

    The reader must hand over the columns of the axes (`ReadOptions.extra_columns`).
    """
    check_columns(grid, reader.schema_of_first, reader.inputs[0].name)
    try:
        return count_points(
            reader,
            grid.plane,
            rules,
            space,
            progress=progress,
            stop=stop,
            rejects=rejects,
            checkpoint=checkpoint,
            make_projector=partial(DimsProjector, grid),
        )
    except NoValidRowError as error:
        if not _has_places(error, grid, rules):
            raise
        axes = " and ".join(axis.text for axis in grid.axes)
        raise NoValidRowError(
            f"{error} Coordinates are valid, but none of these rows has a value of {axes}, which "
            "is null, not read, or out of range: times are read in ISO 8601, such as "
            "2024-05-31T18:00:00Z, and not as epoch numbers.",
            None,
        ) from None


def _has_places(error: NoValidRowError, grid: DimsGrid, rules: RowRules) -> bool:
    """Whether rows that were found not to be valid have valid coordinates."""
    if error.sample is None:
        return False
    projector = BatchProjector(grid.plane, Selection(rules.bbox, rules.keep_null_island))
    return any(len(piece.keys) for piece in projector.pieces(error.sample))


def significant_dims_tiles(
    blocks: Iterable[Counted],
    grid: DimsGrid,
    tau: int,
    space: Workspace,
    *,
    each_block: EachBlock | None = None,
) -> DimsTiles:
    """Return the tiles of ascending blocks that hold at least `tau` points, in memory.

    Parameters
    ----------
    blocks : iterable of keys and counts
    grid : DimsGrid
    tau : int
    space : Workspace
    each_block : callable, optional
        Called with the keys and counts of every block as it comes.

    Raises
    ------
    ResourceError
        They do not fit.
    """
    keys, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    room, n = max(space.budget.room, LEAST_BYTES), 0
    for block_keys, block_counts in blocks:
        if each_block is not None:
            each_block(block_keys, block_counts)
        chosen = block_counts >= tau
        keys.append(block_keys[chosen])
        counts.append(block_counts[chosen])
        n += len(keys[-1])
        if n * BYTES_PER_TILE > room:
            raise ResourceError(
                f"more than {n:,} significant tiles in {grid.d} dimensions must be held at once, "
                f"{BYTES_PER_TILE} bytes each, and --max-memory leaves {room / 1e6:,.1f} MB. Raise "
                "it, or use a larger --tau or a coarser --prec."
            )
    return DimsTiles(grid, np.concatenate(keys), np.concatenate(counts))


def cluster_dims_tiles(
    tiles: DimsTiles, options: ClusterOptions, *, stop: StopFlag, seconds: dict[str, float]
) -> DimsHubs:
    """Agglomerate significant tiles and describe the hubs; add the stage's time to `seconds`."""
    with timed(seconds, "agglomerate"):
        find = partial(
            find_dims_hubs, tiles, mu=options.mu, delta=options.delta, metric=options.metric
        )
        return call(partial(find, stop=stop), stop)
