"""Kernel of agglomeration in three and four dimensions.

Tiles over one place (one row and column) stand together, in lines: along the last axis, a line
for each bin of the one before it. In three dimensions a place has one line.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

N_SHAPE = 7
DELTA, IS_CHEBYSHEV, COLUMNS, LINES, LENGTH, LINES_ARE_CYCLIC, LINE_IS_CYCLIC = range(N_SHAPE)
"""What `join_places` is told of the neighbourhood and of the grid."""


@part
def _join(parent: Int32s, a: int, b: int) -> None:
    """Join two trees; as in `gridcli.raster.kernels`, whose parts are its own."""
    a = parent[a]
    b = parent[b]
    while a != b:
        if a < b:
            a, b = b, a
        above = parent[a]
        if above == a:
            parent[a] = b
            return
        parent[a] = parent[above]
        a = parent[a]


@part
def _find(over: Int64s, begin: int, end: int, wanted: int) -> int:
    """Return the first position from `begin` on, at most `end`, that holds `wanted` or more."""
    while begin < end:
        middle = (begin + end) >> 1
        if over[middle] < wanted:
            begin = middle + 1
        else:
            end = middle
    return begin


@part
def _join_line(
    over: Int64s,
    parent: Int32s,
    shape: Int64s,
    tile: int,
    begin: int,
    end: int,
    line: int,
    reach: int,
) -> None:
    """Join a tile with its neighbours on one line of the place whose tiles are [begin, end).

    Only the nearest on either side needs a look: the others in reach on that side are neighbours
    of it, since they stand on its line.
    """
    length = shape[LENGTH]
    first = line * length
    at = over[tile] % length
    near = _find(over, begin, end, first + at)
    if near < end and over[near] < first + length and over[near] - first - at <= reach:
        _join(parent, tile, near)
    if near > begin and over[near - 1] >= first and first + at - over[near - 1] <= reach:
        _join(parent, tile, near - 1)
    if not shape[LINE_IS_CYCLIC]:
        return
    if at + reach >= length:
        near = _find(over, begin, end, first)
        if near < end and over[near] < first + length and over[near] - first + length - at <= reach:
            _join(parent, tile, near)
    if at - reach < 0:
        near = _find(over, begin, end, first + length) - 1
        if near >= begin and over[near] >= first and at + length - over[near] + first <= reach:
            _join(parent, tile, near)


@part
def _join_place(
    over: Int64s,
    parent: Int32s,
    place_start: Int64s,
    shape: Int64s,
    place: int,
    other: int,
    reach: int,
) -> None:
    """Join the tiles over one place with their neighbours over another, or over the same."""
    lines = shape[LINES]
    farthest = min(reach, lines - 1)
    for tile in range(place_start[place], place_start[place + 1]):
        of_tile = over[tile] // shape[LENGTH]
        for step in range(-farthest, farthest + 1):
            line = of_tile + step
            if line < 0 or line >= lines:
                if not shape[LINES_ARE_CYCLIC]:
                    continue
                line += lines if line < 0 else -lines
            along = reach if shape[IS_CHEBYSHEV] else reach - abs(step)
            _join_line(
                over, parent, shape, tile, place_start[other], place_start[other + 1], line, along
            )


@kernel("int64[:], int64[:], int32[:], int32[:], int64[:], int32[:], int64[:], int64, int64")
def join_places(
    over: Int64s,
    place_start: Int64s,
    x: Int32s,
    row_y: Int32s,
    row_start: Int64s,
    parent: Int32s,
    shape: Int64s,
    first: int,
    stop: int,
) -> None:
    """Join all neighbours among the tiles of rows [first, stop) and of all rows before them.

    Parameters
    ----------
    over : which tile over its place each is; ascending within a place
    place_start : where the tiles over each place begin, and the number of tiles
    x : column of each place, sorted by (row, column)
    row_y : index of each non-empty row, ascending
    row_start : first place of each non-empty row, and the number of places
    parent : union-find forest; rows [first, stop) are initialised here, those before them were
    shape : `N_SHAPE` numbers, named above; 0 COLUMNS where the plane does not wrap
    first, stop : positions in `row_y`
    """
    delta = shape[DELTA]
    columns = shape[COLUMNS]
    for row in range(first, stop):
        begin = row_start[row]
        end = row_start[row + 1]
        for tile in range(place_start[begin], place_start[end]):
            parent[tile] = tile
        for above in range(row, -1, -1):
            distance = row_y[row] - row_y[above]
            if distance > delta:
                break
            is_same = above == row
            reach = delta if shape[IS_CHEBYSHEV] else delta - distance
            begin_above = row_start[above]
            end_above = row_start[above + 1]
            near = begin_above  # the first place above that is in reach, or east of it
            for place in range(begin, end):
                here = x[place]
                while near < end_above and x[near] < here - reach:
                    near += 1
                other = near
                last = place + 1 if is_same else end_above
                while other < last and x[other] <= here + reach:
                    rest = reach if shape[IS_CHEBYSHEV] else reach - abs(here - x[other])
                    _join_place(over, parent, place_start, shape, place, other, rest)
                    other += 1
                if columns == 0:
                    continue
                other = begin_above
                while other < end_above and x[other] + columns - here <= reach:
                    around = x[other] + columns - here
                    rest = reach if shape[IS_CHEBYSHEV] else reach - around
                    _join_place(over, parent, place_start, shape, place, other, rest)
                    other += 1
                other = end_above - 1
                while other >= begin_above and here + columns - x[other] <= reach:
                    around = here + columns - x[other]
                    rest = reach if shape[IS_CHEBYSHEV] else reach - around
                    _join_place(over, parent, place_start, shape, place, other, rest)
                    other -= 1
