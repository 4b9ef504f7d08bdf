"""Where the hubs of a labelled stream of tiles lie, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.grid import keys
from gridcli.grid.ellipsoid import ECCENTRICITY_2, radii_of_curvature, tile_side
from gridcli.grid.ring import Ring

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.raster.tilesfile import LabelledTiles

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """A hub as one of the files has it.

    Attributes
    ----------
    points, tiles : int
    x, y : float
        Centroid: longitude and latitude, or planar coordinates.
    """

    points: int
    tiles: int
    x: float
    y: float


@dataclass(frozen=True)
class Places:
    """All hubs of a file: arrays of the fields of `Place`, shape (n_hubs,)."""

    grid: Grid | None
    points: Int64s
    tiles: Int64s
    x: Float64s
    y: Float64s

    def __getitem__(self, hub: int) -> Place:
        return Place(
            int(self.points[hub]), int(self.tiles[hub]), float(self.x[hub]), float(self.y[hub])
        )


class HubSums:
    """Sums over the tiles of each hub, taken as the tiles pass by.

    Offsets are those from the hub's smallest tile, whichever way around the earth is shorter: so
    the centroid is right for hubs that reach less than half around. Sums of offsets are doubles,
    added tile by tile: exact up to 2^53, and independent of blocks beyond. Places along rows are
    in units of centres (`gridcli.grid.ring`).
    """

    def __init__(self, grid: Grid | None) -> None:
        self._grid = grid
        self._ring = None if grid is None else Ring.of(grid)
        self._n_hubs = 0
        self._exact = np.zeros((4, 0), np.int64)  # points, tiles, first tile's place and row
        self._offsets = np.zeros((2, 0))

    def watch(self, blocks: Iterable[LabelledTiles]) -> Iterator[LabelledTiles]:
        """Yield the blocks, adding them up."""
        for tiles in blocks:
            self._add(tiles[tiles.hub >= 0])
            yield tiles

    def places(self) -> Places:
        """Return what the tiles so far amount to."""
        points, tiles, first_x, first_y = self._exact[:, : self._n_hubs]
        east, north = self._offsets[:, : self._n_hubs]
        if self._grid is None or self._ring is None:
            return Places(None, points, tiles, east, north)
        x = self._ring.x(first_x + east / points + 0.5)
        y = self._grid.edges_y(first_y + north / points + 0.5)
        return Places(self._grid, points, tiles, x, y)

    def _add(self, tiles: LabelledTiles) -> None:
        hub, count = tiles.hub, tiles.count
        x, y = (index.astype(np.int64) for index in keys.unpack(tiles.keys))
        around = 0
        if self._ring is not None:
            x, around = self._ring.centres(x, y), self._ring.around
        self._make_room(int(hub.max(initial=-1)) + 1)
        points, n_tiles, first_x, first_y = self._exact
        found, first = np.unique(hub, return_index=True)
        is_new = n_tiles[found] == 0
        first_x[found[is_new]], first_y[found[is_new]] = x[first[is_new]], y[first[is_new]]
        np.add.at(points, hub, count)
        np.add.at(n_tiles, hub, 1)
        east = (x - first_x[hub]).astype(np.float64)
        if self._ring is not None and around:
            east[east > around / 2] -= around - self._ring.overlap
            east[east < -around / 2] += around - self._ring.overlap
        np.add.at(self._offsets[0], hub, east * count)
        np.add.at(self._offsets[1], hub, (y - first_y[hub]) * count.astype(np.float64))

    def _make_room(self, n_hubs: int) -> None:
        """Let the sums hold `n_hubs` hubs, and some more where they must grow."""
        self._n_hubs = max(self._n_hubs, n_hubs)
        more = max(n_hubs, 2 * self._exact.shape[1]) - self._exact.shape[1]
        if n_hubs > self._exact.shape[1]:
            self._exact = np.pad(self._exact, ((0, 0), (0, more)))
            self._offsets = np.pad(self._offsets, ((0, 0), (0, more)))


def distances(before: Places, old: Int64s, after: Places, new: Int64s) -> Float64s:
    """Return how far the centroids of pairs lie apart, in metres or coordinate units.

    Metres are those along the ellipsoid, to a millimetre over some kilometres and to 0.5 % at any
    distance: the straight line through the earth is exact, and is bent with the mean of the two
    radii of curvature at the middle latitude.

    Parameters
    ----------
    before, after : Places
    old, new : ndarray of int64, shape (n,)
        Positions of the hubs of each pair.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    x, y = before.x[old], before.y[old]
    to_x, to_y = after.x[new], after.y[new]
    if before.grid is None or before.grid.planar:
        return np.hypot(to_x - x, to_y - y)
    chord = np.linalg.norm(_on_ellipsoid(to_x, to_y) - _on_ellipsoid(x, y), axis=0)
    meridian, prime_vertical = radii_of_curvature((y + to_y) / 2)
    diameter = 2 * np.sqrt(meridian * prime_vertical)
    distance: Float64s = diameter * np.arcsin(np.minimum(chord / diameter, 1.0))
    return distance


def _on_ellipsoid(lon: Float64s, lat: Float64s) -> Float64s:
    """Return earth-centred coordinates in metres, shape (3, n)."""
    longitude, latitude = np.radians(lon), np.radians(lat)
    radius = radii_of_curvature(lat)[1]
    from_axis = radius * np.cos(latitude)
    return np.stack(
        [
            from_axis * np.cos(longitude),
            from_axis * np.sin(longitude),
            radius * (1 - ECCENTRICITY_2) * np.sin(latitude),
        ]
    )


def tile_heights(places: Places, hubs: Int64s) -> Float64s:
    """Return the height of a tile at each hub, in metres or coordinate units."""
    if places.grid is None:
        return np.zeros(len(hubs))
    side = tile_side(places.grid)
    if places.grid.planar:
        return np.full(len(hubs), side)
    heights: Float64s = np.radians(side) * radii_of_curvature(places.y[hubs])[0]
    return heights
