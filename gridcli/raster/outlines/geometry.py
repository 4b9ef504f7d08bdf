"""Outlines of hubs as multipolygons: rings are traced, then gathered to polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry
from gridcli.raster.outlines.corners import drawn_x, drawn_y
from gridcli.raster.outlines.grouping import BYTES_PER_TRACED_TILE, check_outline

if TYPE_CHECKING:
    from gridcli.raster.outlines.grouping import HubTiles

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

BYTES_PER_EDGE = 28
"""Memory for each side of the boundary while it is traced."""
BYTES_PER_STRETCH = 90
"""Memory for each stretch of adjacent tiles, where rows differ, while its boundary is traced."""
BYTES_PER_LINE = 50
"""Memory for each line between two rows, where they differ, while the boundary is traced."""
BYTES_PER_VERTEX = 30
"""Memory for each vertex while rings become polygons, beside the boundary's."""
BYTES_PER_ENCODED_VERTEX = 170
"""Memory for each vertex while it is written, in the largest format; nothing else is left then."""


@dataclass(frozen=True)
class _Rings:
    """Closed rings: exteriors run counter-clockwise, holes clockwise.

    Attributes
    ----------
    x, y : ndarray of float64
        Coordinates of all corners.
    start : ndarray of int64, shape (n + 1,)
        Where each ring's corners begin.
    part : ndarray of int32, shape (n,)
        What is connected has one number; these ascend with the hubs, and with smallest tiles.
    is_hole : ndarray of int8, shape (n,)
    hub_part : ndarray of int64, shape (n_hubs + 1,)
        The least number that a part of each hub can have.
    needed : int
        Bytes that tracing took.
    """

    x: Float64s
    y: Float64s
    start: Int64s
    part: npt.NDArray[np.int32]
    is_hole: npt.NDArray[np.int8]
    hub_part: Int64s
    needed: int


