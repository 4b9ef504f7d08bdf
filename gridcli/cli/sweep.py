"""`gridcli sweep`: what each setting would find in a state."""

from __future__ import annotations

import csv
import io
import math
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.options import resource_options, screen_options
from gridcli.cli.summary import json_bytes, print_rich
from gridcli.cli.values import Count, Counts
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from gridcli.cli.resources import ResourceChoice
    from gridcli.cli.targets import ScreenChoice
    from gridcli.raster.recommend import Recommendation, Weighed
    from gridcli.raster.sweep import Level, Sweep, SweepRow

PIPE_WIDTH = 1000
"""Wider than any row: the lines of a pipe are not folded."""


@click.command()
@click.argument("state", metavar="STATE")
@click.option(
    "--coarsen",
    type=Counts(),
    help="Join so many by so many tiles to one. [default: 1,2,5,10, and on up to tiles of about "
    "100 m]",
)
@click.option(
    "--tau", type=Counts(), default="2,5,10,20,50", show_default=True, help="As for agglomerate."
)
@click.option("--mu", type=Counts(), default="2,4", show_default=True, help="As for agglomerate.")
@click.option(
    "--delta", type=Count(), default=1, show_default=True, help="As for agglomerate; one value."
)
@click.option(
    "--metric",
    type=click.Choice(["chebyshev", "manhattan"]),
    default="chebyshev",
    show_default=True,
    help="As for agglomerate; one value.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no table.")
