"""Data sets for benchmarks: generated once, kept in a folder, reused.

    python -m benchmarks.data csv FOLDER FILE              four columns, from Parquet part files
    python -m benchmarks.data scattered FILE --tiles N --points N
    python -m benchmarks.data day FILE --tiles N --day D

The programs that need numpy run in processes of their own: see `benchmarks.harness`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Settings, gridcli, launch, python

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

PROFILE_BYTES_PER_POINT = 18
CSV_BYTES_PER_POINT = 50
SPARE_BYTES = 2 * 10**9
"""Left free on the disk."""
ROW_GROUP_ROWS = 1_000_000
CANVAS_PER_TILE = 8
"""Cells of the canvas for each tile that is not empty."""
CANVAS_WIDTH = 1 << 14
PREC = 4
TILES_PER_DEGREE = 10_000
SCATTERED_STREAM = 77
DAY_STREAM = 78
DAILY_SHARE = 0.6
"""Of a day's tiles, so many are those of every day."""
PLACES_PER_TILE = 4
"""The others come out of so many places for each tile of a day."""
POINTS_PER_TILE = 3


@dataclass(frozen=True)
class DataSet:
    """A file, or a folder of Parquet part files, and how many points it holds."""

    path: Path
    points: int

    @property
    def files(self) -> list[Path]:
        """The files to read, in order."""
        return part_files(self.path) if self.path.is_dir() else [self.path]


def profile(settings: Settings, name: str, points: int, else_points: int = 0) -> DataSet:
    """Return the data of a profile of `gridcli generate`.

    Where the disk has no room for `points`, `else_points` are taken (0: half of them).
    """
    points = settings.at_most(points)
    data = _place(settings, f"{name}-{{}}", points, PROFILE_BYTES_PER_POINT, else_points)
    if not data.path.exists():
        _say(f"generating {data.path}")
        size = ("--points", str(data.points), "--profile", name)
        launch(gridcli("generate", "-o", str(data.path), *size, "--quiet"))
    return data


def fleet_csv(settings: Settings, points: int) -> DataSet:
    """Return a CSV file of the fleet profile: vehicle, time, lat, lon."""
    data = _place(settings, "fleet-{}.csv", settings.at_most(points), CSV_BYTES_PER_POINT)
    source = profile(settings, "fleet", data.points)
    return _made_once(data, "csv", str(source.path))


def scattered(settings: Settings, tiles: int, points: int) -> DataSet:
    """Return points in exactly `tiles` distinct tiles at precision 4."""
    data = _place(settings, f"scattered-{tiles}-{{}}.parquet", points, PROFILE_BYTES_PER_POINT)
    return _made_once(data, "scattered", "--tiles", str(tiles), "--points", str(data.points))


def day_of_points(settings: Settings, tiles: int, day: int) -> DataSet:
    """Return the points of a day, three to a tile, in exactly `tiles` tiles at precision 4."""
    points = POINTS_PER_TILE * tiles
    data = _place(settings, f"day-{tiles}-{day}.parquet", points, PROFILE_BYTES_PER_POINT)
    return _made_once(data, "day", "--tiles", str(tiles), "--day", str(day))


def day_state(settings: Settings, tiles: int, day: int) -> Path:
    """Return the state of one day, without keeping its points."""
    state = settings.data_dir / f"day-{tiles}-{day}.state.parquet"
    if not state.exists():
        source = day_of_points(settings, tiles, day)
        launch(gridcli("contract", str(source.path), "--prec", str(PREC), "-o", str(state), "-q"))
        source.path.unlink()
    return state


def _place(
    settings: Settings, name: str, points: int, bytes_per_point: int, else_points: int = 0
) -> DataSet:
    """Return where a data set lies; one that is not there yet is made smaller until it fits.

    First to `else_points`, then by halves.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    data = DataSet(settings.data_dir / name.format(points), points)
    if data.path.exists():
        return data
    free = shutil.disk_usage(settings.data_dir).free - SPARE_BYTES
    if points * bytes_per_point > free and points > 1:
        fewer = else_points if 0 < else_points < points else points // 2
        _say(f"{free / 1e9:.1f} GB of disk are too little for {points:,} points: taking {fewer:,}")
        return _place(settings, name, fewer, bytes_per_point)
    return data


def part_files(folder: Path) -> list[Path]:
    """Return the Parquet part files of a generated folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


def _made_once(data: DataSet, program: str, *arguments: str) -> DataSet:
    if not data.path.exists():
        _say(f"generating {data.path}")
        partial = data.path.with_name(f".{data.path.name}.partial")
        launch(python("-m", "benchmarks.data", program, str(partial), *arguments))
        partial.rename(data.path)
    return data


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


