"""A hub explained: what holds it together, and what would join it with the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from gridcli.errors import ResourceError
from gridcli.raster.explain.flood import FLOOD_TILES, flood, fullest_first
from gridcli.raster.explain.lookup import indexes_of
from gridcli.raster.explain.place import Change, Tile, located
from gridcli.raster.neighbours import neighbour_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.explain.lookup import TileLookup
    from gridcli.raster.run import ClusterOptions
    from gridcli.runtime.signals import StopFlag

FURTHER_DELTAS = 10
"""So many larger values of delta are tried."""

Name = Callable[[tuple[int, int]], str]
"""Returns the key of the hub whose smallest tile is given."""


@dataclass(frozen=True)
class Split:
    """What a larger tau makes of a hub: several.

    Attributes
    ----------
    tau : int
        The smallest tau at which it is more than one hub.
    hubs : int
        How many it is then.
    tile : Tile
        The weakest one that holds it together: significant up to a tau less by one.
    """

    tau: int
    hubs: int
    tile: Tile


@dataclass(frozen=True)
class Join:
    """The value nearest to the present one at which a hub and another one are one.

    Attributes
    ----------
    change : Change
    hub_key : str or None
        The other hub; None where there is none, or it is too large to know its key.
    tried : int or None
        The last value that was tried, where not all can be.
    """

    change: Change
    hub_key: str | None
    tried: int | None = None


UNKNOWN = Join(Change(None, is_known=False), None)


@dataclass(frozen=True)
class HubExplanation:
    """What holds a hub together.

    Attributes
    ----------
    grid : Grid
    options : ClusterOptions
    hub_key : str
    tiles, points : int
    fullest : Tile
    split : Split or None
        None: a larger tau makes it smaller, but never several; or see `gone`.
    gone : Change
        The smallest tau at which nothing of it is a hub; not known where tiles below tau count.
    by_tau, by_delta : Join
    """

    grid: Grid
    options: ClusterOptions
    hub_key: str
    tiles: int
    points: int
    fullest: Tile
    split: Split | None
    gone: Change
    by_tau: Join
    by_delta: Join


def explain_hub(
    lookup: TileLookup,
    first: tuple[int, int],
    options: ClusterOptions,
    name_of: Name,
    stop: StopFlag,
    *,
    has_all_tiles: bool,
    is_relaxed: bool = False,
) -> HubExplanation:
    """Return what holds a hub together.

    Parameters
    ----------
    lookup : TileLookup
    first : tuple of int
        The hub's smallest tile.
    options : ClusterOptions
    name_of : callable
    stop : StopFlag
    has_all_tiles : bool
        Whether the lookup holds tiles below tau that do not count, too.
    is_relaxed : bool
        Whether tiles below tau count by another rule: then nothing is known of other tau.

    Raises
    ------
    ResourceError
        The hub is too large.
    Interrupted
        A signal arrived.
    """
    counting = options if has_all_tiles else replace(options, tau=1)
    own: dict[int, int] = {}
    for key, count in fullest_first(lookup, first, options.delta, options.metric, stop):
        if count < counting.tau:
            break
        own[key] = count
        if len(own) > FLOOD_TILES:
            raise ResourceError(
                f"hub {name_of(first)} has more than {FLOOD_TILES:,} tiles, which is too large to "
                "be explained as a whole. Explain a place in it with --at."
            )
    split, gone = (None, Change(None, is_known=False))
    if not is_relaxed:
        split, gone = _split(lookup, own, options)
    fullest = _tile(lookup.grid, max(own, key=lambda key: (own[key], -key)), own)
    neighbour = _Neighbour(lookup, own, counting, name_of, stop)
    return HubExplanation(
        grid=lookup.grid,
        options=options,
        hub_key=name_of(first),
        tiles=len(own),
        points=sum(own.values()),
        fullest=fullest,
        split=split,
        gone=gone,
        by_tau=neighbour.by_tau(first) if has_all_tiles else UNKNOWN,
        by_delta=neighbour.by_delta(first),
    )


def _split(
    lookup: TileLookup, own: dict[int, int], options: ClusterOptions
) -> tuple[Split | None, Change]:
    """Return where a larger tau makes several hubs of one, and where it leaves none.

    Tiles are taken by falling counts and joined (Kruskal's order): after each count the parts are
    the components at that tau.
    """
    parent: dict[int, int] = {}
    size: dict[int, int] = {}
    hubs = 0
    levels: list[tuple[int, int, int]] = []  # count, hubs at that tau, tile that joined some
    for count, tiles in groupby(sorted(own, key=lambda key: (-own[key], key)), own.__getitem__):
        joining = -1
        for key in tiles:
            parts = {_root(parent, other) for other in _beside(lookup, key, options, parent)}
            joined = sum(size[part] >= options.mu for part in parts)
            parent |= dict.fromkeys(parts | {key}, key)
            size[key] = 1 + sum(size[part] for part in parts)
            hubs += (size[key] >= options.mu) - joined
            joining = key if joined > 1 else joining
        levels.append((count, hubs, joining))
    largest_tau = next(count for count, n, _ in levels if n)
    several = [at for at, (_, n, _) in enumerate(levels) if n > 1]
    if not several:
        return None, Change(largest_tau + 1)
    count, _, weakest = levels[several[-1] + 1]
    tile = _tile(lookup.grid, weakest, own)
    return Split(count + 1, levels[several[-1]][1], tile), Change(largest_tau + 1)


def _beside(
    lookup: TileLookup, key: int, options: ClusterOptions, among: dict[int, int]
) -> Iterator[int]:
    """Yield the neighbours of a tile that are among some tiles."""
    ranges = neighbour_ranges(lookup.grid, indexes_of(key), options.delta, options.metric)
    for other in lookup.within(ranges)[0].tolist():
        if other in among:
            yield other


def _root(parent: dict[int, int], key: int) -> int:
    """Return the root above a tile; paths are halved on the way."""
    while parent[key] != key:
        parent[key] = parent[parent[key]]
        key = parent[key]
    return key


@dataclass(frozen=True)
class _Neighbour:
    """The search for the hub that a hub would be joined with first."""

    lookup: TileLookup
    own: dict[int, int]
    options: ClusterOptions
    name_of: Name
    stop: StopFlag

    def by_tau(self, first: tuple[int, int]) -> Join:
        """Return the largest tau at which the hub and another one are one.

        The walk takes the fullest tile first, so that the smallest count on the way to any tile is
        as large as can be (`gridcli.raster.explain.flood`).
        """
        weakest = self.options.tau
        for n, (key, count) in enumerate(self._others(first, self.options.delta)):
            if n == FLOOD_TILES:
                return UNKNOWN
            if count >= self.options.tau:
                is_hub, name = self._hub(key)
                if is_hub:
                    return Join(Change(weakest), name)
            weakest = min(weakest, count)
        return Join(Change(None), None)

    def by_delta(self, first: tuple[int, int]) -> Join:
        """Return the smallest delta at which the hub and another one are one."""
        delta, tried = self.options.delta, self.options.delta
        for larger in range(delta + 1, delta + 1 + FURTHER_DELTAS):
            for n, (key, count) in enumerate(self._others(first, larger)):
                if n == FLOOD_TILES:
                    return replace(UNKNOWN, tried=tried)
                if count < self.options.tau:
                    break
                is_hub, name = self._hub(key)
                if is_hub:
                    return Join(Change(larger), name, larger)
            tried = larger
        return replace(UNKNOWN, tried=tried)

    def _others(self, first: tuple[int, int], delta: int) -> Iterator[tuple[int, int]]:
        """Yield tiles that hang together with the hub and are none of it, the fullest first."""
        metric = self.options.metric
        for key, count in fullest_first(self.lookup, first, delta, metric, self.stop):
            if key not in self.own:
                yield key, count

    def _hub(self, key: int) -> tuple[bool, str | None]:
        """Return whether a tile is in a hub, and its key unless it is too large to find it."""
        around = flood(self.lookup, indexes_of(key), self.options, self.stop)
        if around.tiles < self.options.mu:
            return False, None
        return True, self.name_of(indexes_of(around.smallest)) if around.is_complete else None


def _tile(grid: Grid, key: int, counts: dict[int, int]) -> Tile:
    return replace(located(grid, [indexes_of(key)])[0], count=counts[key])
