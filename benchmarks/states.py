"""States: a month of days merged, against DuckDB; a day appended to what was counted before."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import (
    Contestant,
    Report,
    Settings,
    Target,
    alternate,
    gridcli,
    launch,
    python,
    require_equal,
    verdict,
    warm,
)

DAYS, TILES_PER_DAY = 30, 2_000_000
FACTOR = 1.0
MOST_APPENDING = 1.2
MERGE, SORTED, UNSORTED = "gridcli merge", "DuckDB, sorted", "DuckDB, in any order"
APPEND, DAY_ALONE, COPY = "append a day", "contract the day alone", "read and write the state"


def run(settings: Settings, report: Report) -> None:
    """Measure both; `--points` makes the days smaller."""
    report.heading("States")
    tiles = settings.at_most(data.POINTS_PER_TILE * TILES_PER_DAY) // data.POINTS_PER_TILE
    states = [data.day_state(settings, tiles, day) for day in range(DAYS)]
    with tempfile.TemporaryDirectory(dir=settings.data_dir.parent) as folder:
        all_days = Path(folder) / "all.state.parquet"
        _merge(settings, report, states, all_days, is_full_size=tiles == TILES_PER_DAY)
        _append(settings, report, tiles, all_days, Path(folder))


def _merge(
    settings: Settings, report: Report, states: list[Path], merged: Path, *, is_full_size: bool
) -> None:
    """Merge all days; leave the result of gridcli in `merged`."""
    warm(states)
    names = [str(state) for state in states]
    theirs = merged.with_name("duckdb.parquet")
    threads = ("--threads", str(settings.threads))
    merge = python("-m", "benchmarks.state_peers", "merge", *names, "-o", str(theirs), *threads)
    contestants = (
        Contestant(MERGE, _merged(settings, names, merged)),
        Contestant(SORTED, merge),
        Contestant(UNSORTED, (*merge, "--unsorted")),
    )
    for each in contestants[:2]:
        launch(each.command)
    found = require_equal(
        [Contestant(str(file), _facts(file)) for file in (merged, theirs)],
        ("tiles", "points", "digest"),
    )
    report.note(
        f"{len(states)} days: {found['tiles']:,} distinct tiles, {found['points']:,} points; both "
        "agree."
    )
    targets = (Target(MERGE, SORTED, FACTOR if is_full_size else None), Target(MERGE, UNSORTED))
    case = alternate(f"merge of {len(states)} days", contestants, settings.runs, targets)
    report.add(case, found=found)


def _append(settings: Settings, report: Report, tiles: int, all_days: Path, folder: Path) -> None:
    """Append one more day to the state of all days, and do by hand what that takes."""
    source = data.day_of_points(settings, tiles, DAYS)
    warm([*source.files, all_days])
    grown, copied, alone = (folder / f"{name}.parquet" for name in ("grown", "copied", "alone"))
    contract = ("contract", str(source.path), "--prec", str(data.PREC), "-q")
    threads = ("--threads", str(settings.threads))
    contestants = (
        Contestant(
            APPEND,
            gridcli(*contract, *threads, "--append", "-o", str(grown)),
            before=("cp", str(all_days), str(grown)),
        ),
        Contestant(DAY_ALONE, gridcli(*contract, *threads, "-o", str(alone), "--overwrite")),
        Contestant(COPY, _merged(settings, [str(all_days)], copied)),
    )
    for each in contestants:
        if each.before:
            launch(each.before)
        launch(each.command)
    both = folder / "both.parquet"
    launch(_merged(settings, [str(all_days), str(alone)], both))
    require_equal(
        [Contestant(str(file), _facts(file)) for file in (grown, both)],
        ("tiles", "points", "digest"),
    )
    case = alternate("a day more", contestants, settings.runs)
    report.add(case)
    ratios = [
        append.wall_s / (day.wall_s + copy.wall_s)
        for append, day, copy in zip(
            *(case.runs[name] for name in (APPEND, DAY_ALONE, COPY)), strict=True
        )
    ]
    middle = statistics.median(ratios)
    wanted = f"wanted: {MOST_APPENDING} at most"
    if tiles == TILES_PER_DAY:
        wanted += f"; {verdict(is_met=middle <= MOST_APPENDING)}"
    report.note(
        f"Appending against the day alone plus reading and writing the state: {middle:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); {wanted}."
    )


def _merged(settings: Settings, states: list[str], target: Path) -> tuple[str, ...]:
    threads = ("--threads", str(settings.threads))
    return gridcli("merge", *states, "-o", str(target), "--overwrite", "-q", *threads)


def _facts(state: Path) -> tuple[str, ...]:
    return python("-m", "benchmarks.state_peers", "facts", str(state))
