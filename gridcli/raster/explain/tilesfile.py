"""A place of a tiles file explained: significant tiles alone are known, and their hubs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridcli.errors import UsageError
from gridcli.raster.explain.flood import flood
from gridcli.raster.explain.hub import HubExplanation, explain_hub
from gridcli.raster.explain.lookup import RunLookup, count_of, indexes_of, key_of
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
    first : ndarray of uint64, shape (n_hubs,)
        Key of each hub's smallest tile.
    tiles, points : ndarray of int64, shape (n_hubs,)
        Of each hub.
    """

    run: SortedRun
    hub: int
    first: npt.NDArray[np.uint64]
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


def explain_hub_in_tiles(
    file: TilesFile,
    grid: Grid,
    hub_key: str,
    options: ClusterOptions,
    space: Workspace,
    *,
    stop: StopFlag,
) -> HubExplanation:
    """Return what holds a hub of a tiles file together, as far as the file tells.

    Parameters
    ----------
    file : TilesFile
    grid : Grid
        That of the file.
    hub_key : str
        Or a `hub_id` of the file.
    options : ClusterOptions
        Those that the file was made with.
    space : Workspace
    stop : StopFlag

    Raises
    ------
    UsageError
        There is no such hub.
    InputError
        The file is truncated or corrupt.
    ResourceError
        The hub is too large, or the disk of the spill file is full.
    Interrupted
        A signal arrived.
    """
    read = _read(file, None, space, stop)
    if hub_key.isdecimal() and int(hub_key) in file.hub_ids:
        hub_key = file.hub_keys[file.hub_ids.index(int(hub_key))]
    if hub_key not in file.hub_keys:
        example = f", such as {file.hub_keys[0]}" if file.hub_keys else ""
        raise UsageError(
            f"--hub {hub_key}: {file.path} holds no hub of this key or number. A hub_key{example}, "
            "or a hub_id is wanted."
        )
    first: dict[int, str] = dict(zip(read.first.tolist(), file.hub_keys, strict=True))

    def name_of(tile: tuple[int, int]) -> str:
        return first[int(key_of(tile))]

    return explain_hub(
        RunLookup(read.run, grid),
        indexes_of(int(read.first[file.hub_keys.index(hub_key)])),
        options,
        name_of,
        stop,
        has_all_tiles=False,
        is_relaxed=any(file.record.get(kind) is not None for kind in RELAXATIONS),
    )


def _read(file: TilesFile, tile: tuple[int, int] | None, space: Workspace, stop: StopFlag) -> _Read:
    """Read a tiles file, and note whose a tile is."""
    writer = RunWriter(space.spill)
    wanted = None if tile is None else key_of(tile)
    hub_of_tile = -1
    first, largest = np.zeros(0, np.uint64), np.uint64(np.iinfo(np.uint64).max)
    tiles, points = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for block in file.blocks():
        stop.check()
        writer.write(block.keys, block.count)
        if wanted is not None:
            at = int(np.searchsorted(block.keys, wanted))
            if at < len(block) and block.keys[at] == wanted:
                hub_of_tile = int(block.hub[at])
        more = len(file.hub_keys) - len(tiles)
        first = np.pad(first, (0, more), constant_values=largest)
        tiles, points = np.pad(tiles, (0, more)), np.pad(points, (0, more))
        of_hub = block[block.hub >= 0]
        np.minimum.at(first, of_hub.hub, of_hub.keys)
        np.add.at(tiles, of_hub.hub, 1)
        np.add.at(points, of_hub.hub, of_hub.count)
    return _Read(writer.finish(), hub_of_tile, first, tiles, points)
