"""Outlines of hubs as multipolygons: tracing on integer corners, then coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry
from gridcli.raster.outlines.grouping import BYTES_PER_TRACED_TILE, check_outline

if TYPE_CHECKING:
    from gridcli.raster.outlines.grouping import HubTiles

BYTES_PER_EDGE = 28
"""Memory for each side of the boundary while it is traced."""
BYTES_PER_VERTEX = 30
"""Memory for each vertex while rings become polygons, beside the boundary's."""
BYTES_PER_ENCODED_VERTEX = 170
"""Memory for each vertex while it is written, in the largest format; nothing else is left then."""


def outline_geometry(
    tiles: HubTiles, first: int, stop: int, memory_bytes: int | None = None
) -> Geometry:
    """Return the outlines of the hubs from `first` to `stop` as multipolygons.

    Every polygon is a set of tiles connected through sides, dissolved, with its holes; polygons
    of a hub stand in the order of their smallest tiles. Rings turn at every vertex and visit none
    twice; tiles on both sides of 180 degrees are not joined.

    Parameters
    ----------
    tiles : HubTiles
    first, stop : int
        Positions of hubs in `tiles`; `stop` is not included.
    memory_bytes : int or None
        Most that the outline of a large hub may take, its encoding included.

    Returns
    -------
    Geometry
        Of kind "multipolygon", a row a hub.

    Raises
    ------
    ResourceError
        The outline does not fit in `memory_bytes`.
    """
    from gridcli.raster.outlines import kernels

    begin, end = tiles.start[first], tiles.start[stop]
    x, y = tiles.x[begin:end], tiles.y[begin:end]
    hub_start = tiles.start[first : stop + 1] - begin
    n = len(x)
    near = np.full((n, 8), -1, dtype=np.int32)
    edges = kernels.link_tiles(x, y, hub_start, near)
    needed = BYTES_PER_TRACED_TILE * n + BYTES_PER_EDGE * edges
    hub = tiles.first_hub + first
    check_outline(hub, n, needed, memory_bytes)
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

    vertices = int(ring_stop[:rings].max(initial=0))
    needed = max(needed + BYTES_PER_VERTEX * vertices, BYTES_PER_ENCODED_VERTEX * vertices)
    check_outline(hub, n, needed, memory_bytes)

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
    row = np.searchsorted(hub_start, ring_part[order][exteriors], side="right") - 1
    row_polygons = _offsets(np.bincount(row, minlength=stop - first))
    return Geometry(
        "multipolygon",
        tiles.grid.edges_x(corner_x[vertex], corner_y[vertex]),
        tiles.grid.edges_y(corner_y[vertex]),
        (row_polygons, polygon_rings, ring_vertices),
    )


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where things of some lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
