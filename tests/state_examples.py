"""States for tests: small ones, with row counts and inputs of any kind."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.points.batch import Reason, RowCounts
from gridcli.states.info import Rules
from gridcli.states.writer import StateWriter
from tests.tile_examples import tiles_of

if TYPE_CHECKING:
    from pathlib import Path

RULES = Rules(("lon", "lat"), ("speed < 5",), (11.5, -57.0, 12.25, 58.0), Fraction(1, 10**7))
GRID = Grid.degrees(4)


def row_counts(used: int, **reasons: int) -> RowCounts:
    counts = RowCounts(read=used + sum(reasons.values()), used=used)
    for label, n in reasons.items():
        counts.reasons[Reason[label.upper()]] = n
    return counts


def state_bytes(tiles, counts=None, inputs=(), rules=RULES, block: int = 7) -> bytes:
    """A state file, written from blocks of some length."""
    sink = io.BytesIO()
    keys = pack(tiles.x, tiles.y)
    counts = counts or row_counts(int(tiles.count.sum()))
    with StateWriter(sink, tiles.grid, rules) as writer:
        for start in range(0, len(keys), block):
            writer.write(keys[start : start + block], tiles.count[start : start + block])
        info = writer.finish(counts, inputs)
    assert info.n_tiles == len(tiles)
    return sink.getvalue()


def write_state(path: Path, *args, **options) -> Path:
    path.write_bytes(state_bytes(*args, **options))
    return path


def contents(tiles_in_blocks) -> dict[tuple[int, int], int]:
    return {
        (int(x), int(y)): int(n)
        for tiles in tiles_in_blocks.blocks()
        for x, y, n in zip(tiles.x, tiles.y, tiles.count, strict=True)
    }


def many_tiles(n: int, seed: int = 1):
    random = np.random.default_rng(seed)
    places = random.permutation(4 * n)[:n].tolist()
    counts = random.integers(1, 50, n).tolist()
    return tiles_of(GRID, {(p % 1000, p // 1000): c for p, c in zip(places, counts, strict=True)})