@click.option(
    "-o", "--output", metavar="FILE", help="Also write the table to a file: .csv or .json."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@resource_options
@screen_options
@click.pass_context
def sweep(
    context: click.Context,
    state: str,
    coarsen: tuple[int, ...] | None,
    tau: tuple[int, ...],
    mu: tuple[int, ...],
    delta: int,
    metric: str,
    output: str | None,
    resources: ResourceChoice,
    screen: ScreenChoice,
    *,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Show what every combination of coarsening, tau and mu would find, and recommend one.

    STATE is a file of tile counts that gridcli contract or merge wrote, or - for standard input.
    The recommendation looks for a knee in the number of tiles over tau, where tiles filled by
    chance end, and for numbers of hubs that hardly depend on the setting.

    \b
    Example:
      gridcli sweep day.state.parquet --coarsen 1,2,10 --tau 2,5,10
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    suffix = None if output is None else _suffix_of(output)

    from gridcli.output.atomic import OutputSet
    from gridcli.raster import sweep as sweeping
    from gridcli.raster.recommend import recommend
    from gridcli.states.sources import opened_state, require_plane

    with ExitStack() as stack:
        outputs = None
        if output is not None:
            read = [] if state == "-" else [Path(state)]
            files = OutputSet([output], overwrite=overwrite, inputs=read)
            outputs = stack.enter_context(files)
        progress = stack.enter_context(closing(screen.make_progress()))
        source = stack.enter_context(opened_state(state, temp_dir=resources.temp_dir))
        require_plane(source, "gridcli sweep")
        found = sweeping.sweep(
            source,
            source.grid,
            sweeping.SweepOptions(
                coarsen or sweeping.default_coarsenings(source.grid), tau, mu, delta, metric
            ),
            resources.workspace,
            progress=progress,
            stop=context.obj,
        )
        advice = recommend(found)
        record = sweep_record(source.name, found, advice)
        if outputs is not None and output is not None:
            outputs[output].write(json_bytes(record) if suffix == ".json" else csv_bytes(found))
            outputs.commit(context.obj.held)
    if as_json:
        click.echo(json_bytes(record), nl=False)
    elif not screen.quiet:
        _print_table(found)
        _print_advice(advice)


def sweep_record(state: str, found: Sweep, advice: Recommendation) -> dict[str, Any]:
    """Return a sweep as ``--json`` prints it."""
    from gridcli import __version__

    setting = advice.setting
    return {
        "gridcli": __version__,
        "command": "sweep",
        "state": state,
        "delta": found.options.delta,
        "metric": found.options.metric,
        "points": found.levels[0].points,
        "levels": [
            _level_record(level, each)
            for level, each in zip(found.levels, advice.weighed, strict=True)
        ],
        "settings": [_named(row, found) for row in found.rows],
        "recommendation": {
            "method": advice.method,
            "coarsen": None if setting is None else setting.coarsen,
            "tau": None if setting is None else setting.tau,
            "mu": None if setting is None else setting.mu,
            "reason": advice.reason,
        },
    }


def csv_bytes(found: Sweep) -> bytes:
    """Return the table as CSV, a line for each setting."""
    text = io.StringIO(newline="")
    rows = [_named(row, found) for row in found.rows]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _level_record(level: Level, weighed: Weighed) -> dict[str, Any]:
    """Return what was weighed of one coarsening, and its curve of tile counts, as JSON."""
    best = weighed.best
    return {
        "coarsen": level.coarsen,
        "grid": level.grid.describe(),
        "distinct": level.distinct,
        "largest_count": int(level.counts[-1]) if level.distinct else 0,
        "knee": None if weighed.knee is None else asdict(weighed.knee),
        "most_stable": None if best is None else {"tau": best.tau, "mu": best.mu},
        "change": weighed.change if math.isfinite(weighed.change) else None,
    }


def _named(row: SweepRow, found: Sweep) -> dict[str, Any]:
    """Return the values of a row under the names of the columns."""
    distinct = {level.coarsen: level.distinct for level in found.levels}
    area = "median_area" if found.levels[0].grid.planar else "median_area_m2"
    return {
        "coarsen": row.coarsen,
        "grid": row.grid,
        "tau": row.tau,
        "mu": row.mu,
        "distinct_tiles": distinct[row.coarsen],
        "significant_tiles": row.significant,
        "hubs": row.hubs,
        "hub_points": row.hub_points,
        "share": row.share,
        area: row.median_area,
        "largest_hub": row.largest_hub,
    }


def _print_table(found: Sweep) -> None:
    """Print the table on standard output."""
    from rich.table import Table

    unit = "" if found.levels[0].grid.planar else " m2"
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ("coarsen", "grid", "tiles", "tau", "significant", "mu", "hubs", "points in hubs")
    for name in (*names, f"median area{unit}", "largest hub"):
        table.add_column(name, justify="right", no_wrap=True)
    distinct = {level.coarsen: level.distinct for level in found.levels}
    for row in found.rows:
        area = "" if row.median_area is None else f"{row.median_area:,.6g}"
        table.add_row(
            f"{row.coarsen:,}",
            row.grid,
            f"{distinct[row.coarsen]:,}",
            f"{row.tau:,}",
            f"{row.significant:,}",
            f"{row.mu:,}",
            f"{row.hubs:,}",
            f"{row.share:.1%}",
            area,
            f"{row.largest_hub:,}",
        )
    print_rich(table, width=PIPE_WIDTH, standard_output=True)


def _print_advice(advice: Recommendation) -> None:
    """Print what was weighed, and the recommendation."""
    from gridcli.raster.recommend import shown_change

    click.echo()
    for weighed in advice.weighed:
        knee = "no knee"
        if weighed.knee is not None:
            knee = f"knee at tau {weighed.knee.tau:,} ({weighed.knee.factor:.2f} times)"
        best = "no hub"
        if weighed.best is not None:
            best = (
                f"most stable with tau {weighed.best.tau:,}, mu {weighed.best.mu:,} "
                f"(the number of hubs {shown_change(weighed.change)})"
            )
        click.echo(f"coarsen {weighed.coarsen:,}: {knee}; {best}")
    setting = advice.setting
    if setting is None:
        click.echo(f"no recommendation: {advice.reason}")
        return
    coarsen = "" if setting.coarsen == 1 else f"--coarsen {setting.coarsen} "
    options = f"{coarsen}--tau {setting.tau} --mu {setting.mu}"
    opening = "recommended"
    if advice.method == "least_bad":
        opening = "no setting is convincing; the least bad"
    click.echo(f"{opening}: {options} ({setting.hubs:,} hubs): {advice.reason}")


def _suffix_of(output: str) -> str:
    """Return the suffix of the file to write."""
    suffix = PurePath(output).suffix.lower()
    if suffix not in {".csv", ".json"}:
        advice = " --json prints to standard output." if output == "-" else ""
        raise UsageError(f"-o {output}: a sweep is written as .csv or .json.{advice}")
    return suffix
