"""Contraction of Parquet files against DuckDB and Polars: the paper and the fleet profile."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
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
    warm,
)

TAU = 5
CONTRACTION, JOB = "gridcli contraction", "gridcli raster"
DUCKDB, POLARS = "DuckDB", "Polars"
COMPARED = ("tiles", "points")


@dataclass(frozen=True)
class Size:
    """One comparison: data, precision, and how many times as fast gridcli is to be."""

    profile: str
    points: int
    prec: int
    duckdb_factor: float
    polars_factor: float | None = None


SIZES = (
    Size("paper", 50_000_000, 4, 1.7, 4.0),
    Size("paper", 200_000_000, 4, 2.2, 4.0),
    Size("fleet", 200_000_000, 4, 1.8, 2.5),
    Size("fleet", 200_000_000, 3, 1.4, 2.5),
    Size("fleet", 200_000_000, 2, 1.0, 2.5),
)


def run(settings: Settings, report: Report) -> None:
    """Compare every size; sizes that `--points` makes equal are compared once."""
    report.heading("Contraction, Parquet")
    done = set()
    for size in SIZES:
        source = data.profile(settings, size.profile, size.points)
        case = (size.profile, source.points, size.prec)
        if case in done:
            continue
        done.add(case)
        title = f"{size.profile}, {source.points / 1e6:g} M points, precision {size.prec}"
        compare(settings, report, title, source, size)


def compare(
    settings: Settings, report: Report, title: str, source: data.DataSet, size: Size
) -> None:
    """Check that all contestants find the same, then time them.

    What is wanted holds for the full size; a trial with fewer points only shows its ratios.
    """
    warm(source.files)
    found = _require_same_tiles(settings, source, size.prec)
    report.note(
        f"{title}: {found['tiles']:,} tiles with {TAU} or more points, "
        f"{found['points']:,} points in them; all agree."
    )
    is_full_size = source.points == size.points
    targets = (
        Target(CONTRACTION, DUCKDB, size.duckdb_factor if is_full_size else None),
        Target(CONTRACTION, POLARS, size.polars_factor if is_full_size else None),
        Target(JOB, DUCKDB),
        Target(JOB, POLARS),
    )
    with tempfile.TemporaryDirectory() as folder:
        job = Contestant(JOB, _raster(settings, source, size.prec, Path(folder) / "hubs.parquet"))
        contestants = (job, *_counters(settings, source, size.prec))
        report.add(alternate(title, contestants, settings.runs, targets), found=found)


def _counters(
    settings: Settings, source: data.DataSet, prec: int, *extra: str
) -> tuple[Contestant, ...]:
    numbers = ("--prec", str(prec), "--tau", str(TAU), "--threads", str(settings.threads))
    programs = {CONTRACTION: "gridcli-count", DUCKDB: "duckdb-count", POLARS: "polars-count"}
    return tuple(
        Contestant(
            name,
            python("-m", "benchmarks.peers", program, *map(str, source.files), *numbers, *extra),
        )
        for name, program in programs.items()
    )


def _raster(
    settings: Settings, source: data.DataSet, prec: int, hubs: Path, *extra: str
) -> tuple[str, ...]:
    numbers = ("--prec", str(prec), "--tau", str(TAU), "--threads", str(settings.threads))
    target = ("-o", str(hubs), "--overwrite", "-q", *extra)
    return gridcli("raster", str(source.path), *numbers, *target)


def _require_same_tiles(settings: Settings, source: data.DataSet, prec: int) -> dict[str, int]:
    """Compare tiles and points of all programs, also of the whole job; no row may be bad."""
    counters = _counters(settings, source, prec, "--corrected")
    found = require_equal(counters, COMPARED)
    with tempfile.TemporaryDirectory() as folder:
        hubs = Path(folder) / "hubs.parquet"
        summary = launch(_raster(settings, source, prec, hubs, "--summary", "-")).output
    record = json.loads(summary)
    significant, rows = record["tiles"]["significant"], record["rows"]
    if significant != found["tiles"] or rows["used"] != source.points:
        raise RuntimeError(f"gridcli raster: {significant} significant tiles, rows {rows}")
    return {**found, "distinct": record["tiles"]["distinct"]}
