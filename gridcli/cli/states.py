"""Which state a command writes, what it adds to, and how it is safe meanwhile."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.options import bundle, input_id_option
from gridcli.cli.values import Duration, Lines, is_standard_stream
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.choices import InputChoice, PlaceChoice
    from gridcli.dims.grid import DimsGrid
    from gridcli.grid.grid import Grid
    from gridcli.output.atomic import OutputSet
    from gridcli.points.reader import PointReader
    from gridcli.raster.unique.rule import UniqueRule
    from gridcli.states.build import Addition
    from gridcli.states.checkpoint import Checkpoint
    from gridcli.states.info import Rules, StateInfo
    from gridcli.states.writer import StateWriter


USUAL_INTERVAL_S = 300.0
"""Time between checkpoints where none is given."""


@dataclass(frozen=True)
class StateChoice:
    """Which state to write, to add to, and how to be safe meanwhile."""

    output: str
    append: bool
    replace: tuple[str, ...]
    input_id: str | None
    checkpoint: str | None
    resume: str | None
    every: float | None
    overwrite: bool

    def check(self, inputs: tuple[str, ...], *, lists_rejects: bool) -> None:
        """Refuse combinations that make no sense, before anything is read or written."""
        if self.append and is_standard_stream(self.output):
            raise UsageError("--append adds to a file; standard output (-) holds no state yet.")
        if self.append and self.overwrite:
            raise UsageError(
                "--append adds to the state and --overwrite replaces it: give one of them."
            )
        if self.replace and not self.append:
            raise UsageError("--replace goes with --append: it takes out what is counted anew.")
        if self.checkpoint is not None and self.resume is not None:
            raise UsageError(
                "--checkpoint begins anew and --resume goes on: give one of them. A resumed run "
                "goes on saving to the same folder."
            )
        if self.folder is None:
            if self.every is not None:
                raise UsageError(
                    "--every says how often to save a checkpoint: add --checkpoint DIR, or leave "
                    "it out."
                )
            return
        if "-" in inputs:
            raise UsageError(
                "A run that reads standard input cannot be resumed, for what was read of it is "
                "gone. Write it to a file first."
            )
        if lists_rejects:
            raise UsageError(
                "--rejects does not go with --checkpoint and --resume: the list would lack the "
                "rows read before an interruption."
            )

    @property
    def replaceable(self) -> list[str]:
        """The output, if it may be there already and is replaced."""
        return [self.output] if self.append else []

    @property
    def folder(self) -> Path | None:
        """Where the checkpoint is."""
        name = self.resume or self.checkpoint
        return None if name is None else Path(name)


state_options = bundle(
    "target",
    StateChoice,
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="State to write (Parquet), or - for standard output.",
    ),
    click.option(
        "--append",
        is_flag=True,
        help="Add to the state if it exists; inputs that it has counted are left out.",
    ),
    click.option(
        "--replace",
        multiple=True,
        type=Lines(),
        metavar="STATE",
        help="With --append, first take out what this state counts: the former content of inputs "
        "that have changed. Repeatable.",
    ),
    input_id_option,
    click.option(
        "--checkpoint", metavar="DIR", help="Save what is counted to a folder, now and then."
    ),
    click.option("--resume", metavar="DIR", help="Go on from a --checkpoint of the same run."),
    click.option(
        "--every",
        type=Duration(),
        help="Time between checkpoints, which come at ends of inputs. [default: 5m]",
    ),
    click.option("--overwrite", is_flag=True, help="Replace an output that exists."),
)


def state_rules(
    source: InputChoice,
    places: PlaceChoice,
    unique: UniqueRule | None,
    reader: PointReader | None = None,
    *,
    dims: DimsGrid | None = None,
) -> Rules:
    """Return the population rules of a run; the columns are known once its reader is open."""
    from gridcli.states.info import Rules

    columns: tuple[str, ...] = ()
    if reader is not None:
        choice = reader.first_choice
        columns = tuple(name for name in (choice.x, choice.y, choice.geometry) if name is not None)
    keeps = places.keep_null_island
    axes = () if dims is None else dims.axes
    return Rules(columns, source.where, places.bbox, source.scale, keeps, unique, axes)


@contextmanager
def opened_addition(
    target: StateChoice, info: StateInfo, *, temp_dir: str | None
) -> Iterator[Addition]:
    """Open the state to add to, if there is one, and those to take out; they must fit the run.

    Raises
    ------
    UsageError
        Grid or rules differ, or there is nothing to take out from.
    """
    from gridcli.states.build import Addition
    from gridcli.states.compatible import THIS_RUN, compare_rules
    from gridcli.states.sources import opened_state, opened_states

    with ExitStack() as stack:
        if not (target.append and Path(target.output).exists()):
            if target.replace:
                raise UsageError(f"{target.output} does not exist: --replace has nothing to do.")
            yield Addition()
            return
        base = stack.enter_context(opened_state(target.output, temp_dir=temp_dir))
        compare_rules(
            (base.name, base.info),
            (THIS_RUN, info),
            otherwise="write another state with -o",
        )
        minus = stack.enter_context(opened_states(target.replace, temp_dir=temp_dir))
        yield Addition(base, tuple(minus))


@contextmanager
def opened_checkpoint(target: StateChoice, info: StateInfo) -> Iterator[Checkpoint | None]:
    """Open the checkpoint that was asked for."""
    from gridcli.states.checkpoint import new_checkpoint, resumed_checkpoint

    folder = target.folder
    if folder is None:
        yield None
        return
    open_it = new_checkpoint if target.resume is None else resumed_checkpoint
    every_s = USUAL_INTERVAL_S if target.every is None else target.every
    with open_it(folder, info, every_s=every_s) as checkpoint:
        yield checkpoint


@contextmanager
def state_beside(
    name: str | None, outputs: OutputSet, grid: Grid, rules: Rules
) -> Iterator[StateWriter | None]:
    """Open the writer of a state that is written beside hubs; None where none was asked for."""
    from gridcli.states.writer import StateWriter

    if name is None:
        yield None
        return
    with StateWriter(outputs[name], grid, rules) as writer:
        yield writer


def state_file(name: str, info: StateInfo) -> dict[str, Any]:
    """Return what a summary says of a state that was written."""
    return {"layer": "state", "path": name, "format": "parquet", "rows": info.n_tiles}
