"""Changes of hubs, as `gridcli diff` shows them: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

import click

from gridcli import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.diff import Comparison, HubChange
    from gridcli.raster.places import Place
    from gridcli.raster.tilesfile import TilesFile

COLOURS = {"appeared": "green", "vanished": "red"}
N_NAMES = 2
"""Columns of names, before those of numbers."""


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
    shown = found.changes[:limit] if limit else found.changes
    for line in _table(found, shown):
        # Colours are for terminals alone: click leaves them out elsewhere.
        click.echo(line, color=False if os.environ.get("NO_COLOR") else None)
    if len(shown) < len(found.changes):
        more = len(found.changes) - len(shown)
        click.echo(f"and {more:,} more (--limit 0 prints all)")
    counted = ", ".join(f"{n:,} {kind}" for kind, n in found.totals.items())
    click.echo(f"hubs: {found.old_hubs:,} -> {found.new_hubs:,}: {counted}")


def _table(found: Comparison, shown: list[HubChange]) -> Iterator[str]:
    """Yield the lines of the table; none for no change."""
    if not shown:
        return
    x, y, moved = ("x", "y", "moved") if found.planar else ("lon", "lat", "moved m")
    header = ("change", "hub", "points", "tiles", moved, x, y, "")
    rows = [header, *(_row(change, found) for change in shown)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    colours = [None, *(COLOURS.get(change.kinds[0]) for change in shown)]
    for row, colour in zip(rows, colours, strict=True):
        cells = [
            cell.rjust(width) if N_NAMES <= i < len(row) - 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield click.style("  ".join(cells).rstrip(), fg=colour, bold=row is header)


def _row(change: HubChange, found: Comparison) -> tuple[str, ...]:
    place = change.new or change.old
    position = (place.x, place.y) if place is not None else ()
    return (
        ", ".join(change.kinds),
        change.hub_key,
        _from_to(change, "points"),
        _from_to(change, "tiles"),
        "" if change.moved is None else f"{change.moved:,.1f}",
        *(f"{value:.10g}" if found.planar else f"{value:.5f}" for value in position),
        _relation(change),
    )


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
