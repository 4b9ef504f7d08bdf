"""Adaptive resolution: hubs of different densities, each at the finest level that shows it.

The paper's future work (section 6): densities differ, and one size of tiles suits some places only.
The finest level comes first. The tiles of its hubs are taken away, all other tiles, whatever their
count, are coarsened to the next level, and so on; so no point is in two hubs.

Tau is the same number of points at every level. It says how many points make a place worth
noticing; as tiles grow, the density that it asks for falls, which is what finds sparser hubs.
Scaled with the area of the tiles it would ask for one density again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gridcli.errors import UsageError
from gridcli.grid import keys as tile_keys
from gridcli.raster.coarsen import coarser_blocks
from gridcli.raster.run import ClusterOptions, cluster_tiles, significant_tiles, timed
from gridcli.tiles.runs.spilled import RunWriter, spill_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.runs import SortedRun


@dataclass(frozen=True)
class AdaptiveLevel:
    """What one level found.

    Attributes
    ----------
    coarsen : int
        How many tiles of the first grid are one of this level, on each axis.
    hubs : Hubs
        In the order of their points; `hub_id` counts over all levels.
    distinct_tiles : int
        Tiles with at least one point, without those of hubs of finer levels.
    largest_count : int
        Points in the fullest of them.
    """

    coarsen: int
    hubs: Hubs
    distinct_tiles: int
    largest_count: int


def check_levels(coarsenings: Sequence[int]) -> None:
    """Refuse coarsenings that do not nest.

    Raises
    ------
    UsageError
    """
    for finer, coarser in pairwise(coarsenings):
        if coarser % finer or coarser == finer:
            raise UsageError(
                f"--adaptive: {coarser} is no multiple of {finer}: tiles of each level are joined "
                "to those of the next, for example 1,2,4,8 or 1,5,10."
            )


def find_adaptively(
    run: SortedRun,
    grid: Grid,
    coarsenings: Sequence[int],
    options: ClusterOptions,
    space: Workspace,
    *,
    stop: StopFlag,
    seconds: dict[str, float],
) -> list[AdaptiveLevel]:
    """Return the hubs of every level, ranked together by their points.

    Ties go to the finer level, then to the smaller tile.

    Parameters
    ----------
    run : SortedRun
        All tiles with at least one point.
    grid : Grid
        Their grid.
    coarsenings : sequence of int
        Ascending, each a multiple of the one before.
    options : ClusterOptions
        The same for all levels.
    space : Workspace
        Its spill file takes what is left for the next level; it must stay open as long as the
        hubs are used.
    stop : StopFlag
    seconds : dict
        Receives the time of each level.

    Raises
    ------
    UsageError
        The coarsenings do not nest, or are too large for the grid.
    ResourceError
        The disk is full, or the hubs of a level do not fit in memory.
    Interrupted
        A signal arrived.
    """
    check_levels(coarsenings)
    grids = [grid.coarsened(m) for m in coarsenings]
    found: list[AdaptiveLevel] = []
    taken: list[SortedRun] = []
    before = 1
    for m, level_grid in zip(coarsenings, grids, strict=True):
        # The last level leaves nothing to do, and a first one of 1 is the run itself.
        left = RunWriter(space.spill) if before < m < coarsenings[-1] else None
        with timed(seconds, f"level {m}"):
            least = options.tau if left is None else 1
            blocks = coarser_blocks(run, m // before, space, stop=stop, least=least, minus=taken)
            tiles = significant_tiles(
                blocks,
                level_grid,
                options.tau,
                space,
                each_block=None if left is None else left.write,
            )
            hubs = cluster_tiles(tiles, options, space, stop=stop, seconds={})
        if m < coarsenings[-1]:
            run = run if left is None else left.finish()
            taken = [spill_run(space.spill, _tiles_of_hubs(hubs))]
        found.append(AdaptiveLevel(m, hubs, blocks.distinct, blocks.largest))
        before = m
    return _rank(found)


def _tiles_of_hubs(hubs: Hubs) -> Iterator[Counted]:
    """Yield the tiles that belong to hubs, in ascending order."""
    for tiles, hub in hubs.labelled_blocks():
        chosen = hub >= 0
        if chosen.any():
            yield tile_keys.pack(tiles.x[chosen], tiles.y[chosen]), tiles.count[chosen]


def _rank(levels: list[AdaptiveLevel]) -> list[AdaptiveLevel]:
    """Return the levels with `hub_id` counted over all of them."""
    points = np.concatenate([level.hubs.points for level in levels])
    rank = np.empty(len(points), np.int64)
    # Levels stand in order, and within each the hubs: a stable sort settles ties.
    rank[np.argsort(-points, kind="stable")] = np.arange(1, len(points) + 1)
    stops = np.cumsum([len(level.hubs) for level in levels])
    ids = np.split(rank, stops[:-1])
    return [
        replace(level, hubs=replace(level.hubs, hub_id=own))
        for level, own in zip(levels, ids, strict=True)
    ]
