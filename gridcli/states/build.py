"""From points to a state: contraction, and adding to or subtracting from states that exist."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gridcli.dims.columns import TileColumns
from gridcli.dims.run import count_in_dims
from gridcli.errors import DataError, UsageError
from gridcli.raster.counting import count_points
from gridcli.raster.run import timed
from gridcli.runtime.workers import call
from gridcli.states.compatible import combine
from gridcli.states.info import StateInfo
from gridcli.states.provenance import record_inputs, select_new
from gridcli.states.writer import StateWriter
from gridcli.tiles.merge import TooFewPointsError, merge_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.output.layer import Sink
    from gridcli.points.plan import Input
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.counting import RowRules
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.states.checkpoint import Checkpoint
    from gridcli.states.file import StateFile
    from gridcli.states.info import InputRecord

NEW_INPUTS = "the new inputs"


@dataclass(frozen=True)
class Addition:
    """What new points are added to.

    Attributes
    ----------
    base : StateFile or None
        The state so far.
    minus : tuple of StateFile
        What is to be taken away from it: the former content of inputs that are counted anew.
    """

    base: StateFile | None = None
    minus: tuple[StateFile, ...] = ()

    @property
    def kept_inputs(self) -> tuple[InputRecord, ...]:
        """The inputs of the base that are not taken away."""
        if self.base is None:
            return ()
        return combine(
            [(self.base.name, self.base.info)],
            [(state.name, state.info) for state in self.minus],
            allow_overlap=True,
        ).inputs


class InputChooser:
    """Chooses the inputs that are to be counted, and remembers what they were.

    Parameters
    ----------
    known : sequence of InputRecord
        What is counted already.
    input_id : str or None
        What a stream is known by.
    only_new : bool
        Leave out what is counted already; else all inputs are counted.
    as_often : bool
        Inputs of one content count as often as they are given, not once.

    Attributes
    ----------
    records : tuple of InputRecord
        Of the chosen inputs.
    all_records : tuple of InputRecord
        Of all inputs.
    n_counted : int
        Inputs left out.
    """

    def __init__(
        self,
        known: Sequence[InputRecord] = (),
        *,
        input_id: str | None,
        only_new: bool,
        as_often: bool = False,
    ) -> None:
        self._known = known
        self._as_often = as_often
        self._input_id = input_id
        self._only_new = only_new
        self.records: tuple[InputRecord, ...] = ()
        self.all_records: tuple[InputRecord, ...] = ()
        self.n_counted = 0

    def __call__(self, inputs: Sequence[Input]) -> Sequence[Input]:
        """Return the inputs to count.

        Raises
        ------
        DataError
            A counted input has another content now.
        UsageError
            A stream has no id.
        NothingNewError
            All are counted already.
        """
        given = self.records = self.all_records = record_inputs(inputs, input_id=self._input_id)
        if not self._only_new:
            return inputs
        for each in given:
            if each.identity is None:
                raise UsageError(
                    "Whether standard input has been counted already cannot be told; give it a "
                    "name with --input-id."
                )
        found = select_new(self._known, given, as_often=self._as_often)
        if found.changed:
            changed = given[found.changed[0]]
            more = f" (and {len(found.changed) - 1:,} more inputs)" if found.changed[1:] else ""
            raise DataError(
                f"{changed.shown} has changed since it was counted{more}. A state holds sums, from "
                "which one input cannot be taken: contract its former content to a state of its "
                "own and name that with --replace, or contract all inputs anew."
            )
        self.n_counted = len(found.counted)
        self.records = tuple(given[i] for i in found.new)
        if not found.new:
            raise NothingNewError
        return [inputs[i] for i in found.new]


class NothingNewError(Exception):
    """All inputs are counted already."""


def build_state(
    sink: Sink,
    reader: PointReader,
    records: Sequence[InputRecord],
    info: StateInfo,
    rules: RowRules,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
    rejects: RejectsWriter | None = None,
    addition: Addition | None = None,
    checkpoint: Checkpoint | None = None,
    seconds: dict[str, float] | None = None,
) -> StateInfo:
    """Contract all points of a reader, and write the state that they make.

    Parameters
    ----------
    sink : Sink
    reader : PointReader
    records : sequence of InputRecord
        Of the reader's inputs.
    info : StateInfo
        Grid and rules.
    rules : RowRules
    space : Workspace
    progress : Progress
    stop : StopFlag
    rejects : RejectsWriter, optional
    addition : Addition, optional
        Add the points to a state.
    checkpoint : Checkpoint, optional
    seconds : dict, optional
        Receives the time of each stage.

    Returns
    -------
    StateInfo

    Raises
    ------
    DataError
        As `count_points`; an input changed while it was read; a count would fall below 0.
    UsageError
        The state that is added to counts other rows, or some of the same inputs.
    """
    seconds = {} if seconds is None else seconds
    addition = addition or Addition()
    if checkpoint is not None:
        checkpoint.inputs = records
        records = [*checkpoint.info.inputs, *records]
    count = partial(count_points, reader, info.grid)
    if info.dims is not None:
        count = partial(count_in_dims, reader, info.dims)
    with timed(seconds, "contract"):
        table, counts = count(
            rules, space, progress=progress, stop=stop, rejects=rejects, checkpoint=checkpoint
        )
    new = StateInfo(info.grid, info.rules, counts, tuple(records))
    states = [] if addition.base is None else [(addition.base.name, addition.base.info)]
    minus = [(state.name, state.info) for state in addition.minus]
    combined = combine([*states, (NEW_INPUTS, new)], minus)
    progress.start(None, "write")
    with timed(seconds, "sort"):
        runs = call(partial(table.close, threads=space.threads, stop=stop), stop)
        del table
    with (
        timed(seconds, "write"),
        tiles_named(info),
        StateWriter(sink, info.grid, combined.rules) as writer,
    ):
        merged = merge_runs(
            [*runs, *([] if addition.base is None else [addition.base])],
            minus=addition.minus,
            threads=space.threads,
            stop=stop,
            spill=space.spill,
            memory_bytes=space.budget.room,
        )
        for block in merged:
            writer.write(*block)
        return writer.finish(combined.counts, combined.inputs)


@contextmanager
def tiles_named(info: StateInfo) -> Iterator[None]:
    """Name the tile of a state from which more would be subtracted than it holds.

    Raises
    ------
    DataError
    """
    try:
        yield
    except TooFewPointsError as error:
        raise DataError(f"tile {TileColumns(info.dims).shown(error.key)} {error}") from None
