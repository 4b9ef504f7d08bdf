"""Tiles that hang together with one tile, the fullest first.

From a tile on, always take the fullest tile that touches those taken (Prim's order, by counts of
tiles instead of lengths of edges). Then the smallest of the first k counts is the largest tau at
which the tile belongs to a component of k tiles or more.

Proof. Let t be the smallest of the first k counts. With tau = t these k tiles are significant and
connected. With a larger tau nothing is, if t is the first tile's count. Else, when the first tile
of count t was taken, fewer than k were taken, all of larger counts, and no tile that touches them
had more than t: so they are the whole component of the first tile at every tau from t + 1 up to
the smallest of their counts, and contain it for any larger tau. It has fewer than k tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from gridcli.errors import ResourceError
from gridcli.raster.explain.lookup import count_of, indexes_of, key_of
from gridcli.raster.neighbours import neighbour_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.explain.lookup import TileLookup
    from gridcli.raster.run import ClusterOptions
    from gridcli.runtime.signals import StopFlag

FLOOD_TILES = 20_000
"""A flood ends here, after about a second: larger components are counted by clustering all."""


MOST_SEEN = 1_000_000
"""Tiles within delta of those of a flood, some 150 bytes each."""


@dataclass(frozen=True)
class Surroundings:
    """What a flood from one tile tells.

    Attributes
    ----------
    largest_tau : int or None
        Largest tau at which the tile is in a component of mu tiles; None: there is none among the
        tiles that were looked at.
    tiles, points : int
        Of the tile's component at the tau asked for; 0 where it is not significant. At least
        that many where `is_complete` is false.
    smallest : int
        Key of the component's smallest tile.
    is_complete : bool
        Whether the flood came to the end of the component.
    is_cut : bool
        Whether there are more tiles than were looked at before there were mu of them.
    """

    largest_tau: int | None
    tiles: int
    points: int
    smallest: int
    is_complete: bool
    is_cut: bool


def fullest_first(
    lookup: TileLookup, tile: tuple[int, int], delta: int, metric: str, stop: StopFlag
) -> Iterator[tuple[int, int]]:
    """Yield key and count of the tiles that hang together with a tile, itself first.

    Next is always the fullest tile within `delta` of those before; of equal ones the first. A
    tile that is not there has nothing that hangs together with it.

    Parameters
    ----------
    lookup : TileLookup
    tile : tuple of int
        Its indexes x and y.
    delta, metric
        As in `gridcli.raster.agglomerate`.
    stop : StopFlag

    Raises
    ------
    ResourceError
        Too many tiles lie within `delta`.
    Interrupted
        A signal arrived.
    """
    start = count_of(lookup, tile)
    if not start:
        return
    key = int(key_of(tile))
    waiting, seen = [(-start, key)], {key}
    while waiting:
        stop.check()
        negative, key = heappop(waiting)
        yield key, -negative
        ranges = neighbour_ranges(lookup.grid, indexes_of(key), delta, metric)
        for other, count in zip(*(each.tolist() for each in lookup.within(ranges)), strict=True):
            if other not in seen:
                seen.add(other)
                heappush(waiting, (-count, other))
        if len(seen) > MOST_SEEN:
            raise ResourceError(
                f"more than {MOST_SEEN:,} tiles lie within --delta {delta:,} of those that hang "
                "together here, too many to be looked at. Explain it with a smaller --delta."
            )


def flood(
    lookup: TileLookup,
    tile: tuple[int, int],
    options: ClusterOptions,
    stop: StopFlag,
    *,
    most: int = FLOOD_TILES,
) -> Surroundings:
    """Return what the tiles that hang together with a tile tell of it.

    Parameters
    ----------
    lookup : TileLookup
    tile : tuple of int
        Its indexes x and y.
    options : ClusterOptions
    stop : StopFlag
    most : int
        Look at no more tiles.

    Raises
    ------
    ResourceError
        Too many tiles lie within delta.
    Interrupted
        A signal arrived.
    """
    largest_tau = None
    weakest = tiles = points = smallest = 0
    is_complete, is_cut = True, False
    ordered = fullest_first(lookup, tile, options.delta, options.metric, stop)
    for n, (key, count) in enumerate(ordered, start=1):
        weakest = count if n == 1 else min(weakest, count)
        if n > options.mu and weakest < options.tau:
            break
        if n > most:
            is_complete, is_cut = weakest < options.tau, largest_tau is None
            break
        if n == options.mu:
            largest_tau = weakest
        if weakest >= options.tau:
            smallest = min(smallest, key) if tiles else key
            tiles, points = n, points + count
    return Surroundings(largest_tau, tiles, points, smallest, is_complete, is_cut)


def reaches(
    lookup: TileLookup, tile: tuple[int, int], options: ClusterOptions, stop: StopFlag
) -> bool:
    """Return whether a tile is in a hub."""
    ordered = fullest_first(lookup, tile, options.delta, options.metric, stop)
    for n, (_, count) in enumerate(ordered, start=1):
        if count < options.tau:
            return False
        if n == options.mu:
            return True
    return False
