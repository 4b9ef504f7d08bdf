"""Hubs and their tiles as layers: the rows that output files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry, Layer, LayerBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs
    from gridcli.tiles.tiles import Tiles

FORMAT_VERSION = 1
ROWS_PER_BATCH = 16_384

HUB_COLUMNS = (
    "hub_id",
    "hub_key",
    "points",
    "tiles",
    "lon",
    "lat",
    "radius_m",
    "area_m2",
    "density",
    "peak",
    "west",
    "south",
    "east",
    "north",
)
PLANAR_NAMES = {
    "lon": "x",
    "lat": "y",
    "radius_m": "radius",
    "area_m2": "area",
    "west": "xmin",
    "south": "ymin",
    "east": "xmax",
    "north": "ymax",
}
"""What columns are called where the units are those of planar coordinates."""


def gridcli_record(grid: Grid, tau: int, mu: int, delta: int, metric: str) -> dict[str, Any]:
    """Return the ``gridcli`` record that every output file carries (JSON-ready)."""
    return {
        "format_version": FORMAT_VERSION,
        "grid": grid.describe(),
        "tau": tau,
        "mu": mu,
        "delta": delta,
        "metric": metric,
        "window": None,
        "epsilon": None,
    }


def hubs_layer(hubs: Hubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "hubs": one point a hub, its centroid.

    Parameters
    ----------
    hubs : Hubs
    record : dict
        The record of `gridcli_record`.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    """
    import pyarrow as pa

    planar = hubs.tiles.grid.planar
    table = pa.RecordBatch.from_pydict(
        {
            PLANAR_NAMES.get(name, name) if planar else name: _hub_column(hubs, name)
            for name in HUB_COLUMNS
        }
    )

    def batches() -> Iterator[LayerBatch]:
        for start in range(0, len(hubs), ROWS_PER_BATCH):
            rows = slice(start, start + ROWS_PER_BATCH)
            centroids = Geometry("point", hubs.lon[rows], hubs.lat[rows])
            yield LayerBatch(table.slice(start, ROWS_PER_BATCH), centroids)

    return Layer("hubs", table.schema, "point", len(hubs), batches, planar, crs, record)


def tiles_layer(hubs: Hubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "tiles": one polygon a significant tile, made batch by batch.

    Parameters
    ----------
    hubs : Hubs
    record : dict
        The record of `gridcli_record`.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    """
    import pyarrow as pa

    tiles = hubs.tiles
    hub_key = pa.array(hubs.hub_key, pa.string())
    schema = pa.schema(
        {
            "tile_x": pa.int32(),
            "tile_y": pa.int32(),
            "count": pa.int64(),
            "kind": pa.string(),
            "hub_id": pa.int64(),
            "hub_key": pa.string(),
        }
    )

    def batches() -> Iterator[LayerBatch]:
        for start in range(0, len(tiles), ROWS_PER_BATCH):
            rows = slice(start, start + ROWS_PER_BATCH)
            hub = hubs.tile_hub[rows]
            in_hub = pa.array(hub, mask=hub < 0)
            columns = [
                pa.array(tiles.x[rows]),
                pa.array(tiles.y[rows]),
                pa.array(tiles.count[rows]),
                pa.repeat("significant", len(hub)),
                pa.array(hubs.hub_id).take(in_hub),
                hub_key.take(in_hub),
            ]
            yield LayerBatch(
                pa.RecordBatch.from_arrays(columns, schema=schema), _boxes(tiles, rows)
            )

    return Layer("tiles", schema, "polygon", len(tiles), batches, tiles.grid.planar, crs, record)


def _hub_column(hubs: Hubs, name: str) -> Any:
    """Return a column of the hubs as an Arrow array; what is not finite is null."""
    import pyarrow as pa

    if name == "hub_key":
        return pa.array(hubs.hub_key, pa.string())
    values = hubs.n_tiles if name == "tiles" else getattr(hubs, name)
    return pa.array(values, mask=~np.isfinite(values))


def _boxes(tiles: Tiles, rows: slice) -> Geometry:
    """Return the rectangles of consecutive tiles, each a closed counter-clockwise ring."""
    grid = tiles.grid
    x, y = tiles.x[rows].astype(np.int64), tiles.y[rows].astype(np.int64)
    west, east = grid.edges_x(x), grid.edges_x(x + 1)
    south, north = grid.edges_y(y), grid.edges_y(y + 1)
    rings: npt.NDArray[np.int64] = np.arange(len(x) + 1)
    return Geometry(
        "polygon",
        np.column_stack([west, east, east, west, west]).ravel(),
        np.column_stack([south, south, north, north, south]).ravel(),
        (rings, rings * 5),
    )
