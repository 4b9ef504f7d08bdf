"""Tile keys: a tile's (x, y) index pair packed into one uint64 that sorts by (tile_y, tile_x)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BIAS = 1 << 31


def pack(tile_x: npt.NDArray[Any], tile_y: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the uint64 key of each int32 index pair: ``(y + 2^31) << 32 | (x + 2^31)``."""
    x = (np.asarray(tile_x, dtype=np.int64) + BIAS).astype(np.uint64)
    y = (np.asarray(tile_y, dtype=np.int64) + BIAS).astype(np.uint64)
    key: npt.NDArray[np.uint64] = (y << np.uint64(32)) | x
    return key


def unpack(
    key: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return tile_x and tile_y (int32) of each key."""
    x = (key & np.uint64(0xFFFFFFFF)).astype(np.int64) - BIAS
    y = (key >> np.uint64(32)).astype(np.int64) - BIAS
    return x.astype(np.int32), y.astype(np.int32)
