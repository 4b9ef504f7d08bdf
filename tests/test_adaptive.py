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
from gridcli.raster import rims as rims_module
from gridcli.raster.adaptive import AdaptiveLevel, find_adaptively
from gridcli.raster.cluster import cluster
from gridcli.raster.levels import ranked_layer, stacked_layer
from gridcli.raster.rims import FinerHubs, surrounded_places
from gridcli.raster.run import ClusterOptions
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from tests import naive
from tests.layer_examples import GEOMETRIES, shapes
from tests.tile_examples import CutTiles, tile_counts, tiles_of

OPTIONS = ClusterOptions(tau=5, mu=4)


def found_by(
    space: Workspace,
    grid: Grid,
    count: dict,
    coarsenings: list[int],
    options: ClusterOptions,
    *,
    without_rims: bool = False,
) -> list[AdaptiveLevel]:
    tiles = tiles_of(grid, count)
    run = MemoryRun(keys.pack(tiles.x, tiles.y), tiles.count, rows_per_block=5)
    return find_adaptively(
        *(run, grid, coarsenings, options, space),
        without_rims=without_rims,
        stop=StopFlag(),
        seconds={},
    )


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
        levels = found_by(space, grid, count, coarsenings, ClusterOptions(tau, mu))
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
        first, second = found_by(space, Grid.degrees(4), dense | sparse, [1, 10], OPTIONS)
        assert first.hubs.points.tolist() == [450]
        assert second.hubs.points.tolist() == [98]
        assert (first.hubs.hub_key, second.hubs.hub_key) == (["g4/0/0"], ["g3/100/0"])
        assert (first.hubs.hub_id.tolist(), second.hubs.hub_id.tolist()) == ([1], [2])


@pytest.mark.parametrize("coarsenings", [[1, 2, 5], [2, 3], [1, 1], [4, 2]])
def test_levels_that_do_not_nest_are_refused(coarsenings):
    with Workspace(1) as space, pytest.raises(UsageError, match="no multiple"):
        found_by(space, Grid.degrees(4), {(0, 0): 1}, coarsenings, OPTIONS)


# --- Rims -----------------------------------------------------------------------------------------


def keys_of(levels: list[AdaptiveLevel]) -> list[list[tuple[str, str | None]]]:
    """The key of each hub of each level, and of what it is a rim of."""
    return [list(zip(level.hubs.hub_key, level.rim_of, strict=True)) for level in levels]


def expected_keys(
    grid: Grid, count: dict, coarsenings: list[int], options: ClusterOptions
) -> list[list[tuple[str, str | None]]]:
    """The same by the plainest algorithm, in any order within a level."""

    def columns(m: int) -> int:
        return grid.coarsened(m).columns

    rules = options.delta, options.metric
    levels = naive.adaptive(count, coarsenings, options.tau, options.mu, columns, *rules)
    rims = naive.rims(levels, coarsenings, columns, *rules)

    def key(level: int, hub: int) -> str:
        x, y = min(levels[level][1][hub], key=lambda tile: (tile[1], tile[0]))
        return f"{grid.coarsened(coarsenings[level]).name}/{x}/{y}"

    return [
        [(key(level, hub), place and key(*place)) for hub, place in enumerate(of_level)]
        for level, of_level in enumerate(rims)
    ]


def assert_rims_are_plain(grid, count, coarsenings, options, piece):
    expected = expected_keys(grid, count, coarsenings, options)
    with pytest.MonkeyPatch.context() as patch, Workspace(1) as space:
        patch.setattr(rims_module, "PIECE", piece)
        levels = found_by(space, grid, count, coarsenings, options)
        found = keys_of(levels)
        assert [sorted(level) for level in found] == [sorted(level) for level in expected]
        n_rims = [sum(rim_of is not None for _, rim_of in level) for level in found]
        assert [level.n_rims for level in levels] == n_rims

        fewer = found_by(space, grid, count, coarsenings, options, without_rims=True)
        assert keys_of(fewer) == [[row for row in level if row[1] is None] for level in found]
        assert [level.n_rims for level in fewer] == n_rims
        ids = np.concatenate([level.hubs.hub_id for level in fewer])
        assert sorted(ids.tolist()) == list(range(1, len(ids) + 1))
        for all_hubs, places in zip(levels, fewer, strict=True):
            kept = [rim_of is None for rim_of in all_hubs.rim_of]
            of_all, of_places = members(all_hubs), members(places)
            assert [of_all[i] for i in all_hubs.hubs.hub_id[kept].tolist()] == [
                of_places[i] for i in places.hubs.hub_id.tolist()
            ]
            assert places.hubs.points.tolist() == all_hubs.hubs.points[kept].tolist()
            assert len(places.hubs.tiles) == len(all_hubs.hubs.tiles)
    return expected


@given(
    tile_counts(largest_count=9),
    st.sampled_from([[1, 2, 10], [1, 3], [2, 4, 8], [1, 2, 4]]),
    st.builds(
        ClusterOptions,
        st.integers(1, 12),
        st.integers(1, 3),
        st.one_of(st.integers(1, 9), st.just(10**12)),
        st.sampled_from(["chebyshev", "manhattan"]),
    ),
    st.sampled_from([1, 2, 7, 1000]),
)
@settings(max_examples=40, deadline=None)
def test_rims_equal_the_plain_algorithm(case, coarsenings, options, piece):
    grid, count = case
    assert_rims_are_plain(grid, count, coarsenings, options, piece)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("delta", [1, 3])
