"""Explanations of places as people and programs read them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gridcli import __version__
from gridcli.cli.screen import wrapped
from gridcli.cli.summary import print_rich

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.explain.place import Change, Explanation, Tile
    from gridcli.raster.run import ClusterOptions

PIPE_WIDTH = 100


@dataclass(frozen=True)
class PlaceAnswer:
    """Why a place is in a hub or in none.

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

    def record(self) -> dict[str, Any]:
        """Return the answer as ``--json`` prints it."""
        return _record(self)

    def show(self) -> None:
        """Print the answer on standard output."""
        _show(self)


def place_of(at: tuple[float, float], grid: Grid) -> tuple[float, float]:
    """Return x and y of a place as it was written: LAT,LON, or X,Y on a planar grid."""
    return at if grid.planar else (at[1], at[0])


# --- For programs ---------------------------------------------------------------------------------


def opening_record(kind: str, name: str, grid: Grid, options: ClusterOptions) -> dict[str, Any]:
    """Return what all answers of RASTER begin with: what was asked, of which source."""
    return {
        "gridcli": __version__,
        "command": "explain",
        "source": {"kind": kind, "path": name},
        "grid": grid.name,
        "tau": options.tau,
        "mu": options.mu,
        "delta": options.delta,
        "metric": options.metric,
    }


def tile_record(tile: Tile, grid: Grid) -> dict[str, Any]:
    """Return a tile and its edges."""
    from gridcli.raster.layers import PLANAR_NAMES

    sides = {name: getattr(tile, name) for name in ("west", "south", "east", "north")}
    if grid.planar:
        sides = {PLANAR_NAMES[name]: value for name, value in sides.items()}
    return {"tile_x": tile.x, "tile_y": tile.y, "count": tile.count, **sides}


def change_record(change: Change) -> dict[str, Any]:
    """Return the value at which an answer changes, and whether that is all there is to know."""
    return {"value": change.value, "known": change.is_known}


def _record(answer: PlaceAnswer) -> dict[str, Any]:
    found = answer.found
    x, y = found.place
    coarser = found.coarsen.value
    return {
        **opening_record(answer.kind, answer.name, found.grid, found.options),
        "at": {"x": x, "y": y} if found.grid.planar else {"lat": y, "lon": x},
        "tile": {**tile_record(found.tile, found.grid), "kind": found.kind},
        "in_hub": found.is_in_hub,
        "hub_key": found.hub_key,
        "component": {"tiles": found.component[0], "points": found.component[1]},
        "significant_neighbours": found.n_near,
        "neighbours": [
            {"tile_x": each.x, "tile_y": each.y, "count": each.count} for each in found.neighbours
        ],
        "changes": {
            "tau": change_record(found.tau),
            "mu": change_record(found.mu),
            "coarsen": {
                **change_record(found.coarsen),
                "grid": None if coarser is None else found.grid.coarsened(coarser).name,
                "tried": found.tried,
            },
        },
        "notes": answer.notes,
    }


# --- For people -----------------------------------------------------------------------------------


def _show(answer: PlaceAnswer) -> None:
    found = answer.found
    print_prose(" ".join([*_where(found), *_why(found)]))
    click.echo()
    _print_neighbours(found)
    click.echo()
    _print_changes(answer)
    for note in answer.notes:
        click.echo()
        print_prose(note)


def print_prose(text: str) -> None:
    """Print a paragraph on standard output."""
    click.echo(wrapped(text, sys.stdout))


def _where(found: Explanation) -> Iterator[str]:
    """Yield where the place is, and the answer."""
    at = [plain(coordinate) for coordinate in found.place]
    place = ",".join(at if found.grid.planar else at[::-1])
    yield f"{place} lies in {tile_words(found.tile, found.grid)}."
    yield f"It is in hub {found.hub_key}." if found.is_in_hub else "It is in no hub."


def tile_words(tile: Tile, grid: Grid) -> str:
    """Return a tile and where it lies."""
    axes = ("x", "y") if grid.planar else ("longitude", "latitude")
    sides = [plain(side, 12) for side in (tile.west, tile.east, tile.south, tile.north)]
    box = [f"{axes[0]} {sides[0]} to {sides[1]}", f"{axes[1]} {sides[2]} to {sides[3]}"]
    told = ", ".join(box if grid.planar else box[::-1])
    return f"tile {tile.x},{tile.y} of grid {grid.name} ({told})"


def _why(found: Explanation) -> Iterator[str]:
    """Yield the reasons for the answer."""
    tile, (tiles, points) = found.tile, found.component
    tau, mu = found.options.tau, found.options.mu
    together = f"{many(tiles, 'tile')} with {many(points, 'point')} in all"
    if not tiles:
        held = f"fewer than {tau:,} points"
        if tile.count is not None:
            held = many(tile.count, "point") if tile.count else "no point"
        yield f"Its tile holds {held}, and a significant tile needs at least {tau:,} (tau)."
    else:
        held = many(tile.count or 0, "point")
        if (tile.count or 0) >= tau:
            yield f"Its tile holds {held}, and is significant: tau asks for {tau:,}."
        else:
            added = f"--{found.kind}" if found.kind else "--window or --epsilon"
            yield f"Its tile holds {held}, fewer than tau ({tau:,}), and counts by {added}."
        enough = "enough for a hub, which needs" if found.is_in_hub else "while a hub needs"
        yield f"It belongs to {together} that hang together, {enough} {many(mu, 'tile')} (mu)."
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
    print_prose(
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


def _print_changes(answer: PlaceAnswer) -> None:
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


def _change_of_tau(answer: PlaceAnswer) -> str:
    found = answer.found
    if found.tau.value is not None:
        return _bound(found.tau, found)
    if not found.tau.is_known:
        if answer.kind == "tiles":
            return "not known from a file of tiles"
        return "not known: mu is beyond the tiles that are looked at"
    if not found.tile.count:
        return "no tau does it: a tile without points is never significant"
    mu = many(found.options.mu, "tile")
    return f"no tau does it: fewer than {mu} with any points hang together here"


def _change_of_mu(found: Explanation) -> str:
    if found.mu.value is not None:
        return _bound(found.mu, found)
    return "no mu does it: the tile is not significant"


def _change_of_tiles(answer: PlaceAnswer) -> str:
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


def plain(value: float, digits: int | None = None) -> str:
    """Return a coordinate without an exponent; with `digits`, without what is below its last."""
    from numpy import format_float_positional

    return format_float_positional(value, precision=digits, fractional=False, trim="-")


def many(n: int, what: str) -> str:
    """Return a number of things: 1 tile, 2 tiles."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
