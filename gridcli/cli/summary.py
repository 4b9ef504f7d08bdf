"""What a command says when it is done: a summary for people, and the same as JSON.

A summary is one record; commands differ in which parts it has. Printing and warnings look at the
record alone, so they serve every command.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.screen import write_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gridcli.cli.choices import HubChoice
    from gridcli.grid.grid import Grid
    from gridcli.points.batch import RowCounts
    from gridcli.tiles.tiles import TileBlocks

TEXT_WIDTH = 100
MANY_BAD = 0.1
"""Share of bad rows that is worth a warning."""


def summary_record(
    command: str,
    grid: Grid,
    parts: Mapping[str, Any],
    *,
    seconds: Mapping[str, float],
    files: Iterable[dict[str, Any]],
    rows_read: int | None = None,
) -> dict[str, Any]:
    """Return the summary of a run, as `--summary` writes it.

    Parameters
    ----------
    command : str
    grid : Grid
    parts : mapping
        What this command has to tell, under the keys of docs/contract.md, section 5, in their
        order, e.g. ``tau``, ``inputs``, ``rows``, ``tiles``, ``hubs``, ``threads``.
    seconds : mapping
        Seconds of every stage, in order; their sum is given as ``total``.
    files : iterable of dict
        ``layer``, ``path``, ``format`` and ``rows`` of each file written.
    rows_read : int, optional
        Rows of points that the run has read: then their rate is told.
    """
    from gridcli import __version__
    from gridcli.runtime.footprint import peak_bytes

    total_s = sum(seconds.values())
    record = {
        "gridcli": __version__,
        "command": command,
        "grid": grid.describe(),
        **parts,
        "seconds": {**{k: round(v, 4) for k, v in seconds.items()}, "total": round(total_s, 4)},
    }
    if rows_read is not None:
        record["rows_per_s"] = round(rows_read / total_s) if total_s > 0 else None
    return {**record, "peak_memory_bytes": peak_bytes(), "files": list(files)}


def json_bytes(record: dict[str, Any]) -> bytes:
    """Return a record as indented JSON."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(
        "utf-8", "surrogateescape"
    )


def tiles_record(
    tiles: TileBlocks, clustering: HubChoice, *, distinct: int, largest: int
) -> dict[str, int]:
    """Return how many tiles there are, and how many of them count, by kind where kinds differ."""
    from gridcli.tiles.tiles import tally_kinds

    counting = tally_kinds(tiles) if clustering.is_relaxed else {"significant": len(tiles)}
    return {"distinct": distinct, **counting, "largest_count": largest}


def rows_record(counts: RowCounts) -> dict[str, int]:
    """Return the row counts as one flat record: read = used + all others."""
    return counts.record()


def print_summary(record: dict[str, Any]) -> None:
    """Print the summary of a run on standard error, as a table without lines."""
    print_table(_summary_lines(record))


def print_table(lines: Iterable[tuple[str, str]], *, standard_output: bool = False) -> None:
    """Print pairs of a name and a text in two columns; colours on a terminal only."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, text)
    print_rich(table, width=TEXT_WIDTH, standard_output=standard_output)


def print_rich(table: Any, *, width: int, standard_output: bool) -> None:
    """Print a table of rich's; `width` is that of pipes and files, a terminal has its own."""
    from rich.console import Console

    stream = sys.stdout if standard_output else sys.stderr
    if stream is None:
        return
    known = None if stream.isatty() else width
    console = Console(file=stream, markup=False, highlight=False, emoji=False, width=known)
    with console.capture() as captured:
        console.print(table)
    # rich fills the last column with blanks, which only matter where they are not seen
    text = "".join(line.rstrip() + "\n" for line in captured.get().splitlines())
    if standard_output:
        click.echo(text, nl=False)
    else:
        write_error(text)


