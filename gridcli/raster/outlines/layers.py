"""Hubs with their outlines as layers: the file of clusters, and hubs as polygons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridcli.output.layer import Layer, LayerBatch
from gridcli.raster.layers import hubs_layer
from gridcli.raster.outlines.geometry import group_by_hub, outline_geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.raster.model import Hubs

CLUSTER_COLUMNS = ("hub_id", "hub_key", "points", "tiles")


def clusters_layer(hubs: Hubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "clusters": the dissolved outline of each hub's tiles.

    Parameters
    ----------
    hubs : Hubs
    record : dict
        The record of `gridcli.raster.layers.gridcli_record`.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    """
    return _outlined(hubs_layer(hubs, record, crs=crs), hubs, "clusters", CLUSTER_COLUMNS)


def hubs_polygon_layer(hubs: Hubs, record: dict[str, Any], *, crs: str | None = None) -> Layer:
    """Return the layer "hubs" with outlines in place of centroids; see `clusters_layer`."""
    layer = hubs_layer(hubs, record, crs=crs)
    return _outlined(layer, hubs, layer.name, layer.schema.names)


def _outlined(layer: Layer, hubs: Hubs, name: str, columns: Sequence[str]) -> Layer:
    """Return some columns of a layer of hubs with the hubs' outlines as its geometry."""

    def batches() -> Iterator[LayerBatch]:
        tiles = group_by_hub(hubs)
        first = 0
        for batch in layer.batches():
            table = batch.table.select(columns)
            for start, stop in tiles.ranges(first, first + len(table)):
                rows = table.slice(start - first, stop - start)
                yield LayerBatch(rows, outline_geometry(tiles, start, stop))
            first += len(table)

    schema = pa.schema([layer.schema.field(column) for column in columns])
    return replace(layer, name=name, schema=schema, geometry_kind="multipolygon", batches=batches)
