"""Where the corners of tiles are drawn: at most half a unit of the last place away from them.

Where rows differ, ends of tiles in adjacent rows can lie closer together than the last place that
GeoJSON is written with. Drawn where they are, they would fall together only when they are written,
and rings that were simple before would touch themselves. So what becomes one corner is one before
anything is traced, in every format. Elsewhere edges are the same from row to row, and stay as they
are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import COORDINATE_DECIMALS, round_coordinates

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid


def drawn_x(grid: Grid, column: npt.NDArray[Any], row: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the western (lower x) edge of each tile as it is drawn; see `Grid.edges_x`."""
    return round_coordinates(grid.edges_x(column, row), _decimals(grid))


def drawn_y(grid: Grid, row: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the southern (lower y) edge of each row as it is drawn; see `Grid.edges_y`."""
    return round_coordinates(grid.edges_y(row), _decimals(grid))


def _decimals(grid: Grid) -> int | None:
    return COORDINATE_DECIMALS if grid.rows_differ else None
