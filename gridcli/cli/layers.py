"""Writing the layers that a command was asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gridcli.cli.choices import HubChoice
    from gridcli.cli.targets import OutputChoice
    from gridcli.output.atomic import OutputSet
    from gridcli.output.layer import Layer
    from gridcli.raster.adaptive import AdaptiveLevel
    from gridcli.raster.model import Hubs


def hub_layers(
    hubs: Hubs,
    clustering: HubChoice,
    target: OutputChoice,
    *,
    memory_bytes: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Callable[[], Layer]]:
    """Return how to make each layer of some hubs: "hubs", "clusters" and "tiles".

    Outlines take about `memory_bytes` at most; `more` is what the ``gridcli`` record tells beside
    the usual.
    """
    from gridcli.raster.enclosing.layers import hubs_enclosed_layer
    from gridcli.raster.layers import gridcli_record, hubs_layer, tiles_layer
    from gridcli.raster.outlines.layers import clusters_layer, hubs_polygon_layer

    record = gridcli_record(hubs.tiles.grid, **vars(clustering)) | dict(more or {})
    outlined = partial(partial, crs=target.crs, memory_bytes=memory_bytes)
    shapes = {
        "point": partial(hubs_layer, hubs, record, crs=target.crs),
        "polygon": outlined(hubs_polygon_layer, hubs, record),
        "hull": outlined(hubs_enclosed_layer, hubs, record, shape="hull"),
        "ellipse": outlined(hubs_enclosed_layer, hubs, record, shape="ellipse"),
    }
    return {
        "hubs": shapes[target.geometry],
        "clusters": outlined(clusters_layer, hubs, record),
        "tiles": partial(tiles_layer, hubs, record, crs=target.crs),
    }


def level_layers(
    levels: Sequence[AdaptiveLevel],
    clustering: HubChoice,
    target: OutputChoice,
    *,
    without_rims: bool,
    memory_bytes: int | None = None,
) -> dict[str, Callable[[], Layer]]:
    """Return how to make each layer of several levels as one; see `hub_layers`.

    Hubs and clusters stand in the order of their points, tiles level by level.
    """
    from gridcli.raster.levels import ranked_layer, stacked_layer

    coarsenings = [level.coarsen for level in levels]
    told = [{"coarsen": each.coarsen, "grid": each.hubs.tiles.grid.describe()} for each in levels]
    more = {"levels": told, "without_rims": without_rims}
    makers = [
        hub_layers(each.hubs, clustering, target, memory_bytes=memory_bytes, more=more)
        for each in levels
    ]
    ranks = [level.hubs.hub_id for level in levels]
    rim_of = [level.rim_of for level in levels]

    def ranked(name: str) -> Layer:
        return ranked_layer([make[name]() for make in makers], coarsenings, ranks, rim_of)

    return {
        "hubs": partial(ranked, "hubs"),
        "clusters": partial(ranked, "clusters"),
        "tiles": lambda: stacked_layer([make["tiles"]() for make in makers], coarsenings),
    }


def write_layers(
    makers: Mapping[str, Callable[[], Layer]],
    target: OutputChoice,
    formats: Mapping[str, str],
    outputs: OutputSet,
    *,
    threads: int,
) -> list[dict[str, Any]]:
    """Write the layers asked for, and return what the summary says of them.

    Parameters
    ----------
    makers : mapping
        How to make a layer, by its name; called only for those asked for.
    target : OutputChoice
    formats : mapping
        Format of each layer asked for, of `OutputChoice.formats`.
    outputs : OutputSet
    threads : int
    """
    from gridcli.output.formats import write_layer

    files = []
    for name, path in target.layers().items():
        layer = makers[name]()
        write_layer(layer, outputs[path], formats[name], threads=threads)
        files.append({"layer": name, "path": path, "format": formats[name], "rows": layer.rows})
    return files
