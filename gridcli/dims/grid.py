"""The grid in d dimensions: a plane of tiles, and bins along one or two further axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.dims.axes import axis_of_description
from gridcli.errors import InputError, UsageError
from gridcli.grid.keys import BIAS

if TYPE_CHECKING:
    from gridcli.dims.axes import Axis
    from gridcli.grid.grid import Grid

KEYS = 2**63
"""Keys are below; what counts them never sees the topmost bit."""
LARGEST_SIDE = 2**32
LEAST_SIDE = 2**10
"""Rows and columns of a plane that are worth counting."""

UInt64s = npt.NDArray[np.uint64]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DimsGrid:
    """Tiles in three or four dimensions, numbered so that keys sort by (y, x, third, fourth).

    A key is a number of mixed radix: row, column, and the bins of the axes, each from its first.

    Attributes
    ----------
    plane : Grid
        Of the coordinates.
    axes : tuple of Axis
        One or two.

    Raises
    ------
    UsageError
        The keys do not fit 63 bits.
    """

    plane: Grid
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        least = (LEAST_SIDE, LEAST_SIDE)
        columns, rows = least if self.plane.planar else (self._columns, self._rows)
        if columns * rows * self.stack > KEYS:
            bins = " x ".join(f"{axis.bins:,} of {axis.text}" for axis in self.axes)
            raise UsageError(
                f"--dims: {rows:,} rows x {columns:,} columns of {self.plane.name} x {bins} are "
                f"{float(rows * columns * self.stack):.3g} tiles, and keys of 63 bits tell "
                f"{float(KEYS):.3g} apart. Use a coarser --prec of one of them."
            )

    @property
    def name(self) -> str:
        """Stable name, first part of every hub key: ``g4+hour(time)0``."""
        return "+".join([self.plane.name, *(axis.text for axis in self.axes)])

    @property
    def d(self) -> int:
        """Number of dimensions."""
        return 2 + len(self.axes)

    @cached_property
    def stack(self) -> int:
        """Tiles over one place: the product of the numbers of bins."""
        return math.prod(axis.bins for axis in self.axes)

    @property
    def tile_columns(self) -> tuple[str, ...]:
        """What the columns of a tile's indexes are called."""
        return ("tile_x", "tile_y", *(f"tile_{axis.name}" for axis in self.axes))

    @property
    def largest_index(self) -> int:
        """The largest index of a planar row or column; the smallest is ``-1 - largest_index``."""
        return self._columns // 2 - 1

    @cached_property
    def _columns(self) -> int:
        if not self.plane.planar:
            return self.plane.columns
        return min(math.isqrt(KEYS // self.stack) // 2 * 2, LARGEST_SIDE)

    @property
    def _rows(self) -> int:
        if self.plane.planar:
            return self._columns
        return self.plane.last_row - self.plane.first_row + 1

    @property
    def _first(self) -> tuple[int, int]:
        """The first column and the first row."""
        if self.plane.planar:
            return -self._columns // 2, -self._columns // 2
        return self.plane.first_column, self.plane.first_row

    def keys(self, plane_keys: UInt64s, bins: list[Int64s]) -> UInt64s:
        """Return the keys of tiles.

        Parameters
        ----------
        plane_keys : ndarray of uint64, shape (n,)
            Of the places (`gridcli.grid.keys`), within the grid's extent.
        bins : list of ndarray of int64, shape (n,)
            Index of the bin along each axis.
        """
        first_x, first_y = self._first
        keys = plane_keys >> np.uint64(32)
        keys -= np.uint64(BIAS + first_y)
        keys *= np.uint64(self._columns)
        keys += (plane_keys & np.uint64(0xFFFFFFFF)) - np.uint64(BIAS + first_x)
        for axis, index in zip(self.axes, bins, strict=True):
            keys *= np.uint64(axis.bins)
            keys += (index - axis.first).view(np.uint64)
        return keys

    def places(self, keys: UInt64s) -> tuple[UInt64s, Int64s]:
        """Return the number of each tile's place, and of the tile over it: both from 0."""
        places = keys // np.uint64(self.stack)
        return places, (keys - places * np.uint64(self.stack)).view(np.int64)

    def columns_and_rows(self, places: UInt64s) -> tuple[Int32s, Int32s]:
        """Return the column and the row of places."""
        first_x, first_y = self._first
        rows = places // np.uint64(self._columns)
        x = (places - rows * np.uint64(self._columns)).view(np.int64) + first_x
        y = rows.view(np.int64) + first_y
        return x.astype(np.int32), y.astype(np.int32)

    def bins(self, over: Int64s) -> list[Int32s]:
        """Return the index of the bin along each axis of tiles over their places."""
        found: list[Int32s] = []
        for axis in reversed(self.axes):
            rest = over // axis.bins
            found.insert(0, (over - rest * axis.bins + axis.first).astype(np.int32))
            over = rest
        return found

    def unpack(self, keys: UInt64s) -> list[Int32s]:
        """Return the columns `tile_columns` of keys."""
        places, over = self.places(keys)
        return [*self.columns_and_rows(places), *self.bins(over)]

    def describe(self) -> list[dict[str, Any]]:
        """Return the axes as JSON-ready metadata, beside that of the plane."""
        return [axis.describe() for axis in self.axes]

    @classmethod
    def from_description(cls, plane: Grid, record: Any) -> DimsGrid:
        """Return the grid of a plane and the axes that `describe` made the record of.

        Raises
        ------
        InputError
            The record is of no axes that this version knows.
        """
        try:
            grid = cls(plane, tuple(axis_of_description(axis) for axis in record))
        except (UsageError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"the dimensions {record!r} are unknown here ({error}): the file is damaged, was "
                "made by a newer version of gridcli, or names a time zone that this system lacks."
            ) from None
        if not grid.axes or grid.describe() != record:
            raise InputError(f"the dimensions {record!r} contradict themselves: it is damaged.")
        return grid
