"""Which tiles are neighbours of one tile: ranges of columns in the rows around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.grid.keys import pack

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid

Int64s = npt.NDArray[np.int64]
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class TileRanges:
    """Ranges of tiles, each within a row, in ascending order of (row, first).

    Attributes
    ----------
    row : ndarray of int64, shape (n,)
    first, last : ndarray of int64, shape (n,)
        Columns of the first and the last tile of each range.
    """

    row: Int64s
    first: Int64s
    last: Int64s

    def keys(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return the keys of the first and of the last tile of each range."""
        return pack(self.first, self.row), pack(self.last, self.row)


def neighbour_ranges(grid: Grid, tile: tuple[int, int], delta: int, metric: str) -> TileRanges:
    """Return the tiles at most `delta` away from a tile, itself included.

    The rule is that of agglomeration (docs/contract.md, section 3): Chebyshev or Manhattan
    distance, columns counted around the earth on a geographic grid; or hops, on a grid whose
    rows have different numbers of columns.

    Parameters
    ----------
    grid : Grid
    tile : tuple of int
        Its indexes x and y.
    delta : int
        At least 1.
    metric : {"chebyshev", "manhattan"}

    Examples
    --------
    >>> from gridcli.grid.grid import Grid
    >>> neighbour_ranges(Grid.degrees(4), (7, 0), 1, "manhattan")
    TileRanges(row=array([-1,  0,  1]), first=array([7, 6, 7]), last=array([7, 8, 7]))
    """
    x, y = tile
    low, high = (INT32.min, INT32.max) if grid.planar else (grid.first_row, grid.last_row)
    row = np.arange(max(y - delta, low), min(y + delta, high) + 1)
    if grid.rows_differ:
        columns = grid.columns_of(row)
        return _around_the_earth(
            row, *_hops(columns, x, y - row[0], delta, metric), np.zeros_like(row), columns
        )
    reach = np.full(len(row), delta) if metric == "chebyshev" else delta - np.abs(row - y)
    if grid.planar:
        return TileRanges(row, np.maximum(x - reach, INT32.min), np.minimum(x + reach, INT32.max))
    reach = np.minimum(reach, (grid.columns - 1) // 2 + 1)
    west = np.full(len(row), grid.first_column)
    return _around_the_earth(row, x - reach, x + reach, west, np.full(len(row), grid.columns))


def _hops(columns: Int64s, x: int, at: int, delta: int, metric: str) -> tuple[Int64s, Int64s]:
    """Return the first and last column of each row that hops from one tile reach.

    In one hop a tile reaches those beside it, and those of the rows above and below whose
    longitudes touch its own (Manhattan: share some length with them). What several hops reach is
    a range in each row; its columns go on beyond 180 degrees. Rows that are not reached have a
    last column before the first one.

    Parameters
    ----------
    columns : ndarray of int64, shape (n,)
        Columns of each row, from -180 degrees on.
    x, at : int
        The tile's column, and the position of its row in `columns`.
    """
    first, last = np.ones(len(columns), np.int64), np.zeros(len(columns), np.int64)
    first[at] = last[at] = x
    for _ in range(delta):
        is_reached = last >= first
        wider = [(first - 1, last + 1, is_reached)]
        for step in (1, -1):
            here = slice(None, -step) if step > 0 else slice(-step, None)
            there = slice(step, None) if step > 0 else slice(None, step)
            n, m = columns[here], columns[there]
            east, west = np.zeros_like(last), np.zeros_like(first)
            east[there] = _touched(last[here], n, m, metric)
            west[there] = m - 1 - _touched(n - 1 - first[here], n, m, metric)
            from_there = np.zeros(len(columns), np.bool_)
            from_there[there] = is_reached[here]
            wider.append((west, east, from_there))
        beyond = np.iinfo(np.int64).max
        first = np.min([np.where(holds, low, beyond) for low, _, holds in wider], axis=0)
        last = np.max([np.where(holds, high, -beyond) for _, high, holds in wider], axis=0)
        unreached = ~np.any([holds for _, _, holds in wider], axis=0)
        all_around = last - first + 1 >= columns
        first = np.where(unreached, 1, np.where(all_around, 0, first))
        last = np.where(unreached, 0, np.where(all_around, columns - 1, last))
    return first, last


def _touched(end: Int64s, n: Int64s, m: Int64s, metric: str) -> Int64s:
    """Return the last of m columns that the columns up to `end` of n touch, or overlap."""
    last: Int64s = (end + 1) * m // n if metric == "chebyshev" else ((end + 1) * m - 1) // n
    return last


def _around_the_earth(
    row: Int64s, first: Int64s, last: Int64s, west: Int64s, columns: Int64s
) -> TileRanges:
    """Return ranges whose columns may lie beyond a row's first or last one as ranges of true ones.

    Parameters
    ----------
    row, first, last : ndarray of int64, shape (n,)
    west, columns : ndarray of int64, shape (n,)
        First column of each row, and how many it has.
    """
    all_around = last - first + 1 >= columns
    east = west + columns - 1
    first, last = np.where(all_around, west, first), np.where(all_around, east, last)
    before, beyond = first < west, last > east
    rows = np.concatenate([row, row[before], row[beyond]])
    firsts = [np.maximum(first, west), (first + columns)[before], west[beyond]]
    lasts = [np.minimum(last, east), east[before], (last - columns)[beyond]]
    order = np.lexsort((np.concatenate(firsts), rows))
    return TileRanges(rows[order], np.concatenate(firsts)[order], np.concatenate(lasts)[order])
