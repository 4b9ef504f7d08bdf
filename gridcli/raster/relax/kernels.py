"""The kernel of relaxation: what the tiles of two adjacent rows are to each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]

IN_WINDOW = 128
"""Bit of a tile's mark: it is in a block that is kept. The others count significant neighbours."""
NEIGHBOURS = IN_WINDOW - 1


@part
def _look_at_corner(
    count: Int64s, a: int, b: int, c: int, d: int, tau: int, every: int, mark: Uint8s
) -> None:
    """Mark the tiles around a corner, -1 for an empty one, where they hold tau points together."""
    most = 0
    total = 0
    for tile in (a, b, c, d):
        if tile >= 0:
            most = max(most, count[tile])
            total += min(count[tile], tau)
    if total >= tau and (every or most < tau):
        for tile in (a, b, c, d):
            if tile >= 0:
                mark[tile] |= IN_WINDOW


@part
def _meet(count: Int64s, a: int, b: int, tau: int, mark: Uint8s) -> None:
    """Note of two neighbours, -1 for an empty one, that the other is significant."""
    if a >= 0 and b >= 0:
        mark[a] += count[b] >= tau
        mark[b] += count[a] >= tau


@part
def _look_at_columns(
    x: Int32s,
    count: Int64s,
    a: int,
    a_end: int,
    b: int,
    b_end: int,
    has_corners: int,
    tau: int,
    every: int,
    columns: int,
    mark: Uint8s,
) -> None:
    """Look at a row, tiles [a, a_end), and the one above, [b, b_end), column by column.

    Neighbours are noted across the two rows and within the lower one, so that each row meets
    itself once. After the last column comes the first one again, around the earth.
    """
    first_x = 0
    first_a = first_b = -1
    left_x = 0
    left_a = left_b = -1
    is_around = False
    while not is_around:
        if a < a_end or b < b_end:
            is_lower = b == b_end or (a < a_end and x[a] <= x[b])
            here = int(x[a]) if is_lower else int(x[b])
            at_a = at_b = -1
            if a < a_end and x[a] == here:
                at_a = a
                a += 1
            if b < b_end and x[b] == here:
                at_b = b
                b += 1
            _meet(count, at_a, at_b, tau, mark)
        else:
            is_around = True
            here = first_x + columns
            at_a = first_a
            at_b = first_b
        if left_a < 0 and left_b < 0:  # the first column
            first_x = here
            first_a = at_a
            first_b = at_b
        else:
            is_next = here - left_x == 1
            # Of two columns each is east of the other: around the earth they would meet again.
            if is_next and not (is_around and columns == 2):
                _meet(count, left_a, at_a, tau, mark)
                _meet(count, left_a, at_b, tau, mark)
                _meet(count, left_b, at_a, tau, mark)
            # Two columns share a corner; otherwise each has one of its own, beside nothing.
            corners = has_corners if is_next else 2 * has_corners
            for corner in range(corners):
                has_west = is_next or corner == 0
                has_east = is_next or corner == 1
                _look_at_corner(
                    count,
                    left_a if has_west else -1,
                    left_b if has_west else -1,
                    at_a if has_east else -1,
                    at_b if has_east else -1,
                    tau,
                    every,
                    mark,
                )
        left_x = here
        left_a = at_a
        left_b = at_b


@part
def _at(x: Int32s, begin: int, end: int, near: int, column: int) -> int:
    """Return the tile of [begin, end) in a column, -1 for none, looking from position `near` on."""
    while near < end and x[near] < column:
        near += 1
    while near > begin and x[near - 1] >= column:
        near -= 1
    return near if near < end and x[near] == column else -1


@part
def _look_at_borders(
    x: Int32s,
    count: Int64s,
    a: int,
    a_end: int,
    b: int,
    b_end: int,
    n: int,
    m: int,
    tau: int,
    every: int,
    mark: Uint8s,
) -> None:
    """Look at the corners at the borders of a row of n columns, shared with a row of m columns.

    Beside a border stand two tiles of its own row, and of the other row the one that its end
    touches, or two where it meets a border of theirs.
    """
    near = b
    for tile in range(a, a_end):
        while near < b_end and x[near] < x[tile] * m // n:
            near += 1
        for border in range(2):
            k = (x[tile] + border) % n
            j = k * m // n
            is_met = m > 1 and k * m % n == 0
            east = west = other_east = other_west = -1
            for place in range(4):
                is_own = place < 2
                is_west = place % 2 == 1
                if is_west and (n == 1 if is_own else not is_met):
                    continue
                found = _at(
                    x,
                    a if is_own else b,
                    a_end if is_own else b_end,
                    tile if is_own else near,
                    ((k if is_own else j) - is_west) % (n if is_own else m),
                )
                if place == 0:
                    east = found
                elif place == 1:
                    west = found
                elif place == 2:
                    other_east = found
                else:
                    other_west = found
            _look_at_corner(count, west, east, other_west, other_east, tau, every, mark)


