"""`gridcli merge`: one state of many, exactly."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from gridcli.cli.dims import dims_record
from gridcli.cli.options import resource_options, screen_options, summary_option
from gridcli.cli.screen import warn_of_some
from gridcli.cli.states import state_file
from gridcli.cli.summary import json_bytes, print_summary, summary_record
from gridcli.cli.values import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.targets import ScreenChoice
    from gridcli.output.layer import Sink
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.states.compatible import Combination
    from gridcli.states.file import StateFile
    from gridcli.states.info import StateInfo


@click.command()
@click.argument("arguments", nargs=-1, required=True, metavar="STATES...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="State to write (Parquet), or - for standard output; may be one of STATES.",
)
@click.option(
    "--subtract",
    multiple=True,
    type=Lines(),
    metavar="STATE",
    help="Take out what this state counts. Repeatable.",
)
@click.option("--allow-overlap", is_flag=True, help="Merge states that count the same input.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@resource_options
@screen_options
@summary_option
@click.pass_context
def merge(
    context: click.Context,
    arguments: tuple[str, ...],
    output: str,
    subtract: tuple[str, ...],
    allow_overlap: bool,
    overwrite: bool,
    resources: ResourceChoice,
    screen: ScreenChoice,
    summary: str | None,
) -> None:
    """Add up states, and subtract others.

    STATES are state files, folders of them, quoted globs, @lists of files, or - for standard
    input. The result is the state of all their inputs together, as if they had been contracted at
    once. The last 28 days, from those of yesterday:

    \b
    Example:
      gridcli merge window.parquet new.parquet --subtract old.parquet -o window.parquet --overwrite
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from gridcli.output.atomic import OutputSet
    from gridcli.output.lock import writer_lock
    from gridcli.output.targets import check_targets
    from gridcli.states.compatible import combine
    from gridcli.states.sources import check_state_name, opened_states

    check_state_name(output)
    names = [output] if summary is None else [output, summary]
    check_targets(names, overwrite=overwrite)
    started = time.perf_counter()
    with (
        writer_lock(output),
        closing(screen.make_progress()) as progress,
        resources.workspace() as space,
        opened_states(arguments, temp_dir=resources.temp_dir) as states,
        opened_states(subtract, temp_dir=resources.temp_dir) as minus,
        # The output may be an input: it is replaced when all has been read.
        OutputSet(names, overwrite=overwrite) as outputs,
    ):
        if summary is not None:
            read = [each.path for each in (*states, *minus)]
            check_targets([summary], overwrite=True, inputs=read)
        combination = combine(
            [(state.name, state.info) for state in states],
            [(state.name, state.info) for state in minus],
            allow_overlap=allow_overlap,
        )
        info = _write(
            outputs[output], combination, states, minus, space, progress=progress, stop=context.obj
        )
        record = summary_record(
            "merge",
            info.grid,
            {
                **dims_record(info.dims),
                "states": len(states),
                "subtracted": len(minus),
                "inputs": len(info.inputs),
                "rows": info.counts.record(),
                "tiles": {"distinct": info.n_tiles, "largest_count": info.largest_count},
                "content_hash": info.content_hash,
                "threads": space.threads,
            },
            seconds={"merge": time.perf_counter() - started},
            files=[state_file(output, info)],
        )
        if summary is not None:
            outputs[summary].write(json_bytes(record))
        outputs.commit(context.obj.held)
    warn_of_some(combination.notes, "such differences")
    if screen.is_talkative:
        print_summary(record)


def _write(
    sink: Sink,
    combination: Combination,
    states: Sequence[StateFile],
    minus: Sequence[StateFile],
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
) -> StateInfo:
    """Merge the tiles into a state file, and return what it says of itself."""
    from gridcli.states.build import tiles_named
    from gridcli.states.writer import StateWriter
    from gridcli.tiles.merge import merge_runs

    progress.start(None, "merge")
    merged = merge_runs(
        states,
        minus=minus,
        threads=space.threads,
        stop=stop,
        spill=space.spill,
        memory_bytes=space.budget.room // 2,
    )
    with (
        tiles_named(states[0].info),
        StateWriter(sink, combination.grid, combination.rules) as writer,
    ):
        for keys, counts in merged:
            writer.write(keys, counts)
            progress.advance(0, len(keys))
        return writer.finish(combination.counts, combination.inputs)