def row_lines(rows: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yield the lines about rows: read, used, and each reason that dropped any."""
    yield "rows read", f"{rows['read']:,}"
    yield "used", f"{rows['used']:,}"
    if rows.get("repeated"):
        yield "repeated", f"{rows['repeated']:,} of these"
    for reason, n in rows.items():
        if reason not in {"read", "used", "repeated"} and n:
            yield reason.replace("_", " "), f"{n:,}"


def _grid_text(record: dict[str, Any]) -> str:
    """Return the name of the grid, as hub keys begin, and that of the grid that draws hubs."""
    from gridcli.dims.grid import DimsGrid
    from gridcli.grid.records import grid_of_record

    name = str(record["grid"]["name"])
    if record.get("dims") is not None:
        name = DimsGrid.from_description(grid_of_record(record["grid"]), record["dims"]).name
    if record.get("refine") is None:
        return name
    whole_prec = re.fullmatch(r"([gp])(-?\d+)", name)
    if whole_prec is None:
        return f"{name}, drawn from finer tiles"
    return f"{name}, drawn from {whole_prec[1]}{int(whole_prec[2]) + record['refine']}"


def _summary_lines(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "grid", _grid_text(record)
    if "rows" in record:
        yield from row_lines(record["rows"])
    tiles = record.get("tiles", {})
    if "distinct" in tiles:
        yield "tiles", f"{tiles['distinct']:,}"
    if "significant" in tiles:
        significant = f"{tiles['significant']:,} with at least {record['tau']:,} points"
        yield "significant tiles", significant
    for option in ("window", "epsilon"):
        if record.get(option) is not None and option in tiles:
            yield f"added by {option}", f"{tiles[option]:,}"
    for level in record.get("levels", []):
        found = f"{level['hubs']:,} hubs, {level['significant']:,} significant of"
        yield f"coarsen {level['coarsen']:,}", f"{found} {level['distinct']:,} tiles"
    if "hubs" in record:
        yield "hubs", f"{record['hubs']:,} of at least {record['mu']:,} tiles"
    if "rims" in record:
        kept = "left out" if record["without_rims"] else "of these hubs"
        yield "rims of finer hubs", f"{record['rims']:,} {kept}"
    if "labelled" in record:
        yield "rows in hubs", f"{record['labelled']['in_hubs']:,}"
    seconds = dict(record["seconds"])
    total_s = seconds.pop("total")
    stages = ", ".join(f"{stage} {s:.2f}" for stage, s in seconds.items())
    yield "seconds", f"{total_s:.2f} ({stages})"
    if record.get("rows_per_s") is not None:
        yield "rows per second", f"{record['rows_per_s']:,} with {record['threads']} threads"
    yield "peak memory", f"{record['peak_memory_bytes'] / 1e6:,.0f} MB"
    for file in record["files"]:
        rows = "1 row" if file["rows"] == 1 else f"{file['rows']:,} rows"
        yield file["layer"], f"{file['path']} ({rows})"


def why_no_hub(record: dict[str, Any]) -> str | None:
    """Return why a run found no hub and what to try; None where it found some.

    The caller has dealt with data in which no row is valid.

    Parameters
    ----------
    record : dict
        A summary with ``tau``, ``mu``, ``tiles`` and ``hubs``, and with ``rows`` where the run
        read points.
    """
    if record["hubs"]:
        return None
    tiles, rows = record["tiles"], record.get("rows")
    if rows is not None and rows["read"] == 0:
        return "the inputs hold no rows, so the outputs are empty."
    if rows is not None and rows["used"] == 0:
        return (
            f"all {rows['read']:,} rows were removed by --where or --bbox, so the outputs are "
            "empty. Loosen the filters to see some."
        )
    if tiles["distinct"] == 0:
        return "the state holds no tiles, so the outputs are empty."
    if tiles["significant"] == 0:
        return (
            f"no hub was found: the fullest tile holds {tiles['largest_count']:,} points, fewer "
            f"than --tau {record['tau']:,}. Try larger tiles (--prec or --tile-size), or a --tau "
            f"of at most {tiles['largest_count']}{_several(record['mu'])}.{_few_distinct(rows)}"
        )
    return (
        f"no hub was found: {tiles['significant']:,} tiles hold at least {record['tau']:,} points, "
        f"but no {record['mu']:,} of them adjoin. Try a smaller --mu, a larger --delta, or "
        "larger tiles (--prec or --tile-size)."
    )


def _several(mu: int) -> str:
    """Say that tau is bounded by more than the fullest tile, where a hub has several."""
    return "" if mu == 1 else f": lower, where fewer than {mu:,} adjacent tiles hold as many"


def _few_distinct(rows: Mapping[str, int] | None) -> str:
    """Say what --unique may have to do with tiles of few points; empty where nothing."""
    if rows is None or not rows.get("repeated"):
        return ""
    return (
        f" --unique left out {rows['repeated']:,} rows that repeat others: where coordinates have "
        "few decimals, a tile has few distinct ones."
    )


def many_bad_rows(
    counts: RowCounts,
    rejects: str | None,
    *,
    keeps_noise: bool = False,
    has_dims: bool = False,
) -> str | None:
    """Return a warning where so many rows are bad that the run is hardly what was meant.

    Parameters
    ----------
    counts : RowCounts
    rejects : str or None
        The file that lists the bad rows.
    keeps_noise : bool
        Whether bad rows are written, with their reason.
    has_dims : bool
        Whether columns other than the coordinates can make a row bad.
    """
    from gridcli.points.batch import BAD_REASONS

    if counts.bad <= MANY_BAD * counts.read:
        return None
    worst = max(BAD_REASONS, key=lambda reason: counts.reasons[reason])
    n_worst = counts.reasons[worst]
    share = "most" if 2 * n_worst > counts.bad else f"{n_worst:,}"
    what = "are bad and lie in no hub" if keeps_noise else "are bad and were left out"
    lists = "--rejects FILE lists them" if rejects is None else f"{rejects} lists them"
    cause = "Are the coordinate columns the right ones, and the right way round?"
    if has_dims:
        cause += (
            " Or do the columns of --dims lack values, or hold some beyond the bounds of --range?"
        )
    return (
        f"{counts.bad:,} of {counts.read:,} rows {what}, {share} of them as {worst.label}. "
        f"{lists}; --max-bad makes so many an error. {cause}"
    )
