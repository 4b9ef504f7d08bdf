"""Start-up: `gridcli --help`, and the sample run with a warm and a cold kernel cache."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.harness import (
    ROOT,
    Case,
    Contestant,
    Report,
    Settings,
    alternate,
    gridcli,
    print_table,
    verdict,
)

SAMPLE = ROOT / "sample_data"
HELP, WARM, COLD = "gridcli --help", "sample run, warm", "sample run, cold"
MOST_S = {HELP: 0.2, WARM: 1.5, COLD: 8.0}


def run(settings: Settings, report: Report) -> None:
    """Time all three; the cold run gets an empty cache folder each time."""
    report.heading("Start-up")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = _sample_run(folder)
        quick = (Contestant(HELP, gridcli("--help")), Contestant(WARM, sample))
        case = alternate("start-up", quick, settings.runs)
        for i in range(settings.runs):
            cold = (Contestant(COLD, sample, {"GRIDCLI_CACHE_DIR": str(folder / f"cache-{i}")}),)
            once = alternate("start-up", cold, 1, warm_up=False)
            case.runs.setdefault(COLD, []).extend(once.runs[COLD])
    report.add(case)
    print_table(("process", "seconds, median", "at most", ""), _verdicts(case))


def _sample_run(folder: Path) -> tuple[str, ...]:
    """Return the command of `make demo`, all of its layers included."""
    layers = ("--clusters", str(folder / "clusters.geojson"), "--tiles", str(folder / "t.parquet"))
    options = ("--prec", "4", "--tau", "10", "--overwrite", "-o", str(folder / "hubs.geojson"))
    return gridcli("raster", str(SAMPLE), *options, *layers)


def _verdicts(case: Case) -> list[tuple[str, str, str, str]]:
    rows = []
    for name, most in MOST_S.items():
        middle = statistics.median(run.wall_s for run in case.runs[name])
        rows.append((name, f"{middle:.3f}", f"{most:g}", verdict(is_met=middle <= most)))
    return rows
