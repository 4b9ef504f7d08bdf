"""What the user writes: `--dims lat,lon,hour(time) --prec 4,4,0 --tz ... --range ...`."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridcli.dims.axes import PERIODS, number_axis, time_axis
from gridcli.dims.zones import UTC
from gridcli.errors import UsageError
from gridcli.points.numbers import NUMBER_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.dims.axes import Axis
    from gridcli.dims.grid import DimsGrid

MOST = 4
"""Dimensions, the two of the plane included."""

_NAME = r'(?:[^\W\d]\w*|"(?:[^"]|"")*")'
_ITEM = re.compile(
    rf"\s*(?:(?P<function>[^\W\d]\w*)\s*\(\s*(?P<argument>{_NAME})\s*\)|(?P<column>{_NAME}))\s*"
    r"(?:,|$)"
)
_RANGE = re.compile(
    rf"\s*(?P<column>{_NAME})\s*=\s*(?P<low>{NUMBER_PATTERN})\s*:\s*(?P<high>{NUMBER_PATTERN})\s*"
)
_SYNTAX = (
    'write e.g. --dims "lat,lon,hour(time)": the two coordinates, hour(COL) or weekday(COL) of a '
    "column of times, or a column of numbers; odd column names in double quotes"
)


@dataclass(frozen=True)
class _Item:
    """One of the dimensions: a function's column, or a column, in quotes or not."""

    text: str
    function: str | None
    column: str
    is_quoted: bool


def parse_dims(
    dims: str, prec: str | None, tz: str | None, ranges: Sequence[str], *, planar: bool
) -> tuple[str, tuple[Axis, ...]]:
    """Return the precision of the plane, and the further axes: none, one or two.

    Parameters
    ----------
    dims, prec, tz, ranges
        The options --dims, --prec, --tz and all of --range.
    planar : bool
        The coordinates are called x and y, else lat and lon.

    Raises
    ------
    UsageError
        The options do not fit together, or one is not understood.

    Examples
    --------
    >>> prec, (axis,) = parse_dims("lat,lon,hour(time)", "4,4,0", None, (), planar=False)
    >>> prec, axis.name, axis.bins
    ('4', 'hour', 24)
    """
    items = list(_items(dims))
    if len(items) > MOST:
        raise UsageError(f"--dims {dims}: {len(items)} dimensions; at most {MOST} are possible.")
    precs = [] if prec is None else [each.strip() for each in prec.split(",")]
    if len(precs) != len(items):
        raise UsageError(
            f"--dims {dims} needs a precision for each of its {len(items)} dimensions, such as "
            f"--prec {','.join(['4', '4', '0', '0'][: len(items)])}; "
            + (f"--prec {prec} gives {len(precs)}." if precs else "there is no --prec.")
        )
    wanted = ("x", "y") if planar else ("lat", "lon")
    plane = [_coordinate(item, wanted) for item in items]
    found = [p for p, is_coordinate in zip(precs, plane, strict=True) if is_coordinate]
    names = sorted(filter(None, plane))
    if names != sorted(wanted):
        raise UsageError(
            f"--dims {dims}: {wanted[0]} and {wanted[1]} must be among the dimensions, each once: "
            f"they stand for the columns of coordinates, whatever these are called."
        )
    if found[0] != found[1]:
        raise UsageError(
            f"--prec {prec}: {wanted[0]} and {wanted[1]} have different precisions ({found[0]} and "
            f"{found[1]}), but tiles are as wide as high: give both the same."
        )
    limits = dict(_limits(ranges))
    further = [(i, p) for i, p, name in zip(items, precs, plane, strict=True) if name is None]
    axes = tuple(_axis(item, prec, tz, limits) for item, prec in further)
    _check_names(dims, axes)
    if limits:
        raise UsageError(f"--range {next(iter(limits))}=...: --dims {dims} has no such column.")
    if tz is not None and not any(axis.is_cyclic for axis in axes):
        raise UsageError("--tz goes with hour(...) or weekday(...) in --dims, and there is none.")
    return found[0], axes


