"""Hubs on coarse tiles, shown by the finer ones inside them: `--refine`."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError, UsageError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.raster import refine as module
from gridcli.raster.cluster import cluster
from gridcli.raster.layers import gridcli_record, hubs_layer, tiles_layer
from gridcli.raster.outlines.layers import clusters_layer
from gridcli.raster.refine import finer_grid, least_subtile_count, refine_hubs
from gridcli.raster.run import ClusterOptions, cluster_refined
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from tests import naive
from tests.layer_examples import shapes, written
from tests.test_cli_relax import write_points
from tests.test_laws import StingyBudget
from tests.tile_examples import tile_counts, tiles_of

SHAPE = ("lon", "lat", "radius_m", "area_m2", "west", "south", "east", "north")


def refined(grid, count, options, space, rows_per_block=5):
    """Hubs on the grid coarsened by 10^refine, of counts on `grid` itself."""
    tiles = tiles_of(grid, count)
    run = MemoryRun(pack(tiles.x, tiles.y), tiles.count, rows_per_block=rows_per_block)
    coarse = grid.coarsened(10**options.refine)
    return cluster_refined([run], grid, coarse, options, space, stop=StopFlag(), seconds={})


def sets_of(shapes, n_hubs):
    """The tiles of each hub."""
    found = [set() for _ in range(n_hubs)]
    for tiles, hub in shapes.labelled_blocks():
        for x, y, of in zip(tiles.x.tolist(), tiles.y.tolist(), hub.tolist(), strict=True):
            if of >= 0:
                found[of].add((x, y))
    return found


@given(
    tile_counts(largest_count=9),
    st.integers(1, 2),
    st.integers(1, 12),
    st.integers(1, 2),
    st.sampled_from([None, "gaps", "all"]),
    st.booleans(),
    st.sampled_from([1, 7, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_refined_hubs_equal_the_plain_definition(case, k, tau, mu, window, spills, piece):
    grid, count = case
    m = 10**k
    epsilon = tau // 2
    options = ClusterOptions(tau, mu, window=window, epsilon=epsilon, refine=k)
    coarse, coarse_count = grid.coarsened(m), naive.coarsened(count, m)
    kinds = naive.relaxed(coarse_count, tau, window, epsilon, coarse)
    components = naive.agglomerate(set(kinds), 1, "chebyshev", coarse.columns)
    hubs = [hub for hub in components if len(hub) >= mu]
    hubs.sort(key=lambda hub: -sum(coarse_count[tile] for tile in hub))
    expected = naive.refined(count, hubs, m, least_subtile_count(tau, k))
    with Workspace(2) as space, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        if spills:
            patch.setattr(module, "LEAST_BYTES", 0)
            patch.setattr(module, "BYTES_PER_HUB", 1)
            patch.setattr(module, "BYTES_PER_SUBTILE", 30_000)
            patch.setattr(space, "budget", StingyBudget(spills=True))
        result = refined(grid, count, options, space)
        found = result.hubs
        assert (result.distinct_tiles, result.largest_count) == (
            len(coarse_count),
            max(coarse_count.values(), default=0),
        )
        assert sets_of(found, len(found)) == hubs
        assert sets_of(found.shapes, len(found)) == expected
        assert found.shapes.n_tiles.tolist() == [len(tiles) for tiles in expected]
        assert found.points.tolist() == [sum(coarse_count[t] for t in hub) for hub in hubs]
        np.testing.assert_array_equal(found.density, found.points / found.area_m2)
        for i, tiles in enumerate(expected):
            alone = cluster(tiles_of(grid, {t: count[t] for t in tiles}), mu=1, delta=10**12)
            for name in SHAPE:
                assert getattr(found, name)[i] == getattr(alone, name)[0], name


def test_the_outline_is_that_of_the_subtiles():
    """A bar that fills one row of subtiles of its tiles."""
    count = {(x, 3): 2 for x in range(40)} | {(x, 8): 1 for x in range(0, 40, 9)}
    options = ClusterOptions(tau=20, mu=4, refine=1)
    with Workspace(1) as space:
        found = refined(Grid.planar_prec(0), count, options, space).hubs
        assert (found.n_tiles.tolist(), found.points.tolist()) == ([4], [85])
        (batch,) = clusters_layer(found, {"tau": 20}).batches()
        (outline,) = shapes(batch.geometry)
        bar = shapely.box(0, 3, 40, 4)
        dots = [shapely.box(x, 8, x + 1, 9) for x in range(0, 40, 9)]
        assert outline.equals(shapely.union_all([bar, *dots]))
        assert (found.area_m2[0], found.north[0], found.tiles.grid.name) == (45, 9, "p-1")
        options = ClusterOptions(tau=101, mu=1, refine=1)  # two points, or more, a subtile
        count |= {(x, 3): 60 for x in range(3)}
        only = refined(Grid.planar_prec(0), count, options, space).hubs
        assert (only.area_m2[0], only.north[0], only.n_tiles[0]) == (10, 4, 1)


def test_bytes_do_not_depend_on_memory_threads_or_blocks(monkeypatch):
    random = np.random.default_rng(5)
    xy = np.round(random.normal(0, 40, (4000, 2)) + random.integers(0, 9, (4000, 1)) * 150)
    count = {}
    for x, y in xy.astype(int).tolist():
        count[x + 1_799_900, y] = count.get((x + 1_799_900, y), 0) + 1
    grid = Grid.degrees(4)
    count = {((x + 1_800_000) % 3_600_000 - 1_800_000, y): n for (x, y), n in count.items()}
    options = ClusterOptions(tau=8, mu=2, window="gaps", epsilon=3, refine=1)
    reference = None
    for trial in range(4):
        monkeypatch.setattr(module, "PIECE", int(random.integers(1, 5_000)))
        with Workspace(1 + trial % 3) as space:
            if trial % 2:
                monkeypatch.setattr("gridcli.raster.significant.BYTES_PER_CLUSTERED_TILE", 1_000)
                monkeypatch.setattr(module, "BYTES_PER_SUBTILE", 300_000)
                monkeypatch.setattr(space, "budget", StingyBudget(spills=trial == 1))
            found = refined(grid, count, options, space, rows_per_block=[99999, 50, 7, 1000][trial])
            assert (space.spill.size > 0) == bool(trial % 2)
            record = gridcli_record(grid, 8, 2, 1, "chebyshev", "gaps", 3, 1)
            layers = [
                make(found.hubs, record) for make in (hubs_layer, tiles_layer, clusters_layer)
            ]
            contents = [written(layer, "geojson") for layer in layers]
        reference = reference or contents
        assert contents == reference


def test_hubs_that_do_not_fit_a_second_time_are_refused_with_numbers(monkeypatch):
    monkeypatch.setattr(module, "BYTES_PER_HUB", 10**9)
    with Workspace(1) as space:
        monkeypatch.setattr(space, "budget", StingyBudget(spills=False))
        hubs = cluster(tiles_of(Grid.degrees(3), {(0, 0): 9}), mu=1)
        with pytest.raises(ResourceError, match=r"1 hubs a second time, which needs 1,000\.0 MB"):
            refine_hubs(hubs, lambda _: [], Grid.degrees(4), 10, 1, space, stop=StopFlag())


@pytest.mark.parametrize(
    ("tau", "k", "least"), [(5, 1, 1), (100, 1, 1), (101, 1, 2), (10**5, 2, 10)]
)
def test_a_subtile_counts_from_the_density_of_tau(tau, k, least):
    assert least_subtile_count(tau, k) == least


@pytest.mark.parametrize("grid", [Grid.degrees(-1), Grid.degrees(4), Grid.planar_prec(-3)])
def test_finer_grids_coarsen_to_those_of_the_hubs(grid):
    for k in (1, 2, 3):
        assert finer_grid(grid, k).coarsened(10**k) == grid


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid.degrees("3.5"), "needs a whole --prec.*Give --prec 3 or 4"),
        (Grid.planar_size("25"), "needs a whole --prec.*Give --prec -2 or -1"),
        (Grid.planar_size("100"), "Give --prec -2[.]"),
        (Grid.metres("25"), "Give --prec 3 or 4"),
        (Grid.degrees(7), "Give --prec 6 or less"),
        (Grid.planar_prec(22), "too fine"),
    ],
)
def test_grids_without_a_finer_one_are_refused(grid, message):
    with pytest.raises(UsageError, match=message):
        finer_grid(grid, 1)


# --- On the command line --------------------------------------------------------------------------


def cloud(tmp_path):
    random = np.random.default_rng(2)
    count = {}
    for x, y in np.round(random.normal(0, 12, (3000, 2))).astype(int).tolist():
        count[1_100_000 + x, 5_700_000 + y] = count.get((1_100_000 + x, 5_700_000 + y), 0) + 1
    return write_points(tmp_path / "points.csv", count, prec=5)


def outputs(folder, name):
    paths = [folder / f"{name}.geojson", folder / f"{name}-c.geojson", folder / f"{name}-t.csv"]
    return paths, ("-o", paths[0], "--clusters", paths[1], "--tiles", paths[2])


def test_points_and_states_give_the_same(gridcli, tmp_path):
    points, state = cloud(tmp_path), tmp_path / "fine.state.parquet"
    found = []
    first, to_first = outputs(tmp_path, "a")
    ran = gridcli("raster", points, "--refine", "1", "--state", state, "--summary", "-", *to_first)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["refine"], told["grid"]["name"]) == (1, "g4")
    found.append([path.read_bytes() for path in first])
    finer = tmp_path / "finer.state.parquet"
    assert gridcli("contract", points, "--prec", "6", "-o", finer).code == 0
    for name, command in {
        "b": (state,),
        "c": (state, "--prec", "4"),
        "d": (finer, "--prec", "4"),
        "e": (finer, "--coarsen", "100"),
    }.items():
        paths, to_paths = outputs(tmp_path, name)
        ran = gridcli("agglomerate", *command, "--refine", "1", *to_paths)
        assert ran.code == 0, ran.err
        found.append([path.read_bytes() for path in paths])
    assert all(a == b for a, b in pairwise(found))
    assert json.loads(found[0][0])["gridcli"]["refine"] == 1
    plain, to_plain = outputs(tmp_path, "plain")
    assert gridcli("raster", points, *to_plain).code == 0
    assert plain[2].read_bytes() == found[0][2]
    hub, plain_hub = (
        json.loads(paths[0].read_bytes())["features"][0]["properties"] for paths in (first, plain)
    )
    changed = {name for name in hub if hub[name] != plain_hub[name]}
    assert changed <= {*SHAPE, "density"}
    assert hub["area_m2"] < plain_hub["area_m2"]


def test_coordinates_beyond_the_finer_grid_say_what_precision_hubs_can_have(gridcli, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("x,y\n" + "3000000,10\n" * 5)
    options = ("--planar", "--refine", "1", "--mu", "1", "-o", tmp_path / "hubs.csv")
    ran = gridcli("raster", points, "--prec", "2", *options)
    assert ran.code == 4
    assert "--prec 2. --refine 1 counts tiles that fine, and takes 1 from it" in ran.err
    assert gridcli("raster", points, "--prec", "1", *options).code == 0


def test_the_state_of_a_refined_run_is_that_of_the_finer_grid(gridcli, tmp_path):
    points = cloud(tmp_path)
    a, b = tmp_path / "a.state.parquet", tmp_path / "b.state.parquet"
    options = ("-o", tmp_path / "hubs.csv", "--state", a)
    assert gridcli("raster", points, "--refine", "2", "--prec", "3", *options).code == 0
    assert gridcli("contract", points, "--prec", "5", "-o", b).code == 0
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--refine", "1", "--prec", "3.5"], "needs a whole --prec"),
        (["--refine", "2", "--prec", "6"], "Give --prec 5 or less"),
        (["--refine", "0"], "--refine"),
        (["--refine", "1", "--tile-size", "25m"], "--refine 1 needs a whole --prec"),
    ],
)
def test_points_that_cannot_be_refined_are_refused(gridcli, tmp_path, options, message):
    ran = gridcli("raster", tmp_path / "missing.csv", *options, "-o", tmp_path / "hubs.csv")
    assert ran.code == 2
    assert message in ran.err


def test_states_in_metres_cannot_be_refined(gridcli, tmp_path):
    state = tmp_path / "a.state.parquet"
    assert gridcli("contract", cloud(tmp_path), "--tile-size", "25m", "-o", state).code == 0
    ran = gridcli("agglomerate", state, "--refine", "1", "-o", tmp_path / "hubs.csv")
    assert ran.code == 2
    assert "tiles in metres (m25) cannot be joined" in ran.err
    ran.assert_one_paragraph()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prec", "5"], "Without --prec 5 hubs are found on g4, the finest that works"),
        (["--coarsen", "15"], "--coarsen takes multiples of 10"),
        (["--adaptive", "1,10"], "--refine does not go with --adaptive"),
    ],
)
def test_states_that_cannot_be_refined_are_refused(gridcli, tmp_path, options, message):
    state = tmp_path / "a.state.parquet"
    assert gridcli("contract", cloud(tmp_path), "--prec", "5", "-o", state).code == 0
    ran = gridcli("agglomerate", state, "--refine", "1", *options, "-o", tmp_path / "hubs.csv")
    assert ran.code == 2
    assert message in ran.err
    ran.assert_one_paragraph()
