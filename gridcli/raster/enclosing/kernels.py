"""Kernels that enclose hubs: extents of their rows, convex hulls, smallest ellipses."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Float64s = npt.NDArray[np.float64]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

COLUMN_BIAS = 1 << 31
BEYOND_SHIFT = 32
"""Packed columns: the column plus `COLUMN_BIAS`, and above it 1 for what lies beyond 180 degrees
as the hub goes east."""

TOLERANCE = 1e-5
"""The area of an ellipse is at most so much above the smallest, relatively."""
MOST_STEPS = 10_000
"""Steps towards the smallest ellipse; round hubs with hundreds of corners could take more, for
an area that is some 2 parts in 10^4 smaller."""
LEAST_WIDTH_2 = 1e-12
"""Of the squared height of a hub: its spread across its slope is taken for no less."""


@kernel(
    "int32[:], int32[:], int32[:], int8[:], int64, int64[:], int64[:], int32[:], int64[:], int64[:]"
)
def fold_rows(
    tile_hub: Int32s,
    x: Int32s,
    y: Int32s,
    is_beyond: Int8s,
    first: int,
    start: Int64s,
    place: Int64s,
    row: Int32s,
    low: Int64s,
    high: Int64s,
) -> None:
    """Extend the rows of consecutive hubs, from hub `first` on, by tiles in ascending order.

    Parameters
    ----------
    tile_hub : ndarray of int32, shape (n,)
        Hub of each tile; tiles of other hubs, and of none (-1), are left out.
    x, y : ndarray of int32, shape (n,)
    is_beyond : ndarray of int8, shape (n,)
        1 for tiles beyond 180 degrees, as their hub goes east.
    first : int
    start, place : ndarray of int64, shape (n_hubs,)
        Where each hub's rows begin, and where its next row goes; `place` is moved on.
    row : ndarray of int32
        Receives the rows of each hub that hold tiles, ascending.
    low, high : ndarray of int64
        Receive their first and last columns, packed.
    """
    for tile in range(len(tile_hub)):
        hub = tile_hub[tile] - first
        if hub < 0 or hub >= len(place):
            continue
        column = (np.int64(is_beyond[tile]) << BEYOND_SHIFT) | (np.int64(x[tile]) + COLUMN_BIAS)
        at = place[hub]
        if at > start[hub] and row[at - 1] == y[tile]:
            low[at - 1] = min(low[at - 1], column)
            high[at - 1] = max(high[at - 1], column)
        else:
            row[at] = y[tile]
            low[at] = column
            high[at] = column
            place[hub] += 1


@part
def _turns_left(x: Float64s, y: Float64s, a: int, b: int, c: int) -> bool:
    """Whether the way from a over b to c turns left in b."""
    return bool((x[b] - x[a]) * (y[c] - y[b]) > (y[b] - y[a]) * (x[c] - x[b]))


@kernel("float64[:], float64[:], int64[:], int64[:], int64[:], int64[:]")
def convex_hulls(
    x: Float64s, y: Float64s, start: Int64s, top: Int64s, hull: Int64s, hull_stop: Int64s
) -> None:
    """Find the convex hull of each of several rings.

    Exact where differences of coordinates are whole numbers below 2^26.
    Source: Andrew, Another efficient algorithm for convex hulls in two dimensions (1979), with
    the chains given instead of sorted.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Rings that run counter-clockwise: y never falls up to the vertex `top`, and never rises
        after it.
    start : ndarray of int64, shape (n_rings + 1,)
    top : ndarray of int64, shape (n_rings,)
    hull : ndarray of int64, shape (n,)
        Receives the vertices of each hull, one after the other, counter-clockwise.
    hull_stop : ndarray of int64, shape (n_rings,)
        Receives where each hull ends in `hull`.
    """
    n = 0
    for ring in range(len(top)):
        first = n
        floor = n
        for at in range(start[ring], start[ring + 1]):
            while n - floor >= 2 and not _turns_left(x, y, hull[n - 2], hull[n - 1], at):
                n -= 1
            hull[n] = at
            if at == top[ring]:
                floor = n
            n += 1
        while n - floor >= 2 and not _turns_left(x, y, hull[n - 2], hull[n - 1], hull[first]):
            n -= 1
        hull_stop[ring] = n


@kernel("float64[:], float64[:], int64[:], float64[:], float64[:], float64[:], float64[:,:]")
def smallest_ellipses(
    x: Float64s,
    y: Float64s,
    start: Int64s,
    across: Float64s,
    along: Float64s,
    weight: Float64s,
    ellipse: Float64s,
) -> None:
    """Find the ellipse of the smallest area around each of several sets of points.

    The points of each set are given weights so that the determinant of their scatter about the
    weighted mean grows; at its largest, the ellipse of that scatter, made large enough, is the
    smallest. A step moves weight to the point furthest outside, or away from the one furthest
    inside, by the length that is best for it. As long as no point lies further out than
    ``2 (1 + TOLERANCE)`` in squared units of scatter, the area is within `TOLERANCE`.
    Source: Todd and Yildirim, On Khachiyan's algorithm for the computation of minimum-volume
    enclosing ellipsoids (2007), algorithm 4.2.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Points that do not lie on one line, in units in which they are at least 1 across.
    start : ndarray of int64, shape (n_sets + 1,)
    across, along, weight : ndarray of float64, shape (n,)
        Working space.
    ellipse : ndarray of float64, shape (n_sets, 5)
        Receives the centre x, y, and f, g, h: the ellipse is the image of the unit circle (u, v)
        as ``x + f u, y + g u + h v``. It holds every point, but for rounding.
    """
    for each in range(len(ellipse)):
        begin = start[each]
        end = start[each + 1]
        n = end - begin
        mean_x = 0.0
        mean_y = 0.0
        for i in range(begin, end):
            mean_x += x[i] / n
            mean_y += y[i] / n
        xx = 0.0
        xy = 0.0
        yy = 0.0
        for i in range(begin, end):
            xx += (x[i] - mean_x) * (x[i] - mean_x) / n
            xy += (x[i] - mean_x) * (y[i] - mean_y) / n
            yy += (y[i] - mean_y) * (y[i] - mean_y) / n
        # Long thin sets become about as wide as long, so that no digit is lost below.
        f = math.sqrt(xx)
        g = xy / f
        h = math.sqrt(max(yy - g * g, LEAST_WIDTH_2 * yy))
        for i in range(begin, end):
            across[i] = (x[i] - mean_x) / f
            along[i] = (y[i] - mean_y - g * across[i]) / h
            weight[i] = 1.0 / n

        u = 0.0
        v = 0.0
        uu = 1.0
        uv = 0.0
        vv = 1.0
        steps = 0
        while True:
            determinant = uu * vv - uv * uv
            furthest = -1.0
            nearest = np.inf
            outer = begin
            inner = begin
            for i in range(begin, end):
                du = across[i] - u
                dv = along[i] - v
                distance = (vv * du * du - 2 * uv * du * dv + uu * dv * dv) / determinant
                if distance > furthest:
                    furthest = distance
                    outer = i
                if distance < nearest and weight[i] > 0:
                    nearest = distance
                    inner = i
            if furthest <= 2 * (1 + TOLERANCE) or steps == MOST_STEPS:
                break
            steps += 1
            if furthest - 2 >= 2 - nearest:
                moved = outer
                step = (furthest - 2) / (3 * furthest)
                left = (1 - step) * weight[moved] + step
            else:
                moved = inner
                most = weight[moved] / (1 - weight[moved])
                if 3 * nearest * most <= 2 - nearest:
                    step = -most
                    left = 0.0
                else:
                    step = (nearest - 2) / (3 * nearest)
                    left = (1 - step) * weight[moved] + step
            for i in range(begin, end):
                weight[i] *= 1 - step
            weight[moved] = left
            du = across[moved] - u
            dv = along[moved] - v
            u += step * du
            v += step * dv
            uu = (1 - step) * (uu + step * du * du)
            uv = (1 - step) * (uv + step * du * dv)
            vv = (1 - step) * (vv + step * dv * dv)

        reach = math.sqrt(furthest)
        root = math.sqrt(uu)
        slope = uv / root
        ellipse[each, 0] = mean_x + f * u
        ellipse[each, 1] = mean_y + g * u + h * v
        ellipse[each, 2] = reach * f * root
        ellipse[each, 3] = reach * (g * root + h * slope)
        ellipse[each, 4] = reach * h * math.sqrt(determinant) / root
