"""Clustering of tiles that come in blocks: whatever the blocks and slices, the same bytes."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError, UsageError
from gridcli.grid.ellipsoid import row_areas
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.raster import cluster as module
from gridcli.raster import hubs as hubs_module
from gridcli.raster.agglomerate import METRICS
from gridcli.raster.cluster import cluster, row_slices
from gridcli.raster.layers import hubs_layer, tiles_layer
from gridcli.raster.outlines import grouping
from gridcli.raster.outlines.layers import clusters_layer, hubs_polygon_layer
from gridcli.raster.spool import TileSpool
from gridcli.runtime.signals import Interrupted, StopFlag
from gridcli.runtime.spill import SpillFile
from gridcli.tiles.tiles import Tiles
from tests import naive
from tests.layer_examples import written
from tests.tile_examples import GRIDS, CutTiles, tile_counts, tiles_of

LAYERS = (hubs_layer, tiles_layer, clusters_layer, hubs_polygon_layer)
CUTS = st.one_of(st.just(range(1, 1000)), st.lists(st.integers(1, 60), max_size=20))


def hub_of_every_tile(hubs):
    """Tiles and their hubs in one piece, and how many blocks they came in."""
    blocks = list(hubs.labelled_blocks())
    assert all(len(tiles) == len(hub) > 0 for tiles, hub in blocks)
    keys = [pack(tiles.x, tiles.y) for tiles, _ in blocks]
    return np.concatenate([np.empty(0, np.uint64), *keys]), np.concatenate(
        [np.empty(0, np.int32), *(hub for _, hub in blocks)]
    )


@pytest.fixture(autouse=True, scope="module")
def _little_memory_is_enough():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "BYTES_PER_GROUPED_TILE", 50_000)
        patch.setattr(grouping, "TILES_PER_BATCH", 10)
        patch.setattr(module, "LEAST_BYTES", 0)
        yield


def assert_same(found, expected, *, formats=()):
    for field in fields(expected):
        if field.name not in {"tiles", "labels"}:
            a, b = getattr(found, field.name), getattr(expected, field.name)
            if isinstance(b, np.ndarray):
                assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes()), field.name
            else:
                assert a == b, field.name
    for a, b in zip(hub_of_every_tile(found), hub_of_every_tile(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    for make, form in product(LAYERS, formats):
        bound = {"memory_bytes": 4_000_000} if make in LAYERS[2:] else {}
        streamed = written(make(found, {"tau": 1}, **bound), form)
        assert streamed == written(make(expected, {"tau": 1}), form), (make.__name__, form)


def assert_stream_equals_memory(tiles, cuts, slice_tiles, **options):
    expected = cluster(tiles, **options)
    with SpillFile() as spill:
        streamed = cluster(CutTiles(tiles, cuts), spill=spill, slice_tiles=slice_tiles, **options)
        # Each format takes its turn: writing takes longer than all the rest.
        form = "parquet" if len(tiles) % 2 else "csv" if tiles.grid.planar else "geojson"
        assert_same(streamed, expected, formats=[form])
    in_memory = cluster(tiles, slice_tiles=slice_tiles, **options)
    assert_same(in_memory, expected)
    return expected


def picture(lines, grid=GRIDS[-2], west=0, south=0):
    """Tiles marked # in lines, the last of which is the southernmost row."""
    return tiles_of(
        grid,
        {
            (west + x, south + y): 1 + (7 * x + 3 * y) % 5
            for y, line in enumerate(reversed(lines))
            for x, mark in enumerate(line)
            if mark == "#"
        },
    )


@given(
    st.one_of(tile_counts(), tile_counts(largest_count=10**16)),
    CUTS,
    st.integers(1, 12),
    st.one_of(st.integers(1, 3), st.integers(1, 40), st.just(10**12)),
    st.sampled_from(METRICS),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_any_slicing_gives_the_same_bytes(case, cuts, slice_tiles, delta, metric, mu):
    grid, count = case
    tiles = tiles_of(grid, count)
    hubs = assert_stream_equals_memory(tiles, cuts, slice_tiles, delta=delta, metric=metric, mu=mu)
    components = naive.agglomerate(set(count), delta, metric, grid.columns)
    assert hubs.n_tiles.tolist() == [
        len(hub.tiles) for hub in naive.hubs(components, count, mu, grid)
    ]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.3, 0.45, 0.6]),
    st.integers(1, 400),
    st.integers(1, 3),
    st.sampled_from(METRICS),
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_dense_tiles_around_180_degrees(seed, density, slice_tiles, delta, metric, planar):
    random = np.random.default_rng(seed)
    y, x = np.nonzero(random.random((40, 36)) < density / delta)
    grid = Grid.planar_prec(0) if planar else Grid.degrees(0)
    first = -180 if not planar else 0
    columns = first + (x + 340) % 360 if not planar else x
    count = dict.fromkeys(zip(columns.tolist(), y.tolist(), strict=True), 3)
    tiles = tiles_of(grid, count)
    cuts = np.sort(random.integers(1, len(tiles) + 1, 30)).tolist()
    assert_stream_equals_memory(tiles, cuts, slice_tiles, delta=delta, metric=metric, mu=3)


