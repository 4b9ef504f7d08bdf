"""`gridcli label`: every row with the hub that it lies in."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridcli.cli.labelling import all_columns, labelled_line, row_pass
from gridcli.cli.options import (
    bad_row_options,
    input_options,
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
    label_options,
    row_folder,
    row_target,
)
from gridcli.cli.screen import say, warn, warn_of_some
from gridcli.cli.summary import (
    json_bytes,
    many_bad_rows,
    print_summary,
    rows_record,
    summary_record,
)
from gridcli.errors import GridcliError, InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.cli.choices import BadRowChoice, InputChoice, PlaceChoice
    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.rows import LabelChoice
    from gridcli.cli.targets import ScreenChoice
    from gridcli.grid.grid import Grid
    from gridcli.labelling.run import Labelled
    from gridcli.raster.tilesfile import TilesFile


@click.command()
@click.argument("tiles", metavar="TILES")
@input_options
@place_options
@label_options
@bad_row_options
@resource_options
@screen_options
@summary_option
@click.pass_context
def label(
    context: click.Context,
    tiles: str,
    source: InputChoice,
    places: PlaceChoice,
    target: LabelChoice,
    bad_rows: BadRowChoice,
    resources: ResourceChoice,
    screen: ScreenChoice,
    summary: str | None,
) -> None:
    """Write the rows that lie in hubs, each with its hub_id and hub_key.

    TILES is a file that --tiles wrote. INPUTS are files, folders, quoted globs, @lists of files,
    or - for standard input. Rows keep all their columns and their order; the columns of CSV files
    stay the texts that they are.

    \b
    Example:
      gridcli label tiles.parquet trips/ -o labelled.parquet
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    places.check(planar=source.planar)
    rows = row_target(target.output, target.format, target)
    others = [name for name in (bad_rows.rejects, summary) if name is not None]
    names = others if rows.partition_by else [target.output, *others]

    from gridcli.dims.binning import check_columns
    from gridcli.dims.columns import TileColumns, columns_in_dims
    from gridcli.labelling.membership import HubNames
    from gridcli.output.atomic import OutputSet
    from gridcli.output.targets import check_targets
    from gridcli.points.reader import PointReader
    from gridcli.points.unchanged import require_unchanged, stamps_of
    from gridcli.raster.counting import RowRules
    from gridcli.raster.layers import FORMAT_VERSION
    from gridcli.raster.tilesfile import open_tiles

    check_targets(names, overwrite=target.overwrite)
    check_row_folder(rows, overwrite=target.overwrite)
    try:
        membership = open_tiles(tiles, columns_in_dims)
    except (InputError, UsageError):
        _refuse_swapped(tiles, source.inputs)
        raise
    grid = _grid_for(membership, planar=source.planar)
    dims = membership.tile_keys.dims if isinstance(membership.tile_keys, TileColumns) else None
    rules = RowRules(places.keep_null_island, places.bbox, bad_rows.limit())
    options = source.read_options(resources, keep_origin=bad_rows.rejects is not None)
    options = all_columns(options, dims)
    with (
        closing(screen.make_progress()) as progress,
        resources.workspace() as space,
        PointReader(source.inputs, options) as reader,
        row_folder(
            rows, overwrite=target.overwrite, inputs=[Path(tiles), *input_paths(reader)]
        ) as folder,
        OutputSet(
            names, overwrite=target.overwrite, inputs=[Path(tiles), *input_paths(reader)]
        ) as outputs,
    ):
        if screen.is_talkative:
            say(f"{reader.choice}.")
        stamps = stamps_of(reader.inputs)
        told = {"format_version": FORMAT_VERSION, "grid": grid.describe(), **membership.record}
        if dims is not None:
            check_columns(dims, reader.schema_of_first, reader.inputs[0].name)
        second = row_pass(rows, reader, grid, told, dims)
        before = time.perf_counter()
        blocks = ((block.keys, block.hub) for block in membership.blocks())
        hub_names = HubNames(membership.hub_ids, membership.hub_keys)
        with bad_rows_explained(context, bad_rows, outputs, options, reader):
            labelled = second.write(
                reader,
                blocks,
                hub_names,
                rules,
                folder or outputs[target.output],
                space,
                progress=progress,
                stop=context.obj,
                rejects=make_rejects(bad_rows, outputs, reader),
            )
        require_unchanged(reader.inputs, stamps)
        record = summary_record(
            "label",
            grid,
            {
                "tiles_file": tiles,
                "inputs": len(reader.inputs),
                "rows": rows_record(labelled.counts),
                "labelled": labelled_line(labelled),
                "threads": space.threads,
            },
            seconds={"label": time.perf_counter() - before},
            files=[second.file(labelled)],
            rows_read=labelled.counts.read,
        )
        if summary is not None:
            outputs[summary].write(json_bytes(record))
        outputs.commit(context.obj.held)
    warn_of_some(reader.notes, "inputs differ from the first in their columns")
    warn_of_outputs_among_inputs(source, [target.output, *names], options)
    for reason in (
        _why_no_row(labelled, tiles),
        many_bad_rows(
            labelled.counts,
            bad_rows.rejects,
            keeps_noise=target.keep_noise,
            has_dims=dims is not None,
        ),
    ):
        if reason is not None:
            warn(reason)
    if screen.is_talkative:
        print_summary(record)


def _refuse_swapped(tiles: str, inputs: Sequence[str]) -> None:
    """Refuse a file of tiles in the place of the inputs.

    Raises
    ------
    UsageError
    """
    from gridcli.dims.columns import columns_in_dims
    from gridcli.raster.tilesfile import open_tiles

    try:
        for name in inputs:
            open_tiles(name, columns_in_dims)
    except GridcliError:
        return
    raise UsageError(
        f"TILES comes first, then INPUTS: {inputs[-1]} is a file of tiles, and {tiles} is none."
    )


def _grid_for(tiles: TilesFile, *, planar: bool) -> Grid:
    """Return the grid of the tiles, if the coordinates lie on it.

    Raises
    ------
    UsageError
    """
    grid = tiles.grid
    if grid is None:
        raise UsageError(
            f"{tiles.path} holds no hub, and its format does not tell the grid of its tiles. "
            "Write the tiles as .parquet."
        )
    if grid.planar and not planar:
        raise UsageError(
            f"{tiles.path} holds tiles of a plane ({grid.name}): give --planar, and --x and --y "
            "where the columns have other names."
        )
    if planar and not grid.planar:
        raise UsageError(
            f"{tiles.path} holds tiles of degrees ({grid.name}): leave out --planar, and name the "
            "columns with --lon and --lat."
        )
    return grid


def _why_no_row(labelled: Labelled, tiles: str) -> str | None:
    """Return why no row lies in a hub; None where one does."""
    if labelled.in_hubs:
        return None
    if labelled.counts.read == 0:
        return "the inputs hold no rows, so no row is labelled."
    if labelled.counts.used == 0:
        return f"all {labelled.counts.read:,} rows were removed by --where or --bbox."
    return (
        f"none of the {labelled.counts.used:,} rows lies in a hub of {tiles}. Are these the points "
        "that its hubs were found in?"
    )
