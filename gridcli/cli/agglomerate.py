"""`gridcli agglomerate`: from a state to hubs, without reading points again."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.dims import dims_record, layers_of, refuse_out_of_place
from gridcli.cli.layers import hub_layers, level_layers, write_layers
from gridcli.cli.options import (
    coarsening_options,
    hub_options,
    keys_from_option,
    output_options,
    resource_options,
    screen_options,
    summary_option,
)
from gridcli.cli.screen import warn
from gridcli.cli.summary import json_bytes, print_summary, summary_record, tiles_record, why_no_hub
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gridcli.cli.choices import CoarseningChoice, HubChoice
    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.targets import OutputChoice, ScreenChoice
    from gridcli.dims.grid import DimsGrid
    from gridcli.grid.grid import Grid
    from gridcli.output.layer import Layer
    from gridcli.raster.tilesfile import TilesFile
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.states.file import StateFile
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.runs import SortedRun


@click.command()
@click.argument("state", metavar="STATE")
@hub_options
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
    clustering: HubChoice,
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

    if keys_from is not None and coarsening.adaptive is not None:
        raise UsageError("--keys-from needs hubs of one tile size; --adaptive finds several.")
    coarsening.check(refine=clustering.refine)

    from gridcli.output.atomic import OutputSet
    from gridcli.output.targets import check_targets
    from gridcli.raster.tilesfile import open_tiles
    from gridcli.runtime.workspace import Workspace
    from gridcli.states.sources import opened_state

    check_targets(names, overwrite=target.overwrite)
    with (
        closing(screen.make_progress()) as progress,
        Workspace(resources.n_threads, resources.limit_bytes, resources.temp_dir) as space,
        opened_state(state, temp_dir=resources.temp_dir) as source,
        # OLD_TILES may be replaced: all of it has been read by then.
        OutputSet(names, overwrite=target.overwrite, inputs=[source.path]) as outputs,
    ):
        formats = target.formats(planar=source.grid.planar)
        if source.info.dims is not None:
            refuse_out_of_place(
                {
                    "--window": clustering.window is not None,
                    "--epsilon": clustering.epsilon is not None,
                    "--refine": clustering.refine is not None,
                    "--keys-from": keys_from is not None,
                    "--prec": coarsening.prec is not None,
                    "--coarsen": coarsening.coarsen is not None,
                    "--adaptive": coarsening.adaptive is not None,
                }
            )
        older = None if keys_from is None else open_tiles(keys_from)
        progress.start(None, "agglomerate")
        run = _Run(source, clustering, target, space, context.obj)
        if source.info.dims is not None:
            found = _in_dims(run, source.info.dims)
        elif clustering.refine is not None:
            m = coarsening.refined_multiple(source.grid, clustering.refine)
            found = _refined(run, m, clustering.refine, older)
        elif coarsening.adaptive is None:
            found = _on_one_grid(run, coarsening.multiple(source.grid), older)
        else:
            found = _adaptively(run, coarsening.adaptive, without_rims=coarsening.without_rims)
        progress.start(None, "write")
        before = time.perf_counter()
        files = write_layers(found.layers, target, formats, outputs, threads=space.threads)
        record = summary_record(
            "agglomerate",
            found.grid,
            {
                **vars(clustering),
                "state": source.name,
                **found.parts,
                "threads": space.threads,
            },
            seconds={**found.seconds, "write": time.perf_counter() - before},
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


@dataclass(frozen=True)
class _Run:
    """What is read, and how."""

    source: StateFile
    clustering: HubChoice
    target: OutputChoice
    space: Workspace
    stop: StopFlag


@dataclass(frozen=True)
class _Found:
    """Layers to be written, and what the summary tells: of tiles and hubs, and the time taken."""

    grid: Grid
    layers: Mapping[str, Callable[[], Layer]]
    parts: dict[str, Any]
    seconds: dict[str, float]


def _on_one_grid(run: _Run, m: int, older: TilesFile | None) -> _Found:
    """Find the hubs of the state's tiles, joined M by M."""
    from gridcli.raster.coarsen import coarser_blocks
    from gridcli.raster.naming import take_over
    from gridcli.raster.run import ClusterOptions, cluster_tiles, timed
    from gridcli.raster.significant import significant_tiles

    seconds: dict[str, float] = {}
    grid = run.source.grid.coarsened(m)
    options = ClusterOptions(**vars(run.clustering))
    with timed(seconds, "read" if m == 1 else "coarsen"):
        least = options.least_count
        blocks = coarser_blocks(run.source, m, run.space, stop=run.stop, least=least)
        tiles = significant_tiles(
            blocks, grid, options.tau, run.space, options.relaxation, stop=run.stop
        )
    hubs = cluster_tiles(tiles, options, run.space, stop=run.stop, seconds=seconds)
    if older is not None:
        hubs = take_over(hubs, older)
    layers = hub_layers(hubs, run.clustering, run.target, memory_bytes=run.space.budget.room)
    counted = tiles_record(tiles, run.clustering, distinct=blocks.distinct, largest=blocks.largest)
    return _Found(grid, layers, {"tiles": counted, "hubs": len(hubs)}, seconds)