def write_csv(target: Path, folder: Path) -> None:
    """Write the fleet's part files as one CSV file of four columns."""
    import pyarrow.csv
    import pyarrow.parquet

    columns = {"vehicle_id": "vehicle", "time": "time", "lat": "lat", "lon": "lon"}
    writer = None
    for part in part_files(folder):
        for batch in pyarrow.parquet.ParquetFile(part).iter_batches(columns=list(columns)):
            renamed = batch.select(list(columns)).rename_columns(list(columns.values()))
            if writer is None:
                writer = pyarrow.csv.CSVWriter(target, renamed.schema)
            writer.write_batch(renamed)
    if writer is None:
        raise SystemExit(f"{folder} holds no part files")
    writer.close()


def write_scattered(target: Path, tiles: int, points: int) -> None:
    """Write points at random places of exactly `tiles` distinct tiles, in row groups of 1 M rows.

    Every tile gets one point, at a random place of the file; each other point gets a tile of its
    own choice, unless there are at least ten points to a tile: then all tiles get equally many,
    so that files of different sizes hold the same significant tiles.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet

    from gridcli.synth.permutation import Permutation

    if points < tiles:
        raise SystemExit(f"{points} points cannot lie in {tiles} distinct tiles")
    random = np.random.default_rng((SCATTERED_STREAM, tiles))
    cell_of_tile = Permutation.random(CANVAS_PER_TILE * tiles, random)
    order = Permutation.random(points, random)
    is_even = points >= 10 * tiles
    schema = pa.schema([("lon", pa.float64()), ("lat", pa.float64())])
    with pyarrow.parquet.ParquetWriter(target, schema, use_dictionary=False) as writer:
        for rows in _blocks(points):
            place = order(rows)
            tile = place % np.uint64(tiles)
            if not is_even:
                drawn = random.integers(0, tiles, len(rows), dtype=np.uint64)
                tile = np.where(place < np.uint64(tiles), tile, drawn)
            row, column = np.divmod(cell_of_tile(tile), np.uint64(CANVAS_WIDTH))
            lon, lat = (_coordinate(cells, random) for cells in (column, row))
            writer.write_table(pa.table([lon, lat], schema=schema))


def write_day(target: Path, tiles: int, day: int) -> None:
    """Write the points of a day: most tiles are those of every day, the others change.

    Every tile of the day gets one point, and the tiles of every day all further points, at random.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet

    from gridcli.synth.permutation import Permutation

    daily = int(DAILY_SHARE * tiles)
    places = PLACES_PER_TILE * tiles
    cell_of_place = Permutation.random(
        CANVAS_PER_TILE * (daily + places), np.random.default_rng((DAY_STREAM, tiles))
    )
    random = np.random.default_rng((DAY_STREAM, tiles, day))
    place_of_other = Permutation.random(places, random)
    order = Permutation.random(POINTS_PER_TILE * tiles, random)
    schema = pa.schema([("lon", pa.float64()), ("lat", pa.float64())])
    with pyarrow.parquet.ParquetWriter(target, schema, use_dictionary=False) as writer:
        for rows in _blocks(POINTS_PER_TILE * tiles):
            tile = order(rows)
            tile[tile >= tiles] %= np.uint64(daily)
            is_other = tile >= daily
            tile[is_other] = daily + place_of_other(tile[is_other] - np.uint64(daily))
            row, column = np.divmod(cell_of_place(tile), np.uint64(CANVAS_WIDTH))
            lon, lat = (_coordinate(cells, random) for cells in (column, row))
            writer.write_table(pa.table([lon, lat], schema=schema))


def _blocks(points: int) -> Iterator[npt.NDArray[np.uint64]]:
    import numpy as np

    for first in range(0, points, ROW_GROUP_ROWS):
        yield np.arange(first, min(first + ROW_GROUP_ROWS, points), dtype=np.uint64)


def _coordinate(
    cells: npt.NDArray[np.uint64], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return a coordinate well inside each cell, in degrees: no rounding moves it out."""
    degrees: npt.NDArray[np.float64] = 1 + (cells + random.uniform(0.01, 0.99, len(cells))) / (
        TILES_PER_DEGREE
    )
    return degrees


def main() -> None:
    """Write one data set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data")
    programs = parser.add_subparsers(dest="program", required=True)
    csv = programs.add_parser("csv")
    csv.add_argument("target", type=Path)
    csv.add_argument("folder", type=Path)
    scatter = programs.add_parser("scattered")
    scatter.add_argument("target", type=Path)
    scatter.add_argument("--tiles", type=int, required=True)
    scatter.add_argument("--points", type=int, required=True)
    day = programs.add_parser("day")
    day.add_argument("target", type=Path)
    day.add_argument("--tiles", type=int, required=True)
    day.add_argument("--day", type=int, required=True)
    asked = parser.parse_args()
    if asked.program == "csv":
        write_csv(asked.target, asked.folder)
    elif asked.program == "day":
        write_day(asked.target, asked.tiles, asked.day)
    else:
        write_scattered(asked.target, asked.tiles, asked.points)


if __name__ == "__main__":
    main()
