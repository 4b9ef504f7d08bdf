"""Peak memory of the whole job: per distinct tile, and whether it grows with the points."""

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
    alternate,
    gridcli,
    print_table,
    verdict,
    warm,
)

BASE_BYTES = 350 * MB
BYTES_PER_TILE = 40
TILES = (5_000_000, 7_000_000, 10_000_000, 14_000_000)
POINTS_PER_TILE = 3
FEW_POINTS, MANY_POINTS, SAME_TILES = 10_000_000, 200_000_000, 1_000_000
MOST_GROWTH = 0.05


def run(settings: Settings, report: Report) -> None:
    """Measure both; `--points` makes all data sets smaller."""
    report.heading("Peak memory of gridcli raster")
    _per_tile(settings, report)
    _per_point(settings, report)


def _per_tile(settings: Settings, report: Report) -> None:
    rows, shares = [], []
    sizes = {settings.at_most(tiles * POINTS_PER_TILE) // POINTS_PER_TILE for tiles in TILES}
    for tiles in sorted(sizes):
        source = data.scattered(settings, tiles, tiles * POINTS_PER_TILE)
        case = _measure(settings, f"{tiles / 1e6:.3g} M distinct tiles", [source])
        report.add(case)
        peak = max(_peaks(case, source))
        shares.append((peak - BASE_BYTES) / tiles)
        rows.append((f"{tiles:,}", f"{peak / MB:.0f}", f"{shares[-1]:.1f}"))
    print_table(("distinct tiles", "peak MB", "bytes a tile beyond 350 MB"), rows)
    is_met = max(shares) <= BYTES_PER_TILE
    wanted = f"wanted: {BYTES_PER_TILE} at most"
    if sizes == set(TILES):
        wanted += f"; {verdict(is_met=is_met)}"
    report.note(f"Most: {max(shares):.1f} bytes a tile; {wanted}.")


def _per_point(settings: Settings, report: Report) -> None:
    many = settings.at_most(MANY_POINTS)
    few = many * FEW_POINTS // MANY_POINTS
    tiles = few * SAME_TILES // FEW_POINTS
    sources = [data.scattered(settings, tiles, points) for points in (few, many)]
    case = _measure(settings, f"{tiles / 1e6:.3g} M tiles, few and many points", sources)
    report.add(case)
    small, large = (_peaks(case, source) for source in sources)
    growth = [after / before for before, after in zip(small, large, strict=True)]
    middle = statistics.median(growth)
    wanted = f"wanted: at most {MOST_GROWTH:.0%} apart"
    if many == MANY_POINTS:
        wanted += f"; {verdict(is_met=abs(middle - 1) <= MOST_GROWTH)}"
    report.note(
        f"Peak of {sources[1].points:,} points against {sources[0].points:,} over the same tiles: "
        f"{middle:.3f} ({min(growth):.3f} to {max(growth):.3f}); {wanted}."
    )


def _measure(settings: Settings, title: str, sources: list[data.DataSet]) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        contestants = []
        for source in sources:
            warm(source.files)
            target = ("-o", str(Path(folder) / "hubs.parquet"), "--overwrite", "-q")
            numbers = ("--prec", str(data.PREC), "--threads", str(settings.threads))
            command = gridcli("raster", str(source.path), *numbers, *target)
            contestants.append(Contestant(source.path.name, command))
        return alternate(title, contestants, settings.runs)


def _peaks(case: Case, source: data.DataSet) -> list[int]:
    return [run.peak_bytes for run in case.runs[source.path.name]]
