"""Coarsening of tile counts, compared with floor division and with contracting again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.project import Projector, Selection
from gridcli.raster.coarsen import coarsen_into, coarser_blocks
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from gridcli.tiles.table import TableSizes, TileTable
from tests import naive
from tests.tile_examples import tile_counts

FACTORS = st.sampled_from([1, 2, 3, 7, 10, 16, 1000, 2**31 - 1])


def table() -> TileTable:
    return TileTable(TableSizes(held_keys=4, list_keys=64))


def blocks_of(count: dict[tuple[int, int], int], size: int = 7):
    """Yield counted keys in the order of the mapping, in blocks."""
    pairs = np.array(list(count), np.int64).reshape(-1, 2)
    packed, counts = keys.pack(*pairs.T), np.array(list(count.values()), np.int64)
    for start in range(0, len(packed), size):
        part = slice(start, start + size)
        yield packed[part], counts[part]


def counted(filled: TileTable) -> dict[tuple[int, int], int]:
    """Return what a table holds as a mapping."""
    found = filled.finish()
    x, y = keys.unpack(found.keys)
    return dict(zip(zip(x.tolist(), y.tolist(), strict=True), found.counts.tolist(), strict=True))


def coarsened(count: dict[tuple[int, int], int], m: int, **options: int) -> dict:
    filled = table()
    threads = options.pop("threads", 1)
    coarsen_into(filled, blocks_of(count, **options), m, threads=threads, stop=StopFlag())
    return counted(filled)


def ascending(count: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    return dict(sorted(count.items(), key=lambda item: (item[0][1], item[0][0])))


@given(tile_counts(), FACTORS, st.booleans(), st.integers(1, 3))
def test_indexes_are_floor_divided(case, m, in_order, threads):
    _, count = case
    ordered = ascending(count) if in_order else count
    assert coarsened(ordered, m, threads=threads) == naive.coarsened(count, m)


@given(tile_counts(), st.sampled_from([2, 3, 10]), st.sampled_from([2, 5, 7]))
def test_coarsening_composes(case, a, b):
    _, count = case
    assert coarsened(coarsened(count, a), b) == coarsened(count, a * b)


@given(tile_counts(), tile_counts(), st.sampled_from([2, 3, 10]))
def test_coarsening_commutes_with_adding(first, second, m):
    together = dict(first[1])
    for tile, n in second[1].items():
        together[tile] = together.get(tile, 0) + n
    apart = coarsened(first[1], m)
    for tile, n in coarsened(second[1], m).items():
        apart[tile] = apart.get(tile, 0) + n
    assert coarsened(together, m) == apart


@pytest.mark.parametrize("y", [-(2**31), -1, 0, 2**31 - 1])
def test_a_row_at_the_ends_of_the_indexes(y):
    count = {(x, y): 1 for x in (-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1)}
    for m in (1, 2, 3, 10, 2**31 - 1):
        assert coarsened(count, m) == naive.coarsened(count, m)


@pytest.mark.parametrize("m", [1, 2, 10])
@pytest.mark.parametrize("limit_mb", [32, 100_000])
@pytest.mark.parametrize("least", [1, 3])
def test_blocks_of_a_run_do_not_depend_on_memory(m, limit_mb, least):
    random = np.random.default_rng(5)
    tiles = np.unique(keys.pack(*random.integers(-300, 300, (2, 40_000))))
    counts = random.integers(1, 4, len(tiles))
    taken = slice(100, 5_000)
    pairs = zip(*(part.tolist() for part in keys.unpack(tiles)), strict=True)
    left = dict(zip(pairs, counts.tolist(), strict=True))
    for tile in list(left)[taken]:
        del left[tile]
    expected = naive.coarsened(left, m)
    with Workspace(2, limit_mb << 20) as space:
        blocks = coarser_blocks(
            MemoryRun(tiles, counts, rows_per_block=1000),
            m,
            space,
            stop=StopFlag(),
            least=least,
            minus=[MemoryRun(tiles[taken], counts[taken])],
        )
        found = [block for block, _ in blocks]
        assert blocks.distinct == len(expected)
        assert blocks.largest == max(expected.values())
        assert (space.spill.size > 0) == (m > 1 and limit_mb == 32)
    assert np.concatenate(found).tolist() == sorted(
        int(keys.pack(np.array([x]), np.array([y]))[0])
        for (x, y), n in expected.items()
        if n >= least
    )


def contracted(grid: Grid, lon: np.ndarray, lat: np.ndarray) -> dict[tuple[int, int], int]:
    filled = table()
    appender = filled.appender()
    projected = Projector(grid, Selection(keep_null_island=True)).project(lon, lat)
    appender.append(projected.keys, len(projected.keys))
    appender.flush()
    return counted(filled)


@st.composite
def coordinates(draw: st.DrawFn) -> np.ndarray:
    """Longitudes and latitudes, many on the edges of coarse or fine tiles."""
    digits = draw(st.integers(0, 7))
    free = st.floats(-180, 360, allow_nan=False)
    round_ones = st.integers(-180 * 10**digits, 360 * 10**digits).map(lambda k: k / 10**digits)
    x = st.one_of(free, round_ones, st.sampled_from([-180.0, 180.0, 0.29, 359.9999999]))
    pairs = draw(st.lists(st.tuples(x, x.map(lambda v: max(-90.0, min(90.0, v)))), max_size=30))
    return np.array(pairs, np.float64).reshape(-1, 2)


@given(coordinates(), st.integers(0, 7), st.integers(1, 8))
def test_powers_of_ten_equal_contracting_at_the_coarser_precision(points, prec, k):
    coarser = max(-1, prec - k)
    lon, lat = points.T.copy()
    fine, coarse = Grid.degrees(prec), Grid.degrees(coarser)
    m = fine.coarsening_to(coarse)
    assert m == 10 ** (prec - coarser)
    assert coarsened(contracted(fine, lon, lat), m) == contracted(coarse, lon, lat)


def test_points_have_no_tile_on_a_coarsened_grid():
    with pytest.raises(UsageError, match="coarsen its tiles"):
        Projector(Grid.degrees(4).coarsened(3), Selection())