def _refined(run: _Run, m: int, k: int, older: TilesFile | None) -> _Found:
    """Find the hubs of the state's tiles, joined M by M, and their shapes on a finer grid."""
    from gridcli.raster.coarsen import coarser_blocks
    from gridcli.raster.naming import take_over
    from gridcli.raster.refine import subtiles_per_side
    from gridcli.raster.run import ClusterOptions, cluster_refined, timed
    from gridcli.tiles.runs.spilled import spill_run

    seconds: dict[str, float] = {}
    finer_m = m // subtiles_per_side(k)
    runs: list[SortedRun] = [run.source]
    if finer_m > 1:
        with timed(seconds, "join"):
            blocks = coarser_blocks(run.source, finer_m, run.space, stop=run.stop)
            runs = [spill_run(run.space.spill, blocks)]
    grid, finer = run.source.grid.coarsened(m), run.source.grid.coarsened(finer_m)
    options = ClusterOptions(**vars(run.clustering))
    found = cluster_refined(runs, finer, grid, options, run.space, stop=run.stop, seconds=seconds)
    hubs = found.hubs if older is None else take_over(found.hubs, older)
    layers = hub_layers(hubs, run.clustering, run.target, memory_bytes=run.space.budget.room)
    counted = tiles_record(
        hubs.tiles,
        run.clustering,
        distinct=found.distinct_tiles,
        largest=found.largest_count,
    )
    return _Found(grid, layers, {"tiles": counted, "hubs": len(hubs)}, seconds)


def _in_dims(run: _Run, dims: DimsGrid) -> _Found:
    """Find the hubs of the state's tiles in more than two dimensions."""
    from gridcli.dims.run import cluster_dims_tiles, significant_dims_tiles
    from gridcli.raster.run import ClusterOptions, timed

    seconds: dict[str, float] = {}
    source, options = run.source, ClusterOptions(**vars(run.clustering))
    with timed(seconds, "read"):
        tiles = significant_dims_tiles(_read(run), dims, options.tau, run.space)
    hubs = cluster_dims_tiles(tiles, options, stop=run.stop, seconds=seconds)
    layers = layers_of(hubs, run.clustering, run.target, memory_bytes=run.space.budget.room)
    counted = {
        "distinct": len(source),
        "significant": len(tiles),
        "largest_count": source.info.largest_count,
    }
    parts = {**dims_record(dims), "tiles": counted, "hubs": len(hubs)}
    return _Found(source.grid, layers, parts, seconds)


def _read(run: _Run) -> Iterator[Counted]:
    """Yield the keys and counts of the state, block by block."""
    for block in range(len(run.source.first_keys)):
        run.stop.check()
        yield run.source.read(block)


def _adaptively(run: _Run, coarsenings: tuple[int, ...], *, without_rims: bool) -> _Found:
    """Find the hubs of every level."""
    from gridcli.raster.adaptive import find_adaptively
    from gridcli.raster.run import ClusterOptions

    seconds: dict[str, float] = {}
    levels = find_adaptively(
        run.source,
        run.source.grid,
        coarsenings,
        ClusterOptions(**vars(run.clustering)),
        run.space,
        without_rims=without_rims,
        stop=run.stop,
        seconds=seconds,
    )
    layers = level_layers(
        levels,
        run.clustering,
        run.target,
        without_rims=without_rims,
        memory_bytes=run.space.budget.room,
    )
    counted = [
        tiles_record(
            level.hubs.tiles,
            run.clustering,
            distinct=level.distinct_tiles,
            largest=level.largest_count,
        )
        for level in levels
    ]
    told = [
        {
            "coarsen": level.coarsen,
            "grid": level.hubs.tiles.grid.name,
            **{name: n for name, n in tiles.items() if name != "largest_count"},
            "hubs": len(level.hubs),
            "rims": level.n_rims,
        }
        for level, tiles in zip(levels, counted, strict=True)
    ]
    parts = {
        "tiles": {
            **{name: sum(tiles[name] for tiles in counted) for name in counted[0]},
            "distinct": levels[0].distinct_tiles,
            "largest_count": max(level.largest_count for level in levels),
        },
        "levels": told,
        "hubs": sum(len(level.hubs) for level in levels),
        "rims": sum(level.n_rims for level in levels),
        "without_rims": without_rims,
    }
    return _Found(levels[0].hubs.tiles.grid, layers, parts, seconds)
