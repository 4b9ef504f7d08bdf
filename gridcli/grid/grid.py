"""The grid: which tile a coordinate belongs to, and where a tile lies.

Definitions are those of docs/contract.md, section 3. Kernels that project many points live in
`gridcli.grid.kernels`; this module holds the description that they take their numbers from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError

INT32_MAX = 2**31 - 1
MIN_GEOGRAPHIC_PREC = -1

DIVIDE = 0
"""Tile k begins at ``k / scale`` (precision P >= 0 an integer, scale = 10^P)."""
MULTIPLY = 1
"""Tile k begins at ``k * scale`` (a tile size, or an integer precision below 0)."""
REAL = 2
"""Tile of x is ``floor(x * scale)`` (precision not an integer, scale = 10^P)."""


@dataclass(frozen=True)
class Grid:
    """A regular grid of tiles over longitude and latitude, or over planar coordinates.

    Use `Grid.degrees` and `Grid.planar_prec` / `Grid.planar_size` to make one.

    Attributes
    ----------
    planar : bool
        No range check, no wrap at 180 degrees.
    rule : int
        `DIVIDE`, `MULTIPLY` or `REAL`: how a tile's lower edge follows from its index.
    scale : float
        10^P, or the tile size where `rule` is `MULTIPLY`.
    name : str
        Short stable name, first part of every hub key: ``g4`` (geographic, precision 4), ``p2``
        (planar, precision 2), ``t25`` (planar, tiles of 25 units).
    """

    planar: bool
    rule: int
    scale: float
    name: str

    @classmethod
    def degrees(cls, prec: str | float | Decimal) -> Grid:
        """Return the geographic grid of precision `prec` (tiles of 10^-prec degrees).

        Raises
        ------
        UsageError
            The precision is not a number, or its indexes do not fit int32.
        """
        value = _decimal(prec, "--prec")
        if value < MIN_GEOGRAPHIC_PREC:
            raise UsageError(
                f"--prec {value} makes tiles larger than 10 degrees; "
                f"use {MIN_GEOGRAPHIC_PREC} or more."
            )
        rule, scale = _scale_of(value)
        tiles_to_180 = 180 / scale if rule == MULTIPLY else 180 * scale
        if not tiles_to_180 < INT32_MAX:
            finest = math.log10(INT32_MAX / 180)
            raise UsageError(
                f"--prec {value} is too fine: tile indexes are 32-bit integers and longitude 180 "
                f"would be tile {tiles_to_180:.4g}. The finest precision is "
                f"{math.floor(finest * 100) / 100:g} (the finest integer one {int(finest)}, "
                "tiles of about 1 cm)."
            )
        return cls(planar=False, rule=rule, scale=scale, name=f"g{_plain(value)}")

    @classmethod
    def planar_prec(cls, prec: str | float | Decimal) -> Grid:
        """Return the planar grid with tiles of 10^-prec coordinate units."""
        value = _decimal(prec, "--prec")
        rule, scale = _scale_of(value)
        if not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"--prec {value} is out of range.")
        return cls(planar=True, rule=rule, scale=scale, name=f"p{_plain(value)}")

    @classmethod
    def planar_size(cls, tile_size: str | float | Decimal) -> Grid:
        """Return the planar grid with square tiles of side `tile_size` coordinate units."""
        value = _decimal(tile_size, "--tile-size")
        size = float(value)
        if not (math.isfinite(size) and size > 0 and math.isfinite(1 / size)):
            raise UsageError(f"--tile-size {value} must be a positive number.")
        return cls(planar=True, rule=MULTIPLY, scale=size, name=f"t{_plain(value)}")

    @property
    def tiles_per_unit(self) -> float:
        """Tiles per coordinate unit, as a float."""
        return 1.0 / self.scale if self.rule == MULTIPLY else self.scale

    @property
    def first_column(self) -> int:
        """Index of the westernmost column (geographic grids only)."""
        return self._geographic_range(180)[0]

    @property
    def last_column(self) -> int:
        """Index of the easternmost column (geographic grids only)."""
        return self._geographic_range(180)[1]

    @property
    def columns(self) -> int:
        """Number of columns around the earth; 0 for a planar grid, which does not wrap."""
        return 0 if self.planar else self.last_column - self.first_column + 1

    @property
    def first_row(self) -> int:
        """Index of the southernmost row (geographic grids only)."""
        return self._geographic_range(90)[0]

    @property
    def last_row(self) -> int:
        """Index of the northernmost row (geographic grids only)."""
        return self._geographic_range(90)[1]

    def _geographic_range(self, bound: int) -> tuple[int, int]:
        """First and last index over [-bound, bound]."""
        if self.planar:
            raise ValueError("a planar grid has no bounds")
        if self.rule == MULTIPLY:
            steps = math.ceil(bound / self.scale)
            return -steps, steps - 1
        edge = bound * self.scale
        return math.floor(-edge), math.ceil(edge) - 1

    def edges(self, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the lower edge of each tile index, in coordinate units, unclipped.

        The upper edge of tile k is the lower edge of tile k + 1. Partial columns and rows (real
        precisions) reach beyond 180 and 90 degrees: see `edges_x` and `edges_y`.
        """
        k = np.asarray(index, dtype=np.float64)
        edge: npt.NDArray[np.float64] = k * self.scale if self.rule == MULTIPLY else k / self.scale
        return edge

    def edges_x(self, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the western (lower x) edge of column `index`, within [-180, 180]."""
        edge = self.edges(index)
        return edge if self.planar else np.clip(edge, -180.0, 180.0)

    def edges_y(self, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the southern (lower y) edge of row `index`, within [-90, 90]."""
        edge = self.edges(index)
        return edge if self.planar else np.clip(edge, -90.0, 90.0)

    def describe(self) -> dict[str, Any]:
        """Return the grid as JSON-ready metadata; `Grid.from_description` reads it back."""
        return {
            "name": self.name,
            "planar": self.planar,
            "rule": ("divide", "multiply", "real")[self.rule],
            "scale": self.scale.hex(),
        }

    @classmethod
    def from_description(cls, record: dict[str, Any]) -> Grid:
        """Return the grid that `describe` made the record of."""
        return cls(
            planar=bool(record["planar"]),
            rule=("divide", "multiply", "real").index(record["rule"]),
            scale=float.fromhex(record["scale"]),
            name=str(record["name"]),
        )


def _decimal(value: str | float | Decimal, option: str) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise UsageError(f"{option} {value!r} is not a number.") from None
    if not number.is_finite():
        raise UsageError(f"{option} {value!r} is not a finite number.")
    return number


def _plain(value: Decimal) -> str:
    """Write a decimal without exponent or trailing zeros: 4, 3.5, 0.25."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _scale_of(prec: Decimal) -> tuple[int, float]:
    """Rule and scale of a precision."""
    if abs(prec) > 300:  # 10^prec would leave the doubles
        raise UsageError(f"--prec {prec} is out of range.")
    if prec == prec.to_integral_value():
        power = int(prec)
        return (DIVIDE, float(10**power)) if power >= 0 else (MULTIPLY, float(10**-power))
    return REAL, 10.0 ** float(prec)
