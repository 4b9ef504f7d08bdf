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
    distance, columns counted around the earth on a geographic grid.

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
    reach = np.full(len(row), delta) if metric == "chebyshev" else delta - np.abs(row - y)
    if grid.planar:
        return TileRanges(row, np.maximum(x - reach, INT32.min), np.minimum(x + reach, INT32.max))
    reach = np.minimum(reach, (grid.columns - 1) // 2 + 1)
    return _around_the_earth(grid, row, x - reach, x + reach)


def _around_the_earth(grid: Grid, row: Int64s, first: Int64s, last: Int64s) -> TileRanges:
    """Return ranges whose columns may lie beyond the first or last one as ranges of true ones."""
    west, east, columns = grid.first_column, grid.last_column, grid.columns
    all_around = last - first + 1 >= columns
    first, last = np.where(all_around, west, first), np.where(all_around, east, last)
    to_west, to_east = first < west, last > east
    rows = np.concatenate([row, row[to_west], row[to_east]])
    firsts = np.concatenate(
        [np.maximum(first, west), first[to_west] + columns, west + 0 * row[to_east]]
    )
    lasts = np.concatenate(
        [np.minimum(last, east), east + 0 * row[to_west], last[to_east] - columns]
    )
    order = np.lexsort((firsts, rows))
    return TileRanges(rows[order], firsts[order], lasts[order])
