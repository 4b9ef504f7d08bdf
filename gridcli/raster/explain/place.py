"""A place explained: its tile, what hangs together with it, and what would change the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridcli.errors import UsageError
from gridcli.grid.keys import pack, unpack
from gridcli.grid.project import OUTSIDE_INT32, Projector, Selection
from gridcli.raster.explain.lookup import count_of
from gridcli.raster.neighbours import neighbour_ranges

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.raster.explain.lookup import TileLookup
    from gridcli.raster.run import ClusterOptions

SHOWN_REACH = 5
"""Neighbours further away are counted, not listed."""


@dataclass(frozen=True)
class Tile:
    """A tile, where it lies, and how many points it holds.

    Attributes
    ----------
    x, y : int
    west, south, east, north : float
        Its edges, in degrees or coordinate units.
    count : int or None
        None: too few for the source to tell.
    """

    x: int
    y: int
    west: float
    south: float
    east: float
    north: float
    count: int | None


@dataclass(frozen=True)
class Change:
    """The value nearest to the present one at which the answer is the other one.

    Attributes
    ----------
    value : int or None
        None: no value changes the answer, or none that the source can tell of.
    is_known : bool
        Whether `value` is all there is to say; if not, the source does not tell.
    """

    value: int | None
    is_known: bool = True


@dataclass(frozen=True)
class Explanation:
    """Why a place is in a hub, or in none.

    Attributes
    ----------
    place : tuple of float
        x and y, or longitude and latitude, as asked for.
    grid : Grid
    options : ClusterOptions
    tile : Tile
    kind : str or None
        ``significant``, or what else made the tile one that counts: ``window``, ``epsilon``. None
        where it does not count, or where that cannot be told.
    hub_key : str or None
        Of the hub that the place is in; None: in none.
    component : tuple of int
        Tiles and points that hang together with the tile, itself included; (0, 0) where it is
        not significant.
    neighbours : list of Tile
        Those at most `SHOWN_REACH` away, row by row from the north, from west to east.
    n_near : int
        Significant tiles at most delta away, the tile itself left out.
    tau, mu, coarsen : Change
        What each would have to be, all else equal.
    tried : tuple of int
        The coarsenings that were tried, ascending.
    """

    place: tuple[float, float]
    grid: Grid
    options: ClusterOptions
    tile: Tile
    kind: str | None
    hub_key: str | None
    component: tuple[int, int]
    neighbours: list[Tile]
    n_near: int
    tau: Change
    mu: Change
    coarsen: Change
    tried: tuple[int, ...]

    @property
    def is_in_hub(self) -> bool:
        """The answer."""
        return self.hub_key is not None


def tile_at(grid: Grid, place: tuple[float, float]) -> tuple[int, int]:
    """Return the tile of a place, by the same rule as that of every point.

    Parameters
    ----------
    grid : Grid
        May be a coarsened one.
    place : tuple of float
        x and y, or longitude and latitude in degrees.

    Raises
    ------
    UsageError
        No tile has this place.
    """
    x, y = np.array([place]).T.copy()
    found = Projector(grid.base, Selection(keep_null_island=True)).project(x, y)
    if len(found.keys):
        tile_x, tile_y = (int(index[0]) // grid.multiple for index in unpack(found.keys))
        return tile_x, tile_y
    lon, lat = (np.format_float_positional(each, trim="-") for each in place)
    if int(found.reasons[0]) == OUTSIDE_INT32:
        raise UsageError(f"--at {lon},{lat} is beyond the tiles of grid {grid.name}.")
    advice = ""
    if abs(place[0]) <= 90 and -180 <= place[1] <= 360:
        advice = f" If the longitude came first: --at {lon},{lat}."
    raise UsageError(
        f"--at {lat},{lon} is no place on earth: it is LAT,LON in degrees, the latitude first, "
        f"from -90 to 90; the longitude from -180 to 360.{advice}"
    )


def tiles_around(
    lookup: TileLookup, tile: tuple[int, int], options: ClusterOptions, *, absent: int | None
) -> tuple[list[Tile], int]:
    """Return the neighbours of a tile that are near enough to be shown, and how many count.

    Parameters
    ----------
    lookup : TileLookup
    tile : tuple of int
    options : ClusterOptions
    absent : int or None
        Count of tiles that are not in the lookup; None: too few for it to tell.

    Returns
    -------
    neighbours : list of Tile
        Row by row from the north, from west to east; the tile itself among them.
    n_near : int
        Significant tiles at most delta away, the tile itself left out.
    """
    keys, counts = lookup.within(neighbour_ranges(lookup.grid, tile, options.delta, options.metric))
    n_near = int(np.count_nonzero(counts >= options.tau))
    n_near -= int(count_of(lookup, tile) >= options.tau)
    shown = neighbour_ranges(lookup.grid, tile, min(options.delta, SHOWN_REACH), options.metric)
    known: dict[int, int] = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    places = [
        (x, y)
        for y, first, last in np.column_stack([shown.row, shown.first, shown.last]).tolist()
        for x in range(first, last + 1)
    ]
    tiles = located(lookup.grid, places)
    key_of = pack(*np.array(places, np.int64).T).tolist()
    counted = [
        replace(each, count=known.get(key, absent)) for each, key in zip(tiles, key_of, strict=True)
    ]
    own = next(each for each in tiles if (each.x, each.y) == tile)
    return sorted(counted, key=lambda each: (-each.y, _eastward(lookup.grid, own, each))), n_near


def located(grid: Grid, places: list[tuple[int, int]]) -> list[Tile]:
    """Return where tiles lie, by their indexes; their counts are left open."""
    x, y = np.array(places, np.int64).T
    edges = (grid.edges_x(x, y), grid.edges_y(y), grid.edges_x(x + 1, y), grid.edges_y(y + 1))
    return [
        Tile(*place, west, south, east, north, None)
        for place, (west, south, east, north) in zip(
            places, np.column_stack(edges).tolist(), strict=True
        )
    ]


def _eastward(grid: Grid, tile: Tile, other: Tile) -> float:
    """Return how far east of a tile another one is, the shorter way around the earth."""
    offset = (other.west + other.east - tile.west - tile.east) / 2
    return offset if grid.planar else (offset + 180) % 360 - 180
