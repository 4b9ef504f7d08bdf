"""Writes a synthetic data set: part files, and the truth where no reader takes it for data."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gridcli.errors import UsageError
from gridcli.output.folder import check_folder, errors_named, folder_in_the_making

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridcli.synth.parts import SyntheticData

ProfileName = Literal["paper", "fleet"]
FileFormat = Literal["parquet", "csv", "csv.gz"]

POINTS_PER_FILE = 10_000_000
POINTS_PER_VEHICLE = 25_000
MIN_VEHICLES = 4
TRUTH_FILE = Path("_truth") / "truth.parquet"
"""Below the output folder: inputs skip names that begin with an underscore."""
PART_FILE = re.compile(r"part-\d{5}\.(parquet|csv|csv\.gz)")
MAX_FILES = 100_000
CSV_ROWS = 50_000
"""Written at a time, so that a run can be stopped within a second."""


@dataclass(frozen=True)
class Generated:
    """What `generate` wrote.

    Attributes
    ----------
    files : list of Path
        The part files, in order.
    truth : Path
    points, clusters : int
    n_bytes : int
        Of the part files together.
    """

    files: list[Path]
    truth: Path
    points: int
    clusters: int
    n_bytes: int


def generate(
    out_dir: str | Path,
    profile: ProfileName = "paper",
    *,
    points: int,
    clusters: int | None = None,
    seed: int = 1,
    files: int | None = None,
    file_format: FileFormat = "parquet",
    vehicles: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Generated:
    """Generate synthetic GPS points into a folder, with the truth behind them.

    Writes ``part-00000.parquet`` and following (or ``.csv``, ``.csv.gz``) and
    ``_truth/truth.parquet``. The same arguments give the same bytes, whatever `threads` is, and
    the same rows in the same order, whatever `files` is. The folder appears when it is complete.

    Parameters
    ----------
    out_dir : str or Path
        Made if missing; must be empty otherwise.
    profile : {"paper", "fleet"}
        `gridcli.synth.paper.PaperData` or `gridcli.synth.fleet.FleetData`.
    points : int
        Rows in all files together.
    clusters : int, optional
        Clusters or hubs; one for every 500 points by default.
    seed : int
        Not negative.
    files : int, optional
        Part files; one for every 10 million points by default.
    file_format : {"parquet", "csv", "csv.gz"}
    vehicles : int, optional
        Of the fleet profile; one for every 25 000 points by default.
    overwrite : bool
        Replace what an earlier run left in the folder.
    threads : int
        Part files generated at a time.
    progress : callable, optional
        Called with the number of rows just generated; from several threads.

    Returns
    -------
    Generated

    Raises
    ------
    UsageError
        A number is out of range.
    OutputError
        The folder is not empty, or cannot be written.
    """
    target = Path(out_dir)
    if points < 1 or seed < 0:
        raise UsageError("--points must be at least 1, and --seed not negative.")
    clusters = max(1, points // 500) if clusters is None else clusters
    if not 1 <= clusters <= points:
        raise UsageError(f"--clusters {clusters} must be between 1 and --points ({points}).")
    data = _data_set(profile, points, clusters, seed, vehicles)
    most = min(data.max_parts, MAX_FILES)
    files = min(-(-points // POINTS_PER_FILE), most) if files is None else files
    if not 1 <= files <= most:
        raise UsageError(f"--files {files} must be between 1 and {most}.")
    check_folder(target, overwrite=overwrite, foreign=_foreign, maker="gridcli generate")
    names = [f"part-{index:05}.{file_format}" for index in range(files)]
    with folder_in_the_making(target) as partial, errors_named(target):
        _write_parts(data, [partial / name for name in names], file_format, threads, progress)
        (partial / TRUTH_FILE).parent.mkdir()
        _write_tables(partial / TRUTH_FILE, iter([data.truth()]), "parquet", "zstd")
        n_bytes = sum((partial / name).stat().st_size for name in names)
    return Generated(
        [target / name for name in names], target / TRUTH_FILE, points, clusters, n_bytes
    )


def _data_set(
    profile: ProfileName, points: int, clusters: int, seed: int, vehicles: int | None
) -> SyntheticData:
    if profile == "paper":
        if vehicles is not None:
            raise UsageError("--vehicles belongs to --profile fleet; the paper's points have none.")
        from gridcli.synth.paper import PaperData

        return PaperData(points, clusters, seed)
    vehicles = (
        min(points, max(MIN_VEHICLES, points // POINTS_PER_VEHICLE))
        if vehicles is None
        else vehicles
    )
    if not 1 <= vehicles <= points:
        raise UsageError(f"--vehicles {vehicles} must be between 1 and --points ({points}).")
    from gridcli.synth.fleet import FleetData

    return FleetData(points, clusters, vehicles, seed)


def _foreign(target: Path) -> str | None:
    """Return the first name in a folder that no run of this module wrote."""
    names = sorted(path.name for path in target.iterdir())
    own = TRUTH_FILE.parent.name
    return next((n for n in names if n != own and PART_FILE.fullmatch(n) is None), None)


def _write_parts(
    data: SyntheticData,
    paths: list[Path],
    file_format: FileFormat,
    threads: int,
    progress: Callable[[int], None] | None,
) -> None:
    stop = threading.Event()

    def tables(index: int) -> Iterator[Any]:
        for table in data.part(index, len(paths)):
            rows = table.num_rows if file_format == "parquet" else CSV_ROWS
            for first in range(0, table.num_rows, rows):
                if stop.is_set():
                    return
                piece = table.slice(first, rows)
                yield piece
                if progress is not None:
                    progress(piece.num_rows)

    def write(index: int) -> None:
        _write_tables(paths[index], tables(index), file_format, data.compression, data.schema)

    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="generate")
    try:
        for done in as_completed([pool.submit(write, index) for index in range(len(paths))]):
            done.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _write_tables(
    path: Path,
    tables: Iterator[Any],
    file_format: FileFormat,
    compression: str,
    schema: Any = None,
) -> None:
    """Write tables one after the other, each a row group, and sync the file."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    if schema is None:
        first = next(tables)
        schema, tables = first.schema, iter([first])
    codec = "gzip" if file_format == "csv.gz" else None
    with pa.output_stream(str(path), compression=codec) as sink:
        if file_format == "parquet":
            # Dictionaries of distinct doubles only cost time.
            dictionary = [f.name for f in schema if not pa.types.is_floating(f.type)]
            writer = pq.ParquetWriter(
                sink, schema, compression=compression, use_dictionary=dictionary
            )
        else:
            writer = pyarrow.csv.CSVWriter(
                sink, schema, write_options=pyarrow.csv.WriteOptions(quoting_style="needed")
            )
        with writer:
            for table in tables:
                writer.write_table(table)
    with path.open("rb") as written:
        os.fsync(written.fileno())
