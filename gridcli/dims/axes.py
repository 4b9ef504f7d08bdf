"""Axes beside latitude and longitude: their bins, where these lie, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from gridcli.dims.zones import UTC, check_zone
from gridcli.errors import UsageError
from gridcli.grid.grid import INT32_MAX, Grid
from gridcli.grid.keys import unpack
from gridcli.grid.project import Projector, Selection

NUMBER = "number"
PERIODS = {"hour": 24, "weekday": 7}
"""Units of the cyclic axes after which they begin again; a weekday's unit is a day, Monday 0."""
UNITS = {"hour": "hours", "weekday": "days"}


@dataclass(frozen=True)
class Axis:
    """One axis beside the coordinates; make one with `time_axis` or `number_axis`.

    Attributes
    ----------
    kind : {"hour", "weekday", "number"}
    column : str
        As the user calls it.
    prec : str
        Bins are 10^-prec units; bin k begins at k * 10^-prec.
    first : int
        Index of the first bin.
    bins : int
        How many there are.
    tz : str or None
        Of a cyclic axis: a zone, or "solar".
    limits : tuple of str, or None
        Of a number's axis: the least and the largest value, both included.
    """

    kind: str
    column: str
    prec: str
    first: int
    bins: int
    tz: str | None = None
    limits: tuple[str, str] | None = None

    @property
    def is_cyclic(self) -> bool:
        """Whether the last bin adjoins the first."""
        return self.kind != NUMBER

    @property
    def name(self) -> str:
        """What the axis is called in the names of columns."""
        return self.kind if self.is_cyclic else self.column

    @property
    def text(self) -> str:
        """The axis in the name of a grid: ``hour(time)0``, ``speed(0:200)-1``.

        A zone other than UTC stands behind the column, and characters that are neither letters,
        digits nor ``_.-~`` as percent signs and two digits, so that each part can be found again.
        """
        column = quote(self.column, safe="")
        if self.limits is not None:
            return f"{column}({self.limits[0]}:{self.limits[1]}){self.prec}"
        zone = "" if self.tz in {None, UTC} else f",{quote(str(self.tz), safe='')}"
        return f"{self.kind}({column}{zone}){self.prec}"

    @cached_property
    def ruler(self) -> Grid:
        """The grid whose columns the bins are."""
        return Grid.planar_prec(self.prec)

    def edges(self, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the lower edge of bins; the upper one is that of the next."""
        return self.ruler.edges(index)

    def describe(self) -> dict[str, Any]:
        """Return the axis as JSON-ready metadata; `axis_of_description` reads it back."""
        told: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "column": self.column,
            "prec": self.prec,
        }
        if self.limits is not None:
            return {**told, "range": list(self.limits)}
        return {**told, "tz": self.tz}


def time_axis(kind: str, column: str, prec: str, tz: str) -> Axis:
    """Return the axis of the hours of a day, or of the days of a week.

    Raises
    ------
    UsageError
        The bins do not divide the period, or the zone is unknown.

    Examples
    --------
    >>> time_axis("hour", "time", "0", "UTC").bins
    24
    """
    value, period = _precision(prec), PERIODS[kind]
    if value != value.to_integral_value() or value < 0:
        raise UsageError(
            f"--prec {prec} of {kind}({column}): {period} {UNITS[kind]} must be a whole number of "
            f"bins of 10^-P {UNITS[kind]}, for which P is 0, 1, 2 and so on."
        )
    check_zone(tz)
    bins = period * 10 ** int(min(value, Decimal(10)))
    if bins > INT32_MAX:
        raise UsageError(
            f"--prec {prec} of {kind}({column}) is too fine: bins are 32-bit integers, and there "
            f"would be {float(bins):.4g}."
        )
    return Axis(kind, column, f"{int(value)}", 0, bins, tz=tz)


def number_axis(column: str, prec: str, low: str, high: str) -> Axis:
    """Return the axis of a column of numbers from `low` to `high`, both included.

    The upper bound belongs to the last bin, also where it is that bin's upper edge.

    Raises
    ------
    UsageError
        A number is none, there is nothing in between, or the bins are too many.

    Examples
    --------
    >>> axis = number_axis("speed", "-1", "0", "200")
    >>> axis.first, axis.bins, axis.text
    (0, 20, 'speed(0:200)-1')
    """
    ruler = Grid.planar_prec(prec)
    limits = float(low), float(high)
    if not limits[0] < limits[1]:
        raise UsageError(f"--range {column}={low}:{high}: the first must be less than the second.")
    found = Projector(ruler, Selection()).project(np.array(limits), np.array(limits), None)
    if len(found.keys) < len(limits):
        raise UsageError(
            f"--range {column}={low}:{high}: its bins at --prec {prec} are beyond 32-bit integers; "
            "use a coarser precision."
        )
    first, last = unpack(found.keys)[0].tolist()
    if last > first and float(ruler.edges(np.array([last]))[0]) == limits[1]:
        last -= 1
    if last - first >= INT32_MAX:
        raise UsageError(
            f"--range {column}={low}:{high} has {last - first + 1:,} bins at --prec {prec}, more "
            "than 32-bit integers hold; use a coarser precision."
        )
    plain = f"{Decimal(low).normalize():f}", f"{Decimal(high).normalize():f}"
    return Axis(NUMBER, column, ruler.name[1:], first, last - first + 1, limits=plain)


def axis_of_description(record: dict[str, Any]) -> Axis:
    """Return the axis that `Axis.describe` made the record of.

    Raises
    ------
    UsageError, LookupError, TypeError, ValueError
        The record is of no axis that this version knows.
    """
    kind, column, prec = str(record["kind"]), str(record["column"]), str(record["prec"])
    if kind == NUMBER:
        low, high = record["range"]
        return number_axis(column, prec, str(low), str(high))
    return time_axis(kind, column, prec, str(record["tz"]))


def _precision(prec: str) -> Decimal:
    try:
        value = Decimal(prec)
    except InvalidOperation:
        raise UsageError(f"--prec {prec!r} is not a number.") from None
    if not value.is_finite():
        raise UsageError(f"--prec {prec!r} is not a finite number.")
    return value
