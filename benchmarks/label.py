"""Labelling rows with their hubs, against DuckDB joining them to the same tiles."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import (
    MB,
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
    warm,
)

POINTS, PREC, TAU = 50_000_000, 4, 5
FACTOR = 1.5
LABEL, POINTS_TOO, HUBS_ALONE = "gridcli label", "gridcli raster --points", "gridcli raster"
DUCKDB, DUCKDB_SNAPPY = "DuckDB", "DuckDB, snappy"
FACTS = ("rows", "hub_ids", "digest")


def run(settings: Settings, report: Report) -> None:
    """Compare both profiles; `--points` makes the data sets smaller."""
    report.heading("Labelling rows")
    for profile in ("fleet", "paper"):
        source = data.profile(settings, profile, POINTS)
        with tempfile.TemporaryDirectory(dir=settings.data_dir.parent) as folder:
            _compare(settings, report, profile, source, Path(folder))


def _compare(
    settings: Settings, report: Report, profile: str, source: data.DataSet, folder: Path
) -> None:
    """Check that both write the same rows, then time them.

    What is wanted holds for the full size; a trial with fewer points only shows its ratios.
    """
    warm(source.files)
    tiles = folder / "tiles.parquet"
    launch(_raster(settings, source, folder, "--tiles", str(tiles)))
    label = Contestant(LABEL, _label(settings, source, tiles, folder / "labelled.parquet"))
    found = _require_same_rows(settings, source, tiles, folder, label)
    title = f"{profile}, {source.points / 1e6:g} M points"
    report.note(f"{title}: {found['rows']:,} rows lie in hubs; both write the same.")
    is_full_size = source.points == POINTS
    contestants = (
        label,
        Contestant(DUCKDB, _join(settings, source, tiles, folder / "zstd.parquet", "zstd")),
        Contestant(
            DUCKDB_SNAPPY, _join(settings, source, tiles, folder / "snappy.parquet", "snappy")
        ),
        Contestant(
            POINTS_TOO, _raster(settings, source, folder, "--points", str(folder / "rows.parquet"))
        ),
        Contestant(HUBS_ALONE, _raster(settings, source, folder)),
    )
    targets = (
        Target(LABEL, DUCKDB, FACTOR if is_full_size else None),
        Target(LABEL, DUCKDB_SNAPPY),
    )
    report.add(alternate(title, contestants, settings.runs, targets), found=found)
    sizes = {
        LABEL: folder / "labelled.parquet",
        DUCKDB: folder / "zstd.parquet",
        DUCKDB_SNAPPY: folder / "snappy.parquet",
    }
    print_table(
        ("written by", "MB"),
        [(name, f"{path.stat().st_size / MB:.0f}") for name, path in sizes.items()],
    )


def _label(settings: Settings, source: data.DataSet, tiles: Path, target: Path) -> tuple[str, ...]:
    threads = ("--threads", str(settings.threads))
    words = (str(tiles), str(source.path), "-o", str(target), "--overwrite", "-q")
    return gridcli("label", *words, *threads)


def _raster(settings: Settings, source: data.DataSet, folder: Path, *extra: str) -> tuple[str, ...]:
    numbers = ("--prec", str(PREC), "--tau", str(TAU), "--threads", str(settings.threads))
    target = ("-o", str(folder / "hubs.parquet"), "--overwrite", "-q", *extra)
    return gridcli("raster", str(source.path), *numbers, *target)


def _join(
    settings: Settings, source: data.DataSet, tiles: Path, target: Path, codec: str, *extra: str
) -> tuple[str, ...]:
    files = map(str, source.files)
    options = ("--tiles", str(tiles), "-o", str(target), "--prec", str(PREC), "--codec", codec)
    threads = ("--threads", str(settings.threads))
    return python("-m", "benchmarks.label_peers", "join", *files, *options, *threads, *extra)


def _require_same_rows(
    settings: Settings, source: data.DataSet, tiles: Path, folder: Path, label: Contestant
) -> dict[str, int]:
    """Compare what both write, DuckDB with the exact projection."""
    theirs = folder / "corrected.parquet"
    launch(label.command)
    launch(_join(settings, source, tiles, theirs, "zstd", "--corrected"))
    outputs = {LABEL: folder / "labelled.parquet", DUCKDB: theirs}
    found = require_equal(
        [
            Contestant(name, python("-m", "benchmarks.label_peers", "facts", str(path)))
            for name, path in outputs.items()
        ],
        FACTS,
    )
    theirs.unlink()
    return found
