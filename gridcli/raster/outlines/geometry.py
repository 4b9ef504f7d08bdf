"""Outlines of hubs as multipolygons: tracing on integer corners, then coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs

TILES_PER_BATCH = 65_536


@dataclass(frozen=True)
class HubTiles:
    """The tiles of hubs, grouped by hub.

    Attributes
    ----------
    grid : Grid
    x, y : ndarray of int32, shape (n,)
        Sorted by hub, then (y, x).
    start : ndarray of int64, shape (n_hubs + 1,)
        Where each hub's tiles begin.
    """

    grid: Grid
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]

    def ranges(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of hubs from `first` to `stop`, of about `TILES_PER_BATCH` tiles each."""
        while first < stop:
            enough = np.searchsorted(self.start, self.start[first] + TILES_PER_BATCH, side="right")
            last = min(max(int(enough) - 1, first + 1), stop)
            yield first, last
            first = last


def group_by_hub(hubs: Hubs) -> HubTiles:
    """Return the tiles of each hub, leaving out those of no hub."""
    tiles = hubs.tiles
    order = np.argsort(hubs.tile_hub, kind="stable")
    order = order[len(order) - int(hubs.n_tiles.sum()) :]
    start = np.concatenate([[0], np.cumsum(hubs.n_tiles)]).astype(np.int64)
    return HubTiles(tiles.grid, tiles.x[order], tiles.y[order], start)


def outline_geometry(tiles: HubTiles, first: int, stop: int) -> Geometry:
    """Return the outlines of the hubs from `first` to `stop` as multipolygons.

    Every polygon is a set of tiles connected through sides, dissolved, with its holes; polygons
    of a hub stand in the order of their smallest tiles. Rings turn at every vertex and visit none
    twice; tiles on both sides of 180 degrees are not joined.

    Parameters
    ----------
    tiles : HubTiles
    first, stop : int
        Positions of hubs; `stop` is not included.

    Returns
    -------
    Geometry
        Of kind "multipolygon", a row a hub.
    """
    from gridcli.raster.outlines import kernels

    begin, end = tiles.start[first], tiles.start[stop]
    x, y = tiles.x[begin:end], tiles.y[begin:end]
    hub_start = tiles.start[first : stop + 1] - begin
    n = len(x)
    near = np.full((n, 8), -1, dtype=np.int32)
    edges = kernels.link_tiles(x, y, hub_start, near)
    part = np.full(n, -1, dtype=np.int32)
    kernels.label_parts(near, part, np.empty(n, dtype=np.int32))

    corner_x, corner_y = np.empty((2, edges + edges // 4), dtype=np.int64)
    ring_stop = np.empty(edges // 4, dtype=np.int64)
    ring_part = np.empty(edges // 4, dtype=np.int32)
    ring_is_hole = np.empty(edges // 4, dtype=np.int8)
    place = np.full(4 * n, kernels.UNSEEN, dtype=np.int32)
    path = np.empty(edges, dtype=np.int32)
    rings = kernels.trace_rings(
        x,
        y,
        near,
        part,
        place,
        path,
        corner_x,
        corner_y,
        ring_stop,
        ring_part,
        ring_is_hole,
    )

    # A polygon's rings stand together, its exterior first.
    order = np.lexsort((ring_is_hole[:rings], ring_part[:rings]))
    ring_start = np.concatenate([[0], ring_stop[: rings - 1]])[:rings]
    length = (ring_stop[:rings] - ring_start)[order]
    ring_vertices = _offsets(length)
    vertex = np.repeat(ring_start[order] - ring_vertices[:-1], length) + np.arange(
        ring_vertices[-1]
    )
    exteriors = np.flatnonzero(ring_is_hole[order] == 0)
    polygon_rings = np.append(exteriors, rings)
    hub = np.searchsorted(hub_start, ring_part[order][exteriors], side="right") - 1
    row_polygons = _offsets(np.bincount(hub, minlength=stop - first))
    return Geometry(
        "multipolygon",
        tiles.grid.edges_x(corner_x[vertex]),
        tiles.grid.edges_y(corner_y[vertex]),
        (row_polygons, polygon_rings, ring_vertices),
    )


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where things of some lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
