"""Explanations of places as people and programs read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gridcli import __version__
from gridcli.cli.summary import print_rich

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.explain.place import Change, Explanation, Tile

PIPE_WIDTH = 100


@dataclass(frozen=True)
class Answer:
    """What is printed.

    Attributes
    ----------
    kind, name : str
        Of the source.
    found : Explanation
    notes : tuple of str
        Sentences about what the source cannot tell, and which command does.
    """

    kind: str
    name: str
    found: Explanation
    notes: tuple[str, ...]


def place_of(at: tuple[float, float], grid: Grid) -> tuple[float, float]:
    """Return x and y of a place as it was written: LAT,LON, or X,Y on a planar grid."""
    return at if grid.planar else (at[1], at[0])


# --- For programs ---------------------------------------------------------------------------------


def place_record(answer: Answer) -> dict[str, Any]:
    """Return an explanation as ``--json`` prints it."""
    from gridcli.raster.layers import PLANAR_NAMES

    found = answer.found
    x, y = found.place
    options, tile = found.options, found.tile
    sides = {name: getattr(tile, name) for name in ("west", "south", "east", "north")}
    if found.grid.planar:
        sides = {PLANAR_NAMES[name]: value for name, value in sides.items()}
    coarser = found.coarsen.value
    return {
        "gridcli": __version__,
        "command": "explain",
        "source": {"kind": answer.kind, "path": answer.name},
        "at": {"x": x, "y": y} if found.grid.planar else {"lat": y, "lon": x},
        "grid": found.grid.name,
        "tau": options.tau,
        "mu": options.mu,
        "delta": options.delta,
        "metric": options.metric,
        "tile": {
            "tile_x": tile.x,
            "tile_y": tile.y,
            "count": tile.count,
            "kind": found.kind,
            **sides,
        },
        "in_hub": found.is_in_hub,
        "hub_key": found.hub_key,
        "component": {"tiles": found.component[0], "points": found.component[1]},
        "significant_neighbours": found.n_near,
        "neighbours": [
            {"tile_x": each.x, "tile_y": each.y, "count": each.count} for each in found.neighbours
        ],
        "changes": {
            "tau": {"value": found.tau.value, "known": found.tau.is_known},
            "mu": {"value": found.mu.value, "known": found.mu.is_known},
            "coarsen": {
                "value": coarser,
                "known": found.coarsen.is_known,
                "grid": None if coarser is None else found.grid.coarsened(coarser).name,
                "tried": found.tried,
            },
        },
        "notes": answer.notes,
    }


# --- For people -----------------------------------------------------------------------------------


def print_place(answer: Answer) -> None:
    """Print an explanation on standard output."""
    found = answer.found
    click.echo(" ".join([*_where(found), *_why(found)]))
    click.echo()
    _print_neighbours(found)
    click.echo()
    _print_changes(answer)
    for note in answer.notes:
        click.echo()
        click.echo(note)


def _where(found: Explanation) -> Iterator[str]:
    """Yield where the place is, and the answer."""
    x, y = found.place
    tile = found.tile
    axes = ("x", "y") if found.grid.planar else ("longitude", "latitude")
    sides = (_plain(side, 12) for side in (tile.west, tile.east, tile.south, tile.north))
    box = [f"{axes[0]} {next(sides)} to {next(sides)}", f"{axes[1]} {next(sides)} to {next(sides)}"]
    at = [_plain(x), _plain(y)]
    if not found.grid.planar:
        box, at = box[::-1], at[::-1]
    name = ",".join(at)
    yield f"{name} lies in tile {tile.x},{tile.y} of grid {found.grid.name} ({', '.join(box)})."
    yield f"It is in hub {found.hub_key}." if found.is_in_hub else "It is in no hub."


def _why(found: Explanation) -> Iterator[str]:
    """Yield the reasons for the answer."""
    tile, (tiles, points) = found.tile, found.component
    tau, mu = found.options.tau, found.options.mu
    together = f"{_many(tiles, 'tile')} with {_many(points, 'point')} in all"
    if not tiles:
        held = f"fewer than {tau:,} points"
        if tile.count is not None:
            held = _many(tile.count, "point") if tile.count else "no point"
        yield f"Its tile holds {held}, and a significant tile needs at least {tau:,} (tau)."
    else:
        held = _many(tile.count or 0, "point")
        if (tile.count or 0) >= tau:
            yield f"Its tile holds {held}, and is significant: tau asks for {tau:,}."
        else:
            added = f"--{found.kind}" if found.kind else "--window or --epsilon"
            yield f"Its tile holds {held}, fewer than tau ({tau:,}), and counts by {added}."
        enough = "enough for a hub, which needs" if found.is_in_hub else "while a hub needs"
        yield f"It belongs to {together} that hang together, {enough} {_many(mu, 'tile')} (mu)."
    n = found.n_near
    near = f"{n:,} of the tiles around it {'is' if n == 1 else 'are'}" if n else "None around it is"
    yield f"{near} significant (delta {found.options.delta:,}, {found.options.metric})."


def _print_neighbours(found: Explanation) -> None:
    """Print the counts of the tiles around, north at the top."""
    from rich.table import Table

    tau = found.options.tau
    rows: dict[int, list[str]] = {}
    for tile in found.neighbours:
        rows.setdefault(tile.y, []).append(_cell(tile, found))
    width = max(map(len, rows.values()))
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(width):
        table.add_column(justify="center", no_wrap=True)
    for cells in rows.values():
        before = (width - len(cells)) // 2
        table.add_row(*[""] * before, *cells, *[""] * (width - before - len(cells)))
    click.echo(
        f"Points in the tiles around, north at the top; [ ] the place's own, ( ) below tau {tau:,}:"
    )
    print_rich(table, width=PIPE_WIDTH, standard_output=True)


def _cell(tile: Tile, found: Explanation) -> str:
    """Return the count of a tile as the table of neighbours shows it."""
    tau = found.options.tau
    count = f"<{tau:,}" if tile.count is None else f"{tile.count:,}"
    if tile.count is None or tile.count < tau:
        count = f"({count})"
    return f"[{count}]" if (tile.x, tile.y) == (found.tile.x, found.tile.y) else count


def _print_changes(answer: Answer) -> None:
    """Print what each parameter would have to be."""
    from rich.table import Table

    found = answer.found
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("to change the answer", "now", "would have to be"):
        table.add_column(name)
    table.add_row("tau", f"{found.options.tau:,}", _change_of_tau(answer))
    table.add_row("mu", f"{found.options.mu:,}", _change_of_mu(found))
    table.add_row("tiles", found.grid.name, _change_of_tiles(answer))
    print_rich(table, width=PIPE_WIDTH, standard_output=True)


def _change_of_tau(answer: Answer) -> str:
    found = answer.found
    if found.tau.value is not None:
        return _bound(found.tau, found)
    if not found.tau.is_known:
        if answer.kind == "tiles":
            return "not known from a file of tiles"
        return "not known: mu is beyond the tiles that are looked at"
    if not found.tile.count:
        return "no tau does it: a tile without points is never significant"
    mu = _many(found.options.mu, "tile")
    return f"no tau does it: fewer than {mu} with any points hang together here"


def _change_of_mu(found: Explanation) -> str:
    if found.mu.value is not None:
        return _bound(found.mu, found)
    return "no mu does it: the tile is not significant"


def _change_of_tiles(answer: Answer) -> str:
    found = answer.found
    value, tried = found.coarsen.value, found.tried
    if value is not None:
        return f"{found.grid.coarsened(value).name} (--coarsen {value})"
    if tried:
        still = "still in a hub" if found.is_in_hub else "still in none"
        return f"{still} with --coarsen {', '.join(map(str, tried))}"
    if answer.kind == "tiles":
        return "not known from a file of tiles"
    return "not known: these tiles cannot be joined to coarser ones"


def _bound(change: Change, found: Explanation) -> str:
    """Return from which value on the answer is the other one."""
    return f"{change.value:,} or {'more' if found.is_in_hub else 'less'}"


def _plain(value: float, digits: int | None = None) -> str:
    """Return a coordinate without an exponent; with `digits`, without what is below its last."""
    from numpy import format_float_positional

    return format_float_positional(value, precision=digits, fractional=False, trim="-")


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
