"""The contestants: small programs that count points per tile, each run in a process of its own.

    python -m benchmarks.peers duckdb-count FILE... --prec 4 --tau 5 [--threads N] [--corrected]
        [--max-memory BYTES --temp-dir DIR]

Each prints, as JSON, how many tiles hold at least tau points, and the sum of their counts. The
floor is the plain one that a user would write. `--corrected` asks the peers for the exact
projection of docs/contract.md, section 3, so that results can be compared; it is never timed.
gridcli always projects exactly. A memory limit is each program's own: what DuckDB holds beside it
shows in its peak.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

DUCKDB_COUNT = """
SELECT count(*), coalesce(sum(points), 0)::BIGINT
FROM (
    SELECT {tile_x} AS tile_x, {tile_y} AS tile_y, count(*) AS points
    FROM {source}
    GROUP BY tile_x, tile_y
    HAVING count(*) >= {tau}
)
"""
PLAIN_FLOOR = "floor({column} * {scale})"
CORRECTED_FLOOR = """
CASE
    WHEN (floor({column} * {scale}::DOUBLE) + 1) / {scale}::DOUBLE <= {column}
        THEN floor({column} * {scale}::DOUBLE) + 1
    WHEN floor({column} * {scale}::DOUBLE) / {scale}::DOUBLE > {column}
        THEN floor({column} * {scale}::DOUBLE) - 1
    ELSE floor({column} * {scale}::DOUBLE)
END
"""


@dataclass(frozen=True)
class Query:
    """What is counted, and with what: the command line's options."""

    files: tuple[str, ...]
    prec: int
    tau: int
    threads: int
    corrected: bool
    max_memory: int | None
    temp_dir: str | None


def duckdb_count(query: Query) -> dict[str, int]:
    """Count with DuckDB's GROUP BY ... HAVING."""
    import duckdb

    floor = CORRECTED_FLOOR if query.corrected else PLAIN_FLOOR
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in query.files)
    reader = "read_csv" if query.files[0].endswith(".csv") else "read_parquet"
    sql = DUCKDB_COUNT.format(
        tile_x=floor.format(column="lon", scale=10**query.prec),
        tile_y=floor.format(column="lat", scale=10**query.prec),
        source=f"{reader}([{names}])",
        tau=query.tau,
    )
    config: dict[str, Any] = {"threads": query.threads}
    if query.max_memory is not None:
        config["memory_limit"] = f"{query.max_memory}B"
    if query.temp_dir is not None:
        config["temp_directory"] = query.temp_dir
    found = duckdb.connect(config=config).execute(sql).fetchone()
    tiles, points = found or (0, 0)
    return {"tiles": tiles, "points": points}


def polars_count(query: Query) -> dict[str, int]:
    """Count with Polars' streaming engine."""
    os.environ["POLARS_MAX_THREADS"] = str(query.threads)  # read when polars is imported
    import polars as pl

    floor = _polars_corrected_floor if query.corrected else _polars_plain_floor
    scan = pl.scan_csv if query.files[0].endswith(".csv") else pl.scan_parquet
    tiles, points = (
        scan(list(query.files))
        .group_by(
            floor(pl.col("lon"), 10**query.prec).alias("tile_x"),
            floor(pl.col("lat"), 10**query.prec).alias("tile_y"),
        )
        .agg(pl.len().alias("points"))
        .filter(pl.col("points") >= query.tau)
        .select(pl.len(), pl.col("points").cast(pl.Int64).sum())
        .collect(engine="streaming")
        .row(0)
    )
    return {"tiles": tiles, "points": points}


def _polars_plain_floor(column: pl.Expr, scale: int) -> pl.Expr:
    return (column * scale).floor()


def _polars_corrected_floor(column: pl.Expr, scale: int) -> pl.Expr:
    import polars as pl

    # A division by a number is done as a multiplication by its reciprocal, one bit off in a third
    # of all cases (pola-rs/polars 23741); a division by a column is not.
    divisor = column * 0 + float(scale)
    k = (column * float(scale)).floor()
    above = (k + 1) / divisor <= column
    below = k / divisor > column
    return pl.when(above).then(k + 1).when(below).then(k - 1).otherwise(k)


def gridcli_count(query: Query) -> dict[str, int]:
    """Contract with gridcli and stop there: no agglomeration, no output.

    Also tells how many rows were read and used: where they are the same number, no row is bad,
    and the peers, which know no validity, count the same points.
    """
    from contextlib import closing

    from gridcli.grid.grid import Grid
    from gridcli.points.plan import ReadOptions
    from gridcli.points.reader import PointReader
    from gridcli.raster.counting import RowRules, count_points
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace

    tiles = points = 0
    options = ReadOptions(memory_bytes=query.max_memory)
    with (
        Workspace(query.threads, query.max_memory, query.temp_dir) as space,
        closing(Progress("none")) as progress,
        PointReader(query.files, options) as reader,
    ):
        grid, stop = Grid.degrees(query.prec), StopFlag()
        table, rows = count_points(reader, grid, RowRules(), space, progress=progress, stop=stop)
        drained = table.drain(query.tau, threads=space.threads, stop=stop)
        for keys, counts in drained:
            tiles += len(keys)
            points += int(counts.sum())
    return {
        "tiles": tiles,
        "points": points,
        "read": rows.read,
        "used": rows.used,
        "distinct": drained.distinct,
    }


PROGRAMS: dict[str, Callable[..., dict[str, Any]]] = {
    "duckdb-count": duckdb_count,
    "polars-count": polars_count,
    "gridcli-count": gridcli_count,
}


def main() -> None:
    """Run one of the programs and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--prec", type=int, default=4)
    parser.add_argument("--tau", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--corrected", action="store_true")
    parser.add_argument("--max-memory", type=int, metavar="BYTES")
    parser.add_argument("--temp-dir")
    asked = vars(parser.parse_args())
    count = PROGRAMS[asked.pop("program")]
    print(json.dumps(count(Query(**{**asked, "files": tuple(asked["files"])}))))


if __name__ == "__main__":
    main()
