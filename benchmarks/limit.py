"""Contraction within a memory limit: against DuckDB of the same size, and with many more points."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import (
    MB,
    Case,
    Contestant,
    Report,
    Settings,
    Target,
    alternate,
    gridcli,
    launch,
    print_table,
    python,
    require_equal,
    verdict,
    warm,
)

TAU = 5
CONTRACTION, JOB, DUCKDB = "gridcli contraction", "gridcli raster", "DuckDB"
POINTS, PREC, LIMIT_BYTES = 50_000_000, 5, 512 * MB
FACTOR = 1.5
MANY_POINTS, FEWER_POINTS, MANY_PREC, MANY_LIMIT_BYTES = 500_000_000, 200_000_000, 4, 1000 * MB
MOST_SLOWDOWN = 1.3
TRIALS = 8
CLOSE_ENOUGH = 0.03
"""DuckDB's peak may be so far above or below ours."""


def run(settings: Settings, report: Report) -> None:
    """Measure both; `--points` makes the data sets smaller."""
    report.heading("Within a memory limit")
    with tempfile.TemporaryDirectory(dir=settings.data_dir.parent) as folder:
        _against_duckdb(settings, report, Path(folder))
        _many_points(settings, report, Path(folder))


def _against_duckdb(settings: Settings, report: Report, folder: Path) -> None:
    source = data.profile(settings, "paper", POINTS)
    warm(source.files)
    contraction = _counter("gridcli-count", CONTRACTION, settings, source, folder, LIMIT_BYTES)
    job = Contestant(JOB, _raster(settings, source, PREC, folder, LIMIT_BYTES))
    corrected = [
        Contestant(each.name, (*each.command, "--corrected"))
        for each in (contraction, _counter("duckdb-count", DUCKDB, settings, source, folder, None))
    ]
    found = require_equal(corrected, ("tiles", "points"))
    ours = launch(contraction.command).peak_bytes
    peer, peer_limit = _as_large_duckdb(settings, report, source, folder, ours)
    is_full_size = source.points == POINTS
    targets = (
        Target(CONTRACTION, DUCKDB, FACTOR if is_full_size else None),
        Target(JOB, DUCKDB),
    )
    title = f"paper, {source.points / 1e6:g} M points, precision {PREC}, {LIMIT_BYTES // MB} MB"
    case = alternate(title, (contraction, job, peer), settings.runs, targets)
    report.add(case, found=found, duckdb_memory_limit=peer_limit)
    _note_peaks(report, case, (CONTRACTION, JOB), LIMIT_BYTES)


def _as_large_duckdb(
    settings: Settings, report: Report, source: data.DataSet, folder: Path, wanted: int
) -> tuple[Contestant, int]:
    """Return DuckDB with the memory limit that lets its peak come closest to `wanted` bytes.

    Its limit is not on the peak of its process, so it is found by trying: by halves between
    nothing and twice what is wanted. With too little, DuckDB gives up.
    """
    low, high = 0, 2 * wanted
    tried: list[tuple[int, int]] = []
    for _ in range(TRIALS):
        limit = (low + high) // 2
        peer = _counter("duckdb-count", DUCKDB, settings, source, folder, limit)
        try:
            peak = launch(peer.command).peak_bytes
        except RuntimeError:
            low = limit
            continue
        tried.append((limit, peak))
        if abs(peak - wanted) <= CLOSE_ENOUGH * wanted:
            break
        low, high = (limit, high) if peak < wanted else (low, limit)
    if not tried:
        raise RuntimeError(f"DuckDB does not get by with {high / MB:.0f} MB")
    limit, peak = min(tried, key=lambda pair: abs(pair[1] - wanted))
    report.note(
        f"DuckDB's memory_limit of {limit / MB:.0f} MB makes its peak {peak / MB:.0f} MB; "
        f"gridcli's is {wanted / MB:.0f} MB."
    )
    return _counter("duckdb-count", DUCKDB, settings, source, folder, limit), limit


def _many_points(settings: Settings, report: Report, folder: Path) -> None:
    few = data.profile(settings, "paper", POINTS)
    many = data.profile(settings, "paper", MANY_POINTS, FEWER_POINTS)
    names = [f"{each.points / 1e6:g} M points" for each in (few, many)]
    names[1] += f", {MANY_LIMIT_BYTES // MB} MB"
    contestants = []
    for name, source, limit in zip(names, (few, many), (None, MANY_LIMIT_BYTES), strict=True):
        warm(source.files)
        command = _raster(settings, source, MANY_PREC, folder, limit)
        contestants.append(Contestant(name, command))
    case = alternate(f"paper, precision {MANY_PREC}", contestants, settings.runs)
    report.add(case, points=[few.points, many.points])
    slowdown = [ratio * few.points / many.points for ratio in case.ratios(names[0], names[1])]
    middle = statistics.median(slowdown)
    wanted = f"wanted: {MOST_SLOWDOWN} at most"
    if many.points > few.points:
        wanted += f"; {verdict(is_met=middle <= MOST_SLOWDOWN)}"
    report.note(
        f"Time per point with the limit against time per point without: {middle:.2f} "
        f"({min(slowdown):.2f} to {max(slowdown):.2f}); {wanted}."
    )
    _note_peaks(report, case, (names[1],), MANY_LIMIT_BYTES)


def _note_peaks(report: Report, case: Case, names: tuple[str, ...], limit_bytes: int) -> None:
    rows = []
    for name in names:
        peak = max(run.peak_bytes for run in case.runs[name])
        is_met = peak <= limit_bytes
        limit = f"{limit_bytes / MB:.0f}"
        rows.append((name, f"{peak / MB:.0f}", limit, verdict(is_met=is_met)))
    print_table(("process", "peak MB, largest", "limit MB", ""), rows)
    report.note("Peaks are resident memory, as the kernel tells it of the ended process.")


def _counter(
    program: str,
    name: str,
    settings: Settings,
    source: data.DataSet,
    folder: Path,
    limit_bytes: int | None,
) -> Contestant:
    numbers = ("--prec", str(PREC), "--tau", str(TAU), "--threads", str(settings.threads))
    limit = () if limit_bytes is None else ("--max-memory", str(limit_bytes))
    files = map(str, source.files)
    return Contestant(
        name,
        python(
            "-m", "benchmarks.peers", program, *files, *numbers, *limit, "--temp-dir", str(folder)
        ),
    )


def _raster(
    settings: Settings, source: data.DataSet, prec: int, folder: Path, limit_bytes: int | None
) -> tuple[str, ...]:
    numbers = ("--prec", str(prec), "--tau", str(TAU), "--threads", str(settings.threads))
    limit = () if limit_bytes is None else ("--max-memory", str(limit_bytes))
    target = ("-o", str(folder / "hubs.parquet"), "--overwrite", "-q", "--temp-dir", str(folder))
    return gridcli("raster", str(source.path), *numbers, *limit, *target)
