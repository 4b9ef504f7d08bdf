"""Adaptive resolution: hubs of different densities, each at the finest level that shows it.

The paper's future work (section 6): densities differ, and one size of tiles suits some places only.
The finest level comes first. The tiles of its hubs are taken away, all other tiles, whatever their
count, are coarsened to the next level, and so on; so no point is in two hubs.

What surrounds a dense hub, its rim, can be a hub of the next level. Whether that is a place of its
own, a yard around a gate, or just a place's edge, only its user knows; so it is told what it is a
rim of, and kept unless unwanted.

Tau is the same number of points at every level. It says how many points make a place worth
noticing; as tiles grow, the density that it asks for falls, which is what finds sparser hubs.
Scaled with the area of the tiles it would ask for one density again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid import keys as tile_keys
from gridcli.raster.coarsen import coarser_blocks
from gridcli.raster.rims import FinerHubs, surrounded_places
from gridcli.raster.run import ClusterOptions, cluster_tiles, timed
from gridcli.raster.significant import significant_tiles
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
    rim_of : list of str or None
        For each hub the key of the hub that it is a rim of, which itself is none; None for others.
    n_rims : int
        Rims found at this level, also where they were left out of `hubs`.
    """

    coarsen: int
    hubs: Hubs
    distinct_tiles: int
    largest_count: int
    rim_of: list[str | None]
    n_rims: int


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
    without_rims: bool = False,
    stop: StopFlag,
    seconds: dict[str, float],
) -> list[AdaptiveLevel]:
    """Return the hubs of every level, ranked together by their points.

    Ties go to the finer level, then to the smaller tile. A rim is one of the largest finer hub in
    or beside its tiles, by the points there; of that hub's place where it is itself a rim.

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
    without_rims : bool
        Leave rims out at the end; their tiles are taken away from coarser levels all the same.
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
    places = _Places(options, space, stop)
    taken: list[SortedRun] = []
    before = 1
    for m, level_grid in zip(coarsenings, grids, strict=True):
        # The last level leaves nothing to do, and a first one of 1 is the run itself.
        left = RunWriter(space.spill) if before < m < coarsenings[-1] else None
        with timed(seconds, f"level {m}"):
            least = options.least_count if left is None else 1
            blocks = coarser_blocks(run, m // before, space, stop=stop, least=least, minus=taken)
            tiles = significant_tiles(
                blocks,
                level_grid,
                options.tau,
                space,
                options.relaxation,
                each_block=None if left is None else left.write,
                stop=stop,
            )
            hubs = cluster_tiles(tiles, options, space, stop=stop, seconds={})
            rim_of = places.add(m, hubs)
        if m < coarsenings[-1]:
            run = run if left is None else left.finish()
            taken = [spill_run(space.spill, _tiles_of_hubs(hubs))]
        n_rims = len(rim_of) - rim_of.count(None)
        found.append(AdaptiveLevel(m, hubs, blocks.distinct, blocks.largest, rim_of, n_rims))
        before = m
    return _rank([_without_rims(level) for level in found] if without_rims else found)


class _Places:
    """The places that hubs of all levels so far stand for: their own, or what they are rims of."""

    def __init__(self, options: ClusterOptions, space: Workspace, stop: StopFlag) -> None:
        self._find = partial(surrounded_places, options=options, space=space, stop=stop)
        self._keys: list[str] = []
        self._levels: list[tuple[int, Hubs, npt.NDArray[np.int64]]] = []

    def add(self, m: int, hubs: Hubs) -> list[str | None]:
        """Add a level; return for each of its hubs the key of what it is a rim of."""
        finer = [FinerHubs(of, m // finer_m, place) for finer_m, of, place in self._levels]
        around = self._find(hubs, finer)
        own = len(self._keys) + np.arange(len(hubs))
        self._levels.append((m, hubs, np.where(around < 0, own, around)))
        rim_of = [self._keys[place] if place >= 0 else None for place in around.tolist()]
        self._keys += hubs.hub_key
        return rim_of


def _without_rims(level: AdaptiveLevel) -> AdaptiveLevel:
    """Return a level with its other hubs only."""
    is_place = np.array([key is None for key in level.rim_of], np.bool_)
    return replace(level, hubs=level.hubs.only(is_place), rim_of=[None] * int(is_place.sum()))


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
