"""`gridcli agglomerate`: the outputs of raster from a state, on its grid or a coarser one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.project import Projector, Selection
from gridcli.tiles.table import TileTable
from gridcli.tiles.tiles import Tiles
from tests.conftest import run_process
from tests.state_examples import write_state
from tests.tile_examples import tiles_of

LAYERS = ("hubs.geojson", "tiles.parquet", "clusters.geojsonl")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clouds(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of dense places, one of them across 180 degrees, and noise."""
    random = np.random.default_rng(seed)
    lon, lat = [random.uniform(-180, 180, 300)], [random.uniform(-90, 90, 300)]
    for x, y in ((11.97, 57.7), (-0.1, -0.2), (180.0, -16.5), (12.4, 89.9999)):
        lon.append(x + random.normal(0, 4e-4, 1000))
        lat.append(y + random.normal(0, 4e-4, 1000))
    lon, lat = np.concatenate(lon), np.clip(np.concatenate(lat), -90, 90)
    return np.where(lon > 180, lon - 360, lon).round(7), lat.round(7)


def contract(grid: Grid, x: np.ndarray, y: np.ndarray) -> Tiles:
    table = TileTable()
    appender = table.appender()
    projected = Projector(grid, Selection()).project(x, y)
    appender.append(projected.keys, len(projected.keys))
    appender.flush()
    found = table.finish()
    return Tiles(grid, *keys.unpack(found.keys), found.counts)


