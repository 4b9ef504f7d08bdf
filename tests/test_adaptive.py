"""Adaptive levels compared with the plainest algorithm; layers of several levels as one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.output.layer import Geometry, Layer, LayerBatch, join_geometries
from gridcli.raster.adaptive import AdaptiveLevel, find_adaptively
from gridcli.raster.levels import ranked_layer, stacked_layer
from gridcli.raster.run import ClusterOptions
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from tests import naive
from tests.layer_examples import GEOMETRIES, shapes
from tests.tile_examples import tile_counts, tiles_of


def found_by(
    space: Workspace, grid: Grid, count: dict, coarsenings: list[int], tau: int, mu: int
) -> list[AdaptiveLevel]:
    tiles = tiles_of(grid, count)
    run = MemoryRun(keys.pack(tiles.x, tiles.y), tiles.count, rows_per_block=5)
    options = ClusterOptions(tau, mu)
    return find_adaptively(run, grid, coarsenings, options, space, stop=StopFlag(), seconds={})


def members(level: AdaptiveLevel) -> dict[int, set[tuple[int, int]]]:
    """Tiles of each hub of a level, by hub_id."""
    hubs: dict[int, set[tuple[int, int]]] = {}
    for tiles, hub in level.hubs.labelled_blocks():
        for x, y, position in zip(tiles.x.tolist(), tiles.y.tolist(), hub.tolist(), strict=True):
            if position >= 0:
                hubs.setdefault(int(level.hubs.hub_id[position]), set()).add((x, y))
    return hubs


@given(
    tile_counts(largest_count=9),
    st.sampled_from([[1, 2, 10], [1, 3], [2, 4, 8], [5], [1], [10, 1000]]),
    st.integers(1, 12),
    st.integers(1, 3),
)
@settings(max_examples=50)
def test_levels_equal_the_plain_algorithm(case, coarsenings, tau, mu):
    grid, count = case
    expected = naive.adaptive(count, coarsenings, tau, mu, lambda m: grid.coarsened(m).columns)
    with Workspace(2) as space:
        levels = found_by(space, grid, count, coarsenings, tau, mu)
        assert [level.coarsen for level in levels] == coarsenings
        ranked = []
        for i, (level, (left, hubs)) in enumerate(zip(levels, expected, strict=True)):
            assert level.hubs.tiles.grid == grid.coarsened(level.coarsen)
            assert level.distinct_tiles == len(left)
            assert level.largest_count == max(left.values(), default=0)
            assert len(level.hubs.tiles) == sum(n >= tau for n in left.values())
            found = members(level)
            assert sorted(map(sorted, found.values())) == sorted(map(sorted, hubs))
            for hub_id, tiles in found.items():
                smallest = min(tiles, key=lambda tile: (tile[1], tile[0]))
                order = (-sum(left[tile] for tile in tiles), i, smallest[1], smallest[0])
                ranked.append((order, hub_id))
        assert [hub_id for _, hub_id in sorted(ranked)] == list(range(1, len(ranked) + 1))


def test_a_sparse_hub_is_found_at_a_coarser_level():
    dense = {(x, y): 50 for x in range(3) for y in range(3)}
    sparse = {(1000 + 3 * x, 3 * y): 2 for x in range(7) for y in range(7)}
    with Workspace(1) as space:
        first, second = found_by(space, Grid.degrees(4), dense | sparse, [1, 10], 5, 4)
        assert first.hubs.points.tolist() == [450]
        assert second.hubs.points.tolist() == [98]
        assert (first.hubs.hub_key, second.hubs.hub_key) == (["g4/0/0"], ["g3/100/0"])
        assert (first.hubs.hub_id.tolist(), second.hubs.hub_id.tolist()) == ([1], [2])


@pytest.mark.parametrize("coarsenings", [[1, 2, 5], [2, 3], [1, 1], [4, 2]])
def test_levels_that_do_not_nest_are_refused(coarsenings):
    with Workspace(1) as space, pytest.raises(UsageError, match="no multiple"):
        found_by(space, Grid.degrees(4), {(0, 0): 1}, coarsenings, 1, 1)


# --- Layers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_rows_of_geometries_are_taken_and_joined(kind):
    geometry = GEOMETRIES[kind]()
    rows = np.array([2, 0, 3, 0])
    expected = [shapes(geometry)[row] for row in rows.tolist()]
    assert shapes(geometry.take(rows)) == expected
    assert len(geometry.take(rows[:0])) == 0
    both = join_geometries([geometry.take(rows), geometry, geometry.take(rows[:0])])
    assert shapes(both) == expected + shapes(geometry)
    assert [starts.dtype for starts in both.offsets] == [np.int64] * len(geometry.offsets)


def layer_of_ids(ids: list[int], step: int) -> Layer:
    schema = pa.schema([("hub_id", pa.int64())])

    def batches():
        for start in range(0, len(ids), step):
            part = ids[start : start + step]
            x = np.array(part, np.float64)
            yield LayerBatch(pa.record_batch([part], schema=schema), Geometry("point", x, -x))

    return Layer("hubs", schema, "point", len(ids), batches)


def rows_of(layer: Layer) -> list[tuple[int, int]]:
    rows = []
    for batch in layer.batches():
        assert batch.table.schema == layer.schema
        assert len(batch.table) == len(batch.geometry) > 0
        assert batch.geometry.x.tolist() == batch.table.column("hub_id").to_pylist()
        assert (batch.geometry.y == -batch.geometry.x).all()
        rows += zip(*(column.to_pylist() for column in batch.table.columns), strict=True)
    assert len(rows) == layer.rows
    return rows


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=40), st.integers(1, 9))
def test_rows_of_all_levels_come_in_the_order_of_their_ranks(level_of, step):
    ids = [[i for i, level in enumerate(level_of) if level == k] for k in range(3)]
    layers = [layer_of_ids(own, step + k) for k, own in enumerate(ids)]
    coarsenings = [1, 2, 10]
    ranked = ranked_layer(layers, coarsenings, [np.array(own, np.int64) for own in ids])
    expected = [(i, coarsenings[level]) for i, level in enumerate(level_of)]
    assert rows_of(ranked) == expected
    assert rows_of(ranked) == expected  # a layer may be walked again
    assert rows_of(stacked_layer(layers, coarsenings)) == sorted(
        expected, key=lambda row: (row[1], row[0])
    )
