"""Tiles below tau that count all the same: `--window` and `--epsilon`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.raster.cluster import cluster
from gridcli.raster.relax import rows as module
from gridcli.raster.relax.rows import Relaxation, relaxed_tiles
from gridcli.raster.run import ClusterOptions
from gridcli.raster.significant import significant_tiles
from gridcli.raster.spool import TileSpool
from gridcli.runtime.spill import SpillFile
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.tiles import KINDS, Tiles, join_tiles, tally_kinds
from tests import naive
from tests.test_adaptive import found_by, members
from tests.tile_examples import tile_counts, tiles_of

CUTS = st.lists(st.integers(1, 60), max_size=20)
RELAXATIONS = st.builds(
    Relaxation, st.sampled_from([None, "gaps", "all"]), st.sampled_from([0, 1, 3, 8])
)


def blocks_of(tiles, cuts):
    """Keys and counts in blocks that end at some positions."""
    keys = pack(tiles.x, tiles.y)
    inner = {cut for cut in cuts if 0 < cut < len(keys)}
    for begin, end in pairwise(sorted({0, len(keys), *inner})):
        yield keys[begin:end], tiles.count[begin:end]


def kinds_of(pieces):
    """The kind of each tile of some pieces, which must be in order."""
    found = [
        (y, x, KINDS[kind], count)
        for piece in pieces
        for x, y, count, kind in zip(
            *(column.tolist() for column in (piece.x, piece.y, piece.count, piece.kind)),
            strict=True,
        )
    ]
    assert all(a[:2] < b[:2] for a, b in pairwise(found))
    return {(x, y): (kind, count) for y, x, kind, count in found}


def relax(grid, count, tau, relaxation, cuts=(), memory_bytes=1 << 30):
    blocks = blocks_of(tiles_of(grid, count), cuts)
    threads = 1 + len(count) % 3
    found = relaxed_tiles(blocks, grid, tau, relaxation, threads=threads, memory_bytes=memory_bytes)
    return kinds_of(found)


@given(
    tile_counts(largest_count=9), RELAXATIONS, st.integers(1, 14), CUTS, st.sampled_from([1, 5, 99])
)
@settings(max_examples=60, deadline=None)
def test_relaxed_tiles_equal_the_plain_definition(case, relaxation, tau, cuts, slice_tiles):
    grid, count = case
    relaxation = Relaxation(relaxation.window, min(relaxation.epsilon, tau - 1))
    expected = naive.relaxed(count, tau, relaxation.window, relaxation.epsilon, grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE_TILES", slice_tiles)
        least = relaxation.least(tau)
        needed = {tile: n for tile, n in count.items() if n >= least}
        for given_count in (count, needed):
            found = relax(grid, given_count, tau, relaxation, cuts)
            assert found == {tile: (kind, count[tile]) for tile, kind in expected.items()}


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([Grid.degrees(-1), Grid.degrees("-0.9"), Grid.degrees(-1).coarsened(18)]),
    st.floats(0.2, 1.0),
    RELAXATIONS,
)
@settings(max_examples=30, deadline=None)
def test_all_around_the_earth_and_at_the_poles(seed, grid, density, relaxation):
    random = np.random.default_rng(seed)
    columns = range(grid.first_column, grid.last_column + 1)
    tiles = [(x, y) for y in range(grid.first_row, grid.last_row + 1) for x in columns]
    count = {tile: int(random.integers(1, 9)) for tile in tiles if random.random() < density}
    cuts = random.integers(1, len(tiles), 10).tolist()
    for tau in (9, 12):
        found = relax(grid, count, tau, relaxation, cuts)
        expected = naive.relaxed(count, tau, relaxation.window, relaxation.epsilon, grid)
        assert found == {tile: (kind, count[tile]) for tile, kind in expected.items()}


METRES = ("25", "300000", "700000", "1000000")


@st.composite
def metres_counts(draw):
    """A grid of rows with different columns, and counts of tiles near a meridian or 180 degrees."""
    grid = Grid.metres(draw(st.sampled_from(METRES)))
    base_y = draw(st.sampled_from([grid.first_row, -1, grid.last_row, grid.last_row // 2]))
    base = draw(st.fractions(0, 1, max_denominator=7))
    found = {}
    steps = st.tuples(st.integers(-4, 4), st.integers(-3, 3), st.integers(1, 9))
    for dx, dy, n in draw(st.lists(steps, min_size=1, max_size=40)):
        y = min(max(base_y + dy, grid.first_row), grid.last_row)
        columns = int(grid.columns_of(np.array([y]))[0])
        found[(int(base * columns) + dx) % columns, y] = n
    return grid, found


@given(metres_counts(), RELAXATIONS, st.integers(2, 14), CUTS, st.sampled_from([1, 5, 99]))
@settings(max_examples=60, deadline=None)
def test_grids_of_metres_equal_the_plain_definition(case, relaxation, tau, cuts, slice_tiles):
    grid, count = case
    relaxation = Relaxation(relaxation.window, min(relaxation.epsilon, tau - 1))
    expected = naive.relaxed(count, tau, relaxation.window, relaxation.epsilon, grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE_TILES", slice_tiles)
        found = relax(grid, count, tau, relaxation, cuts)
    assert found == {tile: (kind, count[tile]) for tile, kind in expected.items()}


@pytest.mark.parametrize("seed", range(12))
def test_all_around_the_poles_on_grids_of_metres(seed):
    random = np.random.default_rng(seed)
    grid = Grid.metres("1000000")
    rows = range(grid.last_row - 2, grid.last_row + 1)
    rows = rows if seed % 2 else [-1 - y for y in rows]
    width = {y: int(grid.columns_of(np.array([y]))[0]) for y in rows}
    tiles = [(x, y) for y in rows for x in range(width[y])]
    count = {tile: int(random.integers(1, 9)) for tile in tiles if random.random() < 0.8}
    for relaxation in (Relaxation("gaps"), Relaxation("all", 2), Relaxation(epsilon=4)):
        found = relax(grid, count, 8, relaxation, [5, 9])
        expected = naive.relaxed(count, 8, relaxation.window, relaxation.epsilon, grid)
        assert found == {tile: (kind, count[tile]) for tile, kind in expected.items()}
        assert "significant" in expected.values()


def test_points_around_a_corner():
    """Figure 4 of the paper: four points around a corner of four tiles, tau 4."""
    count = {(9, 4): 1, (10, 4): 1, (9, 5): 1, (10, 5): 1}
    found = relax(Grid.degrees(4), count, 4, Relaxation("gaps"))
    assert found == dict.fromkeys(count, ("window", 1))
    assert not relax(Grid.degrees(4), count, 5, Relaxation("gaps"))
    assert not relax(Grid.degrees(4), count, 4, Relaxation(epsilon=3))


def test_a_block_with_a_significant_tile_is_added_only_where_all_are():
    count = {(0, 0): 4, (1, 0): 1, (1, 1): 2}
    grid = Grid.planar_prec(0)
    assert relax(grid, count, 4, Relaxation("gaps")) == {(0, 0): ("significant", 4)}
    assert relax(grid, count, 4, Relaxation("all")) == {
        (0, 0): ("significant", 4),
        (1, 0): ("window", 1),
        (1, 1): ("window", 2),
    }


def test_epsilon_looks_at_tiles_with_tau_points_only_and_once():
    """The second tile has a significant neighbour and one that was added: not enough."""
    count = {(0, 0): 9, (0, 2): 9, (0, 1): 4, (1, 2): 4, (1, 3): 4}
    found = relax(Grid.planar_prec(0), count, 5, Relaxation(epsilon=1))
    assert {tile: kind for tile, (kind, _) in found.items()} == {
        (0, 0): "significant",
        (0, 2): "significant",
        (0, 1): "epsilon",
    }


def test_blocks_and_neighbours_across_180_degrees_but_not_across_a_pole():
    grid = Grid.degrees(0)
    east, west = grid.last_column, grid.first_column
    assert len(relax(grid, {(east, 3): 2, (west, 4): 2}, 4, Relaxation("gaps"))) == 2
    count = {(east, 3): 9, (east, 5): 9, (west, 4): 4}
    assert relax(grid, count, 5, Relaxation(epsilon=1))[west, 4] == ("epsilon", 4)
    top = grid.last_row
    # The block below the pole holds a significant tile, and there is none above it.
    count = {(0, top): 2, (1, top): 2, (0, top - 1): 9}
    assert len(relax(grid, count, 4, Relaxation("gaps"))) == 1
    count = {(0, top - 1): 2, (1, top - 1): 2, (0, top - 2): 9}
    assert len(relax(grid, count, 4, Relaxation("gaps"))) == 3


def test_huge_counts_do_not_overflow():
    count = {(0, 0): 2**62, (1, 0): 2**62, (0, 1): 2**62, (1, 1): 1}
    found = relax(Grid.planar_prec(0), count, 5, Relaxation("all", 4))
    assert found[1, 1] == ("window", 1)


def test_added_tiles_bridge_and_count_for_mu():
    count = {(0, 0): 9, (1, 0): 9, (2, 0): 4, (3, 0): 9, (4, 0): 9}
    grid = Grid.degrees(4)
    options = ClusterOptions(tau=5, mu=5, epsilon=1)
    with Workspace(1) as space:
        blocks = list(blocks_of(tiles_of(grid, count), [2, 3]))
        tiles = significant_tiles(blocks, grid, 5, space, options.relaxation)
        assert tally_kinds(tiles) == {"significant": 4, "window": 0, "epsilon": 1}
        hubs = cluster(tiles, mu=5)
        assert (hubs.points.tolist(), hubs.n_tiles.tolist()) == ([40], [5])
        assert not len(cluster(significant_tiles(blocks, grid, 5, space), mu=5))


def test_a_row_that_does_not_fit_is_refused_with_numbers(monkeypatch):
    monkeypatch.setattr(module, "LEAST_BYTES", 0)
    count = {(x, 7): 1 for x in range(1000)} | {(x, 8): 1 for x in range(10)}
    with pytest.raises(ResourceError, match=r"row 7 holds [6-9][0-9]{2} tiles .*0\.1 MB"):
        relax(Grid.planar_prec(0), count, 5, Relaxation("gaps"), memory_bytes=200_000)
    rows = {(x, y): 1 for x in range(300) for y in range(30)}
    found = relax(Grid.planar_prec(0), rows, 4, Relaxation("gaps"), memory_bytes=200_000)
    assert len(found) == len(rows)


def test_kinds_are_kept_in_memory_and_in_the_spill_file():
    tiles = tiles_of(Grid.degrees(4), {(x, x // 3): 1 + x for x in range(50)})
    kind = np.arange(50, dtype=np.uint8) % 3
    tiles = Tiles(tiles.grid, tiles.x, tiles.y, tiles.count, kind)
    with SpillFile() as spill:
        for keep in (1000, 20, 0):
            spool = TileSpool(tiles.grid, spill, keep_tiles=keep, block_tiles=7, with_kinds=True)
            for begin, end in pairwise([0, 3, 4, 30, 50]):
                spool.add_tiles(tiles.piece(begin, end))
            finished = spool.finish()
            assert len(finished) == 50
            assert tally_kinds(finished) == {"significant": 17, "window": 17, "epsilon": 16}
            joined = join_tiles(list(finished.blocks()))
            for name in ("x", "y", "count", "kind"):
                np.testing.assert_array_equal(getattr(joined, name), getattr(tiles, name))


@given(tile_counts(largest_count=9), st.integers(2, 12), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_every_adaptive_level_is_relaxed_and_its_hubs_are_taken_away(case, tau, mu):
    grid, count = case
    coarsenings, epsilon = [1, 2, 10], tau // 3
    options = ClusterOptions(tau=tau, mu=mu, window="gaps", epsilon=epsilon)
    with Workspace(2) as space:
        left, before = count, 1
        for level in found_by(space, grid, count, coarsenings, options):
            left = naive.coarsened(left, level.coarsen // before)
            coarse = grid.coarsened(level.coarsen)
            kinds = naive.relaxed(left, tau, "gaps", epsilon, coarse)
            assert kinds_of(level.hubs.tiles.blocks()) == {
                tile: (kind, left[tile]) for tile, kind in kinds.items()
            }
            components = naive.agglomerate(set(kinds), 1, "chebyshev", coarse.columns)
            hubs = [hub for hub in components if len(hub) >= mu]
            assert sorted(map(sorted, members(level).values())) == sorted(map(sorted, hubs))
            left = {tile: n for tile, n in left.items() if not any(tile in hub for hub in hubs)}
            before = level.coarsen
