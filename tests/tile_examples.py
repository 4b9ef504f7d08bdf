"""Tile tables for tests: small ones at odd places, made by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from gridcli.grid.grid import Grid
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GRIDS = (
    Grid.degrees(-1),  # 36 columns: hubs go all around
    Grid.degrees(0),
    Grid.degrees("0.25"),  # partial columns at 180 and partial rows at the poles
    Grid.degrees("3.5"),
    Grid.degrees(4),
    Grid.degrees(7),
    Grid.degrees(-1).coarsened(7),  # partial columns of 20 degrees, partial rows of 60
    Grid.degrees(4).coarsened(7),
    Grid.planar_prec(2),
    Grid.planar_size("2.5"),
)


def tiles_of(grid: Grid, count: Mapping[tuple[int, int], int]) -> Tiles:
    """Tiles of a mapping (x, y) -> count."""
    ordered = sorted(count, key=lambda tile: (tile[1], tile[0]))
    x, y = np.array(ordered, np.int32).reshape(-1, 2).T.copy()
    return Tiles(grid, x, y, np.array([count[tile] for tile in ordered], np.int64))


@dataclass(frozen=True)
class CutTiles:
    """Tiles in blocks that end at some positions (`TileBlocks`)."""

    tiles: Tiles
    cuts: Sequence[int]

    @property
    def grid(self) -> Grid:
        return self.tiles.grid

    def __len__(self) -> int:
        return len(self.tiles)

    def blocks(self) -> Iterator[Tiles]:
        inner = {cut for cut in self.cuts if 0 < cut < len(self)}
        for begin, end in pairwise(sorted({0, len(self), *inner})):
            yield self.tiles.piece(begin, end)


@st.composite
def tile_counts(
    draw: st.DrawFn, largest_count: int = 1000
) -> tuple[Grid, dict[tuple[int, int], int]]:
    """A grid, and counts of tiles near 0, at 180 degrees, near the poles or at int32's ends."""
    grid = draw(st.sampled_from(GRIDS))
    ends = (-(2**31), 2**31 - 1)
    first_x, last_x = ends if grid.planar else (grid.first_column, grid.last_column)
    first_y, last_y = ends if grid.planar else (grid.first_row, grid.last_row)
    base_x = draw(st.sampled_from([0, first_x, last_x]))
    base_y = draw(st.sampled_from([0, first_y, last_y]))
    spread = draw(st.sampled_from([3, 20]))
    offsets = st.integers(-spread, spread)
    counts = st.integers(1, largest_count)
    found = {}
    for dx, dy, count in draw(st.lists(st.tuples(offsets, offsets, counts), max_size=40)):
        x, y = base_x + dx, min(max(base_y + dy, first_y), last_y)
        around = (x - first_x) % (grid.columns or 1) + first_x
        found[min(max(x, first_x), last_x) if grid.planar else around, y] = count
    return grid, found
