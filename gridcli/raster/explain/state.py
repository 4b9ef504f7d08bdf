"""A place of a state explained: all tiles are known, down to a single point."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridcli.errors import UsageError
from gridcli.grid.keys import pack
from gridcli.raster.coarsen import coarser_blocks
from gridcli.raster.explain.flood import FLOOD_TILES, flood, reaches
from gridcli.raster.explain.hub import HubExplanation, explain_hub
from gridcli.raster.explain.lookup import CoarserLookup, RunLookup, count_of, indexes_of, key_of
from gridcli.raster.explain.place import (
    Change,
    Explanation,
    located,
    tile_at,
    tiles_around,
)
from gridcli.raster.neighbours import INT32
from gridcli.raster.run import cluster_tiles
from gridcli.raster.significant import significant_tiles

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.raster.run import ClusterOptions
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.runs import SortedRun

COARSENINGS = (2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class _Component:
    """The tiles that hang together with the place's tile."""

    tiles: int
    points: int
    smallest: tuple[int, int]


def explain_in_state(
    run: SortedRun,
    grid: Grid,
    place: tuple[float, float],
    options: ClusterOptions,
    space: Workspace,
    *,
    stop: StopFlag,
    most: int = FLOOD_TILES,
) -> Explanation:
    """Return why a place is in a hub of a state, or in none.

    Only the blocks around the place are read, unless more than `most` significant tiles hang
    together there: then all tiles are clustered, in bounded memory, to count them.

    Parameters
    ----------
    run : SortedRun
        Every tile with a point.
    grid : Grid
    place : tuple of float
        x and y, or longitude and latitude in degrees.
    options : ClusterOptions
    space : Workspace
    stop : StopFlag
    most : int
        Look at no more tiles one by one.

    Raises
    ------
    UsageError
        No tile has this place.
    InputError
        A block of the state is corrupt.
    ResourceError
        All tiles must be clustered, and their hubs do not fit.
    Interrupted
        A signal arrived.
    """
    tile = tile_at(grid, place)
    lookup = RunLookup(run, grid)
    around = flood(lookup, tile, options, stop, most=most)
    component = _Component(around.tiles, around.points, indexes_of(around.smallest))
    if not around.is_complete:
        # More than `most` tiles are a hub of as many: smaller ones need not be known.
        least = replace(options, mu=most)
        component = _of_all(run, grid, tile, least, space, stop)
    is_in_hub = component.tiles >= options.mu
    neighbours, n_near = tiles_around(lookup, tile, options, absent=0)
    coarsen, tried = _coarsening(lookup, tile, options, stop, is_in_hub=is_in_hub, most=most)
    largest_tau = around.largest_tau
    x, y = component.smallest
    return Explanation(
        place=place,
        grid=grid,
        options=options,
        tile=replace(located(grid, [tile])[0], count=count_of(lookup, tile)),
        kind="significant" if component.tiles else None,
        hub_key=f"{grid.name}/{x}/{y}" if is_in_hub else None,
        component=(component.tiles, component.points),
        neighbours=neighbours,
        n_near=n_near,
        tau=Change(
            largest_tau + 1 if is_in_hub and largest_tau is not None else largest_tau,
            is_known=not around.is_cut,
        ),
        mu=Change(component.tiles + is_in_hub or None),
        coarsen=coarsen,
        tried=tried,
    )


def _coarsening(
    lookup: RunLookup,
    tile: tuple[int, int],
    options: ClusterOptions,
    stop: StopFlag,
    *,
    is_in_hub: bool,
    most: int,
) -> tuple[Change, tuple[int, ...]]:
    """Return the first coarsening that changes the answer, and those that were tried."""
    tried: tuple[int, ...] = ()
    if options.mu > most:
        return Change(None, is_known=False), tried
    for m in COARSENINGS:
        try:
            coarser = CoarserLookup(lookup, m)
        except UsageError:  # tiles beyond any index, or of a grid that has no coarser one
            break
        tried += (m,)
        if reaches(coarser, (tile[0] // m, tile[1] // m), options, stop) != is_in_hub:
            return Change(m), tried
    return Change(None, is_known=False), tried


def _of_all(
    run: SortedRun,
    grid: Grid,
    tile: tuple[int, int],
    options: ClusterOptions,
    space: Workspace,
    stop: StopFlag,
) -> _Component:
    """Return a component that has mu tiles or more, by clustering all tiles."""
    blocks = coarser_blocks(run, 1, space, stop=stop, least=options.tau)
    tiles = significant_tiles(blocks, grid, options.tau, space)
    hubs = cluster_tiles(tiles, options, space, stop=stop, seconds={})
    key = key_of(tile)
    for block, hub_of_block in hubs.labelled_blocks():
        at = int(np.searchsorted(pack(block.x, block.y), key))
        if at < len(block) and (block.x[at], block.y[at]) == tile:
            hub = int(hub_of_block[at])
            x, y = hubs.hub_key[hub].split("/")[1:]
            return _Component(int(hubs.n_tiles[hub]), int(hubs.points[hub]), (int(x), int(y)))
    raise AssertionError("a significant tile is not among the significant tiles")


def explain_hub_in_state(
    run: SortedRun, grid: Grid, hub_key: str, options: ClusterOptions, *, stop: StopFlag
) -> HubExplanation:
    """Return what holds a hub of a state together.

    Parameters
    ----------
    run : SortedRun
        Every tile with a point.
    grid : Grid
    hub_key : str
        Grid and smallest tile, as in ``g4/119000/577000``.
    options : ClusterOptions
    stop : StopFlag

    Raises
    ------
    UsageError
        There is no such hub.
    InputError
        A block of the state is corrupt.
    ResourceError
        The hub is too large.
    Interrupted
        A signal arrived.
    """
    match = re.fullmatch(
        rf"{re.escape(grid.name)}/(-?\d{{1,10}})/(-?\d{{1,10}})", hub_key, re.ASCII
    )
    if match is None or any(not INT32.min <= int(each) <= INT32.max for each in match.groups()):
        raise UsageError(
            f"--hub {hub_key} is no hub of this state: a hub_key such as {grid.name}/119000/577000 "
            "is wanted, which names the grid and the smallest tile of a hub."
        )
    first = int(match[1]), int(match[2])
    lookup = RunLookup(run, grid)
    around = flood(lookup, first, options, stop)
    smallest = indexes_of(around.smallest)
    told = f"--hub {hub_key} is no hub with tau {options.tau:,} and mu {options.mu:,}"
    if around.tiles < options.mu:
        raise UsageError(f"{told}. gridcli explain --at a place in that tile says why.")
    if around.is_complete and smallest != first:
        raise UsageError(
            f"{told}, but its tile belongs to hub {grid.name}/{smallest[0]}/{smallest[1]}."
        )

    def name_of(tile: tuple[int, int]) -> str:
        return f"{grid.name}/{tile[0]}/{tile[1]}"

    return explain_hub(lookup, first, options, name_of, stop, has_all_tiles=True)
