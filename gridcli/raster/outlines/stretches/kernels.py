"""Kernels that trace the boundary of stretches: adjacent tiles of one row, as long as they go on.

A stretch has an eastern side, which the boundary goes up, and a western one, which it goes down.
Where it arrives at the end of a side, it goes straight on along a side in the next row, or turns
into a line between two rows, which leads to the next side. The eastern side of stretch s is number
``4 s``, the line after it ``4 s + 1``, the western side ``4 s + 2``, the line after that
``4 s + 3``: the boundary has its stretch on the left all the way. Only ends of stretches are
compared, where they are drawn: what is drawn at the same place is the same double.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Float64s = npt.NDArray[np.float64]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

# Values of `place` for what is not on the path.
UNSEEN, DONE = -1, -2


@part
def _root(parent: Int32s, stretch: int) -> int:
    """Return the smallest stretch that this one is known to be connected with."""
    while parent[stretch] != stretch:
        parent[stretch] = parent[parent[stretch]]
        stretch = parent[stretch]
    return stretch


@part
def _end(west: Float64s, east: Float64s, at: int, stop: int) -> float:
    """Return the western (even numbers) or eastern end of a stretch, infinity beyond the last."""
    if at >= 2 * stop:
        return np.inf
    return float(east[at >> 1] if at & 1 else west[at >> 1])


@part
def _join_line(
    west: Float64s,
    east: Float64s,
    below: int,
    below_stop: int,
    above: int,
    above_stop: int,
    follow: Int32s,
    other: Int32s,
    parent: Int32s,
) -> int:
    """Link what arrives at the line between two rows with what leaves it; return its pieces.

    Going east along the line, ends of stretches below and above are passed; between two of them,
    the line is a boundary where there is a stretch on one side only.
    """
    pieces = 0
    b = 2 * below  # end b is the west of a stretch, and b + 1 its east
    a = 2 * above
    in_below = False
    in_above = False
    open_side = -1  # what the piece that has begun leads to (westwards) or comes from (eastwards)
    open_other = -1
    while b < 2 * below_stop or a < 2 * above_stop:
        x_below = _end(west, east, b, below_stop)
        x_above = _end(west, east, a, above_stop)
        at_below = x_below <= x_above
        at_above = x_above <= x_below
        was_below = in_below
        was_above = in_above
        # An eastern side below arrives, a western one leaves; above, it is the other way round.
        side_below = 4 * (b >> 1) + (0 if b & 1 else 2)
        side_above = 4 * (a >> 1) + (0 if a & 1 else 2)
        if at_below:
            in_below = not in_below
            b += 1
        if at_above:
            in_above = not in_above
            a += 1
        if at_below and at_above and was_below == was_above:
            if in_below:
                follow[side_above] = side_below
            else:
                follow[side_below] = side_above
        else:
            is_corner = at_below and at_above  # two stretches touch in a corner only
            if was_below and not was_above:
                side = side_below if at_below else side_above
                follow[side] = side + 1
                follow[side + 1] = open_side
                other[side + 1] = open_other
                pieces += 1
                if is_corner:
                    other[side_below] = side_above + 1
                    other[side_above] = side_below + 1
            elif was_above and not was_below:
                follow[open_side + 1] = side_above if at_above else side_below
                pieces += 1
                if is_corner:
                    other[open_side + 1] = side_below
            open_other = side_above if is_corner and was_above else -1
            if in_below and not in_above:
                open_side = side_below if at_below else side_above
            elif in_above and not in_below:
                open_side = side_above if at_above else side_below
                follow[open_side] = open_side + 1
        if in_below and in_above:
            one = _root(parent, b >> 1)
            two = _root(parent, a >> 1)
            parent[max(one, two)] = min(one, two)
    return pieces


@kernel("int32[:], float64[:], float64[:], int64[:], int32[:], int32[:], int32[:] -> int64")
def link_stretches(
    row: Int32s,
    west: Float64s,
    east: Float64s,
    hub_start: Int64s,
    follow: Int32s,
    other: Int32s,
    parent: Int32s,
) -> int:
    """Find what follows each side and each line on the boundary; return the number of lines.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Stretches grouped by hub, sorted by (row, west) within each; none touches another one of
        the same row.
    west, east : ndarray of float64, shape (n,)
    hub_start : ndarray of int64, shape (n_hubs + 1,)
        Where each hub's stretches begin.
    follow : ndarray of int32, shape (4 n,)
        Receives the side or line that follows each.
    other : ndarray of int32, shape (4 n,)
        All -1; where the boundary comes to a corner in which two stretches touch, and in nothing
        else, receives what it leaves that corner on when it comes there along the other one.
    parent : ndarray of int32, shape (n,)
        Each its own position; receives the smallest stretch that each is connected with, over
        lines of some length.
    """
    lines = 0
    for hub in range(len(hub_start) - 1):
        stop = hub_start[hub + 1]
        begin = hub_start[hub]
        before = begin  # where the row below begins, if there is one
        while begin < stop:
            end = begin
            while end < stop and row[end] == row[begin]:
                end += 1
            is_next = begin > before and np.int64(row[before]) + 1 == row[begin]
            if not is_next:
                if begin > before:
                    lines += _join_line(
                        west, east, before, begin, begin, begin, follow, other, parent
                    )
                lines += _join_line(west, east, begin, begin, begin, end, follow, other, parent)
            else:
                lines += _join_line(west, east, before, begin, begin, end, follow, other, parent)
            before = begin
            begin = end
        lines += _join_line(west, east, before, stop, stop, stop, follow, other, parent)
    for stretch in range(len(parent)):
        parent[stretch] = _root(parent, stretch)
    return lines


@part
def _write_ring(
    path: Int32s,
    first: int,
    stop: int,
    row: Int32s,
    west: Float64s,
    east: Float64s,
    corner_x: Float64s,
    corner_y: Int64s,
    written: int,
) -> tuple[int, bool]:
    """Write the corners where the loop ``path[first:stop]`` turns, the first one again at the end.

    Returns the number of corners written so far, and whether it is a hole: whether its lowest
    line goes west.
    """
    start = written
    lowest = np.int64(1) << 62
    is_hole = False
    before = path[stop - 1]
    for at in range(first, stop):
        stretch = path[at] >> 2
        is_line = path[at] & 1
        x = west[stretch] if path[at] & 2 else east[stretch]
        if is_line or before & 1:
            # Eastern sides begin at the bottom and lines after them at the top.
            is_top = (path[at] & 3) == 1 or (path[at] & 3) == 2
            corner_x[written] = x
            corner_y[written] = np.int64(row[stretch]) + is_top
            if is_line and corner_y[written] < lowest:
                lowest = corner_y[written]
                after = path[at + 1] if at + 1 < stop else path[first]
                end = west[after >> 2] if after & 2 else east[after >> 2]
                is_hole = end < x
            written += 1
        before = path[at]
    corner_x[written] = corner_x[start]
    corner_y[written] = corner_y[start]
    return written + 1, is_hole


@kernel(
    "int32[:], float64[:], float64[:], int32[:], int32[:], int32[:], int32[:], int32[:], "
    "float64[:], int64[:], int64[:], int32[:], int8[:] -> int64"
)
def walk_stretches(
    row: Int32s,
    west: Float64s,
    east: Float64s,
    follow: Int32s,
    other: Int32s,
    part_of: Int32s,
    place: Int32s,
    path: Int32s,
    corner_x: Float64s,
    corner_y: Int64s,
    ring_stop: Int64s,
    ring_part: Int32s,
    ring_is_hole: Int8s,
) -> int:
    """Walk along the boundary of every part; return the number of rings.

    Rings are cut off where the walk comes to a corner again, as in
    `gridcli.raster.outlines.kernels.trace_rings`.

    Parameters
    ----------
    row, west, east, follow, other, part_of : ndarray
        As in `link_stretches`; `part_of` is its `parent`.
    place : ndarray of int32, shape (4 n,)
        All `UNSEEN`; position of each side and line on the path.
    path : ndarray of int32, shape (2 n + lines,)
        Working space.
    corner_x, corner_y : ndarray of float64, int64, shape (2 lines + lines // 2,)
        Receive longitude and row of the corners of all rings, closed.
    ring_stop, ring_part, ring_is_hole : ndarray of int64, int32, int8, shape (lines // 2,)
        Receive, for each ring, where its corners stop, its part, and 1 for a hole.
    """
    n_rings = 0
    written = 0
    for start in range(0, len(place), 2):
        if place[start] != UNSEEN:
            continue
        length = 0
        at = start
        walking = True
        while walking:
            place[at] = length
            path[length] = at
            length += 1
            cut = -1
            if other[at] >= 0:
                cut = place[other[at]]
            at = follow[at]
            walking = at != start
            if not walking and cut < 0 and length > 0:
                cut = 0
            if cut >= 0:
                written, is_hole = _write_ring(
                    path, cut, length, row, west, east, corner_x, corner_y, written
                )
                ring_stop[n_rings] = written
                ring_part[n_rings] = part_of[start >> 2]
                ring_is_hole[n_rings] = is_hole
                n_rings += 1
                for done in range(cut, length):
                    place[path[done]] = DONE
                length = cut
    return n_rings
