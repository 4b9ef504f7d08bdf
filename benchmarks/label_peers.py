"""What DuckDB does to label rows; each program is run in a process of its own.

    python -m benchmarks.label_peers join FILE... --tiles TILES -o OUT --prec 4 [--threads N]
        [--codec zstd] [--corrected]
    python -m benchmarks.label_peers facts OUT

`join` joins the rows to the tiles of hubs and writes them to Parquet, in their order. Without
`--corrected` the floor is the plain one that a user would write. `facts` prints, as JSON, what
must be equal in two files that hold the same rows.
"""

from __future__ import annotations

import argparse
import json
import os

from benchmarks.peers import CORRECTED_FLOOR, PLAIN_FLOOR

JOIN = """
COPY (
    SELECT rows.*, tiles.hub_id, tiles.hub_key
    FROM read_parquet([{names}]) AS rows
    JOIN (
        SELECT tile_x, tile_y, hub_id, hub_key FROM read_parquet({tiles}) WHERE hub_id IS NOT NULL
    ) AS tiles
    ON tiles.tile_x = CAST({tile_x} AS INTEGER) AND tiles.tile_y = CAST({tile_y} AS INTEGER)
) TO {target} (FORMAT parquet, COMPRESSION {codec})
"""
FACTS = """
SELECT count(*), coalesce(sum(hub_id), 0)::BIGINT,
    bit_xor(hash(lon, lat, hub_id, hub_key))::VARCHAR
FROM read_parquet({name})
"""


def join(asked: argparse.Namespace) -> None:
    """Label rows as a user of DuckDB would."""
    import duckdb

    floor = CORRECTED_FLOOR if asked.corrected else PLAIN_FLOOR
    sql = JOIN.format(
        names=", ".join(map(_quoted, asked.files)),
        tiles=_quoted(asked.tiles),
        tile_x=floor.format(column="lon", scale=10**asked.prec),
        tile_y=floor.format(column="lat", scale=10**asked.prec),
        target=_quoted(asked.output),
        codec=asked.codec,
    )
    duckdb.connect(config={"threads": asked.threads}).execute(sql)


def facts(name: str) -> dict[str, int | str]:
    """Return the number of rows, the sum of their hubs, and a digest of all in any order."""
    import duckdb

    found = duckdb.connect().execute(FACTS.format(name=_quoted(name))).fetchone()
    return dict(zip(("rows", "hub_ids", "digest"), found or (), strict=True))


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def main() -> None:
    """Run one of the programs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_peers")
    programs = parser.add_subparsers(dest="program", required=True)
    joining = programs.add_parser("join")
    joining.add_argument("files", nargs="+", metavar="FILE")
    joining.add_argument("--tiles", required=True)
    joining.add_argument("-o", "--output", required=True)
    joining.add_argument("--prec", type=int, required=True)
    joining.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    joining.add_argument("--codec", choices=["zstd", "snappy"], default="zstd")
    joining.add_argument("--corrected", action="store_true")
    programs.add_parser("facts").add_argument("output")
    asked = parser.parse_args()
    if asked.program == "join":
        join(asked)
    else:
        print(json.dumps(facts(asked.output)))


if __name__ == "__main__":
    main()
