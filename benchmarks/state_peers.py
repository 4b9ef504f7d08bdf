"""What DuckDB does with state files; each program is run in a process of its own.

    python -m benchmarks.state_peers merge STATE... -o FILE [--threads N] [--unsorted]
    python -m benchmarks.state_peers facts STATE

`merge` adds up the counts of equal tiles and writes them to Parquet, in the order of a state or in
any. `facts` prints, as JSON, what must be equal in two files that hold the same tiles.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

MERGE = """
COPY (
    SELECT tile_x, tile_y, sum("count")::BIGINT AS "count"
    FROM read_parquet([{names}])
    GROUP BY tile_x, tile_y
    {order}
) TO {target} (FORMAT parquet, COMPRESSION zstd)
"""
ORDER = "ORDER BY tile_y, tile_x"
FACTS = """
SELECT count(*), sum("count")::BIGINT, bit_xor(hash(tile_x, tile_y, "count"::BIGINT))::VARCHAR
FROM read_parquet({name})
"""


def merge(states: Sequence[str], target: str, threads: int, *, is_sorted: bool) -> None:
    """Add up states as a user of DuckDB would."""
    import duckdb

    names = ", ".join(map(_quoted, states))
    sql = MERGE.format(names=names, order=ORDER if is_sorted else "", target=_quoted(target))
    duckdb.connect(config={"threads": threads}).execute(sql)


def facts(state: str) -> dict[str, int | str]:
    """Return the number of tiles, of points, and a digest of all rows in any order."""
    import duckdb

    found = duckdb.connect().execute(FACTS.format(name=_quoted(state))).fetchone()
    return dict(zip(("tiles", "points", "digest"), found or (), strict=True))


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def main() -> None:
    """Run one of the programs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state_peers")
    programs = parser.add_subparsers(dest="program", required=True)
    merging = programs.add_parser("merge")
    merging.add_argument("states", nargs="+", metavar="STATE")
    merging.add_argument("-o", "--output", required=True)
    merging.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    merging.add_argument("--unsorted", action="store_true")
    programs.add_parser("facts").add_argument("state")
    asked = parser.parse_args()
    if asked.program == "merge":
        merge(asked.states, asked.output, asked.threads, is_sorted=not asked.unsorted)
    else:
        print(json.dumps(facts(asked.state)))


if __name__ == "__main__":
    main()
