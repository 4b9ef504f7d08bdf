"""`gridcli contract`: from raw files to a state, the counts of all tiles."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.dims import dims_options, dims_record, reading_axes, refuse_out_of_place
from gridcli.cli.options import (
    bad_row_options,
    grid_options,
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
from gridcli.cli.screen import say, warn, warn_of_some
from gridcli.cli.states import (
    opened_addition,
    opened_checkpoint,
    state_file,
    state_options,
    state_rules,
)
from gridcli.cli.summary import (
    json_bytes,
    many_bad_rows,
    print_summary,
    rows_record,
    summary_record,
)
from gridcli.cli.unique import unique_options
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from gridcli.cli.choices import BadRowChoice, GridChoice, InputChoice, PlaceChoice
    from gridcli.cli.dims import DimsChoice
    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.states import StateChoice
    from gridcli.cli.targets import ScreenChoice
    from gridcli.cli.unique import UniqueChoice
    from gridcli.states.build import Addition
    from gridcli.states.checkpoint import Checkpoint
    from gridcli.states.info import StateInfo


@click.command()
@input_options
@place_options
@unique_options
@grid_options
@dims_options
@state_options
@bad_row_options
@resource_options
@screen_options
@summary_option
@click.pass_context
def contract(
    context: click.Context,
    source: InputChoice,
    places: PlaceChoice,
    uniqueness: UniqueChoice,
    size: GridChoice,
    dimensions: DimsChoice,
    target: StateChoice,
    bad_rows: BadRowChoice,
    resources: ResourceChoice,
    screen: ScreenChoice,
    summary: str | None,
) -> None:
    """Count the points of every tile: the first step of RASTER, kept as a state.

    States of the same grid can be merged and subtracted; gridcli agglomerate finds their hubs,
    and gridcli sweep shows what other settings would find, without the points.

    \b
    Example:
      gridcli contract trips/2026-11-20/ --append -o year.state.parquet
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    grid, dims = dimensions.grids(size, planar=source.planar)
    if dims is not None:
        refuse_out_of_place({"--unique": uniqueness.unique})
    places.check(planar=source.planar)
    target.check(source.inputs, lists_rejects=bad_rows.rejects is not None)
    uniqueness.check(is_resumable=target.folder is not None)
    names = [target.output, *(n for n in (bad_rows.rejects, summary) if n is not None)]

    from gridcli.output.atomic import OutputSet
    from gridcli.output.lock import writer_lock
    from gridcli.output.targets import check_targets
    from gridcli.points.reader import PointReader
    from gridcli.points.unchanged import require_unchanged
    from gridcli.raster.counting import RowRules
    from gridcli.states.build import InputChooser, NothingNewError, build_state
    from gridcli.states.checkpoint import check_resumable
    from gridcli.states.compatible import compare_rules
    from gridcli.states.info import StateInfo
    from gridcli.states.sources import check_state_name

    check_state_name(target.output)
    check_targets(names, overwrite=target.overwrite, replaceable=target.replaceable)
    unique = uniqueness.rule
    rules = RowRules(places.keep_null_island, places.bbox, bad_rows.limit(), unique)
    read_options = uniqueness.reading(
        source.read_options(resources, keep_origin=bad_rows.rejects is not None)
    )
    read_options = reading_axes(read_options, dims)
    plan = StateInfo(grid, state_rules(source, places, unique, dims=dims))
    seconds: dict[str, float] = {}
    with (
        writer_lock(target.output),
        closing(screen.make_progress()) as progress,
        opened_addition(target, plan, temp_dir=resources.temp_dir) as addition,
        opened_checkpoint(target, plan) as checkpoint,
        ExitStack() as stack,
    ):
        known = list(addition.kept_inputs)
        if checkpoint is not None:
            known += checkpoint.info.inputs
        chooser = InputChooser(
            known,
            input_id=target.input_id,
            only_new=target.append or target.resume is not None,
            as_often=not target.append,  # as in the run that is resumed
        )
        try:
            reader = stack.enter_context(PointReader(source.inputs, read_options, chooser))
        except NothingNewError:
            _check_nothing_new(target, addition, checkpoint)
            say(f"nothing to add: {target.output} has counted all of the inputs already.")
            if summary is not None and addition.base is not None:
                record = _record(addition.base.info, target, 0, resources.n_threads, seconds)
                with OutputSet([summary], overwrite=target.overwrite) as outputs:
                    outputs[summary].write(json_bytes(record))
                    outputs.commit(context.obj.held)
            return
        plan = StateInfo(grid, state_rules(source, places, unique, reader, dims=dims))
        if checkpoint is not None:
            check_resumable(checkpoint, plan, chooser.all_records)
        differences = []
        if addition.base is not None:
            differences = compare_rules((addition.base.name, addition.base.info), ("new", plan))
        if screen.is_talkative:
            say(f"{reader.choice}.")
            if chooser.n_counted:
                what = (
                    "1 input is" if chooser.n_counted == 1 else f"{chooser.n_counted:,} inputs are"
                )
                say(f"{what} counted already and not read again.")
        outputs = stack.enter_context(
            OutputSet(
                names,
                overwrite=target.overwrite,
                replaceable=[] if addition.base is None else [target.output],
                inputs=[*input_paths(reader), *(state.path for state in addition.minus)],
            )
        )
        space = stack.enter_context(resources.workspace())
        with bad_rows_explained(context, bad_rows, outputs, read_options, reader):
            info = build_state(
                outputs[target.output],
                reader,
                chooser.records,
                plan,
                rules,
                space,
                progress=progress,
                stop=context.obj,
                rejects=make_rejects(bad_rows, outputs, reader),
                addition=addition,
                checkpoint=checkpoint,
                seconds=seconds,
            )
        require_unchanged(reader.inputs, [each.stamp for each in chooser.records])
        record = _record(info, target, len(chooser.records), space.threads, seconds)
        if summary is not None:
            outputs[summary].write(json_bytes(record))
        outputs.commit(context.obj.held)
        if checkpoint is not None:
            checkpoint.remove()
    warn_of_some(reader.notes, "inputs differ from the first in their columns")
    warn_of_outputs_among_inputs(source, names, read_options)
    warn_of_some(differences, "such differences")
    if info.counts.read == 0:
        warn("the inputs hold no rows, so the state is empty.")
    reason = many_bad_rows(info.counts, bad_rows.rejects, has_dims=dims is not None)
    if reason is not None:
        warn(reason)
    if screen.is_talkative:
        print_summary(record)


def _check_nothing_new(
    target: StateChoice, addition: Addition, checkpoint: Checkpoint | None
) -> None:
    """Refuse what cannot be done without anything to read."""
    if addition.minus:
        raise UsageError(
            f"{target.output} has counted all of the inputs already, so there is nothing to "
            "replace by; gridcli merge --subtract takes a state out."
        )
    if checkpoint is not None and target.resume is not None:
        raise UsageError(
            f"nothing is left to read beside what {checkpoint.folder} and {target.output} have "
            "counted, so there is nothing to resume. Append without --resume."
        )


def _record(
    info: StateInfo, target: StateChoice, n_inputs: int, threads: int, seconds: dict[str, float]
) -> dict[str, Any]:
    """Return the summary: of the whole state, which may hold more than this run has read."""
    return summary_record(
        "contract",
        info.grid,
        {
            **dims_record(info.dims),
            "inputs": n_inputs,
            "inputs_in_state": len(info.inputs),
            "rows": rows_record(info.counts),
            "tiles": {"distinct": info.n_tiles, "largest_count": info.largest_count},
            "content_hash": info.content_hash,
            "threads": threads,
        },
        seconds=seconds,
        files=[state_file(target.output, info)],
    )
