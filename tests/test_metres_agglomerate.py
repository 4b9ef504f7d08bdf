"""Agglomeration where rows have different numbers of columns, against a breadth-first search."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid.grid import Grid
from gridcli.raster.agglomerate import METRICS, agglomerate
from gridcli.raster.cluster import cluster
from tests import naive
from tests.tile_examples import CutTiles, tiles_of

SIDES = ("300000", "777777", "1000000")


@functools.cache
def both(side):
    """The grid as the program has it, and as the oracle does."""
    grid = Grid.metres(side)
    return grid, naive.MetreGrid(tuple(grid.column_table.tolist()))


@functools.cache
def reached(side, tile, hops, metric):
    return both(side)[1].reached(tile, hops, metric)


@st.composite
def significant(draw):
    """A grid, and tiles of it: near a pole, at the equator, in between; around 180 degrees or 0."""
    side = draw(st.sampled_from(SIDES))
    oracle = both(side)[1]
    spread = draw(st.sampled_from([2, 5]))
    base_y = draw(st.sampled_from([oracle.rows - 1, -oracle.rows, 0, oracle.rows // 2]))
    base_x = draw(st.sampled_from([0.0, 0.37, 0.5]))
    tiles = set()
    offsets = st.integers(-spread, spread)
    for dx, dy in draw(st.lists(st.tuples(offsets, offsets), max_size=14)):
        y = min(max(base_y + dy, -oracle.rows), oracle.rows - 1)
        tiles.add((int(base_x * oracle.n(y) + dx) % oracle.n(y), y))
    return side, tiles


def components_of(tiles, label):
    found = {}
    for x, y, each in zip(tiles.x.tolist(), tiles.y.tolist(), label.tolist(), strict=True):
        found.setdefault(each, set()).add((x, y))
    return [found[each] for each in sorted(found)]


@settings(max_examples=60)
@given(
    significant(),
    st.integers(1, 4),
    st.sampled_from(METRICS),
    st.sampled_from([1, 2]),
    st.integers(1, 5),
)
def test_equals_breadth_first_search_for_any_slicing(case, delta, metric, threads, slices):
    side, tiles = case
    grid, oracle = both(side)
    table = tiles_of(grid, dict.fromkeys(tiles, 1))
    found = agglomerate(table, delta=delta, metric=metric, threads=threads, slices=slices)
    expected = oracle.agglomerate(tiles, delta, metric)
    assert components_of(table, found.label) == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("delta", [1, 2, 4])
@pytest.mark.parametrize("side", SIDES)
def test_pairs_are_joined_exactly_where_hops_reach(side, delta, metric):
    grid, oracle = both(side)
    rng = np.random.default_rng(delta)
    rows = oracle.rows
    for y in (rows - 1, rows - 2, rows - 3, -rows, 1 - rows, 2 - rows, 0, -1, 1, rows // 2):
        x = int(rng.choice([0, oracle.n(y) - 1, rng.integers(oracle.n(y))]))
        near = reached(side, (x, y), delta, metric)
        around = reached(side, (x, y), delta + 1, "chebyshev")
        for other in around - {(x, y)}:
            table = tiles_of(grid, {(x, y): 1, other: 1})
            joined = agglomerate(table, delta=delta, metric=metric).n_components == 1
            assert joined == (other in near), ((x, y), other)


@settings(max_examples=30)
@given(significant(), st.integers(1, 3), st.sampled_from(METRICS), st.data())
def test_streaming_by_slices_changes_nothing(case, delta, metric, data):
    side, tiles = case
    table = tiles_of(both(side)[0], dict.fromkeys(tiles, 1))
    cuts = data.draw(st.lists(st.integers(0, len(tiles)), max_size=4))
    whole = cluster(table, mu=1, delta=delta, metric=metric)
    sliced = cluster(CutTiles(table, cuts), mu=1, delta=delta, metric=metric, slice_tiles=1)
    assert sliced.hub_key == whole.hub_key
    assert sliced.n_tiles.tolist() == whole.n_tiles.tolist()
    for name in ("lon", "lat", "radius_m", "area_m2", "west", "south", "east", "north"):
        assert getattr(sliced, name).tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_first_and_last_column_are_neighbours(metric):
    grid = Grid.metres(25)
    for y in (0, -1, 123_456, -123_457, grid.last_row, grid.first_row):
        last = int(grid.columns_of(np.array([y]))[0]) - 1
        row = tiles_of(grid, {(0, y): 1, (last, y): 1})
        assert agglomerate(row, metric=metric).n_components == 1
        if y + 1 <= grid.last_row:
            last = int(grid.columns_of(np.array([y + 1]))[0]) - 1
            corner = tiles_of(grid, {(0, y): 1, (last, y + 1): 1})
            joined = agglomerate(corner, metric=metric).n_components == 1
            assert joined == (metric == "chebyshev")


@pytest.mark.parametrize("side", ["25", "300000", "1000000"])
def test_a_pole_is_surrounded_by_three_tiles_that_are_neighbours(side):
    grid = Grid.metres(side)
    for y in (grid.last_row, grid.first_row):
        assert grid.columns_of(np.array([y])).tolist() == [3]
        table = tiles_of(grid, {(x, y): 1 for x in range(3)})
        assert agglomerate(table, metric="manhattan").n_components == 1


def test_as_many_hops_as_nobody_needs_are_refused():
    table = tiles_of(Grid.metres(25), {(0, 0): 1})
    with pytest.raises(UsageError, match="square"):
        agglomerate(table, delta=1001)
