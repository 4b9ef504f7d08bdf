"""Hubs of several nights for tests: made of counts by tile, in pieces, written and read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from gridcli.grid.grid import Grid
from gridcli.output.formats import write_layer
from gridcli.raster.cluster import cluster
from gridcli.raster.layers import gridcli_record, tiles_layer
from gridcli.raster.tilesfile import PlaneKeys, TilesFile
from gridcli.raster.tilesformats import SCHEMA, Contents
from gridcli.tiles.tiles import Tiles
from tests.tile_examples import tiles_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gridcli.raster.model import Hubs

G4 = Grid.degrees(4)
Counts = dict[tuple[int, int], int]


@dataclass(frozen=True)
class PiecesOfTiles:
    """Tiles in pieces of a given length (`TileBlocks`)."""

    tiles: Tiles
    rows: int

    @property
    def grid(self) -> Grid:
        return self.tiles.grid

    def __len__(self) -> int:
        return len(self.tiles)

    def blocks(self) -> Iterator[Tiles]:
        for start in range(0, len(self.tiles), self.rows):
            part = slice(start, start + self.rows)
            yield Tiles(self.grid, self.tiles.x[part], self.tiles.y[part], self.tiles.count[part])


def hubs_of(counts: Mapping[tuple[int, int], int], grid: Grid = G4, mu: int = 1, rows=3) -> Hubs:
    """Hubs of significant tiles, in pieces of `rows`."""
    return cluster(PiecesOfTiles(tiles_of(grid, counts), rows), mu=mu)


def rows_of(hubs: Hubs) -> list[tuple[int, int, int, str | None]]:
    """x, y, count and hub key of each tile, in order."""
    return [
        (x, y, n, hubs.hub_key[hub] if hub >= 0 else None)
        for tiles, hub_of_tile in hubs.labelled_blocks()
        for x, y, n, hub in zip(
            *(column.tolist() for column in (tiles.x, tiles.y, tiles.count, hub_of_tile)),
            strict=True,
        )
    ]


def file_in_memory(hubs: Hubs, rows: int = 4) -> TilesFile:
    """The hubs' tiles as a file that is read in pieces of `rows`."""

    def batches(_: Any) -> Iterator[Any]:
        hub_id = {None: None, **dict(zip(hubs.hub_key, hubs.hub_id.tolist(), strict=True))}
        table = [(*row[:3], hub_id[row[3]], row[3]) for row in rows_of(hubs)]
        for start in range(0, len(table), rows):
            columns = zip(*table[start : start + rows], strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)

    grid = hubs.tiles.grid
    contents = Contents(tuple(SCHEMA.names), None, needs_record=False, batches=batches)
    return TilesFile("old.parquet", {}, grid, PlaneKeys(), [], [], contents, {})


def write_tiles(hubs: Hubs, path: Path, form: str, tau: int = 5) -> str:
    """Write what ``--tiles`` writes, and return the path as text."""
    record = gridcli_record(hubs.tiles.grid, tau, 1, 1, "chebyshev")
    with path.open("wb") as sink:
        write_layer(tiles_layer(hubs, record), sink, form)
    return str(path)


def places(size: int = 7) -> st.SearchStrategy[Counts]:
    """Counts of tiles in a small square, so that those of two nights have much in common."""
    index = st.integers(0, size - 1)
    return st.dictionaries(st.tuples(index, index), st.integers(1, 9), max_size=size * size // 2)


def shifted(counts: Counts, x: int, y: int = 0) -> Counts:
    """The same counts elsewhere."""
    return {(i + x, j + y): n for (i, j), n in counts.items()}


def block(x: int, y: int, width: int, height: int = 1, count: int = 5) -> Counts:
    """A rectangle of tiles with one count."""
    return {(i, j): count for i in np.arange(x, x + width).tolist() for j in range(y, y + height)}
