"""Hubs in d dimensions: what each component of significant tiles amounts to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.dims.agglomerate import agglomerate, starts_of
from gridcli.dims.spans import spans_of
from gridcli.raster.hubs import build_hubs, check_mu
from gridcli.raster.labels import TileLabels
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from gridcli.dims.grid import DimsGrid
    from gridcli.raster.model import Hubs
    from gridcli.runtime.signals import StopFlag

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DimsTiles:
    """Significant tiles of one grid in d dimensions, in memory.

    Attributes
    ----------
    grid : DimsGrid
    keys : ndarray of uint64, shape (n,)
        Keys of `grid`, strictly ascending.
    count : ndarray of int64, shape (n,)
        Points in each tile.
    """

    grid: DimsGrid
    keys: npt.NDArray[np.uint64]
    count: Int64s

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class DimsHubs:
    """Hubs in d dimensions, one element each, ordered by `hub_id`.

    Attributes
    ----------
    tiles : DimsTiles
        All significant tiles, also those whose component is below mu.
    hub : ndarray of int32, shape (n_tiles,)
        0-based position of the hub that each tile belongs to; -1: none.
    plane : Hubs
        The hubs as they lie in the plane: its tiles are the places of each hub, which several
        hubs may share, and its `n_tiles` counts them. All else is as in d dimensions: keys,
        points, and the largest count.
    n_tiles : ndarray of int64, shape (n_hubs,)
        Tiles in d dimensions.
    spans : tuple of (from, to)
        For each axis, where the first bin of each hub begins and the last one ends: two ndarrays
        of float64, shape (n_hubs,). From may be above to along a cyclic axis.
    """

    tiles: DimsTiles
    hub: Int32s
    plane: Hubs
    n_tiles: Int64s
    spans: tuple[tuple[Float64s, Float64s], ...]

    def __len__(self) -> int:
        return len(self.n_tiles)


def find_dims_hubs(
    tiles: DimsTiles, *, mu: int, delta: int, metric: str, stop: StopFlag | None = None
) -> DimsHubs:
    """Return the hubs among significant tiles.

    Ids rank hubs by their points, ties by their smallest tile.

    Parameters
    ----------
    tiles : DimsTiles
    mu : int
        Smallest number of tiles of a hub, at least 1.
    delta, metric, stop
        As in `gridcli.dims.agglomerate.agglomerate`.

    Raises
    ------
    UsageError
        `mu` or `delta` is below 1, or the metric is unknown.
    Interrupted
        A signal arrived.
    """
    from gridcli.raster.kernels import N_SUMS, N_TILES, POINTS, sum_components

    check_mu(mu)
    grid = tiles.grid
    components = agglomerate(grid, tiles.keys, delta=delta, metric=metric, stop=stop)
    is_large = np.bincount(components.label, minlength=components.n_components) >= mu
    names = np.full(components.n_components, -1, np.int32)
    names[is_large] = np.arange(np.count_nonzero(is_large))
    label = names[components.label]
    places, over = grid.places(tiles.keys)
    x, y = grid.columns_and_rows(places)
    sums = np.zeros((np.count_nonzero(is_large), N_SUMS), np.int64)
    sum_components(label, x, y, tiles.count, grid.plane.column_table, sums)
    # Labels increase with the smallest tile, so a stable sort settles ties.
    ranked = np.argsort(-sums[:, POINTS], kind="stable")
    rank_of_label = np.full(len(ranked) + 1, -1, np.int32)
    rank_of_label[ranked] = np.arange(len(ranked))
    hub = rank_of_label[label]
    sums = sums[ranked]
    n_tiles = sums[:, N_TILES].copy()

    inside = np.flatnonzero(hub >= 0)
    hub_inside = hub[inside]
    plane = _places_of_hubs(tiles, places[inside], x[inside], y[inside], inside, hub_inside)
    sums[:, N_TILES] = np.bincount(plane.hub, minlength=len(sums))
    hubs = build_hubs(plane.tiles, TileLabels([plane.hub]), sums, stop=stop)
    bins = grid.bins(over[inside])
    smallest = np.zeros(len(sums), np.int64)
    smallest[hub_inside[::-1]] = np.arange(len(inside))[::-1]
    corners = np.column_stack([x[inside][smallest], y[inside][smallest]])
    corners = np.column_stack([corners, *(index[smallest] for index in bins)])
    name = grid.name
    keys = ["/".join([name, *map(str, corner)]) for corner in corners.tolist()]
    return DimsHubs(
        tiles=tiles,
        hub=hub,
        plane=replace(hubs, hub_key=keys),
        n_tiles=n_tiles,
        spans=tuple(
            spans_of(axis, hub_inside, index) for axis, index in zip(grid.axes, bins, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Places:
    """The places of hubs: each as often as hubs have tiles over it, sorted by (y, x, hub)."""

    tiles: Tiles
    hub: Int32s


def _places_of_hubs(
    tiles: DimsTiles,
    places: npt.NDArray[np.uint64],
    x: Int32s,
    y: Int32s,
    inside: Int64s,
    hub: Int32s,
) -> _Places:
    """Return the tiles of hubs, those of one hub over one place added up.

    Parameters
    ----------
    tiles : DimsTiles
    places, x, y, hub : ndarray, shape (n,)
        Of the tiles that belong to hubs.
    inside : ndarray of int64, shape (n,)
        Positions of these in `tiles`.
    """
    n_hubs = int(hub.max(initial=-1)) + 1
    change = np.zeros(len(places), np.int64)
    change[1:] = places[1:] != places[:-1]
    pairs = np.cumsum(change) * n_hubs + hub
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    starts = starts_of(pairs)[:-1]
    first = order[starts]
    count = np.add.reduceat(tiles.count[inside[order]], starts) if len(starts) else tiles.count[:0]
    return _Places(Tiles(tiles.grid.plane, x[first], y[first], count), hub[first])
