"""A place of a tiles file explained: significant tiles alone are known, and their hubs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridcli.grid.keys import pack
from gridcli.raster.explain.flood import flood
from gridcli.raster.explain.lookup import RunLookup, count_of
from gridcli.raster.explain.place import Change, Explanation, located, tile_at, tiles_around
from gridcli.tiles.runs.spilled import RunWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    from gridcli.grid.grid import Grid
    from gridcli.raster.run import ClusterOptions
    from gridcli.raster.tilesfile import TilesFile
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.runs import SortedRun


RELAXATIONS = ("window", "epsilon")
"""What can bring tiles of fewer points than tau into a file."""


@dataclass(frozen=True)
class _Read:
    """A tiles file that has been read once.

    Attributes
    ----------
    run : SortedRun
        Its tiles.
    hub : int
        Position of the hub of the tile asked for; -1: none.
    tiles, points : ndarray of int64, shape (n_hubs,)
        Of each hub.
    """

    run: SortedRun
    hub: int
    tiles: npt.NDArray[np.int64]
    points: npt.NDArray[np.int64]


def explain_in_tiles(
    file: TilesFile,
    grid: Grid,
    place: tuple[float, float],
    options: ClusterOptions,
    space: Workspace,
    *,
    stop: StopFlag,
) -> Explanation:
    """Return why a place is in a hub of a tiles file, or in none, as far as the file tells.

    The file is read once, and its tiles wait in the spill file, so that memory grows with the
    hubs alone.

    Parameters
    ----------
    file : TilesFile
    grid : Grid
        That of the file.
    place : tuple of float
        x and y, or longitude and latitude in degrees.
    options : ClusterOptions
        Those that the file was made with.
    space : Workspace
    stop : StopFlag

    Raises
    ------
    UsageError
        No tile has this place.
    InputError
        The file is truncated or corrupt.
    ResourceError
        The disk of the spill file is full.
    Interrupted
        A signal arrived.
    """
    tile = tile_at(grid, place)
    read = _read(file, tile, space, stop)
    lookup = RunLookup(read.run, grid)
    # With --window or --epsilon tiles below tau are there too: each is as good as any other here.
    around = flood(lookup, tile, replace(options, tau=1), stop)
    relaxed = [kind for kind in RELAXATIONS if file.record.get(kind) is not None]
    component, is_in_hub = (around.tiles, around.points), read.hub >= 0
    if is_in_hub:
        component = int(read.tiles[read.hub]), int(read.points[read.hub])
    is_known = is_in_hub and not relaxed and around.largest_tau is not None
    absent = None if options.tau > 1 else 0
    count = count_of(lookup, tile) or absent
    neighbours, n_near = tiles_around(lookup, tile, options, absent=absent)
    return Explanation(
        place=place,
        grid=grid,
        options=options,
        tile=replace(located(grid, [tile])[0], count=count),
        kind=_kind(count, options.tau, relaxed),
        hub_key=file.hub_keys[read.hub] if is_in_hub else None,
        component=component,
        neighbours=neighbours,
        n_near=n_near,
        tau=Change(
            around.largest_tau + 1 if is_known and around.largest_tau is not None else None,
            is_known=is_known,
        ),
        mu=Change(component[0] + is_in_hub or None),
        coarsen=Change(None, is_known=False),
        tried=(),
    )


def _kind(count: int | None, tau: int, relaxed: list[str]) -> str | None:
    """Return what has brought a tile into the file; None where that cannot be told."""
    if not count:
        return None
    if count >= tau:
        return "significant"
    return relaxed[0] if len(relaxed) == 1 else None


def _read(file: TilesFile, tile: tuple[int, int], space: Workspace, stop: StopFlag) -> _Read:
    """Read a tiles file, and note whose a tile is."""
    writer = RunWriter(space.spill)
    wanted = pack(*np.array([tile], np.int64).T)[0]
    hub_of_tile = -1
    tiles, points = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for block in file.blocks():
        stop.check()
        writer.write(block.keys, block.count)
        at = int(np.searchsorted(block.keys, wanted))
        if at < len(block) and block.keys[at] == wanted:
            hub_of_tile = int(block.hub[at])
        more = len(file.hub_keys) - len(tiles)
        tiles, points = np.pad(tiles, (0, more)), np.pad(points, (0, more))
        of_hub = block[block.hub >= 0]
        np.add.at(tiles, of_hub.hub, 1)
        np.add.at(points, of_hub.hub, of_hub.count)
    return _Read(writer.finish(), hub_of_tile, tiles, points)
