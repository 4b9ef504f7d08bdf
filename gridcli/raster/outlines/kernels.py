"""Kernels that trace the boundary of sets of tiles on the lattice of tile corners.

The sides of a tile are numbered counter-clockwise: 0 bottom, 1 right, 2 top, 3 left. Side s runs
from corner s to corner s + 1 and has the tile on its left. An edge of the boundary is a side
without a neighbour behind it; its number is ``4 * tile + side``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

# Columns of `near`: the neighbour behind side s, and behind the corner where side s ends.
BELOW, RIGHT, ABOVE, LEFT = range(4)
BELOW_RIGHT, ABOVE_RIGHT, ABOVE_LEFT, BELOW_LEFT = range(4, 8)
# Values of `place` for an edge that is not on the path.
UNSEEN, DONE = -1, -2


@kernel("int32[:], int32[:], int32[:], int64, int64[:], int32[:], int32[:]")
def group_tiles(
    tile_hub: Int32s,
    x: Int32s,
    y: Int32s,
    first: int,
    place: Int64s,
    grouped_x: Int32s,
    grouped_y: Int32s,
) -> None:
    """Put the tiles of consecutive hubs, from hub `first` on, where each hub has its place.

    Parameters
    ----------
    tile_hub : ndarray of int32, shape (n,)
        Hub of each tile; tiles of other hubs, and of none (-1), are left out.
    x, y : ndarray of int32, shape (n,)
    first : int
    place : ndarray of int64, shape (n_hubs,)
        Where the next tile of each hub goes; moved on.
    grouped_x, grouped_y : ndarray of int32
        Receive the tiles.
    """
    for tile in range(len(tile_hub)):
        hub = tile_hub[tile] - first
        if hub < 0 or hub >= len(place):
            continue
        grouped_x[place[hub]] = x[tile]
        grouped_y[place[hub]] = y[tile]
        place[hub] += 1


@kernel("int32[:], int32[:], int64[:], int32[:,:] -> int64")
def link_tiles(x: Int32s, y: Int32s, hub_start: Int64s, near: Int32s) -> int:
    """Find the neighbours of every tile within its hub; return the number of boundary edges.

    Parameters
    ----------
    x, y : ndarray of int32, shape (n,)
        Tiles grouped by hub, sorted by (y, x) within each.
    hub_start : ndarray of int64, shape (n_hubs + 1,)
        Where each hub's tiles begin.
    near : ndarray of int32, shape (n, 8)
        All -1; receives the neighbours, columns as named above.
    """
    edges = 4 * len(x)
    for hub in range(len(hub_start) - 1):
        stop = hub_start[hub + 1]
        upper = hub_start[hub]
        for tile in range(hub_start[hub], stop):
            tile_x = np.int64(x[tile])
            above_y = np.int64(y[tile]) + 1
            if tile + 1 < stop and y[tile + 1] == y[tile] and x[tile + 1] == tile_x + 1:
                near[tile, RIGHT] = tile + 1
                near[tile + 1, LEFT] = tile
                edges -= 2
            while upper < stop and (
                y[upper] < above_y or (y[upper] == above_y and x[upper] < tile_x - 1)
            ):
                upper += 1
            other = upper
            while other < stop and y[other] == above_y and x[other] <= tile_x + 1:
                if x[other] == tile_x:
                    near[tile, ABOVE] = other
                    near[other, BELOW] = tile
                    edges -= 2
                elif x[other] < tile_x:
                    near[tile, ABOVE_LEFT] = other
                    near[other, BELOW_RIGHT] = tile
                else:
                    near[tile, ABOVE_RIGHT] = other
                    near[other, BELOW_LEFT] = tile
                other += 1
    return edges


@kernel("int32[:,:], int32[:], int32[:]")
def label_parts(near: Int32s, part_of: Int32s, stack: Int32s) -> None:
    """Give every tile the smallest tile that it reaches through sides.

    Parameters
    ----------
    near : ndarray of int32, shape (n, 8)
    part_of : ndarray of int32, shape (n,)
        All -1; receives the labels.
    stack : ndarray of int32, shape (n,)
        Working space.
    """
    for seed in range(len(part_of)):
        if part_of[seed] >= 0:
            continue
        part_of[seed] = seed
        stack[0] = seed
        waiting = 1
        while waiting > 0:
            waiting -= 1
            tile = stack[waiting]
            for side in range(4):
                other = near[tile, side]
                if other >= 0 and part_of[other] < 0:
                    part_of[other] = seed
                    stack[waiting] = other
                    waiting += 1


@part
def _write_ring(
    path: Int32s,
    first: int,
    stop: int,
    x: Int32s,
    y: Int32s,
    corner_x: Int64s,
    corner_y: Int64s,
    written: int,
) -> tuple[int, int]:
    """Write the corners where the loop ``path[first:stop]`` turns, the first one again at the end.

    Returns the number of corners written so far, and the loop's area in tiles, below 0 where it
    runs clockwise.
    """
    start = written
    area = 0
    before = path[stop - 1] & 3
    for at in range(first, stop):
        tile = path[at] >> 2
        side = path[at] & 3
        if side == 0:
            area -= y[tile]
        elif side == 2:
            area += y[tile] + 1
        if side != before:
            corner_x[written] = np.int64(x[tile]) + (side == 1 or side == 2)
            corner_y[written] = np.int64(y[tile]) + (side >= 2)
            written += 1
        before = side
    corner_x[written] = corner_x[start]
    corner_y[written] = corner_y[start]
    return written + 1, area


@kernel(
    "int32[:], int32[:], int32[:,:], int32[:], int32[:], int32[:], "
    "int64[:], int64[:], int64[:], int32[:], int8[:] -> int64"
)
def trace_rings(
    x: Int32s,
    y: Int32s,
    near: Int32s,
    part_of: Int32s,
    place: Int32s,
    path: Int32s,
    corner_x: Int64s,
    corner_y: Int64s,
    ring_stop: Int64s,
    ring_part: Int32s,
    ring_is_hole: Int8s,
) -> int:
    """Trace the boundary of every part as simple rings; return the number of rings.

    A walk keeps its tile on the left and, where two tiles touch in a corner only, stays with its
    own. So it never leaves its part, and comes to a corner twice only where tiles of one part
    touch in it. There the loop walked since is cut off as a ring of its own: no ring visits a
    corner twice, exteriors run counter-clockwise, holes clockwise.

    Parameters
    ----------
    x, y, near, part_of : ndarray
        As in `link_tiles` and `label_parts`.
    place : ndarray of int32, shape (4 n,)
        All `UNSEEN`; position of each edge on the path.
    path : ndarray of int32, shape (edges,)
        Working space.
    corner_x, corner_y : ndarray of int64, shape (edges + edges // 4,)
        Receive the corners of all rings, closed.
    ring_stop, ring_part, ring_is_hole : ndarray of int64, int32, int8, shape (edges // 4,)
        Receive, for each ring, where its corners stop, its part, and 1 for a hole.
    """
    n_rings = 0
    written = 0
    for start in range(len(place)):
        if near[start >> 2, start & 3] >= 0 or place[start] != UNSEEN:
            continue
        length = 0
        tile = start >> 2
        side = start & 3
        walking = True
        while walking:
            place[4 * tile + side] = length
            path[length] = 4 * tile + side
            length += 1
            ahead = near[tile, (side + 1) & 3]
            across = near[tile, 4 + side]
            cut = -1
            if ahead >= 0 and across >= 0:
                tile = across
                side = (side + 3) & 3
            elif ahead >= 0:
                tile = ahead
            else:
                if across >= 0:
                    # The edge on which the other visit of this corner leaves it.
                    cut = place[4 * across + ((side + 3) & 3)]
                side = (side + 1) & 3
            walking = 4 * tile + side != start
            if not walking and cut < 0 and length > 0:
                cut = 0
            if cut >= 0:
                written, area = _write_ring(path, cut, length, x, y, corner_x, corner_y, written)
                ring_stop[n_rings] = written
                ring_part[n_rings] = part_of[start >> 2]
                ring_is_hole[n_rings] = area < 0
                n_rings += 1
                for at in range(cut, length):
                    place[path[at]] = DONE
                length = cut
    return n_rings
