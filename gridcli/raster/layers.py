"""Hubs and their tiles as layers: the rows that output files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry, Layer, LayerBatch
from gridcli.tiles.tiles import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    "semi_major_m": "semi_major",
    "semi_minor_m": "semi_minor",
    "west": "xmin",
    "south": "ymin",
    "east": "xmax",
    "north": "ymax",
}
"""What columns are called where the units are those of planar coordinates."""


def gridcli_record(
    grid: Grid,
    tau: int,
    mu: int,
    delta: int,
    metric: str,
    window: str | None = None,
    epsilon: int | None = None,
    refine: int | None = None,
) -> dict[str, Any]:
    """Return the ``gridcli`` record that every output file carries (JSON-ready)."""
    return {
        "format_version": FORMAT_VERSION,
        "grid": grid.describe(),
        "tau": tau,
        "mu": mu,
        "delta": delta,
        "metric": metric,
        "window": window,
        "epsilon": epsilon,
        "refine": refine,
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
    columns = hub_columns(hubs)
    schema = hub_rows(hubs, columns, slice(0, 0)).schema

    def batches() -> Iterator[LayerBatch]:
        for start in range(0, len(hubs), ROWS_PER_BATCH):
            rows = slice(start, start + ROWS_PER_BATCH)
            centroids = Geometry("point", hubs.lon[rows], hubs.lat[rows])
            yield LayerBatch(hub_rows(hubs, columns, rows), centroids)

    return Layer("hubs", schema, "point", len(hubs), batches, hubs.tiles.grid.planar, crs, record)


def hub_columns(hubs: Hubs, more: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the columns of the layer "hubs", by their geographic names, and `more` of them."""
    return (*HUB_COLUMNS, *more, *(() if hubs.absorbed is None else ("absorbed",)))


def hub_rows(
    hubs: Hubs,
    columns: Iterable[str],
    rows: slice,
    more: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> Any:
    """Return some columns, by their geographic names, of some hubs as a pyarrow.RecordBatch.

    `more` holds the values of columns that hubs themselves do not have, for these rows.
    """
    import pyarrow as pa

    more = more or {}
    planar = hubs.tiles.grid.planar
    names = [PLANAR_NAMES.get(name, name) if planar else name for name in columns]
    arrays = [
        _finite(more[name]) if name in more else _hub_column(hubs, name, rows) for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def tiles_layer(hubs: Hubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "tiles": one polygon a tile that counts, made batch by batch.

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
        for block, hub_of_block in hubs.labelled_blocks():
            for start in range(0, len(block), ROWS_PER_BATCH):
                part = block.piece(start, start + ROWS_PER_BATCH)
                hub = hub_of_block[start : start + ROWS_PER_BATCH]
                in_hub = pa.array(hub, mask=hub < 0)
                columns = [
                    pa.array(part.x),
                    pa.array(part.y),
                    pa.array(part.count),
                    _kinds(part),
                    pa.array(hubs.hub_id).take(in_hub),
                    hub_key.take(in_hub),
                ]
                yield LayerBatch(
                    pa.RecordBatch.from_arrays(columns, schema=schema), tile_boxes(part)
                )

    return Layer("tiles", schema, "polygon", len(tiles), batches, tiles.grid.planar, crs, record)


def _kinds(tiles: Tiles) -> Any:
    """Return the name of the kind of each tile."""
    import pyarrow as pa

    if tiles.kind is None:
        return pa.repeat(KINDS[0], len(tiles))
    return pa.array(KINDS).take(pa.array(tiles.kind))


def _hub_column(hubs: Hubs, name: str, rows: slice) -> Any:
    """Return a column of some hubs as an Arrow array."""
    import pyarrow as pa

    if name == "hub_key":
        return pa.array(hubs.hub_key[rows], pa.string())
    if name == "absorbed":
        absorbed = hubs.absorbed or []
        return pa.array([" ".join(keys) or None for keys in absorbed[rows]], pa.string())
    return _finite((hubs.n_tiles if name == "tiles" else getattr(hubs, name))[rows])


def _finite(values: npt.NDArray[Any]) -> Any:
    """Return numbers as an Arrow array; what is not finite is null."""
    import pyarrow as pa

    return pa.array(values, mask=~np.isfinite(values))


def tile_boxes(tiles: Tiles) -> Geometry:
    """Return the rectangles of consecutive tiles, each a closed counter-clockwise ring."""
    grid = tiles.grid
    x, y = tiles.x.astype(np.int64), tiles.y.astype(np.int64)
    west, east = grid.edges_x(x, y), grid.edges_x(x + 1, y)
    south, north = grid.edges_y(y), grid.edges_y(y + 1)
    rings: npt.NDArray[np.int64] = np.arange(len(x) + 1)
    return Geometry(
        "polygon",
        np.column_stack([west, east, east, west, west]).ravel(),
        np.column_stack([south, south, north, north, south]).ravel(),
        (rings, rings * 5),
    )
