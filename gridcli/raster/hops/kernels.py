"""Joining tiles of a grid whose rows have different numbers of columns.

Tiles are neighbours within a row, next to each other around the earth, and between adjacent rows
where their longitudes touch. What can be reached from a tile in some hops is an interval of
columns in every row, so it is known by its ends. The eastern end is worked out here, in columns
that go on beyond 180 degrees (all rows begin there, so a row of n columns goes on with column n);
the western end is the eastern one of the mirror image.

A hop to a row nearer to the pole takes the end to the last column there that touches it; a hop
within the row moves it by one, which is farther where columns are wide. So all hops within a row
are best made in that row of the way which is nearest to a pole, and a way never leaves the rows
between its ends towards the equator. It may leave them towards the pole: near one, columns widen
so fast that this is worth its hops.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@part
def _join(parent: Int32s, a: int, b: int) -> None:
    """Join two trees: the larger root is hung below the smaller; paths are halved on the way."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    parent[max(a, b)] = min(a, b)


@part
def _columns(table: Int32s, y: int) -> np.int64:
    return np.int64(table[y if y >= 0 else -1 - y])


@part
def _step(end: int, n: np.int64, m: np.int64, closed: int) -> int:
    """Return the last of m columns that touches the last of n, or that shares some length.

    The quotient is that of integers: all are below 2^53, so a double rounds none up to a whole
    number, and takes less time.
    """
    product = (end + 1) * m
    return int(np.float64(product if closed else product - 1) / np.float64(n))


@part
def _walk(table: Int32s, end: int, y: int, to: int, closed: int) -> int:
    """Return the end after the hops from row `y` to row `to`, one row each."""
    step = 1 if to > y else -1
    n = _columns(table, y)
    while y != to:
        y += step
        m = _columns(table, y)
        end = _step(end, n, m, closed)
        n = m
    return end


@part
def _detours_help(table: Int32s, y: int, hops: int) -> int:
    """Whether hops towards the pole and back may reach farther than hops within the row.

    A hop to a row takes the end on by at most one of its columns, and an end is a whole number of
    columns. So it cannot, while the columns on the way are wider by less than one in all.
    """
    ring = y if y >= 0 else -1 - y
    n = np.int64(table[ring])
    highest = np.int64(table[min(ring + hops // 2, len(table) - 1)])
    return 1 if hops * (n - highest) >= highest else 0


@part
def _widen(table: Int32s, end: int, y: int, hops: int, closed: int) -> int:
    """Return the farthest end in the same row after some hops."""
    best = end + hops
    if hops < 2 or not _detours_help(table, y, hops):
        return best
    step = 1 if y >= 0 else -1
    ring = y if y >= 0 else -1 - y
    for rows in range(1, min(hops // 2, len(table) - 1 - ring) + 1):
        top = y + step * rows
        reached = _walk(table, end, y, top, closed) + hops - 2 * rows
        best = max(best, _walk(table, reached, top, y, closed))
    return best


@part
def _end(table: Int32s, x: int, y: int, to: int, hops: int, closed: int) -> int:
    """Return the last column of row `to` that some hops from a tile reach.

    `to` is nearer to the pole, or on the other side of the equator: then the hops that no change
    of row needs may be made on either side.
    """
    spare = hops - abs(to - y)
    best: int = _widen(table, _walk(table, x, y, to, closed), to, spare, closed)
    if (y < 0) != (to < 0):
        for early in range(1, spare + 1):
            reached = _walk(table, _widen(table, x, y, early, closed), y, to, closed)
            best = max(best, _widen(table, reached, to, spare - early, closed))
    return best


@part
def _join_range(
    x: Int32s, parent: Int32s, tile: int, first: int, stop: int, low: int, high: int, delta: int
) -> int:
    """Join a tile with those of [first, stop) in columns [low, high]; return the first of them.

    Tiles at most delta columns apart are joined already, so one of them is enough.
    """
    while first < stop and x[first] < low:
        first += 1
    other = first
    while other < stop and x[other] <= high:
        if other == first or x[other] - x[other - 1] > delta:
            _join(parent, tile, other)
        other += 1
    return first


@part
def _join_reached(
    x: Int32s,
    parent: Int32s,
    table: Int32s,
    begin: int,
    end: int,
    y: int,
    begin_other: int,
    end_other: int,
    other_y: int,
    delta: int,
    closed: int,
) -> None:
    """Join the tiles [begin, end) of row `y` with those of another row that hops reach."""
    n = _columns(table, y)
    m = _columns(table, other_y)
    near = begin_other
    for tile in range(begin, end):
        east = _end(table, np.int64(x[tile]), y, other_y, delta, closed)
        west = m - 1 - _end(table, n - 1 - np.int64(x[tile]), y, other_y, delta, closed)
        if east - west + 1 >= m:
            _join_range(x, parent, tile, begin_other, end_other, 0, m - 1, delta)
            continue
        near = _join_range(x, parent, tile, near, end_other, max(west, 0), min(east, m - 1), delta)
        if west < 0:
            last = end_other - 1
            while last >= begin_other and x[last] >= west + m:
                _join(parent, tile, last)
                last -= 1
        if east >= m:
            _join_range(x, parent, tile, begin_other, end_other, 0, east - m, delta)


@kernel(
    "int32[:], int32[:], int64[:], int32[:], int64, int64, int64, int64, int64, int64, int32[:]"
)
def join_uneven_rows(
    x: Int32s,
    row_y: Int32s,
    row_start: Int64s,
    parent: Int32s,
    first: int,
    stop: int,
    low: int,
    high: int,
    delta: int,
    chebyshev: int,
    table: Int32s,
) -> None:
    """Join the tiles in reach among rows [first, stop) and, at or before each, rows [low, high).

    Parameters
    ----------
    x, row_y, row_start, parent, first, stop, low, high
        As for `gridcli.raster.kernels.join_rows`.
    delta : hops within which tiles are joined
    chebyshev : tiles of adjacent rows are neighbours where they touch, else where they share some
        length
    table : columns of each row from the equator to a pole
    """
    for row in range(first, stop):
        begin = row_start[row]
        end = row_start[row + 1]
        y = np.int64(row_y[row])
        if row < high:
            parent[begin] = begin
            for tile in range(begin + 1, end):
                parent[tile] = parent[tile - 1] if x[tile] - x[tile - 1] <= delta else tile
            if x[begin] + _columns(table, y) - x[end - 1] <= delta:
                _join(parent, begin, end - 1)
        # With the row itself, where ways nearer to the pole reach farther than hops within it.
        for above in range(min(row, high - 1), low - 1, -1):
            other_y = np.int64(row_y[above])
            if y - other_y > delta:
                break
            if above == row and not _detours_help(table, y, delta):
                continue
            base, other = (above, row) if other_y >= 0 else (row, above)  # the base is equatorward
            _join_reached(
                x,
                parent,
                table,
                row_start[base],
                row_start[base + 1],
                np.int64(row_y[base]),
                row_start[other],
                row_start[other + 1],
                np.int64(row_y[other]),
                delta,
                chebyshev,
            )
