"""`gridcli agglomerate`: from a state to hubs, without reading points again."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridcli.cli.layers import hub_layers, write_layers
from gridcli.cli.options import (
    cluster_options,
    coarsening_options,
    keys_from_option,
    output_options,
    resource_options,
    screen_options,
    summary_option,
)
from gridcli.cli.screen import warn
from gridcli.cli.summary import json_bytes, print_summary, summary_record, why_no_hub

if TYPE_CHECKING:
    from gridcli.cli.choices import (
        ClusterChoice,
        CoarseningChoice,
        OutputChoice,
        ResourceChoice,
        ScreenChoice,
    )


@click.command()
@click.argument("state", metavar="STATE")
@cluster_options
@coarsening_options
@keys_from_option
@output_options
@resource_options
@screen_options
@summary_option
@click.pass_context
def agglomerate(
    context: click.Context,
    state: str,
    clustering: ClusterChoice,
    coarsening: CoarseningChoice,
    keys_from: str | None,
    target: OutputChoice,
    resources: ResourceChoice,
    screen: ScreenChoice,
    summary: str | None,
) -> None:
    """Find the hubs of a state, on its grid or on a coarser one.

    STATE is a file of tile counts that gridcli contract or merge wrote, or - for standard input.
    The outputs are those that gridcli raster writes for the same points.

    \b
    Example:
      gridcli agglomerate day.state.parquet --tau 10 -o hubs.geojson
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    target.check_suffixes()
    names = [*target.layers().values(), *([] if summary is None else [summary])]

    from gridcli.output.atomic import OutputSet
    from gridcli.output.targets import check_targets
    from gridcli.raster.coarsen import coarser_blocks
    from gridcli.raster.naming import take_over
    from gridcli.raster.run import ClusterOptions, cluster_tiles, significant_tiles, timed
    from gridcli.raster.tilesfile import open_tiles
    from gridcli.runtime.workspace import Workspace
    from gridcli.states.sources import opened_state

    check_targets(names, overwrite=target.overwrite)
    seconds: dict[str, float] = {}
    read = [Path(state)] if state != "-" else []
    with (
        closing(screen.make_progress()) as progress,
        Workspace(resources.n_threads, resources.limit_bytes, resources.temp_dir) as space,
        opened_state(state, temp_dir=resources.temp_dir) as source,
        # OLD_TILES may be replaced: all of it has been read by then.
        OutputSet(names, overwrite=target.overwrite, inputs=read) as outputs,
    ):
        formats = target.formats(planar=source.grid.planar)
        m = coarsening.multiple(source.grid)
        grid = source.grid.coarsened(m)
        older = None if keys_from is None else open_tiles(keys_from)
        progress.start(None, "agglomerate")
        with timed(seconds, "read" if m == 1 else "coarsen"):
            blocks = coarser_blocks(source, m, space, stop=context.obj, least=clustering.tau)
            tiles = significant_tiles(blocks, grid, clustering.tau, space)
        options = ClusterOptions(**vars(clustering))
        hubs = cluster_tiles(tiles, options, space, stop=context.obj, seconds=seconds)
        if older is not None:
            hubs = take_over(hubs, older)
        progress.start(None, "write")
        before = time.perf_counter()
        layers = hub_layers(hubs, clustering, target, memory_bytes=space.budget.room)
        files = write_layers(layers, target, formats, outputs, threads=space.threads)
        record = summary_record(
            "agglomerate",
            grid,
            {
                **vars(clustering),
                "state": source.name,
                "tiles": {
                    "distinct": blocks.distinct,
                    "significant": len(tiles),
                    "largest_count": blocks.largest,
                },
                "hubs": len(hubs),
                "threads": space.threads,
            },
            seconds={**seconds, "write": time.perf_counter() - before},
            files=files,
        )
        if summary is not None:
            outputs[summary].write(json_bytes(record))
        outputs.commit(context.obj.held)
    reason = why_no_hub(record)
    if reason is not None:
        warn(reason)
    if screen.is_talkative:
        print_summary(record)
