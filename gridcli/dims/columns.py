"""How tiles stand in files: as indexes, a column each, instead of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.dims.grid import DimsGrid
from gridcli.grid.keys import pack, unpack
from gridcli.grid.validity import are_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.grid.grid import Grid

Int32s = npt.NDArray[np.int32]
UInt64s = npt.NDArray[np.uint64]

COUNT = "count"
PLANE = ("tile_x", "tile_y")


@dataclass(frozen=True)
class TileColumns:
    """The columns of tiles of a plane, or of a grid in more dimensions.

    Attributes
    ----------
    dims : DimsGrid or None
    """

    dims: DimsGrid | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of indexes (int32)."""
        return PLANE if self.dims is None else self.dims.tile_columns

    @property
    def types(self) -> dict[str, Any]:
        """Arrow types of all columns, in their order: the count is last."""
        import pyarrow as pa

        return {**dict.fromkeys(self.names, pa.int32()), COUNT: pa.int64()}

    def indexes(self, keys: UInt64s) -> list[Int32s]:
        """Return the columns of keys."""
        return list(unpack(keys)) if self.dims is None else self.dims.unpack(keys)

    def keys(self, indexes: Sequence[Int32s]) -> UInt64s:
        """Return the keys of columns."""
        x, y, *bins = indexes
        if self.dims is None:
            return pack(x, y)
        return self.dims.keys(pack(x, y), [index.astype(np.int64) for index in bins])

    def shown(self, key: np.uint64) -> str:
        """Return a tile as messages name it: ``(11, 57)``, ``(11, 57, 22)``."""
        indexes = self.indexes(np.array([key], np.uint64))
        return f"({', '.join(str(index[0]) for index in indexes)})"

    def hold(self, grid: Grid, indexes: Sequence[Int32s]) -> bool:
        """Whether all tiles are of the grid, and their bins within those of the axes."""
        x, y, *bins = indexes
        axes = () if self.dims is None else self.dims.axes
        return are_tiles(grid, x, y) and all(
            bool(np.all((index >= axis.first) & (index < axis.first + axis.bins)))
            for axis, index in zip(axes, bins, strict=True)
        )


def columns_in_dims(plane: Grid, record: Any) -> TileColumns:
    """Return the columns of tiles of a plane and the axes of a record; see `DimsGrid`.

    Raises
    ------
    InputError
        The record is of no axes that this version knows.
    """
    return TileColumns(DimsGrid.from_description(plane, record))
