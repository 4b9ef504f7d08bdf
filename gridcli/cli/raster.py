"""`gridcli raster`: from raw files to hubs."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gridcli.cli.dims import (
    dims_options,
    dims_record,
    finder,
    layers_of,
    reading_axes,
    refuse_out_of_place,
)
from gridcli.cli.labelling import row_pass, write_points
from gridcli.cli.layers import write_layers
from gridcli.cli.options import (
    bad_row_options,
    grid_options,
    hub_options,
    input_id_option,
    input_options,
    keys_from_option,
    output_options,
    place_options,
    resource_options,
    screen_options,
    summary_option,
)
from gridcli.cli.reading import (
    bad_rows_explained,
    input_paths,
    make_rejects,
    warn_of_outputs_among_inputs,
)
from gridcli.cli.rows import (
    check_row_folder,
    points_file,
    points_options,
    points_target,
    row_folder,
)
from gridcli.cli.screen import say, warn, warn_of_some
from gridcli.cli.states import state_beside, state_file, state_rules
from gridcli.cli.summary import (
    json_bytes,
    many_bad_rows,
    print_summary,
    rows_record,
    summary_record,
    tiles_record,
    why_no_hub,
)
from gridcli.cli.unique import unique_options
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from gridcli.cli.choices import (
        BadRowChoice,
        GridChoice,
        HubChoice,
        InputChoice,
        PlaceChoice,
    )
    from gridcli.cli.dims import DimsChoice
    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.rows import PointsChoice
    from gridcli.cli.targets import OutputChoice, ScreenChoice
    from gridcli.cli.unique import UniqueChoice


@click.command()
@input_options
@place_options
@unique_options
@grid_options
@dims_options
@hub_options
@output_options
@points_options
@click.option(
    "--state", metavar="FILE", help="Also write the counts of all tiles, as gridcli contract does."
)
@input_id_option
@keys_from_option
@bad_row_options
@resource_options
@screen_options
@summary_option
@click.pass_context
def raster(
    context: click.Context,
    source: InputChoice,
    places: PlaceChoice,
    uniqueness: UniqueChoice,
    size: GridChoice,
    dimensions: DimsChoice,
    clustering: HubChoice,
    target: OutputChoice,
    rows: PointsChoice,
    state: str | None,
    input_id: str | None,
    keys_from: str | None,
    bad_rows: BadRowChoice,
    resources: ResourceChoice,
    screen: ScreenChoice,
    summary: str | None,
) -> None:
    """Find hubs: dense tiles of points, and the clusters that they form.

    INPUTS are files, folders, quoted globs, @lists of files, or - for standard input: CSV, TSV,
    Parquet, GeoParquet, Arrow. Tiles with at least --tau points are significant; at least --mu
    adjacent ones are a hub.

    \b
    Example:
      gridcli raster trips/ --tau 10 -o hubs.geojson --clusters outlines.geojson
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    grid, dims = dimensions.grids(size, planar=source.planar)
    if dims is not None:
        refuse_out_of_place(
            {
                "--window": clustering.window is not None,
                "--epsilon": clustering.epsilon is not None,
                "--refine": clustering.refine is not None,
                "--keys-from": keys_from is not None,
                "--unique": uniqueness.unique,
            }
        )
    counted = clustering.counted_grid(grid)
    places.check(planar=source.planar)
    labelled, target = points_target(rows, target)
    formats = target.formats(planar=source.planar)
    others = (points_file(labelled), state, bad_rows.rejects, summary)
    names = [*target.layers().values(), *(name for name in others if name is not None)]

    from gridcli.output.atomic import OutputSet
    from gridcli.output.lock import writer_lock
    from gridcli.output.targets import check_targets
    from gridcli.points.reader import PointReader
    from gridcli.points.unchanged import require_unchanged, stamps_of
    from gridcli.raster.agglomerate import check_neighbourhood
    from gridcli.raster.counting import RowRules
    from gridcli.raster.layers import gridcli_record
    from gridcli.raster.run import ClusterOptions, timed

    check_neighbourhood(clustering.delta, clustering.metric, grid)
    chooser = None
    if state is not None:
        from gridcli.states.build import InputChooser
        from gridcli.states.sources import check_state_name

        check_state_name(state)
        chooser = InputChooser(input_id=input_id, only_new=False)
    elif input_id is not None:
        raise UsageError("--input-id goes with --state: it names an input that the state counts.")
    check_targets(names, overwrite=target.overwrite)
    check_row_folder(labelled, overwrite=target.overwrite)
    older = None
    if keys_from is not None:
        from gridcli.raster.naming import open_names, take_over

        older = open_names(keys_from, grid)
    options = ClusterOptions(**vars(clustering))
    unique = uniqueness.rule
    rules = RowRules(places.keep_null_island, places.bbox, bad_rows.limit(), unique)
    read_options = uniqueness.reading(
        source.read_options(resources, keep_origin=bad_rows.rejects is not None)
    )
    read_options = reading_axes(read_options, dims)
    read_options = replace(read_options, keep_streams=labelled is not None)
    with (
        nullcontext() if state is None else writer_lock(state),
        closing(screen.make_progress()) as progress,
        resources.workspace() as space,
        PointReader(source.inputs, read_options, chooser) as reader,
        row_folder(labelled, overwrite=target.overwrite, inputs=input_paths(reader)) as folder,
        OutputSet(names, overwrite=target.overwrite, inputs=input_paths(reader)) as outputs,
        state_beside(
            state, outputs, counted, state_rules(source, places, unique, reader, dims=dims)
        ) as writer,
    ):
        if screen.is_talkative:
            say(f"{reader.choice}.")
        stamps = stamps_of(reader.inputs)
        record = gridcli_record(grid, **vars(clustering)) | dims_record(dims)
        second = None if labelled is None else row_pass(labelled, reader, grid, record, dims)
        with bad_rows_explained(context, bad_rows, outputs, read_options, reader):
            result = finder(grid, dims)(
                reader,
                options,
                rules,
                space,
                progress=progress,
                stop=context.obj,
                rejects=make_rejects(bad_rows, outputs, reader),
                each_block=None if writer is None else writer.write,
            )
            hubs = result.hubs if older is None else take_over(result.hubs, older)
        progress.start(None, "write")
        before = time.perf_counter()
        layers = layers_of(hubs, clustering, target, memory_bytes=space.budget.room)
        files = write_layers(layers, target, formats, outputs, threads=space.threads)
        seconds = {**result.seconds, "write": time.perf_counter() - before}
        if second is not None:
            with timed(seconds, "label"):
                points = write_points(
                    second,
                    reader,
                    hubs,
                    rules,
                    read_options,
                    folder or outputs[second.target.path],
                    space,
                    progress=progress,
                    stop=context.obj,
                )
            files.append(points)
            require_unchanged(reader.inputs, stamps)
        if state is not None and writer is not None and chooser is not None:
            info = writer.finish(result.counts, chooser.records)
            require_unchanged(reader.inputs, [each.stamp for each in chooser.records])
            files.append(state_file(state, info))
        record = summary_record(
            "raster",
            grid,
            {
                **vars(clustering),
                **dims_record(dims),
                "inputs": len(reader.inputs),
                "rows": rows_record(result.counts),
                "tiles": tiles_record(
                    hubs.tiles,
                    clustering,
                    distinct=result.distinct_tiles,
                    largest=result.largest_count,
                ),
                "hubs": len(hubs),
                "threads": space.threads,
            },
            seconds=seconds,
            files=files,
            rows_read=result.counts.read,
        )
        if summary is not None:
            outputs[summary].write(json_bytes(record))
        outputs.commit(context.obj.held)
    warn_of_some(reader.notes, "inputs differ from the first in their columns")
    folders = [labelled.path] if labelled is not None and labelled.partition_by else []
    warn_of_outputs_among_inputs(source, [*names, *folders], read_options)
    for reason in (
        why_no_hub(record),
        many_bad_rows(result.counts, bad_rows.rejects, has_dims=dims is not None),
    ):
        if reason is not None:
            warn(reason)
    if screen.is_talkative:
        print_summary(record)
