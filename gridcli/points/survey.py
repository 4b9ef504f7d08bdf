"""What the rows of some inputs hold: counts, bounds, decimals, density, span of time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.grid.validity import is_null_island, is_on_earth
from gridcli.points.batch import PointBatch, Reason, RowCounts
from gridcli.points.density import DecimalsSample, DensitySample, Suggestion, suggest_prec

if TYPE_CHECKING:
    from fractions import Fraction

TIME_NAMES = ("timestamp", "time", "datetime", "date_time", "ts", "date")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")


@dataclass
class Survey:
    """Running findings over batches; one thread at a time.

    Attributes
    ----------
    planar : bool
    counts : RowCounts
        Rows by what becomes of them without ``--keep-null-island``.
    west, south, east, north : float
        Bounds of the usable rows: smallest and largest coordinates, infinite without rows.
    first_time, last_time : str or None
        Smallest and largest value of the time column.
    """

    planar: bool = False
    counts: RowCounts = field(default_factory=RowCounts)
    west: float = np.inf
    south: float = np.inf
    east: float = -np.inf
    north: float = -np.inf
    first_time: str | None = None
    last_time: str | None = None
    _density: DensitySample = field(default_factory=DensitySample)
    _decimals: DecimalsSample = field(default_factory=DecimalsSample)

    def add(self, batch: PointBatch) -> None:
        """Take in the rows of a batch."""
        x, y = _degrees(batch.x, batch.unit), _degrees(batch.y, batch.unit)
        reasons = classify(x, y, batch.reason, planar=self.planar)
        found = np.bincount(reasons, minlength=len(Reason) + 1)
        self.counts.read += len(batch) + len(batch.ragged)
        self.counts.used += int(found[0])
        for reason in Reason:
            self.counts.reasons[reason] += int(found[reason])
        self.counts.reasons[Reason.RAGGED] += len(batch.ragged)
        used = reasons == 0
        x, y = x[used], y[used]
        if len(x):
            self._add_used(x, y)
        if batch.table is not None and batch.table.num_columns:
            self._add_times(batch.table.column(0))

    def _add_used(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
        self.west, self.east = min(self.west, x.min()), max(self.east, x.max())
        self.south, self.north = min(self.south, y.min()), max(self.north, y.max())
        self._decimals.add(x)
        self._decimals.add(y)
        if not self.planar:
            self._density.add(x, y)

    def _add_times(self, column: Any) -> None:
        import pyarrow.compute as pc

        span = pc.min_max(column)
        first, last = _shown_time(span["min"]), _shown_time(span["max"])
        if first is None or last is None:
            return
        self.first_time = first if self.first_time is None else min(self.first_time, first)
        self.last_time = last if self.last_time is None else max(self.last_time, last)

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of the usable rows; None without any."""
        if self.counts.used == 0:
            return None
        return float(self.west), float(self.south), float(self.east), float(self.north)

    @property
    def decimals(self) -> int | None:
        """Decimals that the coordinates carry; None where they use all digits of a double."""
        return self._decimals.decimals

    @property
    def suggestion(self) -> Suggestion | None:
        """A precision that suits the data; None for planar data and without usable rows."""
        return None if self.planar else suggest_prec(self._density, self.decimals)


def classify(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    known: npt.NDArray[np.uint8] | None,
    *,
    planar: bool,
) -> npt.NDArray[np.uint8]:
    """Return the `Reason` of each row, 0 for usable ones.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
    known : ndarray of uint8, shape (n,), or None
        Reasons that the reader has found; they come first.
    planar : bool
        Neither range nor null island.
    """
    reasons = np.zeros(len(x), np.uint8) if known is None else known.copy()
    finite = np.isfinite(x) & np.isfinite(y)
    reasons[~finite & (reasons == 0)] = Reason.NOT_A_NUMBER
    if planar:
        return reasons
    reasons[~is_on_earth(x, y) & (reasons == 0)] = Reason.OUT_OF_RANGE
    reasons[is_null_island(x, y) & (reasons == 0)] = Reason.NULL_ISLAND
    return reasons


def time_column(schema: Any) -> str | None:
    """Return the column that tells the time of a row: by type, else by name; or None."""
    import pyarrow as pa

    for column in schema:
        if pa.types.is_timestamp(column.type) and schema.names.count(column.name) == 1:
            return str(column.name)
    folded = {name.casefold(): name for name in schema.names if schema.names.count(name) == 1}
    for name in TIME_NAMES:
        if name in folded:
            return str(folded[name])
    return None


def _degrees(values: npt.NDArray[Any], unit: Fraction | None) -> npt.NDArray[np.float64]:
    """Return coordinates as doubles; scaled integers to the nearest double where possible."""
    numbers = values.astype(np.float64, copy=False)
    if unit is None:
        return numbers
    return numbers * float(unit.numerator) / float(unit.denominator)


def _shown_time(scalar: Any) -> str | None:
    """Return a time as text that sorts by time; None for null and for text of another kind."""
    import pyarrow as pa

    value = scalar.as_py()
    if value is None:
        return None
    if pa.types.is_temporal(scalar.type):
        value = str(value)
    if not isinstance(value, str) or not _ISO_TIME.fullmatch(value):
        return None
    return value.replace(" ", "T", 1).replace("Z", "+00:00")
