"""The same comparison from one CSV file of four columns: vehicle, time, lat, lon."""

from __future__ import annotations

from benchmarks import contraction, data
from benchmarks.harness import Report, Settings

POINTS = 20_000_000
SIZE = contraction.Size("fleet", POINTS, 4, duckdb_factor=1.5)


def run(settings: Settings, report: Report) -> None:
    """Compare reading CSV and contracting."""
    report.heading("Contraction, CSV")
    source = data.fleet_csv(settings, POINTS)
    title = f"CSV, {source.points / 1e6:g} M rows, precision {SIZE.prec}"
    contraction.compare(settings, report, title, source, SIZE)
