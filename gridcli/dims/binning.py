"""From columns of a batch to bins: what `BatchProjector` is for places, for all dimensions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.dims.axes import PERIODS
from gridcli.dims.zones import SOLAR, UTC, local_micros
from gridcli.errors import DataError, UsageError
from gridcli.grid.keys import unpack
from gridcli.grid.project import OUTSIDE_INT32, Projector, Selection
from gridcli.points.batch import Reason
from gridcli.points.coordinates import first_reason, is_numeric, read_column
from gridcli.points.instants import MICROS_PER_DAY, read_instants, require_instants
from gridcli.points.names import find
from gridcli.raster.projecting import BatchProjector, KeyedRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.dims.axes import Axis
    from gridcli.dims.grid import DimsGrid
    from gridcli.points.batch import PointBatch

UNIT_MICROS = {"hour": MICROS_PER_DAY // 24, "weekday": MICROS_PER_DAY}
FIRST_WEEKDAY = 3
"""1970-01-01 was a Thursday."""

Int64s = npt.NDArray[np.int64]
Reasons = npt.NDArray[np.uint8]


class DimsProjector:
    """Projects batches of points to keys of a `DimsGrid`, piece by piece; owned by one thread.

    The first decision is that of the plane, the --bbox included; only then a row's other
    dimensions are looked at.

    Parameters
    ----------
    grid : DimsGrid
    selection : Selection
    """

    def __init__(self, grid: DimsGrid, selection: Selection) -> None:
        self._grid = grid
        self._plane = BatchProjector(grid.plane, selection)
        self._needs_lon = any(axis.tz == SOLAR for axis in grid.axes)
        self._rulers = [Projector(axis.ruler, Selection()) for axis in grid.axes]

    def pieces(self, batch: PointBatch) -> Iterator[KeyedRows]:
        """Yield all rows of a batch, each in one piece; first those known not to be usable.

        `PointBatch.table` must hold the columns of the axes.

        Raises
        ------
        UsageError
            A column's type goes with no axis of its kind; or the unit of the batch and the grid
            need more than 64 bits.
        DataError
            A planar coordinate is beyond the rows or columns of the grid.
        """
        for piece in self._plane.pieces(batch):
            yield self._with_bins(batch, piece) if len(piece.keys) else piece

    def _with_bins(self, batch: PointBatch, piece: KeyedRows) -> KeyedRows:
        rows = piece.used
        lon = _longitudes(batch, rows) if self._needs_lon else None
        bins: list[Int64s] = []
        reason: Reasons | None = None
        names = batch.table.schema.names
        for axis, ruler in zip(self._grid.axes, self._rulers, strict=True):
            column = batch.table.column(names.index(find(names, axis.column, "--dims")))
            array = _rows_of(column, rows)
            if axis.is_cyclic:
                index, of_axis = _cyclic_bins(axis, array, lon)
            else:
                index, of_axis = _number_bins(axis, ruler, array)
            bins.append(index)
            reason = first_reason(reason, of_axis)
        plane_keys = piece.keys
        self._check_extent(plane_keys)
        if reason is None or not reason.any():
            return KeyedRows(
                self._grid.keys(plane_keys, bins), piece.rows, piece.unused, piece.reasons
            )
        good, bad = np.flatnonzero(reason == 0), np.flatnonzero(reason)
        keys = self._grid.keys(plane_keys[good], [index[good] for index in bins])
        positions = np.delete(np.arange(len(piece.rows)), piece.unused)
        return KeyedRows(
            keys,
            piece.rows,
            np.concatenate([piece.unused, positions[bad]]),
            np.concatenate([piece.reasons, reason[bad]]),
        )

    def _check_extent(self, plane_keys: npt.NDArray[np.uint64]) -> None:
        """Refuse planar tiles that have no key together with their bins."""
        grid = self._grid
        if not grid.plane.planar:
            return
        for index in unpack(plane_keys):
            least, largest = int(index.min()), int(index.max())
            if least < -1 - grid.largest_index or largest > grid.largest_index:
                worst = largest if largest > grid.largest_index else least
                raise DataError(
                    f"a coordinate near {float(grid.plane.edges(np.array([worst]))[0])!r} has no "
                    f"tile: with {grid.stack:,} bins over each place, keys of 63 bits reach to "
                    f"index {grid.largest_index:,}, and this is {worst:,}. Use a coarser --prec."
                )


def check_columns(grid: DimsGrid, schema: Any, name: str) -> None:
    """Refuse columns whose type goes with no axis of its kind, before anything is read.

    Parameters
    ----------
    grid : DimsGrid
    schema : pyarrow.Schema
        Of the input `name`.

    Raises
    ------
    UsageError
    """
    for axis in grid.axes:
        type_ = schema.field(find(schema.names, axis.column, name)).type
        if axis.is_cyclic:
            require_instants(type_, axis.column)
        else:
            _require_numbers(axis, type_)


def _cyclic_bins(
    axis: Axis, array: Any, lon: npt.NDArray[np.float64] | None
) -> tuple[Int64s, Reasons | None]:
    """Return the bin of each time of the day or the week, by the axis's clock."""
    micros, reason = read_instants(array, axis.column)
    if reason is not None:
        micros = np.where(reason == 0, micros, 0)
    local = local_micros(micros, UTC if axis.tz is None else axis.tz, lon)
    if axis.kind == "weekday":
        local = local + FIRST_WEEKDAY * MICROS_PER_DAY
    period = PERIODS[axis.kind] * UNIT_MICROS[axis.kind]
    # By floor division, which numpy does several times faster than taking remainders.
    since = local - np.floor_divide(local, period) * period
    return np.floor_divide(since, period // axis.bins), reason


def _number_bins(axis: Axis, ruler: Projector, array: Any) -> tuple[Int64s, Reasons | None]:
    """Return the bin of each number; the largest value belongs to the last bin."""
    _require_numbers(axis, array.type)
    column = read_column(array, None)
    values, unit = column.values, column.unit
    low, high = _limits_in(axis, unit)
    with np.errstate(invalid="ignore"):
        is_outside = (values < low) | (values > high)
    index = np.full(len(values), axis.first, np.int64)
    found = ruler.project(values, values, unit)
    reason = np.zeros(len(values), np.uint8)
    reason[found.rejected] = found.reasons
    reason[reason == OUTSIDE_INT32] = Reason.OUT_OF_RANGE
    index[reason == 0] = unpack(found.keys)[0]
    reason[(reason == 0) & is_outside] = Reason.OUT_OF_RANGE
    if column.reason is not None:
        reason[column.reason != 0] = column.reason[column.reason != 0]
    np.clip(index, axis.first, axis.first + axis.bins - 1, out=index)
    return index, reason


def _require_numbers(axis: Axis, type_: Any) -> None:
    if not is_numeric(type_):
        raise UsageError(
            f"--dims: the column {axis.column!r} has type {type_}, which is no number. Times go "
            f"into hour({axis.column}) or weekday({axis.column})."
        )


def _limits_in(axis: Axis, unit: Fraction | None) -> tuple[float, float]:
    """Return the limits of an axis of numbers: as doubles, or as whole steps within, exactly."""
    assert axis.limits is not None  # noqa: S101 - what makes it an axis of numbers
    low, high = axis.limits
    if unit is None:
        return float(low), float(high)
    return math.ceil(Fraction(low) / unit), math.floor(Fraction(high) / unit)


def _rows_of(array: Any, rows: Int64s) -> Any:
    """Return some rows of a column, without a copy where they are consecutive."""
    first, n = int(rows[0]), len(rows)
    if int(rows[-1]) - first == n - 1:
        return array.slice(first, n)
    return array.take(rows)


def _longitudes(batch: PointBatch, rows: Int64s) -> npt.NDArray[np.float64]:
    lon = batch.x[rows]
    degrees: npt.NDArray[np.float64] = lon if batch.unit is None else lon * float(batch.unit)
    return degrees
