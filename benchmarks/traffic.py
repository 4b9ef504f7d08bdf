"""Real GPS data: the sample flights of the PyPI package traffic, as Parquet files.

    python -m benchmarks.traffic [--out FOLDER]

Fetches the package's wheel with pip (it is not installed, no code of it runs) and converts each
sample that holds positions: gzipped JSON tables as pandas writes them, by rows or by columns.
Raw messages and answers of web services, kept there for other purposes, are left out. The wheel
stays in `_wheel` below FOLDER, which gridcli skips when FOLDER is an input.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PACKAGE = "traffic==2.13"
SAMPLES = "traffic/data/samples/"
SUFFIX = ".json.gz"
FIXES = 928_907
COLUMNS = {
    "timestamp": pa.timestamp("ms", tz="UTC"),
    "icao24": pa.string(),
    "callsign": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "altitude": pa.float64(),
    "groundspeed": pa.float64(),
    "track": pa.float64(),
}
"""Columns kept where a sample has them: degrees, feet, knots."""


def fetch(folder: Path) -> Path:
    """Return the wheel in `folder`, downloaded if it is not there."""
    wheels = sorted(folder.glob("traffic-*.whl"))
    if not wheels:
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, "download", "--no-deps", "-d", str(folder), PACKAGE), check=True)
        wheels = sorted(folder.glob("traffic-*.whl"))
    return wheels[0]


def read_sample(content: bytes) -> Any:
    """Return a sample's rows with a position as a pyarrow.Table; None where it has no positions."""
    values = json.loads(gzip.decompress(content))
    if isinstance(values, list):  # a list of rows
        names = {name for row in values for name in row}
        columns = {name: [row.get(name) for row in values] for name in names}
    else:  # columns of {row number: value}
        columns = {name: list(cells.values()) for name, cells in values.items()}
    if not {"latitude", "longitude"} <= columns.keys():
        return None
    table = pa.table(
        {
            name: pa.array([_converted(cell, kind) for cell in columns[name]], kind)
            for name, kind in COLUMNS.items()
            if name in columns
        }
    )
    has_position = pc.and_(pc.is_valid(table["latitude"]), pc.is_valid(table["longitude"]))
    return table.filter(has_position)


def convert(wheel: Path, out_dir: Path) -> dict[str, int]:
    """Write every sample with positions below `out_dir`; return their numbers of fixes by name."""
    fixes = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not (name.startswith(SAMPLES) and name.endswith(SUFFIX)):
                continue
            table = read_sample(archive.read(name))
            if table is None:
                continue
            sample = PurePosixPath(name[len(SAMPLES) : -len(SUFFIX)])
            target = out_dir / f"{sample}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target, compression="zstd")
            fixes[str(sample)] = table.num_rows
    return fixes


def _converted(cell: Any, kind: Any) -> Any:
    """Return a cell of JSON as its column's type wants it."""
    if cell is None or pa.types.is_timestamp(kind):
        return cell
    return float(cell) if pa.types.is_floating(kind) else str(cell)


def main() -> None:
    """Fetch, convert, print the number of fixes of every sample."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic")
    parser.add_argument("--out", type=Path, default=Path("build") / "traffic", metavar="FOLDER")
    asked = parser.parse_args()
    wheels = asked.out / "_wheel"
    wheels.mkdir(parents=True, exist_ok=True)
    fixes = convert(fetch(wheels), asked.out)
    for sample, number in fixes.items():
        print(f"{number:>9,}  {sample}")
    total = sum(fixes.values())
    print(f"{total:>9,}  fixes in {len(fixes)} samples in {asked.out}")
    if total != FIXES:
        sys.exit(f"{FIXES:,} fixes were expected of {PACKAGE}")


if __name__ == "__main__":
    main()
