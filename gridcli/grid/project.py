"""Projecting batches of points to tile keys: one `Projector` a thread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid import kernels
from gridcli.grid.ellipsoid import SEMI_MAJOR_M
from gridcli.grid.grid import DIVIDE, METRES, REAL, Grid
from gridcli.grid.rows.kernels import project_to_rows
from gridcli.grid.validity import NULL_ISLAND_DEGREES

PIECE = 1 << 16
"""Points projected at once: their keys stay in a core's cache until they are counted."""
INT64 = np.iinfo(np.int64)
OUTSIDE_INT32 = kernels.OUTSIDE_INT32


@dataclass(frozen=True)
class Selection:
    """Which valid points count.

    Attributes
    ----------
    bbox : tuple of float or None
        West, south, east, north, inclusive; west > east crosses 180 degrees.
    keep_null_island : bool
        Count points within 0.001 degrees of (0, 0), too.
    """

    bbox: tuple[float, float, float, float] | None = None
    keep_null_island: bool = False


@dataclass(frozen=True)
class Projected:
    """Keys of the usable points of a piece, and what became of the others.

    The arrays are views of the projector's buffers: valid until its next piece.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n_used,)
    rejected : ndarray of int64, shape (n_rejected,)
        Positions in the piece.
    reasons : ndarray of uint8, shape (n_rejected,)
        `gridcli.points.batch.Reason`, or `OUTSIDE_INT32`.
    """

    keys: npt.NDArray[np.uint64]
    rejected: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.uint8]


class Projector:
    """Projects pieces of at most `PIECE` points onto a grid; owned by one thread.

    Raises
    ------
    UsageError
        The grid is a coarsened one: points are contracted before tiles are coarsened.
    """

    def __init__(self, grid: Grid, selection: Selection) -> None:
        if grid.multiple > 1:
            raise UsageError(
                f"points have no tile on the coarsened grid {grid.name}: contract them on a finer "
                "grid, and coarsen its tiles."
            )
        self._grid = grid
        self._island = None if grid.planar or selection.keep_null_island else NULL_ISLAND_DEGREES
        west, south, east, north = selection.bbox or (-math.inf, -math.inf, math.inf, math.inf)
        if west > east:  # across 180 degrees, or across 0 where longitudes run from 0 to 360
            west, east = (edge - 360 if edge > 180 else edge for edge in (west, east))
        self._bbox = (west, south, east, north)
        self._shape = (
            (0, 0, 0, 0)
            if grid.planar or grid.rows_differ
            else (grid.columns, grid.first_column, grid.last_column, grid.last_row)
        )
        self._columns = grid.column_table
        self._equator = 2 * math.pi * SEMI_MAJOR_M / grid.scale  # in sides, where rows differ
        self._float_shape = np.array(self._shape, np.float64)
        self._float_bbox = np.array(self._bbox, np.float64)
        self._keys = np.empty(PIECE, np.uint64)
        self._rejected = np.empty(PIECE, np.int64)
        self._reasons = np.empty(PIECE, np.uint8)
        self._flags = np.empty(kernels.BLOCK, np.uint8)
        self._steps: dict[Fraction, _IntegerSteps] = {}

    def project(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], unit: Fraction | None = None
    ) -> Projected:
        """Project one piece.

        Parameters
        ----------
        x, y : ndarray of float64 or, with `unit`, int64, shape (n <= PIECE,)
        unit : Fraction or None
            Size of one integer step.

        Raises
        ------
        UsageError
            The unit and the grid need more than 64 bits.
        """
        if unit is not None and self._grid.rule in {REAL, METRES}:
            x, y, unit = _as_floats(x, unit), _as_floats(y, unit), None
        if self._grid.rows_differ:
            n_keys, n_rejected = project_to_rows(
                np.ascontiguousarray(x),
                np.ascontiguousarray(y),
                self._columns,
                self._equator,
                self._float_bbox,
                -1.0 if self._island is None else float(self._island),
                self._flags,
                self._keys,
                self._rejected,
                self._reasons,
            )
        elif unit is None:
            n_keys, n_rejected = kernels.project_floats(
                np.ascontiguousarray(x),
                np.ascontiguousarray(y),
                self._grid.rule,
                self._grid.scale,
                self._grid.planar,
                self._float_shape,
                self._float_bbox,
                -1.0 if self._island is None else float(self._island),
                self._flags,
                self._keys,
                self._rejected,
                self._reasons,
            )
        else:
            if unit not in self._steps:
                self._steps[unit] = _IntegerSteps(self._grid, unit, self._bbox, self._island)
            steps = self._steps[unit]
            n_keys, n_rejected = kernels.project_integers(
                np.ascontiguousarray(x),
                np.ascontiguousarray(y),
                steps.numerator,
                steps.denominator,
                self._grid.planar,
                np.array(self._shape, np.int64),
                steps.valid,
                steps.bbox,
                steps.turn,
                steps.island,
                self._keys,
                self._rejected,
                self._reasons,
            )
        return Projected(
            self._keys[:n_keys], self._rejected[:n_rejected], self._reasons[:n_rejected]
        )


class _IntegerSteps:
    """Bounds of the grid, the box and the null island, counted in integer steps."""

    def __init__(
        self,
        grid: Grid,
        unit: Fraction,
        bbox: tuple[float, float, float, float],
        island: Fraction | None,
    ) -> None:
        scale = Fraction(Decimal(repr(grid.scale)))
        ratio = unit * scale if grid.rule == DIVIDE else unit / scale
        self.numerator, self.denominator = ratio.numerator, ratio.denominator
        reach = _clip(math.ceil(2**31 / ratio)) if grid.planar else math.ceil(360 / unit)
        largest = max(self.denominator, self.numerator * reach, reach)
        if largest > INT64.max:
            raise UsageError(
                f"coordinates in steps of {float(unit):g} on a grid with tiles of "
                f"{float(unit / ratio):g} need more than 64 bits; the finest --scale is 1e-16."
            )
        self.turn = 0 if grid.planar else int(360 / unit)
        self.island = -1 if island is None else int(island / unit)
        if grid.planar:
            # The last index is left out on both sides, so that no step of a hub overflows.
            last = (2**31 - 1) / ratio
            valid = (-last, last, -last, last)
        else:
            valid = (-180 / unit, 360 / unit, -90 / unit, 90 / unit)
        self.valid = np.array(
            [_clip(math.ceil(v) if i % 2 == 0 else math.floor(v)) for i, v in enumerate(valid)],
            np.int64,
        )
        steps = [_box_step(v, unit, up=i < 2) for i, v in enumerate(bbox)]
        if bbox[0] <= bbox[2] and steps[0] > steps[2]:  # narrower than a step: nothing is inside
            steps[0] = steps[2] = int(INT64.max)
        self.bbox = np.array(steps, np.int64)


def _clip(value: int) -> int:
    return max(int(INT64.min), min(int(INT64.max), value))


def _box_step(value: float, unit: Fraction, *, up: bool) -> int:
    """Integer step of a side of the box: the first (up) or the last inside it."""
    if math.isinf(value):
        return int(INT64.min) if value < 0 else int(INT64.max)
    steps = Fraction(Decimal(repr(value))) / unit
    return _clip(math.ceil(steps) if up else math.floor(steps))


def _as_floats(values: npt.NDArray[np.int64], unit: Fraction) -> npt.NDArray[np.float64]:
    """Nearest doubles of ``values * unit``, where both of its terms are exact doubles."""
    floats: npt.NDArray[np.float64] = values.astype(np.float64) * unit.numerator / unit.denominator
    return floats