@pytest.mark.parametrize("metric", ["chebyshev", "manhattan"])
def test_rims_around_180_degrees(seed, delta, metric):
    random = np.random.default_rng(seed)
    cores = random.integers(0, [24, 20], (5, 2))
    points = np.rint(np.concatenate([core + random.normal(0, 1.5, (60, 2)) for core in cores]))
    x, y = points.astype(int).T
    tiles = zip(((x + 348) % 360 - 180).tolist(), y.tolist(), strict=True)
    count: dict[tuple[int, int], int] = {}
    for tile in tiles:
        count[tile] = count.get(tile, 0) + 1
    options = ClusterOptions(tau=6, mu=2, delta=delta, metric=metric)
    expected = assert_rims_are_plain(Grid.degrees(0), count, [1, 2, 4], options, piece=3)
    assert any(rim_of is not None for level in expected for _, rim_of in level)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("piece", [1, 5, 40])
def test_rims_do_not_depend_on_blocks(seed, piece):
    random = np.random.default_rng(seed)
    fine, coarse = (
        dict.fromkeys(map(tuple, random.integers(0, size, (n, 2)).tolist()), 5)
        for size, n in ((30, 200), (20, 90))
    )
    cuts, slice_tiles = random.integers(1, 90, 9).tolist(), int(random.integers(1, 90))
    grid = Grid.degrees(0)
    options = ClusterOptions(mu=2)

    def places(cut, **slicing):
        finer = cluster(cut(tiles_of(grid, fine)), mu=2, **slicing)
        hubs = cluster(cut(tiles_of(grid.coarsened(3), coarse)), mu=2, **slicing)
        told = [FinerHubs(finer, 3, np.arange(len(finer)))]
        return surrounded_places(hubs, told, options=options, space=space, stop=StopFlag())

    with pytest.MonkeyPatch.context() as patch, Workspace(2) as space:
        expected = places(lambda tiles: tiles)
        patch.setattr(rims_module, "PIECE", piece)
        slicing = {"spill": space.spill, "slice_tiles": slice_tiles}
        found = places(lambda tiles: CutTiles(tiles, cuts), **slicing)
    assert (expected >= 0).any()
    assert (expected < 0).any()
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("dense", "sparse"), [((178, 179), (-180, -177)), ((-180, -179), (176, 179))]
)
def test_a_rim_lies_beyond_180_degrees(dense, sparse):
    core = {(x, y): 50 for x in dense for y in range(4)}
    rim = {(x, y): 2 for x in range(sparse[0], sparse[1] + 1) for y in range(4)}
    for grid, is_rim in ((Grid.degrees(0), True), (Grid.planar_prec(0), False)):
        with Workspace(1) as space:
            first, second = found_by(space, grid, core | rim, [1, 2], OPTIONS)
            assert second.rim_of == [first.hubs.hub_key[0] if is_rim else None]


def test_a_large_yard_around_a_gate_stays():
    gate = {(x, y): 50 for x in range(20, 22) for y in range(20, 22)}
    yard = {(x, y): 2 for x in range(40) for y in range(40) if (x, y) not in gate}
    with Workspace(1) as space:
        first, second = found_by(space, Grid.degrees(4), gate | yard, [1, 2], OPTIONS)
        assert (first.hubs.hub_key, first.rim_of) == (["g4/20/20"], [None])
        assert (second.hubs.hub_key, second.rim_of) == (["g4x2/0/0"], ["g4/20/20"])
        assert second.hubs.points.tolist() == [2 * 1596]
        assert second.hubs.hub_id.tolist() == [1]  # it is the larger one


def test_a_rim_of_a_rim_belongs_to_the_place_inside():
    def square(low: int, high: int, points: int) -> dict[tuple[int, int], int]:
        return {(x, y): points for x in range(low, high) for y in range(low, high)}

    count = square(0, 32, 1) | square(8, 24, 4) | square(14, 18, 50)
    with Workspace(1) as space:
        levels = found_by(space, Grid.degrees(4), count, [1, 2, 8], ClusterOptions(9, 4))
        assert [level.rim_of for level in levels] == [[None], ["g4/14/14"], ["g4/14/14"]]


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


def rows_of(layer: Layer) -> list[tuple[object, ...]]:
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
    rim_of = [[f"g4/{i}/0" if i % 3 else None for i in own] for own in ids]
    ranked = ranked_layer(layers, coarsenings, [np.array(own, np.int64) for own in ids], rim_of)
    expected = [
        (i, coarsenings[level], f"g4/{i}/0" if i % 3 else None) for i, level in enumerate(level_of)
    ]
    assert rows_of(ranked) == expected
    assert rows_of(ranked) == expected  # a layer may be walked again
    assert rows_of(stacked_layer(layers, coarsenings)) == sorted(
        (row[:2] for row in expected), key=lambda row: (row[1], row[0])
    )
