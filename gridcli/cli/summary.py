"""What a run of RASTER says when it is done: a summary for people, and the same as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.screen import write_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridcli.points.batch import RowCounts
    from gridcli.raster.run import RasterOptions, RasterResult

TEXT_WIDTH = 100
MANY_BAD = 0.1
"""Share of bad rows that is worth a warning."""


def summary_record(
    result: RasterResult,
    options: RasterOptions,
    *,
    n_inputs: int,
    seconds: dict[str, float],
    files: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Return the summary of a run, as `--summary` writes it.

    Parameters
    ----------
    seconds : dict
        Seconds of every stage, in order; their sum is given as ``total``.
    files : iterable of dict
        ``layer``, ``path``, ``format`` and ``rows`` of each file written.
    """
    from gridcli import __version__
    from gridcli.runtime.footprint import peak_bytes

    total_s = sum(seconds.values())
    return {
        "gridcli": __version__,
        "command": "raster",
        "grid": result.hubs.tiles.grid.describe(),
        "tau": options.tau,
        "mu": options.mu,
        "delta": options.delta,
        "metric": options.metric,
        "inputs": n_inputs,
        "rows": rows_record(result.counts),
        "tiles": {
            "distinct": result.distinct_tiles,
            "significant": len(result.hubs.tiles),
            "largest_count": result.largest_count,
        },
        "hubs": len(result.hubs),
        "threads": options.threads,
        "seconds": {**{k: round(v, 4) for k, v in seconds.items()}, "total": round(total_s, 4)},
        "rows_per_s": round(result.counts.read / total_s) if total_s > 0 else None,
        "peak_memory_bytes": peak_bytes(),
        "files": list(files),
    }


def json_bytes(record: dict[str, Any]) -> bytes:
    """Return a record as indented JSON."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(
        "utf-8", "surrogateescape"
    )


def rows_record(counts: RowCounts) -> dict[str, int]:
    """Return the row counts as one flat record: read = used + all others."""
    return {
        "read": counts.read,
        "used": counts.used,
        **{reason.label: n for reason, n in counts.reasons.items()},
    }


def print_summary(record: dict[str, Any]) -> None:
    """Print the summary of a run on standard error, as a table without lines."""
    print_table(_summary_lines(record))


def print_table(lines: Iterable[tuple[str, str]], *, standard_output: bool = False) -> None:
    """Print pairs of a name and a text in two columns; colours on a terminal only."""
    from rich.console import Console
    from rich.table import Table

    stream = sys.stdout if standard_output else sys.stderr
    if stream is None:
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, text)
    width = None if stream.isatty() else TEXT_WIDTH
    console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width)
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
    for reason, n in rows.items():
        if reason not in {"read", "used"} and n:
            yield reason.replace("_", " "), f"{n:,}"


def _summary_lines(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from row_lines(record["rows"])
    tiles = record["tiles"]
    yield "tiles", f"{tiles['distinct']:,}"
    yield "significant tiles", f"{tiles['significant']:,} with at least {record['tau']:,} points"
    yield "hubs", f"{record['hubs']:,} of at least {record['mu']:,} tiles"
    seconds = dict(record["seconds"])
    total_s = seconds.pop("total")
    stages = ", ".join(f"{stage} {s:.2f}" for stage, s in seconds.items())
    yield "seconds", f"{total_s:.2f} ({stages})"
    if record["rows_per_s"] is not None:
        yield "rows per second", f"{record['rows_per_s']:,} with {record['threads']} threads"
    yield "peak memory", f"{record['peak_memory_bytes'] / 1e6:,.0f} MB"
    for file in record["files"]:
        rows = "1 row" if file["rows"] == 1 else f"{file['rows']:,} rows"
        yield file["layer"], f"{file['path']} ({rows})"


def why_no_hub(result: RasterResult, options: RasterOptions) -> str | None:
    """Return why a run found no hub and what to try; None where it found some.

    The caller has dealt with data in which no row is valid.
    """
    counts = result.counts
    if len(result.hubs):
        return None
    if counts.read == 0:
        return "the inputs hold no rows, so the outputs are empty."
    if counts.used == 0:
        return (
            f"all {counts.read:,} rows were removed by --where or --bbox, so the outputs are "
            "empty. Loosen the filters to see some."
        )
    if len(result.hubs.tiles) == 0:
        return (
            f"no hub was found: the fullest tile holds {result.largest_count:,} points, fewer "
            f"than --tau {options.tau:,}. Try a coarser --prec (larger tiles) or "
            f"--tau {result.largest_count}."
        )
    return (
        f"no hub was found: {len(result.hubs.tiles):,} tiles hold at least {options.tau:,} points, "
        f"but no {options.mu:,} of them adjoin. Try a smaller --mu, a larger --delta, or a coarser "
        "--prec (larger tiles)."
    )


def many_bad_rows(result: RasterResult) -> str | None:
    """Return a warning where so many rows are bad that the run is hardly what was meant."""
    from gridcli.points.batch import BAD_REASONS

    counts = result.counts
    if counts.bad <= MANY_BAD * counts.read:
        return None
    worst = max(BAD_REASONS, key=lambda reason: counts.reasons[reason])
    return (
        f"{counts.bad:,} of {counts.read:,} rows are bad and were left out, most of them as "
        f"{worst.label}. --rejects FILE lists them; --max-bad makes so many an error. Are the "
        "coordinate columns the right ones, and the right way round?"
    )