@part
def _meet_across(
    x: Int32s,
    count: Int64s,
    a: int,
    a_end: int,
    b: int,
    b_end: int,
    n: int,
    m: int,
    tau: int,
    mark: Uint8s,
) -> None:
    """Note the neighbours of a row of n columns: within it, and in one of m columns above it."""
    near = b
    for tile in range(a, a_end):
        k = int(x[tile])
        if tile + 1 < a_end and x[tile + 1] == k + 1:
            _meet(count, tile, tile + 1, tau, mark)
        first = (k * m + n - 1) // n - 1
        last = min((k + 1) * m // n, first + m - 1)
        while near < b_end and x[near] < first:
            near += 1
        for column in range(first, last + 1):
            _meet(count, tile, _at(x, b, b_end, near, column % m), tau, mark)
    if n > 2 and a < a_end and x[a] == 0 and x[a_end - 1] == n - 1:
        _meet(count, a, a_end - 1, tau, mark)


@part
def _columns(table: Int32s, y: int) -> int:
    """Return the columns of a row; 0 where the table is empty."""
    return int(table[y if y >= 0 else -1 - y]) if len(table) else 0


@kernel(
    "int32[:], int64[:], int64[:], int32[:], int64, int64, int64, int64, int64, int64, int64, "
    "int32[:], uint8[:]"
)
def mark_tiles(
    x: Int32s,
    count: Int64s,
    row_start: Int64s,
    row_y: Int32s,
    first: int,
    stop: int,
    south: int,
    north: int,
    tau: int,
    every: int,
    columns: int,
    table: Int32s,
    mark: Uint8s,
) -> None:
    """Mark the tiles of rows [first, stop) and of those above: blocks kept, neighbours met.

    Parameters
    ----------
    x, count : all tiles, sorted by (row, column)
    row_start : first tile of each non-empty row, and the number of tiles
    row_y : index of each non-empty row, ascending
    first, stop : positions in `row_y`; -1 is the empty row below the first one
    south, north : first and last row of the grid: no block goes beyond
    tau : least points of a significant tile, and of a block
    every : keep every block that reaches tau, also one that holds a significant tile
    columns : columns around the earth, 0 where the plane does not wrap
    table : columns of each row from the equator to a pole; empty where all rows have the same
    mark : zeros at first
    """
    last = len(row_y) - 1
    for row in range(first, stop):
        above = row + 1
        is_adjacent = row >= 0 and row < last and row_y[above] - row_y[row] == 1
        for pair in range(2):  # the row and what is above it; and nothing below a row above
            if pair == 0:
                if row < 0:
                    continue
                begin = row_start[row]
                end = row_start[above]
                end_above = row_start[above + 1] if is_adjacent else end
                corners = int(row_y[row] != north)
                n = _columns(table, row_y[row])
                m = _columns(table, row_y[above]) if is_adjacent else n
            else:
                if is_adjacent or above > last or row_y[above] == south:
                    continue
                begin = end = row_start[above]
                end_above = row_start[above + 1]
                corners = 1
                n = m = _columns(table, row_y[above])
            if n == 0:
                if end_above > begin:
                    _look_at_columns(
                        x, count, begin, end, end, end_above, corners, tau, every, columns, mark
                    )
                continue
            _meet_across(x, count, begin, end, end, end_above, n, m, tau, mark)
            for is_upper in range(2 * corners):
                _look_at_borders(
                    x,
                    count,
                    end if is_upper else begin,
                    end_above if is_upper else end,
                    begin if is_upper else end,
                    end if is_upper else end_above,
                    m if is_upper else n,
                    n if is_upper else m,
                    tau,
                    every,
                    mark,
                )
