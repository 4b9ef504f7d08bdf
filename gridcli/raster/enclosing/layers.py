"""Hubs as a layer with what encloses them: convex hulls, or ellipses of the smallest area."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gridcli.output.layer import Layer, LayerBatch
from gridcli.raster.enclosing.ellipses import axes, ellipse_geometry, enclosing_ellipses
from gridcli.raster.enclosing.extents import batches_of, check_rows, outer_corners, row_extents
from gridcli.raster.enclosing.hulls import hull_geometry
from gridcli.raster.layers import hub_columns, hub_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.enclosing.extents import RowExtents
    from gridcli.raster.model import Hubs

ELLIPSE_COLUMNS = ("semi_major_m", "semi_minor_m", "azimuth_deg")


def hubs_enclosed_layer(
    hubs: Hubs,
    record: dict[str, Any],
    *,
    shape: Literal["hull", "ellipse"],
    crs: str | None = None,
    memory_bytes: int | None = None,
) -> Layer:
    """Return the layer "hubs" with a shape that encloses each hub's tiles.

    Parameters
    ----------
    hubs : Hubs
    record : dict
        The record of `gridcli.raster.layers.gridcli_record`.
    shape : {"hull", "ellipse"}
        The convex hull; or the ellipse of the smallest area, with the columns `ELLIPSE_COLUMNS`.
    crs : str, optional
        ``EPSG:n`` of planar coordinates.
    memory_bytes : int or None
        Take no more than about this much for rows of tiles, at the price of walking over the
        tiles more than once. None: no limit.

    Raises
    ------
    ResourceError
        The rows of a hub do not fit in `memory_bytes`.
    """
    check_rows(hubs, memory_bytes)
    grid = hubs.shapes.tiles.grid
    names = ELLIPSE_COLUMNS if shape == "ellipse" else ()
    columns = hub_columns(hubs, names)

    def enclosed(extents: RowExtents, begin: int, end: int) -> LayerBatch:
        corners = outer_corners(extents, hubs, begin, end)
        rows = slice(extents.first_hub + begin, extents.first_hub + end)
        if shape == "hull":
            return LayerBatch(
                hub_rows(hubs, columns, rows), hull_geometry(corners, planar=grid.planar)
            )
        ellipses = enclosing_ellipses(corners, grid)
        more = dict(zip(names, axes(ellipses, hubs.lat[rows]), strict=True))
        return LayerBatch(hub_rows(hubs, columns, rows, more), ellipse_geometry(ellipses))

    def batches() -> Iterator[LayerBatch]:
        for extents in row_extents(hubs, memory_bytes):
            for begin, end in batches_of(extents):
                yield enclosed(extents, begin, end)

    nothing = dict.fromkeys(names, hubs.lat[:0])
    schema = hub_rows(hubs, columns, slice(0, 0), nothing).schema
    return Layer("hubs", schema, "multipolygon", len(hubs), batches, grid.planar, crs, record)
