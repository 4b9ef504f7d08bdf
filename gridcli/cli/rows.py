"""Options of rows that are written, and where they go."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from gridcli.cli.options import bundle
from gridcli.cli.values import Names, is_standard_stream
from gridcli.errors import UsageError
from gridcli.output.formats import SUFFIXES, format_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridcli.cli.targets import OutputChoice

ROW_FORMATS = ("parquet", "csv", "arrow")


@dataclass(frozen=True)
class RowChoice:
    """How rows are written."""

    keep_noise: bool
    partition_by: tuple[str, ...] | None


@dataclass(frozen=True)
class PointsChoice(RowChoice):
    """Where the rows of a run that finds hubs are written."""

    points: str | None

    def __post_init__(self) -> None:
        if self.points is None and (self.keep_noise or self.partition_by is not None):
            option = "--keep-noise" if self.keep_noise else "--partition-by"
            raise UsageError(f"{option} needs --points: it is about the rows that are written.")


@dataclass(frozen=True)
class LabelChoice(RowChoice):
    """Where labelled rows are written."""

    output: str
    format: str | None
    overwrite: bool


_ROW_OPTIONS = (
    click.option(
        "--keep-noise",
        is_flag=True,
        help="Also write rows in no hub, and bad rows with a reason; those that --where or --bbox "
        "removes are never written.",
    ),
    click.option(
        "--partition-by",
        type=Names(),
        metavar="COL,...",
        help="Write a folder of Parquet files, one folder in it for each value of these columns.",
    ),
)

points_options = bundle(
    "rows",
    PointsChoice,
    click.option(
        "--points",
        metavar="FILE",
        help="Also write the rows in hubs, with all their columns, hub_id and hub_key: .parquet "
        ".csv .arrow, or - for standard output. Reads the inputs twice.",
    ),
    *_ROW_OPTIONS,
)

label_options = bundle(
    "target",
    LabelChoice,
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="File of rows: .parquet .csv .arrow, or - for standard output; with --partition-by "
        "a folder.",
    ),
    click.option(
        "--format", type=click.Choice(ROW_FORMATS), help="Format, where no suffix says it."
    ),
    *_ROW_OPTIONS,
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
)


@dataclass(frozen=True)
class RowTarget:
    """Where rows go, in which format, and which of them.

    Attributes
    ----------
    path : str
    form : str
    keep_noise : bool
    partition_by : tuple of str
        Not empty: the path is a folder.
    """

    path: str
    form: str
    keep_noise: bool
    partition_by: tuple[str, ...]


def row_target(path: str, form: str | None, choice: RowChoice) -> RowTarget:
    """Return the target of rows; refuse formats that hold none.

    Raises
    ------
    UsageError
    """
    if choice.partition_by is not None:
        if is_standard_stream(path) or form not in {None, "parquet"}:
            raise UsageError(
                "--partition-by writes a folder of Parquet files: give the rows a folder's name, "
                "and no other --format."
            )
        if PurePath(path).suffix.lower() in SUFFIXES:
            raise UsageError(
                f"--partition-by writes a folder, and {path} is the name of a file: give a "
                "folder's name, or leave out --partition-by."
            )
        return RowTarget(path, "parquet", choice.keep_noise, choice.partition_by)
    told = format_of(path, form, ROW_FORMATS, ", or a folder with --partition-by")
    if told not in ROW_FORMATS:
        raise UsageError(
            f"Rows are written as {', '.join(ROW_FORMATS)}: {told} has no place for all columns "
            f"of the inputs. Write {path} in another format."
        )
    return RowTarget(path, told, choice.keep_noise, ())


@contextmanager
def row_folder(
    target: RowTarget | None, *, overwrite: bool, inputs: Iterable[Path]
) -> Iterator[Path | None]:
    """Yield the folder in the making that rows are written to; None where it is no folder.

    Raises
    ------
    OutputError
        The folder cannot be written, or holds what may not be replaced.
    UsageError
        An input lies in it.
    """
    if target is None or not target.partition_by:
        yield None
        return
    from gridcli.output.folder import folder_in_the_making

    check_row_folder(target, overwrite=overwrite)
    whole = Path(target.path)
    for path in inputs:
        if whole.resolve() in path.resolve().parents:
            raise UsageError(f"{path} is an input and lies in {whole}, which would be replaced.")
    with folder_in_the_making(whole) as folder:
        yield folder


def check_row_folder(target: RowTarget | None, *, overwrite: bool) -> None:
    """Refuse a folder that may not be replaced, before anything is read.

    Raises
    ------
    OutputError
    """
    if target is None or not target.partition_by:
        return
    from gridcli.labelling.partitions import foreign_entry
    from gridcli.output.folder import check_folder

    check_folder(
        Path(target.path), overwrite=overwrite, foreign=foreign_entry, maker="--partition-by"
    )


def points_target(
    choice: PointsChoice, others: OutputChoice
) -> tuple[RowTarget | None, OutputChoice]:
    """Return the target of ``--points``, if it was asked for, and the choice of other outputs.

    ``--format`` is that of standard output, so where the rows go there it is theirs alone.

    Raises
    ------
    UsageError
    """
    if choice.points is None:
        return None, others
    if is_standard_stream(choice.points) and any(map(is_standard_stream, others.layers().values())):
        raise UsageError("Two outputs go to standard output; give one of them a file.")
    if not is_standard_stream(choice.points):
        return row_target(choice.points, None, choice), others
    return row_target(choice.points, others.format, choice), replace(others, format=None)


def points_file(target: RowTarget | None) -> str | None:
    """Return the file that rows are written to; None where there is none, or it is a folder."""
    return None if target is None or target.partition_by else target.path
