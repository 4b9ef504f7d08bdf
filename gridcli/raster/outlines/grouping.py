"""Tiles grouped by hub, as far as the memory reaches: what outlines are traced from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs

TILES_PER_BATCH = 16_384
"""Hubs are traced together up to so many tiles, whatever the memory: that takes some 10 MB."""
SHARE_OF_TILES = 4
"""Tiles grouped by hub take one part in so many of the memory."""
SHARE_OF_OUTLINE = 2
"""So does one outline; what is left is for the one before it, which may still be written."""
BYTES_PER_GROUPED_TILE = 8
BYTES_PER_TRACED_TILE = 64
"""Memory for each tile of a hub while it is traced, without its boundary."""


@dataclass(frozen=True)
class HubTiles:
    """The tiles of hubs, grouped by hub.

    Attributes
    ----------
    grid : Grid
    x, y : ndarray of int32, shape (n,)
        Sorted by hub, then (y, x).
    start : ndarray of int64, shape (n_hubs + 1,)
        Where each hub's tiles begin.
    first_hub : int
        Position of the first of these hubs among all.
    """

    grid: Grid
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    first_hub: int = 0

    def ranges(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of hubs from `first` to `stop`, of about `TILES_PER_BATCH` tiles each."""
        for begin, end in ranges_of(np.diff(self.start[first : stop + 1]), TILES_PER_BATCH):
            yield first + begin, first + end


def group_by_hub(hubs: Hubs, first: int = 0, stop: int | None = None) -> HubTiles:
    """Return the tiles of the hubs from position `first` to `stop`, in one walk over all tiles."""
    from gridcli.raster.outlines.kernels import group_tiles

    shapes = hubs.shapes
    start = np.concatenate([[0], np.cumsum(shapes.n_tiles[first:stop])]).astype(np.int64)
    x, y = np.empty((2, int(start[-1])), np.int32)
    place = start[:-1].copy()
    for tiles, hub in shapes.labelled_blocks():
        group_tiles(hub, tiles.x, tiles.y, first, place, x, y)
    return HubTiles(shapes.tiles.grid, x, y, start, first)


def hub_ranges(hubs: Hubs, memory_bytes: int | None) -> Iterator[tuple[int, int]]:
    """Return ranges of hubs whose tiles, grouped, take no more than their share of the memory.

    A range may hold `TILES_PER_BATCH` tiles, or one hub, in any case.
    """
    most = None
    if memory_bytes is not None:
        most = max(memory_bytes // (SHARE_OF_TILES * BYTES_PER_GROUPED_TILE), TILES_PER_BATCH)
    return ranges_of(hubs.shapes.n_tiles, most)


def ranges_of(sizes: npt.NDArray[np.int64], most: int | None) -> Iterator[tuple[int, int]]:
    """Yield ranges of consecutive things whose sizes add up to `most`, or of one that is larger.

    None: one range of all.
    """
    if most is None:
        if len(sizes):
            yield 0, len(sizes)
        return
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        before = int(ends[first]) - int(sizes[first])
        stop = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, stop
        first = stop


def check_largest(hubs: Hubs, memory_bytes: int | None) -> None:
    """Raise `ResourceError` where the tiles of the largest hub alone leave no room to trace it."""
    if len(hubs):
        largest = int(np.argmax(hubs.shapes.n_tiles))
        n_tiles = int(hubs.shapes.n_tiles[largest])
        check_outline(largest, n_tiles, BYTES_PER_TRACED_TILE * n_tiles, memory_bytes)


def check_outline(hub: int, n_tiles: int, needed: int, memory_bytes: int | None) -> None:
    """Raise `ResourceError` where the outline of a large hub needs more bytes than there are.

    Parameters
    ----------
    hub : int
        Position of the hub, or of the first of several.
    n_tiles : int
        Their tiles; up to `TILES_PER_BATCH` are always accepted.
    needed : int
        Bytes, as far as is known by now.
    memory_bytes : int or None
    """
    if memory_bytes is None or n_tiles <= TILES_PER_BATCH:
        return
    room = memory_bytes // SHARE_OF_OUTLINE
    if needed > room:
        raise ResourceError(
            f"the outline of hub {hub + 1} does not fit in memory: its {n_tiles:,} tiles need at "
            f"least {needed / 1e6:,.1f} MB, and {room / 1e6:,.1f} MB are left for one outline. "
            "Raise --max-memory, split the hub with a larger --tau, choose larger tiles, or write "
            "hubs as points, hulls or ellipses only."
        )
