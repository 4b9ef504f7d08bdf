"""The grid: which tile a coordinate belongs to, and where a tile lies.

Definitions are those of docs/contract.md, section 3. Kernels that project many points live in
`gridcli.grid.kernels`; this module holds the description that they take their numbers from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid import metres
from gridcli.grid.sizes import check_side, decimal_of, plain

INT32_MAX = 2**31 - 1
MIN_GEOGRAPHIC_PREC = -1
MAX_GEOGRAPHIC_PREC = 7
"""The finest integer: beyond, indexes of longitude do not fit int32."""

DIVIDE = 0
"""Tile k begins at ``k / scale`` (precision P >= 0 an integer, scale = 10^P)."""
MULTIPLY = 1
"""Tile k begins at ``k * scale`` (a tile size, or an integer precision below 0)."""
REAL = 2
"""Tile of x is ``floor(x * scale)`` (precision not an integer, scale = 10^P)."""
METRES = 3
"""Row k begins at ``90 k / R`` degrees, column k of n at ``(360 k - 180 n) / n``: `metres`."""
DIGEST = "columns_sha256"
"""What records of such grids call the digest of the table of columns."""
RULES = ("divide", "multiply", "real", "metres")

MAX_EXACT_POWER = 22
"""10 to a larger power is no exact double, so that coarser tiles would have other edges."""
LARGEST_SIDE = 10**300
"""Tiles of such a side still have edges that are doubles."""
LATITUDE_BOUND = 90


@dataclass(frozen=True)
class Grid:
    """A grid of tiles over longitude and latitude, or over planar coordinates.

    Use `Grid.degrees`, `Grid.metres` and `Grid.planar_prec` / `Grid.planar_size` to make one, and
    `coarsened` to make a coarser one of it. All rows have the same columns but on a grid of
    `metres`, where columns are counted from -180 degrees and are fewer towards the poles.

    Attributes
    ----------
    planar : bool
        No range check, no wrap at 180 degrees.
    rule : int
        `DIVIDE`, `MULTIPLY`, `REAL` or `METRES`: how a tile's lower edge follows from its index.
    scale : float
        10^P, or the tile size where `rule` is `MULTIPLY` (or `METRES`, in metres).
    name : str
        Short stable name, first part of every hub key: ``g4`` (geographic, precision 4), ``m25``
        (geographic, tiles of 25 m), ``p2`` (planar, precision 2), ``t25`` (planar, tiles of 25
        units), ``g4x2`` (coarsened by 2).
    multiple : int
        Tile k covers the tiles ``k * multiple`` up to ``(k + 1) * multiple - 1`` of the grid with
        the same rule and scale: coarsening by an integer, 1 for none.
    """

    planar: bool
    rule: int
    scale: float
    name: str
    multiple: int = 1

    @classmethod
    def degrees(cls, prec: str | float | Decimal) -> Grid:
        """Return the geographic grid of precision `prec` (tiles of 10^-prec degrees).

        Raises
        ------
        UsageError
            The precision is not a number, or its indexes do not fit int32.
        """
        value = decimal_of(prec, "--prec")
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
        return cls(planar=False, rule=rule, scale=scale, name=f"g{plain(value)}")

    @classmethod
    def metres(cls, side: str | float | Decimal) -> Grid:
        """Return the geographic grid with nearly square tiles of `side` metres.

        Raises
        ------
        UsageError
            The side is not a number, or too small or too large.
        """
        value = decimal_of(side, "--tile-size")
        check_side(value)
        return cls(planar=False, rule=METRES, scale=float(value), name=f"m{plain(value)}")

    @classmethod
    def planar_prec(cls, prec: str | float | Decimal) -> Grid:
        """Return the planar grid with tiles of 10^-prec coordinate units."""
        value = decimal_of(prec, "--prec")
        rule, scale = _scale_of(value)
        if not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"--prec {value} is out of range.")
        return cls(planar=True, rule=rule, scale=scale, name=f"p{plain(value)}")

    @classmethod
    def planar_size(cls, tile_size: str | float | Decimal) -> Grid:
        """Return the planar grid with square tiles of side `tile_size` coordinate units."""
        value = decimal_of(tile_size, "--tile-size")
        size = float(value)
        if not (math.isfinite(size) and size > 0 and math.isfinite(1 / size)):
            raise UsageError(f"--tile-size {value} must be a positive number.")
        return cls(planar=True, rule=MULTIPLY, scale=size, name=f"t{plain(value)}")

    def coarsened(self, m: int) -> Grid:
        """Return the grid whose indexes are those of this one, floor-divided by `m`.

        Factors of 10 go to the precision, where it is an integer: g4 coarsened by 10 is g3, as
        points would be contracted on it, and g4 by 20 is g3x2.

        Raises
        ------
        UsageError
            `m` is below 1, the tiles become larger than any index, or rows differ.

        Examples
        --------
        >>> Grid.degrees(4).coarsened(20).name
        'g3x2'
        """
        if m < 1:
            raise UsageError(f"--coarsen {m} must be at least 1.")
        if self.rows_differ and m > 1:
            raise UsageError(
                f"the tiles of {self.name} cannot be joined {m} by {m}: its rows have different "
                "numbers of columns, so that larger tiles are not made of whole smaller ones. "
                "Contract the points anew with a larger --tile-size, or use tiles in degrees "
                "(--prec)."
            )
        multiple = self.multiple * m
        if multiple > INT32_MAX or self.exact_side * m > LARGEST_SIDE:
            raise UsageError(
                f"--coarsen {m} is too large: {multiple:,} tiles of {self._base_name} on a side "
                "are beyond its 32-bit indexes."
            )
        base = self.base
        prec = self._integer_prec
        coarsest = -MAX_EXACT_POWER if self.planar else MIN_GEOGRAPHIC_PREC
        while multiple % 10 == 0 and prec is not None and prec > coarsest:
            prec, multiple = prec - 1, multiple // 10
            base = Grid.planar_prec(prec) if self.planar else Grid.degrees(prec)
        name = base.name if multiple == 1 else f"{base.name}x{multiple}"
        return replace(base, name=name, multiple=multiple)

    def coarsening_to(self, coarser: Grid) -> int | None:
        """Return the m for which ``self.coarsened(m) == coarser``; None if there is none."""
        if self.rows_differ or coarser.rows_differ:
            return 1 if self == coarser else None
        m = coarser.exact_side / self.exact_side
        if m.denominator != 1 or not 1 <= self.multiple * m <= INT32_MAX:
            return None
        return int(m) if self.coarsened(int(m)) == coarser else None

    @property
    def exact_side(self) -> Fraction:
        """Side of a tile, in degrees or coordinate units, exactly; its height where rows differ."""
        if self.rows_differ:
            return Fraction(90, metres.rows_to_pole(self.scale))
        scale = Fraction(self.scale)
        return self.multiple * (scale if self.rule == MULTIPLY else 1 / scale)

    @property
    def base(self) -> Grid:
        """The grid that this one is coarsened from, which points are projected onto."""
        return replace(self, name=self._base_name, multiple=1)

    @property
    def _base_name(self) -> str:
        """Name of the grid that this one is coarsened from."""
        return self.name.partition("x")[0]

    @property
    def _integer_prec(self) -> int | None:
        """The precision, where it is an integer whose power of 10 is an exact double."""
        if self.name.startswith(("t", "m")) or self.rule == REAL:
            return None
        prec = int(self._base_name[1:])
        return prec if prec <= MAX_EXACT_POWER else None

    @property
    def tiles_per_unit(self) -> float:
        """Tiles per coordinate unit, as a float."""
        return float(1 / self.exact_side)

    @property
    def rows_differ(self) -> bool:
        """Whether rows have different numbers of columns, which are then counted from -180."""
        return self.rule == METRES

    def columns_of(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the number of columns of each row around the earth; zeros for a planar grid.

        Parameters
        ----------
        rows : ndarray of integers, shape (n,)
            Rows of this grid.
        """
        if self.rows_differ:
            return metres.columns_of(self.column_table, rows)
        return np.full(len(rows), self.columns)

    @property
    def column_table(self) -> npt.NDArray[np.int32]:
        """Columns of each row from the equator to a pole where rows differ, else empty.

        Row -1 has as many as row 0, row -2 as many as row 1, and so on.
        """
        return metres.column_table(self.scale) if self.rows_differ else np.empty(0, np.int32)

    @property
    def first_column(self) -> int:
        """Index of the westernmost column (geographic grids whose rows are alike)."""
        return self._geographic_range(180)[0]

    @property
    def last_column(self) -> int:
        """Index of the easternmost column (geographic grids whose rows are alike)."""
        return self._geographic_range(180)[1]

    @property
    def columns(self) -> int:
        """Number of columns around the earth; 0 for a planar grid, which does not wrap.

        Grids whose rows differ have `columns_of` instead.
        """
        return 0 if self.planar else self.last_column - self.first_column + 1

    @property
    def first_row(self) -> int:
        """Index of the southernmost row (geographic grids only)."""
        return self._geographic_range(LATITUDE_BOUND)[0]

    @property
    def last_row(self) -> int:
        """Index of the northernmost row (geographic grids only)."""
        return self._geographic_range(LATITUDE_BOUND)[1]

    def _geographic_range(self, bound: int) -> tuple[int, int]:
        """First and last index over [-bound, bound]."""
        if self.planar:
            raise ValueError("a planar grid has no bounds")
        if self.rows_differ:
            if bound != LATITUDE_BOUND:
                raise ValueError("the columns differ from row to row")
            rows = metres.rows_to_pole(self.scale)
            return -rows, rows - 1
        edge = bound / self.scale if self.rule == MULTIPLY else bound * self.scale
        steps = -(-math.ceil(edge) // self.multiple)
        return -steps, steps - 1

    def edges(self, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the lower edge of each tile index, in coordinate units, unclipped.

        The upper edge of tile k is the lower edge of tile k + 1. Partial columns and rows (of
        real precisions, and of coarsened grids) reach beyond 180 and 90 degrees: see `edges_x`
        and `edges_y`.
        """
        k = np.asarray(index, dtype=np.float64) * self.multiple
        if self.rows_differ:
            raise ValueError("the columns differ from row to row: see edges_x and edges_y")
        edge: npt.NDArray[np.float64] = k * self.scale if self.rule == MULTIPLY else k / self.scale
        return edge

    def edges_x(
        self,
        column: npt.NDArray[Any],
        row: npt.NDArray[Any],
    ) -> npt.NDArray[np.float64]:
        """Return the western (lower x) edge of each tile, within [-180, 180].

        The eastern edge is the western one of the next column of the same row.

        Parameters
        ----------
        column, row : ndarray of integers, shape (n,)
        """
        if self.rows_differ:
            n = self.columns_of(row)
            around: npt.NDArray[np.float64] = (360 * np.asarray(column, np.int64) - 180 * n) / n
            return around
        edge = self.edges(column)
        return edge if self.planar else np.clip(edge, -180.0, 180.0)

    def edges_y(self, row: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the southern (lower y) edge of each row, within [-90, 90]."""
        if self.rows_differ:
            latitude: npt.NDArray[np.float64] = np.asarray(row) * 90.0 / (self.last_row + 1)
            return np.clip(latitude, -90.0, 90.0)
        edge = self.edges(row)
        return edge if self.planar else np.clip(edge, -90.0, 90.0)

    def describe(self) -> dict[str, Any]:
        """Return the grid as JSON-ready metadata; `gridcli.grid.records` reads it back."""
        record: dict[str, Any] = {
            "name": self.name,
            "planar": self.planar,
            "rule": RULES[self.rule],
            "scale": self.scale.hex(),
            "multiple": self.multiple,
        }
        if self.rows_differ:
            record[DIGEST] = metres.table_digest(self.scale)
        return record


def _scale_of(prec: Decimal) -> tuple[int, float]:
    """Rule and scale of a precision."""
    if abs(prec) > 300:  # 10^prec would leave the doubles
        raise UsageError(f"--prec {prec} is out of range.")
    if prec == prec.to_integral_value():
        power = int(prec)
        return (DIVIDE, float(10**power)) if power >= 0 else (MULTIPLY, float(10**-power))
    return REAL, 10.0 ** float(prec)