def options_of(grid: DimsGrid) -> str:
    """Return the options that mean a grid in d dimensions, as a shell takes them."""
    plane = ["x", "y"] if grid.plane.planar else ["lat", "lon"]
    dims = [*plane, *(_written(axis) for axis in grid.axes)]
    precs = [grid.plane.name[1:]] * 2 + [axis.prec for axis in grid.axes]
    words = ["--dims", ",".join(dims), "--prec", ",".join(precs)]
    clocks = dict.fromkeys(axis.tz for axis in grid.axes if axis.tz not in {None, UTC})
    for tz in clocks:
        words += ["--tz", str(tz)]
    for axis in grid.axes:
        if axis.limits is not None:
            words += ["--range", f"{_quoted(axis.column)}={axis.limits[0]}:{axis.limits[1]}"]
    return shlex.join(words)


def _written(axis: Axis) -> str:
    """Return an axis as --dims takes it."""
    column = _quoted(axis.column)
    return f"{axis.kind}({column})" if axis.is_cyclic else column


def _quoted(name: str) -> str:
    """Return a column's name in double quotes, where it must be."""
    if re.fullmatch(_NAME, name) and name.lower() not in {"lat", "lon", "x", "y"}:
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _items(dims: str) -> Iterator[_Item]:
    position = 0
    while position < len(dims) or position == 0:
        match = _ITEM.match(dims, position)
        if match is None:
            raise UsageError(f"--dims: {dims[position:]!r} is not understood; {_SYNTAX}.")
        quoted = match["argument"] or match["column"]
        yield _Item(
            match[0].rstrip(", "), match["function"], _unquoted(quoted), quoted.startswith('"')
        )
        position = match.end()
    if dims.rstrip().endswith(","):
        raise UsageError(f"--dims {dims}: nothing follows the last comma; {_SYNTAX}.")


def _coordinate(item: _Item, wanted: tuple[str, str]) -> str | None:
    """Return which coordinate a dimension is, if it is one."""
    if item.function is not None or item.is_quoted or item.column.lower() not in wanted:
        return None
    return item.column.lower()


def _axis(item: _Item, prec: str, tz: str | None, limits: dict[str, tuple[str, str]]) -> Axis:
    """Return a further axis; the range of a column is taken out of `limits`."""
    if item.function is not None:
        kind = item.function.lower()
        if kind not in PERIODS:
            raise UsageError(f"--dims: {item.text} is not understood; {_SYNTAX}.")
        return time_axis(kind, item.column, prec, UTC if tz is None else tz)
    if item.column.casefold() not in limits:
        raise UsageError(
            f"--dims: {item.text} needs --range {item.text}=LEAST:LARGEST, since tiles can be told "
            "apart only within bounds; rows beyond it are out of range. (A column of times needs "
            "hour(...) or weekday(...).)"
        )
    low, high = limits.pop(item.column.casefold())
    return number_axis(item.column, prec, low, high)


def _limits(ranges: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the ranges by their column's name without case."""
    seen = set()
    for text in ranges:
        match = _RANGE.fullmatch(text)
        if match is None or not all(math.isfinite(float(match[end])) for end in ("low", "high")):
            raise UsageError(
                f"--range {text!r} is not understood; write e.g. --range speed=0:200, odd column "
                "names in double quotes."
            )
        name = _unquoted(match["column"]).casefold()
        if name in seen:
            raise UsageError(f"--range {text}: there are two ranges of this column.")
        seen.add(name)
        yield name, (match["low"], match["high"])


def _check_names(dims: str, axes: Sequence[Axis]) -> None:
    """Refuse axes whose columns in the outputs would have the same names."""
    taken = {"x", "y"}
    for axis in axes:
        name = axis.name.casefold()
        if name in taken:
            raise UsageError(
                f"--dims {dims}: two dimensions would be called {axis.name} in the outputs "
                f"(tile_{axis.name}). Rename a column, or leave one out."
            )
        taken.add(name)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
