"""Places along the rows of a grid, as integers that can be summed and compared across rows.

Where all rows have the same columns, their indexes are such integers. Where rows differ, the ends
of tiles are counted in 2^52 parts of the earth, which tells any two different ends apart, and their
centres in 2^40 parts, of 36 micrometres, which leaves room for sums. Both are the nearest double of
the exact fraction, rounded down, and so the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.grid.ellipsoid import column_overlap

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid

TURN_BITS = 40
END_BITS = 52
"""Two ends that differ do so by at least 1 / n / m of the earth, some 2.6 parts: no row has more
than 2^25.3 columns."""

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ring:
    """How places along the rows of a grid are counted.

    Attributes
    ----------
    grid : Grid
    around : int
        Once around the earth, in units of centres; 0 in a plane.
    ends_around : int
        The same in units of ends.
    """

    grid: Grid
    around: int
    ends_around: int

    @classmethod
    def of(cls, grid: Grid) -> Ring:
        """Return the ring of a grid."""
        if grid.rows_differ:
            return cls(grid, 1 << TURN_BITS, 1 << END_BITS)
        return cls(grid, grid.columns, grid.columns)

    @property
    def overlap(self) -> float:
        """How much longer than the earth it is: what partial columns at 180 degrees lack."""
        return 0.0 if self.grid.rows_differ else column_overlap(self.grid)

    @property
    def unit(self) -> float:
        """Degrees (or coordinate units) of a unit of centres."""
        return 360 / self.around if self.grid.rows_differ else float(self.grid.exact_side)

    def centres(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Int64s:
        """Return where the middles of tiles are, rounded down."""
        column = x.astype(np.int64)
        if not self.grid.rows_differ:
            return column
        share = (2 * column + 1) / (2 * self.grid.columns_of(y))
        return (share * self.around).astype(np.int64)

    def ends(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[Int64s, Int64s]:
        """Return the first and the last unit of ends that each tile covers."""
        column = x.astype(np.int64)
        if not self.grid.rows_differ:
            return column, column
        n = self.grid.columns_of(y)
        west, east = (
            (edge / n * self.ends_around).astype(np.int64) for edge in (column, column + 1)
        )
        return west, east - 1

    def centre_of(self, end: Int64s) -> Int64s:
        """Return the unit of centres that each unit of ends lies in."""
        return end >> (END_BITS - TURN_BITS) if self.grid.rows_differ else end

    def x(self, place: Float64s) -> Float64s:
        """Return the longitude (x) of places in units of centres, in [-180, 180)."""
        x = place * self.unit - 180 if self.grid.rows_differ else self.grid.edges(place)
        if self.grid.planar:
            return x
        return np.where(x >= 180, x - 360, np.where(x < -180, x + 360, x))
