"""Explanations of hubs as people and programs read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.explain_place import (
    PIPE_WIDTH,
    change_record,
    many,
    opening_record,
    print_prose,
    tile_record,
    tile_words,
)
from gridcli.cli.summary import print_rich

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.explain.hub import HubExplanation, Join


@dataclass(frozen=True)
class HubAnswer:
    """What holds a hub together; attributes as those of `gridcli.cli.explain_place.PlaceAnswer`."""

    kind: str
    name: str
    found: HubExplanation
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return the answer as ``--json`` prints it."""
        found, split = self.found, self.found.split
        changes: dict[str, Any] = {
            "splits": None,
            "gone": {"tau": change_record(found.gone), "mu": found.tiles + 1},
            "joins": {
                "tau": _join_record(found.by_tau),
                "delta": {**_join_record(found.by_delta), "tried": found.by_delta.tried},
            },
        }
        if split is not None:
            tile = tile_record(split.tile, found.grid)
            changes["splits"] = {"tau": split.tau, "hubs": split.hubs, "weakest": tile}
        return {
            **opening_record(self.kind, self.name, found.grid, found.options),
            "hub_key": found.hub_key,
            "tiles": found.tiles,
            "points": found.points,
            "fullest": tile_record(found.fullest, found.grid),
            "changes": changes,
            "notes": self.notes,
        }

    def show(self) -> None:
        """Print the answer on standard output."""
        from rich.table import Table

        found = self.found
        print_prose(" ".join([*_what(found), *_weakest(found)]))
        click.echo()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("what would change", "from"):
            table.add_column(name)
        for what, since in _changes(self):
            table.add_row(what, since)
        print_rich(table, width=PIPE_WIDTH, standard_output=True)
        for note in self.notes:
            click.echo()
            print_prose(note)


def _join_record(join: Join) -> dict[str, Any]:
    return {**change_record(join.change), "hub_key": join.hub_key}


def _what(found: HubExplanation) -> Iterator[str]:
    """Yield how large the hub is, and where its middle is."""
    options, count = found.options, found.fullest.count or 0
    yield f"Hub {found.hub_key} has {many(found.tiles, 'tile')} with"
    yield f"{many(found.points, 'point')} in all (tau {options.tau:,}, mu {options.mu:,})."
    yield f"Its fullest, with {many(count, 'point')}, is {tile_words(found.fullest, found.grid)}."


def _weakest(found: HubExplanation) -> Iterator[str]:
    """Yield what holds the hub together."""
    split = found.split
    if split is not None:
        yield f"The weakest that holds it together is {tile_words(split.tile, found.grid)}, with"
        yield f"{many(split.tile.count or 0, 'point')}."
    elif found.gone.is_known:
        yield "No single tile holds it together: a larger tau makes it smaller, but never several."


def _changes(answer: HubAnswer) -> Iterator[tuple[str, str]]:
    """Yield what becomes of the hub, and at which value of which parameter."""
    found = answer.found
    if found.split is not None:
        yield f"it is {found.split.hubs:,} hubs", f"tau {found.split.tau:,} on"
    if found.gone.value is not None:
        yield "nothing of it is a hub", f"tau {found.gone.value:,} on"
    yield "it has too few tiles", f"mu {found.tiles + 1:,} on"
    other = found.by_tau
    if other.change.value is not None:
        yield f"it is one with {_name(other)}", f"tau {other.change.value:,} and less"
    elif other.change.is_known:
        yield "it is one with another hub", "no tau does it"
    other = found.by_delta
    if other.change.value is not None:
        yield f"it is one with {_name(other)}", f"delta {other.change.value:,} on"
    else:
        yield "it is one with another hub", f"no delta up to {other.tried:,} does it"


def _name(join: Join) -> str:
    return "a very large hub" if join.hub_key is None else f"hub {join.hub_key}"
