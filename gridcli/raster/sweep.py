"""Sweep: what each setting of coarsening, tau and mu would find in one set of counted tiles.

Tiles are coarsened once for each coarsening and agglomerated once for each tau, with the smallest
mu; larger ones only leave out hubs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError, UsageError
from gridcli.raster.coarsen import coarser_blocks
from gridcli.raster.run import ClusterOptions, cluster_tiles
from gridcli.raster.significant import significant_tiles
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.runs import SortedRun
    from gridcli.tiles.tiles import TileBlocks

Int64s = npt.NDArray[np.int64]

SMALL_COUNT = 1 << 16
"""Counts below are tallied in an array, the few larger ones one by one."""


@dataclass(frozen=True)
class SweepOptions:
    """The settings to try: all combinations of the three lists.

    Attributes
    ----------
    coarsen, tau, mu : tuple of int
        Ascending, at least 1 each.
    delta : int
    metric : {"chebyshev", "manhattan"}
    """

    coarsen: tuple[int, ...]
    tau: tuple[int, ...]
    mu: tuple[int, ...]
    delta: int = 1
    metric: str = "chebyshev"

    def __post_init__(self) -> None:
        for name in ("coarsen", "tau", "mu"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)) or not values or values[0] < 1:
                raise UsageError(f"--{name} must list different numbers, at least 1 each.")


@dataclass(frozen=True)
class Level:
    """The tiles of one coarsening.

    Attributes
    ----------
    coarsen : int
    grid : Grid
    counts : ndarray of int64, shape (n,)
        The different counts that tiles have, ascending.
    at_least : ndarray of int64, shape (n,)
        Number of tiles that hold at least so many points.
    """

    coarsen: int
    grid: Grid
    counts: Int64s
    at_least: Int64s

    @property
    def distinct(self) -> int:
        """Tiles with at least one point."""
        return int(self.at_least[0]) if len(self.at_least) else 0

    @property
    def points(self) -> int:
        """Points in all tiles."""
        tiles = self.at_least - np.append(self.at_least[1:], 0)
        return int(np.dot(tiles, self.counts)) if len(tiles) else 0


@dataclass(frozen=True)
class SweepRow:
    """What one setting finds.

    Attributes
    ----------
    coarsen, tau, mu : int
    grid : str
        Name of the grid.
    significant : int
        Tiles with at least `tau` points.
    hubs : int
    hub_points, largest_hub : int
        Points in all hubs, and in the one with most.
    share : float
        Of all points in hubs.
    median_area : float or None
        Of the hubs, in square metres (square units of planar coordinates).
    """

    coarsen: int
    tau: int
    mu: int
    grid: str
    significant: int
    hubs: int
    hub_points: int
    largest_hub: int
    share: float
    median_area: float | None


@dataclass(frozen=True)
class Sweep:
    """The table of a sweep.

    Attributes
    ----------
    options : SweepOptions
    levels : list of Level
        One for each coarsening, in order.
    rows : list of SweepRow
        All combinations, by coarsening, then tau, then mu.
    """

    options: SweepOptions
    levels: list[Level]
    rows: list[SweepRow]


def sweep(
    run: SortedRun,
    grid: Grid,
    options: SweepOptions,
    make_space: Callable[[], Workspace],
    *,
    progress: Progress,
    stop: StopFlag,
) -> Sweep:
    """Try all settings on the tiles of a run.

    Parameters
    ----------
    run : SortedRun
        All tiles with at least one point.
    grid : Grid
        Their grid.
    options : SweepOptions
    make_space : callable
        Returns a workspace; one is made for each coarsening, so that its temporary data goes
        before the next one's comes.
    progress : Progress
    stop : StopFlag

    Raises
    ------
    UsageError
        A coarsening is too large for the grid.
    ResourceError
        The hubs of a setting do not fit in memory, or the disk is full.
    Interrupted
        A signal arrived.
    """
    coarser = [grid.coarsened(m) for m in options.coarsen]
    found = Sweep(options, [], [])
    for m, coarse in zip(options.coarsen, coarser, strict=True):
        tally = _Tally()
        with make_space() as space:
            progress.start(None, f"coarsen by {m}")
            tiles = significant_tiles(
                coarser_blocks(run, m, space, stop=stop),
                coarse,
                options.tau[0],
                space,
                each_block=tally.add,
            )
            level = Level(m, coarse, *tally.curve())
            found.levels.append(level)
            for tau in options.tau:
                progress.start(None, f"agglomerate x{m}, tau {tau}")
                chosen = _Significant(tiles, tau, _tiles_at_least(level, tau))
                settings = ClusterOptions(tau, options.mu[0], options.delta, options.metric)
                try:
                    hubs = cluster_tiles(chosen, settings, space, stop=stop, seconds={})
                except ResourceError as error:
                    raise ResourceError(f"with --coarsen {m} --tau {tau}: {error}") from error
                found.rows.extend(_row(level, tau, mu, hubs) for mu in options.mu)
    return found


class _Tally:
    """Counts how many tiles hold how many points."""

    def __init__(self) -> None:
        self._small = np.zeros(SMALL_COUNT, np.int64)
        self._large: dict[int, int] = {}

    def add(self, _keys: npt.NDArray[np.uint64], counts: Int64s) -> None:
        """Add the tiles of a block."""
        is_small = counts < SMALL_COUNT
        self._small += np.bincount(counts[is_small], minlength=SMALL_COUNT)
        for count in counts[~is_small].tolist():
            self._large[count] = self._large.get(count, 0) + 1

    def curve(self) -> tuple[Int64s, Int64s]:
        """Return the different counts, ascending, and how many tiles hold at least each."""
        small = np.flatnonzero(self._small)
        large = sorted(self._large)
        counts = np.concatenate([small, np.array(large, np.int64)])
        tiles = np.concatenate(
            [self._small[small], np.array([self._large[count] for count in large], np.int64)]
        )
        return counts, np.cumsum(tiles[::-1])[::-1]


@dataclass(frozen=True)
class _Significant:
    """The tiles of others that hold at least `tau` points (`TileBlocks`)."""

    tiles: TileBlocks
    tau: int
    n_tiles: int

    @property
    def grid(self) -> Grid:
        """The grid of all tiles."""
        return self.tiles.grid

    def __len__(self) -> int:
        return self.n_tiles

    def blocks(self) -> Iterator[Tiles]:
        """Yield the tiles in ascending order, none of the pieces empty."""
        for block in self.tiles.blocks():
            chosen = block.count >= self.tau
            if chosen.all():
                yield block
            elif chosen.any():
                x, y = block.x[chosen], block.y[chosen]
                yield Tiles(block.grid, x, y, block.count[chosen])


def _tiles_at_least(level: Level, tau: int) -> int:
    """Return how many tiles hold at least `tau` points."""
    place = int(np.searchsorted(level.counts, tau))
    return int(level.at_least[place]) if place < len(level.counts) else 0


def _row(level: Level, tau: int, mu: int, hubs: Hubs) -> SweepRow:
    """Return what the hubs of at least `mu` tiles amount to."""
    chosen = hubs.n_tiles >= mu
    points, areas = hubs.points[chosen], hubs.area_m2[chosen]
    total = level.points
    return SweepRow(
        coarsen=level.coarsen,
        tau=tau,
        mu=mu,
        grid=level.grid.name,
        significant=_tiles_at_least(level, tau),
        hubs=len(points),
        hub_points=int(points.sum()),
        largest_hub=int(points.max(initial=0)),
        share=int(points.sum()) / total if total else 0.0,
        median_area=float(np.median(areas)) if len(areas) else None,
    )


COARSEST_SIDE = Fraction(1, 1000)
"""Degrees, about 100 m: fixes of vehicles are good to some 10 m and hubs tens of metres large
(paper: section 2.2), so that larger tiles tell little more."""


def default_coarsenings(grid: Grid) -> tuple[int, ...]:
    """Return coarsenings worth trying: 1, 2, 5, 10, and on until tiles are about 100 m large.

    Planar units may be anything, so planar grids have the first four. Tiles of grids whose rows
    differ cannot be joined.
    """
    if grid.rows_differ:
        return (1,)
    series = [1, 2, 5, 10]
    while not grid.planar and grid.exact_side * series[-1] < COARSEST_SIDE:
        series += [10 * m for m in series[-3:]]
    return tuple(series)