SPIRAL = (
    "#########",
    "#.......#",
    "#.#####.#",
    "#.#...#.#",
    "#.#.#.#.#",
    "#.#.###.#",
    "#.#.....#",
    "#.#######",
)
COMB = ("#################", *(["#.#.#.#.#.#.#.#.#"] * 5), "#...#...#...#...#")
TWO_COMBS = ("#######.#######", *(["#.#.#.#.#.#.#.#"] * 3), "#.#.#.#.#.#.#.#", "...............#")
NESTED = (
    "###########",
    "#.........#",
    "#.#######.#",
    "#.#.....#.#",
    "#.#.###.#.#",
    "#.#.#.#.#.#",
    "#.#.#.#.#.#",
)


@pytest.mark.parametrize("lines", [SPIRAL, COMB, TWO_COMBS, NESTED])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("slice_tiles", [1, 10])
def test_components_that_meet_late(lines, flipped, slice_tiles):
    tiles = picture(lines[::-1] if flipped else lines)
    for metric in METRICS:
        for mu in (1, 6):
            hubs = assert_stream_equals_memory(
                tiles, range(1, 200), slice_tiles, metric=metric, mu=mu
            )
            assert len(hubs) >= 1


@pytest.mark.parametrize("prec", [-1, "-0.5"])
def test_a_giant_hub_all_around_the_earth(prec, monkeypatch):
    monkeypatch.setattr(hubs_module, "LEAST_RANGES", 4)
    grid = Grid.degrees(prec)
    rows = range(grid.first_row, grid.last_row + 1)
    count = {
        (x, y): 1 + (x + y) % 3
        for y in rows
        for x in range(grid.first_column, grid.last_column + 1)
        if (x + 2 * y) % 5 and x not in {3, 4}
    }
    hubs = assert_stream_equals_memory(tiles_of(grid, count), range(1, 10_000, 3), 1)
    assert len(hubs) == 1
    assert hubs.west[0] > hubs.east[0]


def test_labels_are_given_to_what_may_become_a_hub_only():
    """One tile in every fourth row: without borders, nothing but the one hub is ever labelled."""
    count = {(0, 4 * row): 1 for row in range(500)} | {(x, 2001): 1 for x in range(10)}
    tiles = tiles_of(Grid.planar_prec(0), count)
    joined = module._JoinedSlices(tiles, 4, 1, "chebyshev", 1, None, None)
    for rows, is_last in row_slices(tiles, 5):
        joined.label(rows, is_last=is_last)
    assert joined._n < 2 + 500 / 5
    sums, _ = joined.rank()
    assert len(sums) == 1


