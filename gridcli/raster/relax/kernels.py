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
def _look_at_pair(
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
    itself once.
    """
    first_x = 0
    first_a = -1
    first_b = -1
    left_x = 0
    left_a = -1
    left_b = -1
    while a < a_end or b < b_end:
        is_lower = b == b_end or (a < a_end and x[a] <= x[b])
        here = int(x[a]) if is_lower else int(x[b])
        at_a = -1
        at_b = -1
        if a < a_end and x[a] == here:
            at_a = a
            a += 1
        if b < b_end and x[b] == here:
            at_b = b
            b += 1
        _meet(count, at_a, at_b, tau, mark)
        if left_a < 0 and left_b < 0:
            first_x = here
            first_a = at_a
            first_b = at_b
        elif here - left_x == 1:
            _meet(count, left_a, at_a, tau, mark)
            _meet(count, left_a, at_b, tau, mark)
            _meet(count, left_b, at_a, tau, mark)
            if has_corners:
                _look_at_corner(count, left_a, left_b, at_a, at_b, tau, every, mark)
        elif has_corners:
            _look_at_corner(count, left_a, left_b, -1, -1, tau, every, mark)
            _look_at_corner(count, -1, -1, at_a, at_b, tau, every, mark)
        left_x = here
        left_a = at_a
        left_b = at_b
    if left_a < 0 and left_b < 0:
        return
    if first_x + columns - left_x == 1:
        if columns > 2:  # of two columns each is east of the other, and they have met
            _meet(count, left_a, first_a, tau, mark)
            _meet(count, left_a, first_b, tau, mark)
            _meet(count, left_b, first_a, tau, mark)
        if has_corners:
            _look_at_corner(count, left_a, left_b, first_a, first_b, tau, every, mark)
    elif has_corners:
        _look_at_corner(count, left_a, left_b, -1, -1, tau, every, mark)
        _look_at_corner(count, -1, -1, first_a, first_b, tau, every, mark)


@kernel(
    "int32[:], int64[:], int64[:], int32[:], int64, int64, int64, int64, int64, int64, int64, "
    "uint8[:]"
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
    mark : zeros at first
    """
    last = len(row_y) - 1
    for row in range(first, stop):
        above = row + 1
        is_adjacent = row >= 0 and row < last and row_y[above] - row_y[row] == 1
        if row >= 0:
            end = row_start[above]
            stop_above = row_start[above + 1] if is_adjacent else end
            has_corners = int(row_y[row] != north)
            _look_at_pair(
                x,
                count,
                row_start[row],
                end,
                end,
                stop_above,
                has_corners,
                tau,
                every,
                columns,
                mark,
            )
        if not is_adjacent and above <= last and row_y[above] != south:
            begin = row_start[above]
            end = row_start[above + 1]
            _look_at_pair(x, count, begin, begin, begin, end, 1, tau, every, columns, mark)
