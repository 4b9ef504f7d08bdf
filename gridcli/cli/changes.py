"""Changes of hubs, as `gridcli diff` shows them: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Any

import click

from gridcli import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.diff import Comparison, HubChange
    from gridcli.raster.places import Place
    from gridcli.raster.tilesfile import TilesFile

STYLES = {"appeared": "green", "vanished": "red"}
PIPE_WIDTH = 1000
"""Wider than any row: the lines of a pipe are not folded."""


def changes_record(
    found: Comparison, old: TilesFile, new: TilesFile, thresholds: dict[str, float | None]
) -> dict[str, Any]:
    """Return a comparison as ``--json`` prints it."""
    names = _column_names(planar=found.planar)
    return {
        "gridcli": __version__,
        "command": "diff",
        "old": {"path": old.path, "hubs": found.old_hubs, "record": old.record or None},
        "new": {"path": new.path, "hubs": found.new_hubs, "record": new.record or None},
        "thresholds": thresholds,
        "totals": found.totals,
        "hubs": [dict(zip(names, _values(change), strict=True)) for change in found.changes],
    }


def csv_bytes(found: Comparison) -> bytes:
    """Return the changes as CSV, a line a hub; what is a list in JSON is joined by blanks."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_column_names(planar=found.planar))
    for change in found.changes:
        kinds, *values = _values(change)
        writer.writerow([" ".join(kinds), *values])
    return text.getvalue().encode()


def _column_names(*, planar: bool) -> list[str]:
    x, y, moved = ("x", "y", "moved") if planar else ("lon", "lat", "moved_m")
    return [
        *("changes", "hub_key", "old_key", "split_from", "merged_into"),
        *("old_points", "points", "old_tiles", "tiles"),
        *(moved, f"old_{x}", f"old_{y}", x, y),
    ]


def _values(change: HubChange) -> list[Any]:
    """Return the values of the columns of `_column_names`; None where there is none."""

    def both(attribute: str) -> Iterator[Any]:
        for place in (change.old, change.new):
            yield None if place is None else getattr(place, attribute)

    (old_x, x), (old_y, y) = both("x"), both("y")
    return [
        [kind for kind in change.kinds if kind != "unchanged"],
        change.hub_key,
        change.old_key,
        change.split_from,
        change.merged_into,
        *both("points"),
        *both("tiles"),
        change.moved,
        old_x,
        old_y,
        x,
        y,
    ]


# --- For people -----------------------------------------------------------------------------------


def print_changes(found: Comparison, limit: int) -> None:
    """Print the changes as a table on standard output, and the totals below.

    Parameters
    ----------
    found : Comparison
    limit : int
        Most rows to print; 0: all.
    """
    if sys.stdout is None:
        return
    shown = found.changes[:limit] if limit else found.changes
    if shown:
        _print_table(found, shown)
    if len(shown) < len(found.changes):
        more = len(found.changes) - len(shown)
        click.echo(f"and {more:,} more (--limit 0 prints all)")
    counted = ", ".join(f"{n:,} {kind}" for kind, n in found.totals.items())
    click.echo(f"hubs: {found.old_hubs:,} -> {found.new_hubs:,}: {counted}")


def _print_table(found: Comparison, shown: list[HubChange]) -> None:
    from rich.console import Console
    from rich.table import Table

    x, y, moved = ("x", "y", "moved") if found.planar else ("lon", "lat", "moved m")
    relations = [_relation(change) for change in shown]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("change", no_wrap=True)
    table.add_column("hub", overflow="fold")
    if any(relations):
        table.add_column("other hub", overflow="fold")
    for name in ("points", "tiles", moved, x, y):
        table.add_column(name, justify="right", overflow="fold")
    for change, relation in zip(shown, relations, strict=True):
        place = change.new or change.old
        table.add_row(
            ", ".join(change.kinds),
            change.hub_key,
            *([relation] if any(relations) else []),
            _from_to(change, "points"),
            _from_to(change, "tiles"),
            "" if change.moved is None else f"{change.moved:,.1f}",
            *([] if place is None else [_coordinate(v, found) for v in (place.x, place.y)]),
            style=STYLES.get(change.kinds[0]),
        )
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(markup=False, highlight=False, emoji=False, width=width)
    with console.capture() as captured:
        console.print(table)
    click.echo("".join(line.rstrip() + "\n" for line in captured.get().splitlines()), nl=False)


def _relation(change: HubChange) -> str:
    """Return what the hub has to do with another one of the other file."""
    if change.split_from is not None:
        return f"from {change.split_from}"
    if change.merged_into is not None:
        return f"into {change.merged_into}"
    if change.old_key not in {None, change.hub_key}:
        return f"was {change.old_key}"
    return ""


def _from_to(change: HubChange, attribute: str) -> str:
    old, new = (_number(place, attribute) for place in (change.old, change.new))
    return f"{old:,}" if old == new else f"{old:,} -> {new:,}"


def _number(place: Place | None, attribute: str) -> int:
    """Return points or tiles of a hub; of none, 0."""
    return 0 if place is None else int(getattr(place, attribute))


def _coordinate(value: float, found: Comparison) -> str:
    return f"{value:.10g}" if found.planar else f"{value:.6f}"
