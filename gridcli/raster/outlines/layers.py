"""Hubs with their outlines as layers: the file of clusters, and hubs as polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridcli.output.layer import Layer, LayerBatch
from gridcli.raster.layers import hub_columns, hub_rows
from gridcli.raster.outlines.geometry import outline_geometry
from gridcli.raster.outlines.grouping import check_largest, group_by_hub, hub_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.raster.model import Hubs

CLUSTER_COLUMNS = ("hub_id", "hub_key", "points", "tiles")


def clusters_layer(
    hubs: Hubs, record: dict[str, Any], *, crs: str | None = None, memory_bytes: int | None = None
) -> Layer:
    """Return the layer "clusters": the dissolved outline of each hub's tiles.

    Parameters
    ----------
    hubs : Hubs
    record : dict
        The record of `gridcli.raster.layers.gridcli_record`.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    memory_bytes : int or None
        Take no more than about this much for tiles and outlines, at the price of walking over the
        tiles more than once. None: no limit.

    Raises
    ------
    ResourceError
        The outline of a hub does not fit in `memory_bytes`: now, or when its batch is made.
    """
    return _outlined("clusters", CLUSTER_COLUMNS, hubs, record, crs, memory_bytes)


def hubs_polygon_layer(
    hubs: Hubs, record: dict[str, Any], *, crs: str | None = None, memory_bytes: int | None = None
) -> Layer:
    """Return the layer "hubs" with outlines in place of centroids; see `clusters_layer`."""
    return _outlined("hubs", hub_columns(hubs), hubs, record, crs, memory_bytes)


def _outlined(
    name: str,
    columns: Sequence[str],
    hubs: Hubs,
    record: dict[str, Any],
    crs: str | None,
    memory_bytes: int | None,
) -> Layer:
    check_largest(hubs, memory_bytes)

    def batches() -> Iterator[LayerBatch]:
        for first, stop in hub_ranges(hubs, memory_bytes):
            tiles = group_by_hub(hubs, first, stop)
            for begin, end in tiles.ranges(0, stop - first):
                rows = hub_rows(hubs, columns, slice(first + begin, first + end))
                yield LayerBatch(rows, outline_geometry(tiles, begin, end, memory_bytes))

    schema = hub_rows(hubs, columns, slice(0, 0)).schema
    planar = hubs.tiles.grid.planar
    return Layer(name, schema, "multipolygon", len(hubs), batches, planar, crs, record)
