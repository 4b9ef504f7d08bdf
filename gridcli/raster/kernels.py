"""Kernels of agglomeration: joining tiles into components, and summing over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

# Columns of `sum_components`: of the smallest tile X_FIRST and Y_FIRST, of the last one Y_LAST;
# X_MIN and X_MAX in units of ends (`gridcli.grid.ring`).
N_SUMS = 8
N_TILES, POINTS, PEAK, X_FIRST, Y_FIRST, Y_LAST, X_MIN, X_MAX = range(N_SUMS)
# Columns of the exact and of the floating sums of `sum_hubs`.
SUM_X, SUM_Y, SUM_BEYOND, SUM_POINTS = range(4)
MEAN_X, MEAN_Y, SPREAD_X, SPREAD_Y, AREA, AREA_LOST = range(6)
# Columns of its bounds: of what does not lie beyond 180 degrees, and the end of what does.
WEST, EAST, EAST_BEYOND = range(3)

# As in `gridcli.grid.ring`; kernels read module constants only.
TURN = 2.0**40
END_TURN = 2.0**52


@part
def _join(parent: Int32s, a: int, b: int) -> None:
    """Join two trees: climb both, always from the larger tile, and hang its root below the other.

    A parent is never larger than its child, so a root is its component's smallest tile. Paths
    are halved on the way (Rem's algorithm: Dijkstra, A Discipline of Programming, 1976).
    """
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


@kernel("int32[:], int32[:], int64[:], int32[:], int64, int64, int64, int64, int64, int64, int64")
def join_rows(
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
    columns: int,
) -> None:
    """Join the neighbours among rows [first, stop) and, at or before each, rows [low, high).

    A row is compared with each row at most `delta` before it by two pointers. Only the nearest
    tile on either side needs a look: tiles of one row at most `delta` columns apart are joined
    already, and all that are in reach on one side are. For the same reason only the outermost
    tiles of two rows need a look around the earth.

    Parameters
    ----------
    x : columns of all tiles, sorted by (row, column)
    row_y : index of each non-empty row, ascending
    row_start : first tile of each non-empty row, and the number of tiles
    parent : union-find forest; a row inside [low, high) is initialised here
    first, stop, low, high : positions in `row_y`; first < high means that rows are compared with
        themselves too
    delta : largest distance of neighbours
    chebyshev : Chebyshev distance, else Manhattan
    columns : columns around the earth, 0 where the plane does not wrap
    """
    for row in range(first, stop):
        begin = row_start[row]
        end = row_start[row + 1]
        last = end - 1
        if row < high:
            parent[begin] = begin
            for tile in range(begin + 1, end):
                parent[tile] = parent[tile - 1] if x[tile] - x[tile - 1] <= delta else tile
            if columns > 0 and x[begin] + columns - x[last] <= delta:
                _join(parent, begin, last)
        for above in range(min(row, high) - 1, low - 1, -1):
            distance = row_y[row] - row_y[above]
            if distance > delta:
                break
            reach = delta if chebyshev else delta - distance
            begin_above = row_start[above]
            end_above = row_start[above + 1]
            near = begin_above  # the first tile above that is east of the tile
            for tile in range(begin, end):
                while near < end_above and x[near] <= x[tile]:
                    near += 1
                if near < end_above and x[near] - x[tile] <= reach:
                    _join(parent, tile, near)
                if near > begin_above and x[tile] - x[near - 1] <= reach:
                    _join(parent, tile, near - 1)
            if columns > 0:
                if x[begin_above] + columns - x[last] <= reach:
                    _join(parent, begin_above, last)
                if x[begin] + columns - x[end_above - 1] <= reach:
                    _join(parent, begin, end_above - 1)


@kernel("int32[:] -> int64")
def number_components(parent: Int32s) -> int:
    """Replace each tile's parent by its component's number; return how many there are.

    A parent is never after its child, so one pass in order meets every root first.
    """
    n_components = 0
    for tile in range(len(parent)):
        if parent[tile] == tile:
            parent[tile] = n_components
            n_components += 1
        else:
            parent[tile] = parent[parent[tile]]
    return n_components


@kernel("int32[:], int32[:], int32[:], int64[:], int32[:], int64[:,:]")
def sum_components(
    label: Int32s, x: Int32s, y: Int32s, count: Int64s, table: Int32s, sums: Int64s
) -> None:
    """Add tiles up by label, -1 for none, to `sums`: its eight columns named above, zeros at first.

    Tiles may come in several calls, in their order. `table` holds the columns of each row from the
    equator to a pole; it is empty where all rows have the same.
    """
    for tile in range(len(label)):
        of = label[tile]
        if of < 0:
            continue
        west = np.int64(x[tile])
        east = west
        if len(table):
            n = np.float64(table[y[tile] if y[tile] >= 0 else -1 - y[tile]])
            east = np.int64((west + 1) / n * END_TURN) - 1
            west = np.int64(west / n * END_TURN)
        if sums[of, N_TILES] == 0:
            sums[of, X_FIRST] = x[tile]
            sums[of, Y_FIRST] = y[tile]
            sums[of, X_MIN] = west
            sums[of, X_MAX] = east
        sums[of, N_TILES] += 1
        sums[of, POINTS] += count[tile]
        sums[of, PEAK] = max(sums[of, PEAK], count[tile])
        sums[of, Y_LAST] = y[tile]
        sums[of, X_MIN] = min(sums[of, X_MIN], west)
        sums[of, X_MAX] = max(sums[of, X_MAX], east)


@kernel(
    "int32[:], int32[:], int32[:], int64[:], float64[:], int64[:], int64[:], int64[:], int64[:], "
    "int64, float64, int64[:,:], float64[:,:], float64[:,:]"
)
def sum_hubs(
    tile_hub: Int32s,
    x: Int32s,
    y: Int32s,
    count: Int64s,
    row_area: Float64s,
    row_columns: Int64s,
    first_x: Int64s,
    first_y: Int64s,
    cut: Int64s,
    columns: int,
    overlap: float,
    exact: Int64s,
    floating: Float64s,
    bounds: Float64s,
) -> None:
    """Sum each hub's tiles, relative to its smallest tile: columns in units of centres.

    Tiles may come in several calls, in their order: all that is known of a hub stands in its sums.

    Parameters
    ----------
    tile_hub : hub of each tile, -1 for none
    x, y, count : the tiles, sorted by (y, x)
    row_area : area of a tile of each non-empty row
    row_columns : columns of each non-empty row where rows differ, else empty
    first_x, first_y : smallest tile of each hub
    cut : westernmost column of each hub; columns before it lie beyond 180 degrees
    columns : columns around the earth (all three in units of centres: `gridcli.grid.ring`)
    overlap : tiles by which `columns` exceed the circle: what two partial columns lack
    exact : zeros at first, shape (n_hubs, 4): count-weighted sums of x, of y, of being beyond 180,
        counts
    floating : zeros at first, shape (n_hubs, 6): count-weighted means of x and y, sums of squared
        deviations from them (West 1979), area and what its summation lost (Neumaier 1974)
    bounds : shape (n_hubs, 3) where rows differ, else (0, 3); at first inf, -inf, -inf: longitudes
        of western and eastern ends, the columns named above
    """
    row = -1
    last_column = columns // 2 - 1
    partial = 1.0 - overlap / 2
    for tile in range(len(tile_hub)):
        if tile == 0 or y[tile] != y[tile - 1]:
            row += 1
        hub = tile_hub[tile]
        if hub < 0:
            continue
        weight = count[tile]
        at = np.int64(x[tile])
        if len(row_columns):
            n = np.float64(row_columns[row])
            at = np.int64((2 * at + 1) / (2.0 * n) * TURN)
            east = (360.0 * (x[tile] + 1) - 180.0 * n) / n
            if at < cut[hub]:
                bounds[hub, EAST_BEYOND] = max(bounds[hub, EAST_BEYOND], east)
            else:
                bounds[hub, WEST] = min(bounds[hub, WEST], (360.0 * x[tile] - 180.0 * n) / n)
                bounds[hub, EAST] = max(bounds[hub, EAST], east)
        beyond = int(at < cut[hub]) - int(first_x[hub] < cut[hub])
        dx = at - first_x[hub] + beyond * columns
        dy = y[tile] - first_y[hub]
        before = float(exact[hub, SUM_POINTS])
        exact[hub, SUM_X] += weight * dx
        exact[hub, SUM_Y] += weight * dy
        exact[hub, SUM_BEYOND] += weight * beyond
        exact[hub, SUM_POINTS] += weight
        share = weight / (before + weight)
        step_x = dx - beyond * overlap - floating[hub, MEAN_X]
        step_y = dy - floating[hub, MEAN_Y]
        floating[hub, MEAN_X] += step_x * share
        floating[hub, MEAN_Y] += step_y * share
        floating[hub, SPREAD_X] += step_x * step_x * (before * share)
        floating[hub, SPREAD_Y] += step_y * step_y * (before * share)
        area = row_area[row]
        if x[tile] == last_column or x[tile] == -1 - last_column:
            area *= partial
        total = floating[hub, AREA] + area
        if floating[hub, AREA] >= area:
            floating[hub, AREA_LOST] += (floating[hub, AREA] - total) + area
        else:
            floating[hub, AREA_LOST] += (area - total) + floating[hub, AREA]
        floating[hub, AREA] = total
