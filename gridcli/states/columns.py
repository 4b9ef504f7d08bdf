"""How tiles stand in a state file: as indexes, a column each, instead of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.grid.keys import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.dims.grid import DimsGrid

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