@given(tile_counts(), CUTS, st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_slices_hold_complete_rows(case, cuts, least):
    tiles = tiles_of(*case)
    slices = list(row_slices(CutTiles(tiles, cuts), least))
    assert [is_last for _, is_last in slices] == [False] * (len(slices) - 1) + [True] * bool(slices)
    found = [pack(rows.x, rows.y) for rows, _ in slices]
    np.testing.assert_array_equal(np.concatenate([[], *found]), pack(tiles.x, tiles.y))
    assert all(len(rows) >= least for rows, is_last in slices if not is_last)
    assert all(a.y[-1] < b.y[0] for (a, _), (b, _) in pairwise(slices))


@given(st.sampled_from(GRIDS), st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_areas_of_rows_do_not_depend_on_their_company(grid, seed, step):
    ends = (-(2**31), 2**31 - 1) if grid.planar else (grid.first_row, grid.last_row)
    rows = np.sort(np.random.default_rng(seed).integers(*ends, 300, np.int32, endpoint=True))
    parts = [row_areas(grid, rows[i : i + step].copy()) for i in range(0, len(rows), step)]
    assert np.concatenate(parts).tobytes() == row_areas(grid, rows).tobytes()


def test_no_tile():
    tiles = tiles_of(Grid.degrees(4), {})
    with SpillFile() as spill:
        assert_same(cluster(tiles, spill=spill), cluster(tiles))
        assert len(cluster(tiles, memory_bytes=1)) == 0


@pytest.mark.parametrize("wrong", [{"mu": 0}, {"delta": 0}, {"metric": "euclidean"}])
def test_wrong_options_are_usage_errors_also_without_tiles(wrong):
    with pytest.raises(UsageError, match=f"--{next(iter(wrong))}"):
        cluster(tiles_of(Grid.degrees(4), {}), **wrong)


def row_of_pairs(n_pairs, grid=GRIDS[-2]):
    return tiles_of(grid, {(x, 3 * y): 1 for y in range(n_pairs) for x in (0, 1)})


def test_memory_bounds_slices_not_results():
    tiles = row_of_pairs(3_000)
    expected = cluster(tiles, mu=3)
    with SpillFile() as spill:
        found = cluster(tiles, mu=3, spill=spill, memory_bytes=60_000)
        assert_same(found, expected)
        assert spill.size == 4 * len(tiles)


def test_one_slice_spills_nothing():
    with SpillFile() as spill:
        cluster(row_of_pairs(100), spill=spill, memory_bytes=10**9)
        assert spill.size == 0


def test_too_many_hubs_for_the_memory_are_refused_with_numbers():
    tiles = row_of_pairs(3_000)
    told = (
        r"^more than 300 hubs, perhaps 3,000, need 1.4 MB \(about 450 bytes each\), .* "
        r"--max-memory 64MiB would be enough; .* --mu above 2"
    )
    with pytest.raises(ResourceError, match=told):
        cluster(tiles, mu=2, memory_bytes=60_000)
    enough = module.BYTES_PER_HUB * 3_000
    assert len(cluster(tiles, mu=2, memory_bytes=enough)) == 3_000
    with pytest.raises(ResourceError, match=r"^3,000 hubs need 1.4 MB .* 384MiB"):
        cluster(tiles, mu=2, memory_bytes=enough - 1, limit_bytes=383 << 20)


def test_a_border_that_does_not_fit_is_refused_with_numbers():
    with pytest.raises(ResourceError, match=r"tiles must be joined at once.*--delta 1000000"):
        cluster(row_of_pairs(3_000), delta=10**6, memory_bytes=60_000)


def test_a_signal_stops_between_slices():
    stop = StopFlag()
    walked = []

    class Stopping(CutTiles):
        def blocks(self):
            for block in super().blocks():
                walked.append(block)
                if len(walked) == 3:
                    stop.set(15)
                yield block

    tiles = Stopping(row_of_pairs(100), range(10, 200, 10))
    with pytest.raises(Interrupted):
        cluster(tiles, slice_tiles=10, stop=stop)
    assert len(walked) < 6


@given(tile_counts(), CUTS, st.integers(0, 50), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_spooled_tiles_are_those_in_memory(case, cuts, keep_tiles, block_tiles):
    tiles = tiles_of(*case)
    with SpillFile() as spill:
        spool = TileSpool(tiles.grid, spill, keep_tiles=keep_tiles, block_tiles=block_tiles)
        for block in CutTiles(tiles, cuts).blocks():
            spool.add(pack(block.x, block.y), block.count)
        found = spool.finish()
        assert isinstance(found, Tiles) == (len(tiles) <= keep_tiles)
        assert spill.size == (0 if len(tiles) <= keep_tiles else 16 * len(tiles))
        assert (len(found), found.grid) == (len(tiles), tiles.grid)
        for _ in range(2):
            blocks = list(found.blocks())
            assert all(0 < len(block) <= max(block_tiles, keep_tiles) for block in blocks)
            for name in ("x", "y", "count"):
                whole = getattr(tiles, name)
                joined = np.concatenate([whole[:0], *(getattr(block, name) for block in blocks)])
                assert (joined.dtype, joined.tolist()) == (whole.dtype, whole.tolist())
        assert_same(cluster(found, spill=spill, slice_tiles=5, mu=2), cluster(tiles, mu=2))
