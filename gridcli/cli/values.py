"""Types of option values: parsed exactly, with an error that says what is accepted."""

from __future__ import annotations

import math
import os
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_DECIMAL = re.compile(r"\d+(\.\d*)?|\.\d+")
_NUMBER_OR_RATIO = re.compile(r"(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?|\d+/\d+", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?(?:([kmgt])(i)?)?b?")
_MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


BoundingBox = tuple[float, float, float, float]


class Lines(click.ParamType[str]):
    """Text that may hold blanks: one value a line where it comes from the environment."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split the value of an environment variable into lines, dropping empty ones."""
        return [line.strip() for line in rv.splitlines() if line.strip()]


TOO_MANY = 2**63


class Count(click.ParamType[int]):
    """A number of things: 250000, 50M, 100k, 1.5G."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number as an integer."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgb]?)", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a number such as 250000, 100k or 50M.", param, ctx)
        number = Decimal(match[1]) * _MULTIPLIERS[match[2]]
        if number != number.to_integral_value():
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        if number >= TOO_MANY:
            self.fail(f"{value!r} is too large: counts are below 2^63.", param, ctx)
        return int(number)


class MissingPoints(Count):
    """How many points a tile may lack: a number such as `Count` takes, and no share."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number as an integer."""
        text = str(value).strip()
        if text.startswith("-") or text.endswith("%"):
            self.fail(
                f"{text!r} is not a whole number of points that a tile may lack, such as 1 or 2.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class ByteCount(int):
    """An amount of memory in bytes that remembers how it was typed."""

    typed: str


class Size(click.ParamType[int]):
    """An amount of memory in bytes: 2GiB, 500M, 1.5G, 600000000."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes; K, M, G are powers of 1000, and KiB, MiB, GiB of 1024."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a size such as 2GiB, 500M or 1.5G.", param, ctx)
        base = 1024 if match[3] else 1000
        size = Decimal(match[1]) * base ** " kmgt".index(match[2] or " ")
        if size >= TOO_MANY:
            self.fail(f"{value!r} is too large: sizes are below 2^63.", param, ctx)
        found = ByteCount(size)
        found.typed = str(value).strip()
        return found


class Duration(click.ParamType[float]):
    """A length of time: 5m, 90s, 1.5h; a bare number is seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the time in seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a time such as 5m, 90s or 1.5h.", param, ctx)
        return float(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[match[2] or "s"]


class Window(click.ParamType[str]):
    """Which blocks of tiles `--window` keeps: gaps or all."""

    name = "gaps|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value in small letters."""
        text = str(value).strip().lower()
        if text not in {"gaps", "all"}:
            self.fail(
                f"{value!r} is neither gaps nor all. For the usual window, put another option "
                "behind --window, or write --window gaps.",
                param,
                ctx,
            )
        return text


class Counts(click.ParamType[tuple[int, ...]]):
    """Several numbers of things, ascending: 1,2,5,10."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers, each once."""
        if isinstance(value, tuple):
            return value
        numbers = {Count().convert(part, param, ctx) for part in str(value).split(",")}
        if min(numbers) < 1:
            self.fail(f"{value!r}: each number must be at least 1.", param, ctx)
        return tuple(sorted(numbers))


class Scale(click.ParamType[Fraction]):
    """The exact size of one step of a scaled integer: 1e-7, 0.000001, 1/3600000."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction:
        """Return the number as a fraction, so that no digit is lost."""
        if isinstance(value, Fraction):
            return value
        text = str(value).strip()
        if _NUMBER_OR_RATIO.fullmatch(text) is None:
            self.fail(f"{value!r} is not a number such as 1e-7 or 1/3600000.", param, ctx)
        try:
            scale = Fraction(text)
        except ZeroDivisionError:
            self.fail(f"{value!r} divides by 0.", param, ctx)
        if scale == 0:
            self.fail(f"{value!r} is not greater than 0.", param, ctx)
        return scale


class Box(click.ParamType[BoundingBox]):
    """Four numbers: west, south, east, north."""

    name = "W,S,E,N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> BoundingBox:
        """Return the four numbers; whether they make sense depends on other options."""
        if isinstance(value, tuple):
            return value
        try:
            west, south, east, north = (_finite(part) for part in str(value).split(","))
        except ValueError:
            self.fail(
                f"{value!r} is not four numbers W,S,E,N, e.g. 11.5,57.6,12.2,57.8.", param, ctx
            )
        if south > north:
            self.fail(f"{value!r}: south {south:g} is greater than north {north:g}.", param, ctx)
        return west, south, east, north


class BadLimit(click.ParamType[Fraction | int]):
    """How many rows may be bad: a share (1%) or a number of rows (1000, 10k)."""

    name = "N|P%"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction | int:
        """Return a share as a fraction of 1, or a number of rows as an integer."""
        if isinstance(value, Fraction | int):
            return value
        text = str(value).strip()
        if not text.endswith("%"):
            return Count().convert(text, param, ctx)
        if _DECIMAL.fullmatch(text[:-1].strip()) is None:
            self.fail(f"{value!r} is not a share such as 1% or 0.5%.", param, ctx)
        share = Fraction(text[:-1].strip()) / 100
        if share > 1:
            self.fail(f"{value!r} is not between 0% and 100%.", param, ctx)
        return share


class Crs(click.ParamType[str]):
    """A coordinate reference system as EPSG:n."""

    name = "EPSG:n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name in capitals."""
        text = str(value).strip().upper()
        if re.fullmatch(r"EPSG:\d{4,6}", text) is None:
            self.fail(f"{value!r} is not of the form EPSG:3857.", param, ctx)
        return text


class Names(click.ParamType[tuple[str, ...]]):
    """Column names separated by commas."""

    name = "a,b,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names; an empty one stands for a column that is not used."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        used = [name for name in names if name]
        if not used:
            self.fail(f"{value!r} names no column.", param, ctx)
        if len(set(used)) < len(used):
            self.fail(f"{value!r} names a column twice.", param, ctx)
        return names


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def is_standard_stream(name: str | os.PathLike[str] | None) -> bool:
    """Return whether a file option names standard input or output."""
    return name is not None and os.fspath(name) == "-"
