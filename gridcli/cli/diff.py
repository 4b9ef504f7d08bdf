"""`gridcli diff`: what has become of the hubs since an earlier run."""

from __future__ import annotations

import re
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.changes import changes_record, csv_bytes, print_changes
from gridcli.cli.screen import warn
from gridcli.cli.summary import json_bytes
from gridcli.cli.values import Count
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.tilesfile import TilesFile

DIFFERENCES_FOUND = 10
"""Exit code of ``--exit-code`` (docs/contract.md, section 5)."""
NOT_PARAMETERS = ("format_version", "grid")
"""What a record holds besides the parameters that a run was made with."""


class Share(click.ParamType[Fraction]):
    """A share in percent: 10%, 0.5%, 150%."""

    name = "P%"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction:
        """Return the share as a fraction of 1."""
        if isinstance(value, Fraction):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*%", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a share such as 10% or 0.5%.", param, ctx)
        return Fraction(match[1]) / 100


class Distance(click.ParamType[float]):
    """A distance in metres: 25, 25m, 1.5km; of planar files in their units."""

    name = "metres"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the distance in metres."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(k?)m?", str(value).strip())
        if match is None or str(value).strip().endswith("k"):
            self.fail(f"{value!r} is not a distance such as 25, 25m or 1.5km.", param, ctx)
        return float(match[1]) * (1000 if match[2] else 1)


@click.command()
@click.argument("old", metavar="OLD_TILES")
@click.argument("new", metavar="NEW_TILES")
@click.option(
    "--move-threshold",
    type=Distance(),
    help="A hub has moved if its centroid is further than this from where it was; of planar "
    "files in their units. [default: the height of a tile]",
)
@click.option(
    "--change-threshold",
    type=Share(),
    default="10%",
    show_default=True,
    help="A hub has grown or shrunk if its points changed by more than this.",
)
@click.option("--all", "with_unchanged", is_flag=True, help="List unchanged hubs too.")
@click.option(
    "--limit",
    type=Count(),
    default=50,
    show_default=True,
    help="Rows of the table; 0 for all. Files and --json hold all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no table.")
@click.option(
    "-o", "--output", metavar="FILE", help="Also write the changes to a file: .json or .csv."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--exit-code", is_flag=True, help="Exit with 10 where there are differences, with 0 else."
)
@click.option("-q", "--quiet", is_flag=True, help="Print no table; warnings stay.")
@click.pass_context
def diff(
    context: click.Context,
    old: str,
    new: str,
    move_threshold: float | None,
    change_threshold: Fraction,
    limit: int,
    output: str | None,
    *,
    with_unchanged: bool,
    as_json: bool,
    overwrite: bool,
    exit_code: bool,
    quiet: bool,
) -> None:
    """Show hubs that appeared, vanished, moved, grew or shrank.

    OLD_TILES and NEW_TILES are files that --tiles wrote, on the same grid. A hub is found again
    by its hub_key, or else by the tiles that it shares with a hub of the other file.

    \b
    Example:
      gridcli diff monday-tiles.parquet tuesday-tiles.parquet
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    form = None if output is None else _format_of(output)

    import pyarrow as pa

    from gridcli.output.atomic import OutputSet
    from gridcli.raster.diff import compare
    from gridcli.raster.tilesfile import open_tiles

    pa.enable_signal_handlers(False)  # they would hold back ours while a block is read
    with ExitStack() as stack:
        outputs = None
        if output is not None:
            files = OutputSet([output], overwrite=overwrite, inputs=map(Path, (old, new)))
            outputs = stack.enter_context(files)
        before, after = open_tiles(old), open_tiles(new)
        found = compare(
            before,
            after,
            move_threshold=move_threshold,
            change_threshold=change_threshold,
            with_unchanged=with_unchanged,
        )
        for message in _reservations(before, after):
            warn(message)
        document = b""
        if as_json or form == ".json":
            thresholds = {"move": move_threshold, "change": float(change_threshold)}
            document = json_bytes(changes_record(found, before, after, thresholds))
        if outputs is not None and output is not None:
            outputs[output].write(document if form == ".json" else csv_bytes(found))
            outputs.commit(context.obj.held)
    if as_json:
        click.echo(document, nl=False)
    elif not quiet:
        print_changes(found, limit)
    if exit_code and found.has_differences:
        context.exit(DIFFERENCES_FOUND)


def _format_of(output: str) -> str:
    """Return the suffix of the file to write."""
    suffix = PurePath(output).suffix.lower()
    if suffix not in {".json", ".csv"}:
        advice = " --json prints to standard output." if output == "-" else ""
        raise UsageError(f"-o {output}: changes are written as .json or .csv.{advice}")
    return suffix


def _reservations(old: TilesFile, new: TilesFile) -> Iterator[str]:
    """Yield what makes the comparison less than one of like with like."""
    if old.record and new.record:
        names = [n for n in {**old.record, **new.record} if n not in NOT_PARAMETERS]
        told = [
            f"{name} {old.record.get(name)} and {new.record.get(name)}"
            for name in names
            if old.record.get(name) != new.record.get(name)
        ]
        if told:
            yield (
                f"the files were made with different parameters ({', '.join(told)}), which may "
                "be all that the differences come from."
            )
    for file in (old, new):
        if file.grid is None:
            yield f"{file.path} holds no hub, and nothing that tells its grid."