def outline_geometry(
    tiles: HubTiles, first: int, stop: int, memory_bytes: int | None = None
) -> Geometry:
    """Return the outlines of the hubs from `first` to `stop` as multipolygons.

    Every polygon is a set of tiles connected through sides (where rows differ: through a length
    of them), dissolved, with its holes; polygons of a hub stand in the order of their smallest
    tiles. Rings turn at every vertex and visit none twice; tiles on both sides of 180 degrees are
    not joined.

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
    trace = _along_stretches if tiles.grid.rows_differ else _along_tiles
    rings = trace(tiles, first, stop, memory_bytes)
    n_tiles, vertices = int(tiles.start[stop] - tiles.start[first]), len(rings.x)
    needed = max(rings.needed + BYTES_PER_VERTEX * vertices, BYTES_PER_ENCODED_VERTEX * vertices)
    check_outline(tiles.first_hub + first, n_tiles, needed, memory_bytes)

    # A polygon's rings stand together, its exterior first.
    order = np.lexsort((rings.is_hole, rings.part))
    length = np.diff(rings.start)[order]
    ring_vertices = _offsets(length)
    vertex = np.repeat(rings.start[order] - ring_vertices[:-1], length)
    vertex += np.arange(ring_vertices[-1])
    exteriors = np.flatnonzero(rings.is_hole[order] == 0)
    polygon_rings = np.append(exteriors, len(order))
    row = np.searchsorted(rings.hub_part, rings.part[order][exteriors], side="right") - 1
    row_polygons = _offsets(np.bincount(row, minlength=stop - first))
    return Geometry(
        "multipolygon",
        rings.x[vertex],
        rings.y[vertex],
        (row_polygons, polygon_rings, ring_vertices),
    )


def _along_tiles(tiles: HubTiles, first: int, stop: int, memory_bytes: int | None) -> _Rings:
    """Trace tile by tile, on integer corners."""
    from gridcli.raster.outlines import kernels

    begin, end = tiles.start[first], tiles.start[stop]
    x, y = tiles.x[begin:end], tiles.y[begin:end]
    hub_start = tiles.start[first : stop + 1] - begin
    n = len(x)
    near = np.full((n, 8), -1, dtype=np.int32)
    edges = kernels.link_tiles(x, y, hub_start, near)
    needed = BYTES_PER_TRACED_TILE * n + BYTES_PER_EDGE * edges
    check_outline(tiles.first_hub + first, n, needed, memory_bytes)
    part = np.full(n, -1, dtype=np.int32)
    kernels.label_parts(near, part, np.empty(n, dtype=np.int32))

    corner_x, corner_y = np.empty((2, edges + edges // 4), dtype=np.int64)
    ring_stop = np.zeros(edges // 4 + 1, dtype=np.int64)
    ring_part = np.empty(edges // 4, dtype=np.int32)
    ring_is_hole = np.empty(edges // 4, dtype=np.int8)
    rings = kernels.trace_rings(
        x,
        y,
        near,
        part,
        np.full(4 * n, kernels.UNSEEN, dtype=np.int32),
        np.empty(edges, dtype=np.int32),
        corner_x,
        corner_y,
        ring_stop[1:],
        ring_part,
        ring_is_hole,
    )
    corner_x, corner_y = corner_x[: ring_stop[rings]], corner_y[: ring_stop[rings]]
    return _Rings(
        drawn_x(tiles.grid, corner_x, corner_y),
        drawn_y(tiles.grid, corner_y),
        ring_stop[: rings + 1],
        ring_part[:rings],
        ring_is_hole[:rings],
        hub_start,
        needed,
    )


def _along_stretches(tiles: HubTiles, first: int, stop: int, memory_bytes: int | None) -> _Rings:
    """Trace stretches of adjacent tiles, row by row, by the longitudes of their ends."""
    from gridcli.raster.outlines.stretches import kernels

    begin, end = tiles.start[first], tiles.start[stop]
    x, y = tiles.x[begin:end], tiles.y[begin:end]
    goes_on = (np.diff(y) == 0) & (x[1:] - 1 == x[:-1])
    goes_on[tiles.start[first + 1 : stop] - begin - 1] = False
    first_tile = np.flatnonzero(np.append(True, ~goes_on))
    last_tile = np.append(first_tile[1:], len(x)) - 1
    row = y[first_tile]
    west = drawn_x(tiles.grid, x[first_tile], row)
    east = drawn_x(tiles.grid, x[last_tile].astype(np.int64) + 1, row)
    hub_start = np.searchsorted(first_tile, tiles.start[first : stop + 1] - begin)

    n = len(row)
    hub = tiles.first_hub + first
    needed = BYTES_PER_TRACED_TILE * len(x) + BYTES_PER_STRETCH * n
    check_outline(hub, len(x), needed, memory_bytes)
    follow = np.empty(4 * n, dtype=np.int32)
    other, place = np.full((2, 4 * n), kernels.UNSEEN, dtype=np.int32)
    part = np.arange(n, dtype=np.int32)
    lines = kernels.link_stretches(row, west, east, hub_start, follow, other, part)
    needed += BYTES_PER_LINE * lines
    check_outline(hub, len(x), needed, memory_bytes)
    corners = 2 * lines + lines // 2
    corner_x, corner_y = np.empty(corners), np.empty(corners, dtype=np.int64)
    ring_stop = np.zeros(lines // 2 + 1, dtype=np.int64)
    ring_part = np.empty(lines // 2, dtype=np.int32)
    ring_is_hole = np.empty(lines // 2, dtype=np.int8)
    rings = kernels.walk_stretches(
        row,
        west,
        east,
        follow,
        other,
        part,
        place,
        np.empty(2 * n + lines, dtype=np.int32),
        corner_x,
        corner_y,
        ring_stop[1:],
        ring_part,
        ring_is_hole,
    )
    return _Rings(
        corner_x[: ring_stop[rings]],
        drawn_y(tiles.grid, corner_y[: ring_stop[rings]]),
        ring_stop[: rings + 1],
        ring_part[:rings],
        ring_is_hole[:rings],
        hub_start,
        needed,
    )


def _offsets(lengths: Int64s) -> Int64s:
    """Return where things of some lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
