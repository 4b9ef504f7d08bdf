"""Components of significant tiles, compared with depth-first search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid.grid import Grid
from gridcli.raster import agglomerate as module
from gridcli.raster.agglomerate import METRICS, agglomerate
from tests import naive
from tests.tile_examples import tile_counts, tiles_of

DELTAS = st.one_of(st.integers(1, 5), st.integers(1, 40), st.just(10**12))


def components_of(tiles, components):
    found = [set() for _ in range(components.n_components)]
    for x, y, label in zip(tiles.x.tolist(), tiles.y.tolist(), components.label, strict=True):
        found[label].add((x, y))
    return found


@given(tile_counts(), DELTAS, st.sampled_from(METRICS), st.integers(1, 3), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_equals_depth_first_search_for_any_slicing(case, delta, metric, threads, slices):
    grid, count = case
    tiles = tiles_of(grid, count)
    components = agglomerate(tiles, delta=delta, metric=metric, threads=threads, slices=slices)
    expected = naive.agglomerate(set(count), delta, metric, grid.columns)
    assert components_of(tiles, components) == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(METRICS))
@settings(max_examples=20, deadline=None)
def test_larger_tables_do_not_depend_on_slices_or_pieces(seed, delta, metric):
    random = np.random.default_rng(seed)
    grid = Grid.degrees(1)
    cells = random.choice(3600 * 60, 3000, replace=False)
    count = {(int(c % 3600) - 1800, int(c // 3600)): 5 for c in cells}
    tiles = tiles_of(grid, count)
    once = agglomerate(tiles, delta=delta, metric=metric, slices=1)
    for slices in (2, 7, 60, 200):
        parts = agglomerate(tiles, delta=delta, metric=metric, threads=2, slices=slices)
        np.testing.assert_array_equal(parts.label, once.label)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "VISITS_PER_PIECE", 100)
        pieces = agglomerate(tiles, delta=delta, metric=metric)
    np.testing.assert_array_equal(pieces.label, once.label)
    assert once.n_components == once.label.max() + 1


@given(tile_counts())
@settings(max_examples=30, deadline=None)
def test_components_are_numbered_by_their_smallest_tile(case):
    label = agglomerate(tiles_of(*case), delta=2).label
    _, first = np.unique(label, return_index=True)
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize("prec", [-1, "0.25", 4])
@pytest.mark.parametrize("metric", METRICS)
def test_first_and_last_column_are_neighbours(prec, metric):
    grid = Grid.degrees(prec)
    tiles = tiles_of(grid, {(grid.first_column, 0): 1, (grid.last_column, 0): 1})
    assert agglomerate(tiles, metric=metric).n_components == 1
    corner = tiles_of(grid, {(grid.first_column, 0): 1, (grid.last_column, 1): 1})
    assert agglomerate(corner, metric=metric).n_components == (1 if metric == "chebyshev" else 2)


@pytest.mark.parametrize("delta", [1, 2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_pairs_of_tiles_around_180(delta, metric):
    grid = Grid.degrees(4)
    places = [(grid.last_column - dx, dy) for dx in range(4) for dy in range(-3, 4)]
    for place in places:
        tiles = {place, (grid.first_column, 0)}
        expected = len(naive.agglomerate(tiles, delta, metric, grid.columns))
        table = tiles_of(grid, dict.fromkeys(tiles, 1))
        found = agglomerate(table, delta=delta, metric=metric)
        assert found.n_components == expected, place


def test_planar_columns_do_not_wrap():
    tiles = tiles_of(Grid.planar_prec(0), {(-(2**31), 0): 1, (2**31 - 1, 0): 1})
    assert agglomerate(tiles).n_components == 2
    assert agglomerate(tiles, delta=2**32).n_components == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_no_tile(threads):
    components = agglomerate(tiles_of(Grid.degrees(4), {}), threads=threads)
    assert components.n_components == 0
    assert components.label.shape == (0,)


def test_one_tile_in_more_slices_than_tiles():
    components = agglomerate(tiles_of(Grid.degrees(4), {(1, 2): 3}), threads=2, slices=9)
    assert components.label.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "named"), [({"delta": 0}, "--delta 0"), ({"metric": "euclidean"}, "--metric")]
)
def test_wrong_options_are_usage_errors(options, named):
    with pytest.raises(UsageError, match=named):
        agglomerate(tiles_of(Grid.degrees(4), {(1, 2): 3}), **options)


def test_a_failing_slice_ends_the_run(monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Forest, "join_slice", fail)
    with pytest.raises(KeyboardInterrupt):
        agglomerate(tiles_of(Grid.degrees(4), {(1, 2): 3}), threads=2)