def write_points(path: Path, x: np.ndarray, y: np.ndarray, header: str = "lon,lat") -> None:
    rows = [f"{a!r},{b!r}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def state(folder) -> str:
    """A state at prec 4, beside points.csv with the same points."""
    x, y = clouds()
    write_points(folder / "points.csv", x, y)
    write_state(folder / "day.parquet", contract(Grid.degrees(4), x, y))
    return "day.parquet"


def outputs(place: str) -> list[str]:
    Path(place).mkdir()
    hubs, tiles, clusters = (f"{place}/{name}" for name in LAYERS)
    return ["-o", hubs, "--tiles", tiles, "--clusters", clusters, "-q"]


def contents(place: str) -> list[bytes]:
    return [Path(place, name).read_bytes() for name in LAYERS]


@pytest.mark.parametrize("prec", ["4", "3", "2", "-1"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_outputs_are_those_of_raster(gridcli, state, prec, threads) -> None:
    options = ["--prec", prec, "--tau", "7", "--mu", "2", "--threads", threads]
    options += ["--delta", "2", "--metric", "manhattan"]
    assert gridcli("raster", "points.csv", *options, *outputs("a")).code == 0
    outcome = gridcli("agglomerate", state, *options, *outputs("b"))
    assert (outcome.code, outcome.err) == (0, "")
    assert contents("a") == contents("b")
    assert json.loads(contents("a")[0])["features"]


def test_a_power_of_ten_is_a_coarser_precision(gridcli, state) -> None:
    assert gridcli("agglomerate", state, "--prec", "3", *outputs("a")).code == 0
    assert gridcli("agglomerate", state, "--coarsen", "10", *outputs("b")).code == 0
    assert contents("a") == contents("b")


def test_the_real_precision_of_a_state_is_the_default(gridcli, folder) -> None:
    x, y = clouds()
    write_points(folder / "points.csv", x, y)
    write_state(folder / "day.parquet", contract(Grid.degrees("3.5"), x, y))
    assert gridcli("raster", "points.csv", "--prec", "3.5", *outputs("a")).code == 0
    assert gridcli("agglomerate", "day.parquet", *outputs("b")).code == 0
    assert gridcli("agglomerate", "day.parquet", "--prec", "3.5", *outputs("c")).code == 0
    assert contents("a") == contents("b") == contents("c")
    outcome = gridcli("agglomerate", "day.parquet", "--prec", "3", *outputs("d"))
    outcome.assert_one_paragraph()
    assert outcome.code == 2
    assert "It can give" not in outcome.err


def test_a_planar_state(gridcli, folder) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(319_000, 90, (2, 2000)).round(2)
    write_points(folder / "points.csv", x, y, "x,y")
    write_state(folder / "day.parquet", contract(Grid.planar_prec(0), x, y))
    planar = ["raster", "points.csv", "--planar", "--prec", "-1"]
    assert gridcli(*planar, "-o", "a.csv", "-q").code == 0
    options = ["agglomerate", "day.parquet", "-q", "--prec", "-1"]
    assert gridcli(*options, "-o", "b.csv").code == 0
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    refused = gridcli(*options, "-o", "c.geojson")
    assert refused.code == 2
    refused.assert_one_paragraph()
    assert gridcli(*options, "-o", "c.csv", "--crs", "EPSG:3006").code == 0


def test_tiles_are_joined_by_any_whole_number(gridcli, state, folder) -> None:
    outcome = gridcli(
        *("agglomerate", state, "--coarsen", "7", "-o", "hubs.geojson", "--summary", "s.json"),
        *("--tiles", "tiles.csv"),
    )
    assert outcome.code == 0, outcome.err
    hubs = json.loads((folder / "hubs.geojson").read_text())
    assert hubs["gridcli"]["grid"]["name"] == "g4x7"
    assert hubs["features"][0]["properties"]["hub_key"].startswith("g4x7/")
    summary = json.loads((folder / "s.json").read_text())
    assert list(summary) == [
        *("gridcli", "command", "grid", "tau", "mu", "delta", "metric"),
        *("window", "epsilon", "refine", "state", "tiles"),
        *("hubs", "threads", "seconds", "peak_memory_bytes", "files"),
    ]
    x, y = clouds()
    fine = contract(Grid.degrees(4), x, y)
    coarse: dict[tuple[int, int], int] = {}
    for a, b, n in zip(fine.x.tolist(), fine.y.tolist(), fine.count.tolist(), strict=True):
        coarse[a // 7, b // 7] = coarse.get((a // 7, b // 7), 0) + n
    assert summary["tiles"] == {
        "distinct": len(coarse),
        "significant": sum(n >= 5 for n in coarse.values()),
        "largest_count": max(coarse.values()),
    }
    assert "hubs.geojson" in outcome.err
    assert f"tiles {len(coarse):,}" in " ".join(outcome.err.split())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prec", "5"], "It can give --prec 4 and every whole number below it, to -1."),
        (["--prec", "3.5"], "cannot be had from the tiles of this state (g4)"),
        (["--prec", "-2"], "larger than 10 degrees"),
        (["--prec", "four"], "not a number"),
        (["--prec", "3", "--coarsen", "10"], "--prec and --coarsen both set the size of tiles"),
        (["--coarsen", "0"], "at least 1"),
        (["--coarsen", "1.5"], "whole number"),
        (["--coarsen", "3G"], "too large"),
        (["--mu", "0"], "at least 1"),
    ],
)
def test_tiles_that_cannot_be_had(gridcli, state, options, says) -> None:
    outcome = gridcli("agglomerate", state, "-o", "hubs.csv", *options)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert says in " ".join(outcome.err.split())
    assert not Path("hubs.csv").exists()


def test_a_coarsened_state_names_the_precisions_it_can_give(gridcli, folder) -> None:
    grid = Grid.degrees(4).coarsened(20)
    write_state(folder / "s.parquet", tiles_of(grid, {(0, 0): 9}))
    outcome = gridcli("agglomerate", "s.parquet", "--prec", "3", "-o", "hubs.csv")
    assert outcome.code == 2
    assert "(g3x2)" in outcome.err
    assert "--prec 2 and every whole number below" in outcome.err
    assert gridcli("agglomerate", "s.parquet", "--prec", "2", "-o", "h.csv", "--mu", "1").code == 0
    assert '"g2/0/0"' in (folder / "h.csv").read_text()


def test_names_are_taken_over(gridcli, state, folder) -> None:
    assert gridcli("agglomerate", state, "-o", "a.csv", "--tiles", "old.csv", "-q").code == 0
    text = (folder / "old.csv").read_text()
    (folder / "old.csv").write_text(re.sub('"(g4/[^"]*)"', r'"\1~5"', text))
    outcome = gridcli("agglomerate", state, "-o", "b.csv", "-q", "--keys-from", "old.csv")
    assert outcome.code == 0, outcome.err
    assert '~5"' in (folder / "b.csv").read_text()


def test_an_empty_state_is_a_warning(gridcli, folder) -> None:
    write_state(folder / "s.parquet", tiles_of(Grid.degrees(4), {}))
    for options in ([], ["--coarsen", "3"]):
        outcome = gridcli("agglomerate", "s.parquet", "-o", "-", "--format", "csv", "-q", *options)
        assert outcome.code == 0
        assert "the state holds no tiles, so the outputs are empty." in outcome.err
        assert len(outcome.out.splitlines()) == 1


def test_no_hub_is_explained(gridcli, state) -> None:
    outcome = gridcli("agglomerate", state, "-o", "hubs.csv", "-q", "--tau", "100k")
    assert outcome.code == 0
    assert "the fullest tile holds" in outcome.err


def test_errors_before_anything_is_read(gridcli, folder) -> None:
    (folder / "there.csv").write_text("")
    exists = gridcli("agglomerate", "missing.parquet", "-o", "there.csv")
    assert exists.code == 5
    suffix = gridcli("agglomerate", "missing.parquet", "-o", "hubs.txt")
    assert suffix.code == 2
    missing = gridcli("agglomerate", "missing.parquet", "-o", "hubs.csv")
    assert missing.code == 3
    for outcome in (exists, suffix, missing):
        outcome.assert_one_paragraph()


def test_what_is_no_state_is_refused(gridcli, state, folder) -> None:
    assert gridcli("agglomerate", "points.csv", "-o", "hubs.csv").code == 3
    assert gridcli("agglomerate", state, "-o", "h.csv", "--tiles", "t.parquet", "-q").code == 0
    outcome = gridcli("agglomerate", "t.parquet", "-o", "hubs.csv")
    assert outcome.code == 3
    assert "--tiles" in outcome.err
    write_state(folder / "other.parquet", tiles_of(Grid.degrees(4), {(0, 0): 9}))
    several = gridcli("agglomerate", "[do]*.parquet", "-o", "hubs.csv")
    assert several.code == 2
    assert "gridcli merge" in several.err


def test_the_state_is_never_an_output(gridcli, state, folder) -> None:
    before = (folder / state).read_bytes()
    outcome = gridcli("agglomerate", state, "-o", state, "--overwrite")
    assert outcome.code == 2
    assert (folder / state).read_bytes() == before


def test_a_state_on_standard_input(state, folder) -> None:
    with Path(state).open("rb") as stream:
        outcome = run_process("agglomerate", "-", "-o", "-", "--format", "csv", stdin=stream)
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) > 1


# --- Adaptive levels ------------------------------------------------------------------------------


def sparse_and_dense() -> dict[tuple[int, int], int]:
    dense = {(x, y): 50 for x in range(3) for y in range(3)}
    sparse = {(1000 + 3 * x, 3 * y): 9 - x % 2 * 8 for x in range(7) for y in range(7)}
    return dense | sparse


def test_hubs_of_all_levels_are_ranked_together(gridcli, folder) -> None:
    write_state(folder / "s.parquet", tiles_of(Grid.degrees(4), sparse_and_dense()))
    outcome = gridcli(
        *("agglomerate", "s.parquet", "--adaptive", "1,10", "-o", "hubs.geojson"),
        *("--tiles", "tiles.csv", "--clusters", "clusters.geojson", "--summary", "s.json"),
    )
    assert outcome.code == 0, outcome.err
    for name in ("hubs.geojson", "clusters.geojson"):
        layer = json.loads((folder / name).read_text())
        assert [level["coarsen"] for level in layer["gridcli"]["levels"]] == [1, 10]
        told = [f["properties"] for f in layer["features"]]
        keys = [(hub["hub_id"], hub["hub_key"], hub["coarsen"], hub["rim_of"]) for hub in told]
        assert keys == [(1, "g4/0/0", 1, None), (2, "g3/100/0", 10, None)]
    rows = (folder / "tiles.csv").read_text().splitlines()
    assert rows[0].split(",")[:7] == [
        *('"tile_x"', '"tile_y"', '"count"', '"kind"', '"hub_id"', '"hub_key"', '"coarsen"')
    ]
    summary = json.loads((folder / "s.json").read_text())
    assert summary["hubs"] == 2
    assert [level["hubs"] for level in summary["levels"]] == [1, 1]
    assert "coarsen 10 1 hubs, 4 significant of 4 tiles" in " ".join(outcome.err.split())


def test_rims_are_told_or_left_out(gridcli, folder) -> None:
    gate = {(x, y): 50 for x in range(20, 22) for y in range(20, 22)}
    yard = {(x, y): 2 for x in range(40) for y in range(40) if (x, y) not in gate}
    write_state(folder / "s.parquet", tiles_of(Grid.degrees(4), gate | yard))
    command = ["agglomerate", "s.parquet", "--adaptive", "1,2", "--clusters", "clusters.geojson"]
    command += ["--tiles", "tiles.geojson", "--summary", "s.json", "--overwrite"]

    def told(name: str) -> list[dict]:
        return [f["properties"] for f in json.loads((folder / name).read_text())["features"]]

    outcome = gridcli(*command, "-o", "hubs.geojson")
    assert outcome.code == 0, outcome.err
    for name in ("hubs.geojson", "clusters.geojson"):
        rows = [(hub["hub_key"], hub["points"], hub["rim_of"]) for hub in told(name)]
        assert rows == [("g4x2/0/0", 3192, "g4/20/20"), ("g4/20/20", 200, None)]
    summary = json.loads((folder / "s.json").read_text())
    assert (summary["hubs"], summary["rims"], summary["without_rims"]) == (2, 1, False)
    assert [level["rims"] for level in summary["levels"]] == [0, 1]
    assert "rims of finer hubs 1 of these hubs" in " ".join(outcome.err.split())
    assert json.loads((folder / "hubs.geojson").read_text())["gridcli"]["without_rims"] is False
    with_rims = told("tiles.geojson")

    outcome = gridcli(*command, "--without-rims", "-o", "hubs.geojson")
    assert outcome.code == 0, outcome.err
    for name in ("hubs.geojson", "clusters.geojson"):
        rows = [(hub["hub_id"], hub["hub_key"], hub["points"]) for hub in told(name)]
        assert rows == [(1, "g4/20/20", 200)]
    summary = json.loads((folder / "s.json").read_text())
    assert (summary["hubs"], summary["rims"], summary["without_rims"]) == (1, 1, True)
    assert [level["hubs"] for level in summary["levels"]] == [1, 0]
    assert "rims of finer hubs 1 left out" in " ".join(outcome.err.split())
    assert json.loads((folder / "hubs.geojson").read_text())["gridcli"]["without_rims"] is True
    tiles = told("tiles.geojson")
    assert len(tiles) == len(with_rims)
    assert {tile["hub_key"] for tile in tiles} == {"g4/20/20", None}


@pytest.mark.parametrize("threads", ["1", "3"])
def test_outlines_of_all_levels(gridcli, state, threads) -> None:
    options = ["--adaptive", "1,3,9,90", "--tau", "4", "--threads", threads, "--geometry"]
    assert gridcli("agglomerate", state, *options, "polygon", *outputs(threads)).code == 0
    hubs = json.loads(contents(threads)[0])["features"]
    assert len({hub["properties"]["coarsen"] for hub in hubs}) > 1
    assert any(hub["properties"]["rim_of"] for hub in hubs)
    points = [hub["properties"]["points"] for hub in hubs]
    assert points == sorted(points, reverse=True)
    if threads != "1":
        assert gridcli("agglomerate", state, *options, "polygon", *outputs("1")).code == 0
        assert contents("1") == contents(threads)


def test_a_single_level_finds_what_one_grid_does(gridcli, state, folder) -> None:
    assert gridcli("agglomerate", state, "--adaptive", "10", "-o", "a.csv", "-q").code == 0
    assert gridcli("agglomerate", state, "--coarsen", "10", "-o", "b.csv", "-q").code == 0
    a, b = ((folder / name).read_text().splitlines() for name in ("a.csv", "b.csv"))
    assert len(a) > 1
    wkt = a[0].split(",").index('"coarsen"')
    assert [line.split(",")[:wkt] for line in a] == [line.split(",")[:wkt] for line in b]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--adaptive", "1,2,5"], "5 is no multiple of 2"),
        (["--adaptive", "1,x"], "is not a number"),
        (["--adaptive", "1,2", "--coarsen", "2"], "give one"),
        (["--adaptive", "1,2", "--prec", "3"], "give one"),
        (["--adaptive", "1,2", "--keys-from", "old.csv"], "one tile size"),
        (["--coarsen", "2", "--without-rims"], "needs --adaptive"),
    ],
)
def test_levels_that_make_no_sense(gridcli, state, options, says) -> None:
    outcome = gridcli("agglomerate", state, "-o", "hubs.csv", *options)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert says in " ".join(outcome.err.split())


@pytest.mark.parametrize("name", ["tiles.csv", "tiles.parquet", "tiles.geojsonl", "tiles.arrow"])
def test_tiles_of_several_sizes_are_not_compared(gridcli, state, name) -> None:
    base = ["agglomerate", state, "-q", "-o"]
    assert gridcli(*base, "h.csv", "--tiles", name, "--adaptive", "1,2").code == 0
    for command in (["diff", name, name], [*base, "g.csv", "--keys-from", name]):
        outcome = gridcli(*command)
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert "tiles of several sizes (--adaptive)" in outcome.err


def test_a_state_found_by_a_pattern_is_no_output_either(gridcli, state) -> None:
    before = Path(state).read_bytes()
    pattern = f"{Path(state).parent}/[{Path(state).name[0]}]{Path(state).name[1:]}"
    outcome = gridcli("agglomerate", pattern, "-o", state, "--overwrite")
    assert outcome.code == 2, outcome.err
    assert Path(state).read_bytes() == before
