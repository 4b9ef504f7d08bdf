"""Hubs and tiles in d dimensions as layers: those of the plane, with columns for the other axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gridcli.output.layer import Layer, LayerBatch
from gridcli.raster.layers import ROWS_PER_BATCH, tile_boxes
from gridcli.tiles.tiles import KINDS, Tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.dims.hubs import DimsHubs

N_TILES_COLUMN = "tiles"


def with_axes(layer: Layer, hubs: DimsHubs) -> Layer:
    """Return a layer of the hubs' plane with the number of tiles in d dimensions, and the spans.

    Columns ``<axis>_from`` and ``<axis>_to`` follow the others.

    Parameters
    ----------
    layer : Layer
        With a row a hub, in the order of the hubs.
    hubs : DimsHubs
    """
    import pyarrow as pa

    def batches() -> Iterator[LayerBatch]:
        done = 0
        for batch in layer.batches():
            rows = slice(done, done + len(batch.table))
            yield LayerBatch(_with_spans(batch.table, hubs, rows), batch.geometry)
            done = rows.stop

    nothing = pa.RecordBatch.from_pylist([], layer.schema)
    schema = _with_spans(nothing, hubs, slice(0, 0)).schema
    return replace(layer, schema=schema, batches=batches)


def _with_spans(table: Any, hubs: DimsHubs, rows: slice) -> Any:
    import pyarrow as pa

    place = table.schema.get_field_index(N_TILES_COLUMN)
    table = table.set_column(place, table.schema.field(place), pa.array(hubs.n_tiles[rows]))
    for axis, (begin, end) in zip(hubs.tiles.grid.axes, hubs.spans, strict=True):
        table = table.append_column(f"{axis.name}_from", pa.array(begin[rows]))
        table = table.append_column(f"{axis.name}_to", pa.array(end[rows]))
    return table


def dims_tiles_layer(hubs: DimsHubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "tiles": one row a significant tile, with its place as polygon.

    Parameters
    ----------
    hubs : DimsHubs
    record : dict
        The record of `gridcli.raster.layers.gridcli_record`, with the axes.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    """
    import pyarrow as pa

    tiles, grid = hubs.tiles, hubs.tiles.grid
    hub_id, hub_key = pa.array(hubs.plane.hub_id), pa.array(hubs.plane.hub_key, pa.string())
    schema = pa.schema(
        [
            *((name, pa.int32()) for name in grid.tile_columns),
            ("count", pa.int64()),
            ("kind", pa.string()),
            ("hub_id", pa.int64()),
            ("hub_key", pa.string()),
        ]
    )

    def batches() -> Iterator[LayerBatch]:
        for start in range(0, len(tiles), ROWS_PER_BATCH):
            rows = slice(start, start + ROWS_PER_BATCH)
            indexes, count = grid.unpack(tiles.keys[rows]), tiles.count[rows]
            hub = hubs.hub[rows]
            in_hub = pa.array(hub, mask=hub < 0)
            columns = [
                *map(pa.array, indexes),
                pa.array(count),
                pa.repeat(KINDS[0], len(count)),
                hub_id.take(in_hub),
                hub_key.take(in_hub),
            ]
            boxes = tile_boxes(Tiles(grid.plane, indexes[0], indexes[1], count))
            yield LayerBatch(pa.RecordBatch.from_arrays(columns, schema=schema), boxes)

    return Layer("tiles", schema, "polygon", len(tiles), batches, grid.plane.planar, crs, record)
