"""What commands that read points have in common: what they say of columns and of bad rows."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gridcli.cli.correction import corrected_command
from gridcli.cli.exits import ARGUMENTS
from gridcli.cli.screen import warn_of_some
from gridcli.errors import DataError, GridcliError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import click

    from gridcli.cli.choices import BadRowChoice, InputChoice
    from gridcli.output.atomic import OutputSet
    from gridcli.points.plan import ReadOptions
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.counting import NoValidRowError


def input_paths(reader: PointReader) -> Iterator[Path]:
    """Yield the files that are read, which no output may be."""
    return (each.path for each in reader.inputs if each.path is not None)


def warn_of_outputs_among_inputs(
    source: InputChoice, outputs: Sequence[str], options: ReadOptions
) -> None:
    """Warn of outputs, now written, that the same inputs would lead to in another run."""
    from gridcli.points.sources import read_next_time

    notes = []
    with suppress(GridcliError, OSError):  # the run has succeeded, whatever happens to its inputs
        notes = [
            f"{name} lies among the inputs, so another run would read it as one. Write it "
            "elsewhere, or give it or its folder a name that begins with _"
            for name in read_next_time(source.inputs, outputs, options)
        ]
    warn_of_some(notes, "outputs lie among the inputs")


def make_rejects(
    bad_rows: BadRowChoice, outputs: OutputSet, reader: PointReader
) -> RejectsWriter | None:
    """Return the writer of `--rejects`, if it was asked for."""
    from gridcli.points.rejects import RejectsWriter

    if bad_rows.rejects is None:
        return None
    return RejectsWriter(outputs[bad_rows.rejects].write, reader.inputs)


@contextmanager
def bad_rows_explained(
    context: click.Context,
    bad_rows: BadRowChoice,
    outputs: OutputSet,
    options: ReadOptions,
    reader: PointReader,
) -> Iterator[None]:
    """Turn what is wrong with the rows into advice, and publish the rejects: they are needed now.

    Raises
    ------
    DataError
    """
    from gridcli.raster.counting import NoValidRowError, TooManyBadRowsError

    try:
        yield
    except NoValidRowError as error:
        _keep_rejects(bad_rows, outputs, context)
        raise _with_correction(error, context, options, reader) from None
    except TooManyBadRowsError as error:
        _keep_rejects(bad_rows, outputs, context)
        listed = "lists" if bad_rows.rejects else "FILE would list"
        where = f" {bad_rows.rejects}" if bad_rows.rejects else ""
        raise DataError(
            f"{error} Nothing else was written. --rejects{where} {listed} the bad rows."
        ) from None


def _keep_rejects(bad_rows: BadRowChoice, outputs: OutputSet, context: click.Context) -> None:
    if bad_rows.rejects is not None:
        outputs.commit(context.obj.held, only=[bad_rows.rejects])


def _with_correction(
    error: NoValidRowError, context: click.Context, options: ReadOptions, reader: PointReader
) -> DataError:
    """Return the error with the command that the user may have meant, if one can be told."""
    from gridcli.points.diagnose import suggest

    sample = error.sample
    suggestion = None if sample is None else suggest(sample, options, reader.first_choice)
    if suggestion is None:
        advice = "gridcli inspect shows what the inputs hold."
    else:
        command = corrected_command(context.find_root().meta[ARGUMENTS], suggestion)
        advice = f"With other options they would be valid; try: {command}"
    return DataError(f"{error} {advice}")
