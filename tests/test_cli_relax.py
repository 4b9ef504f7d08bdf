"""`--window` and `--epsilon` on the command line, in every command that takes them."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from tests import naive


def write_points(path, count, prec=4):
    """Write a file with so many points in the middle of each tile."""
    lines = ["lat,lon"]
    for (x, y), n in count.items():
        lines += [f"{(y + 0.5) / 10**prec:.6f},{(x + 0.5) / 10**prec:.6f}"] * n
    path.write_text("\n".join(lines) + "\n")
    return path


CORNER = {(x, y): 1 for x in (110_000, 110_001) for y in (570_000, 570_001)}
"""Figure 4 of the paper: four points around a corner of four tiles."""
BRIDGE = {(110_000, 570_000): 9, (110_001, 570_000): 4, (110_002, 570_000): 9}


def kinds(path):
    table = pq.read_table(path).to_pydict()
    return dict(zip(zip(table["tile_x"], table["tile_y"], strict=True), table["kind"], strict=True))


def test_points_around_a_corner_are_found_with_a_window(gridcli, tmp_path):
    points = write_points(tmp_path / "points.csv", CORNER)
    hubs, tiles = tmp_path / "hubs.geojson", tmp_path / "tiles.parquet"
    options = ("--tau", "4", "--mu", "4", "-o", hubs, "--overwrite")
    without = gridcli("raster", points, *options)
    assert without.code == 0
    assert "no hub was found" in without.err
    summary = tmp_path / "summary.json"
    ran = gridcli(
        *("raster", points, "--window", "--mu", "4", *options, "--tiles", tiles),
        *("--summary", summary),
    )
    assert ran.code == 0, ran.err
    assert "added by window" in ran.err
    content = json.loads(hubs.read_text())
    (hub,) = content["features"]
    assert (hub["properties"]["points"], hub["properties"]["tiles"]) == (4, 4)
    assert hub["geometry"]["coordinates"] == pytest.approx([11.0001, 57.0001])
    assert (content["gridcli"]["window"], content["gridcli"]["epsilon"]) == ("gaps", None)
    assert kinds(tiles) == dict.fromkeys(CORNER, "window")
    told = json.loads(summary.read_text())
    assert (told["window"], told["epsilon"]) == ("gaps", None)
    assert told["tiles"] == {
        "distinct": 4,
        "significant": 0,
        "window": 4,
        "epsilon": 0,
        "largest_count": 1,
    }


@pytest.mark.parametrize("suffix", ["geojson", "geojsonl", "geojsons", "parquet", "csv", "arrow"])
def test_kinds_stand_in_every_format_and_the_file_is_read_back(gridcli, tmp_path, suffix):
    points = write_points(tmp_path / "points.csv", BRIDGE)
    tiles = tmp_path / f"tiles.{suffix}"
    options = ("--mu", "3", "--epsilon", "1")
    ran = gridcli(
        *("raster", points, *options, "-o", tmp_path / "hubs.csv", "--tiles", tiles),
    )
    assert ran.code == 0, ran.err
    content = tiles.read_bytes()
    assert content.count(b"epsilon") >= 1
    assert content.count(b"significant") >= 1
    compared = gridcli("diff", tiles, tiles, "--json")
    assert compared.code == 0, compared.err
    assert json.loads(compared.out)["totals"]["unchanged"] == 1
    named = gridcli(
        *("raster", points, *options, "--keys-from", tiles, "-o", tmp_path / "named.csv")
    )
    assert named.code == 0, named.err
    assert "g4/110000/570000" in (tmp_path / "named.csv").read_text()


def test_a_state_gives_what_the_points_give(gridcli, tmp_path):
    count = CORNER | {(x + 50, y): 7 * n for (x, y), n in BRIDGE.items()} | {(110_060, 570_003): 2}
    points = write_points(tmp_path / "points.csv", count)
    state = tmp_path / "all.state.parquet"
    for options in (["--window"], ["--window", "all"], ["--epsilon", "3"]):
        outputs = []
        for command in (["raster", points, "--state", state], ["agglomerate", state]):
            hubs, tiles = tmp_path / f"{command[0]}.geojson", tmp_path / f"{command[0]}.parquet"
            ran = gridcli(
                *(*command, *options, "--tau", "4", "--mu", "2", "-o", hubs, "--tiles", tiles),
                "--overwrite",
            )
            assert ran.code == 0, ran.err
            outputs.append((hubs.read_bytes(), tiles.read_bytes()))
        assert outputs[0] == outputs[1]
        assert json.loads(outputs[0][0])["features"]


def test_every_adaptive_level_is_relaxed(gridcli, tmp_path):
    """At the first level a corner; ten times coarser, another one."""
    coarse = {(200_005 + 10 * x, 570_005 + 10 * y): 1 for x in (0, 1) for y in (0, 1)}
    points = write_points(tmp_path / "points.csv", CORNER | coarse)
    state = tmp_path / "all.state.parquet"
    assert gridcli("contract", points, "-o", state).code == 0
    tiles = tmp_path / "tiles.csv"
    ran = gridcli(
        *("agglomerate", state, "--adaptive", "1,10", "--window", "--tau", "4", "--summary", "-"),
        *("-o", tmp_path / "hubs.csv", "--tiles", tiles),
    )
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["hubs"] == 2
    assert [level["window"] for level in told["levels"]] == [4, 4]
    assert (told["tiles"]["window"], told["tiles"]["significant"]) == (8, 0)
    assert tiles.read_text().count("window") == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epsilon", "5"], "--epsilon 5 must be below --tau 5"),
        (["--epsilon", "3", "--tau", "2"], "--epsilon 3 must be below --tau 2"),
        (["--window", "some"], "neither gaps nor all"),
        (["--epsilon", "-1"], "'-1' is not a whole number of points that a tile may lack"),
        (["--epsilon", "5%"], "'5%' is not a whole number of points"),
    ],
)
def test_what_makes_no_sense_is_refused(gridcli, tmp_path, options, message):
    points = write_points(tmp_path / "points.csv", CORNER)
    ran = gridcli("raster", points, *options, "-o", tmp_path / "hubs.csv")
    assert ran.code == 2
    assert message in ran.err
    ran.assert_one_paragraph()


def test_an_option_behind_which_the_inputs_stand_says_what_to_do(gridcli, tmp_path):
    ran = gridcli("raster", "-o", tmp_path / "hubs.csv", "--window", "points.csv")
    assert ran.code == 2
    assert "--window gaps" in ran.err


def test_sweep_does_not_relax(gridcli, tmp_path):
    assert gridcli("sweep", tmp_path / "a.state.parquet", "--window").code == 2


def test_epsilon_of_none_is_the_run_without_it(gridcli, tmp_path):
    points = write_points(tmp_path / "points.csv", BRIDGE)
    written = []
    for name, options in (("a", []), ("b", ["--epsilon", "0"])):
        ran = gridcli(
            *("raster", points, "--mu", "1", *options, "-o", tmp_path / f"{name}.csv"),
            *("--tiles", tmp_path / f"{name}-tiles.csv"),
        )
        assert ran.code == 0, ran.err
        files = (tmp_path / f"{name}.csv", tmp_path / f"{name}-tiles.csv")
        written.append([file.read_text() for file in files])
    assert written[0] == written[1]
    assert naive.relaxed(BRIDGE, 5, None, 0, naive.Grid.degrees(4)).keys() == {
        tile for tile, n in BRIDGE.items() if n >= 5
    }


def test_tiles_in_metres_take_windows_too(gridcli, tmp_path):
    """Points around the corner of the equator and the meridian of 0, which every grid has."""
    points = tmp_path / "points.csv"
    points.write_text("lat,lon\n" + "".join(f"{a}0.00001,{b}0.002\n" for a in " -" for b in " -"))
    tiles = tmp_path / "tiles.parquet"
    options = ("--tile-size", "250m", "--tau", "4", "-o", tmp_path / "hubs.csv")
    ran = gridcli("raster", points, *options, "--window", "--tiles", tiles)
    assert ran.code == 0, ran.err
    assert list(kinds(tiles).values()) == ["window"] * 4
    assert (tmp_path / "hubs.csv").read_text().count("\n") == 2
