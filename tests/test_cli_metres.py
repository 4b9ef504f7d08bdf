"""Tiles in metres on the command line: from points to hubs, through states, over time."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from gridcli.grid.grid import Grid
from gridcli.states.file import open_state
from tests.test_cli_contract import folder as folder  # noqa: PLC0414 - a fixture


@pytest.fixture
def trips(folder):
    """Two files of points around places at 0, 60 and 89 degrees, and across 180 degrees."""
    rng = np.random.default_rng(8)
    for name in ("day1.csv", "day2.csv"):
        rows = ["lat,lon"]
        for lat, lon in ((0.2, 10.0), (60.0, 179.9999), (89.0, 0.0), (-45.0, 100.0)):
            north, east = rng.normal(0, 40, (2, 300))
            y = lat + north / 111_000
            x = lon + east / (111_000 * np.cos(np.radians(y)))
            rows += [f"{a:.7f},{(b + 180) % 360 - 180:.7f}" for a, b in zip(y, x, strict=True)]
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


SETTINGS = ("--tau", 3, "-q", "--overwrite")


def test_states_give_the_hubs_of_the_points(gridcli, trips):
    whole = gridcli(
        *("raster", "day1.csv", "day2.csv", "--tile-size", "25m", *SETTINGS, "-o", "a.csv"),
        *("--tiles", "a.parquet", "--state", "a.state.parquet", "--summary", "a.json"),
    )
    assert whole.code == 0, whole.err
    assert json.loads((trips / "a.json").read_text())["grid"] == Grid.metres(25).describe()
    for day in ("day1", "day2"):
        made = gridcli(
            "contract", f"{day}.csv", "--tile-size", "0.025km", "-o", f"{day}.state.parquet", "-q"
        )
        assert made.code == 0, made.err
    days = ("day1.state.parquet", "day2.state.parquet")
    assert gridcli("merge", *days, "-o", "b.state.parquet", "-q").code == 0
    found = gridcli(
        *("agglomerate", "b.state.parquet", *SETTINGS, "-o", "b.csv", "--tiles", "b.parquet")
    )
    assert found.code == 0, found.err
    assert (trips / "b.csv").read_bytes() == (trips / "a.csv").read_bytes()
    assert pq.read_table("b.parquet").equals(pq.read_table("a.parquet"))
    hashes = {open_state(f"{name}.state.parquet").info.content_hash for name in ("a", "b")}
    assert len(hashes) == 1
    assert len((trips / "a.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("options", [("--threads", 1), ("--threads", 3, "--max-memory", "2GiB")])
def test_nothing_depends_on_threads(gridcli, trips, options):
    command = ("raster", "day1.csv", "--tile-size", "25m", *SETTINGS, "--delta", 2)
    assert gridcli(*command, "-o", "a.csv", "--tiles", "a.parquet").code == 0
    assert gridcli(*command, "-o", "b.csv", "--tiles", "b.parquet", *options).code == 0
    assert (trips / "a.csv").read_bytes() == (trips / "b.csv").read_bytes()


def test_names_are_kept_and_differences_found(gridcli, trips):
    command = ("raster", "day1.csv", "--tile-size", "25m", *SETTINGS)
    assert gridcli(*command, "-o", "a.csv", "--tiles", "a.parquet").code == 0
    later = gridcli(
        *("raster", "day2.csv", "--tile-size", "25m", *SETTINGS, "--keys-from", "a.parquet"),
        *("-o", "b.csv", "--tiles", "b.parquet"),
    )
    assert later.code == 0, later.err
    found = gridcli("diff", "a.parquet", "b.parquet", "--json", "--move-threshold", "1000")
    told = json.loads(found.out)
    assert told["totals"]["appeared"] == told["totals"]["vanished"] == told["totals"]["moved"] == 0
    other = gridcli(
        *("raster", "day2.csv", "--tile-size", "30m", *SETTINGS, "-o", "c.csv"),
        *("--keys-from", "a.parquet"),
    )
    assert other.code == 2
    assert "m25" in other.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("raster", "day1.csv", "--tile-size", "25", "-o", "x.csv"), "write 25m"),
        (("raster", "day1.csv", "--tile-size", "25m", "--planar", "-o", "x.csv"), "has a unit"),
        (("raster", "day1.csv", "--tile-size", "25m", "--prec", "4", "-o", "x.csv"), "give one"),
        (("raster", "no.csv", "--tile-size", "9m", "--delta", "1001", "-o", "x.csv"), "--delta"),
        (("agglomerate", "s.parquet", "--prec", "3", "-o", "x.csv"), "cannot be joined"),
        (("agglomerate", "s.parquet", "--coarsen", "2", "-o", "x.csv"), "cannot be joined"),
        (("agglomerate", "s.parquet", "--adaptive", "1,2", "-o", "x.csv"), "cannot be joined"),
        (("sweep", "s.parquet", "--coarsen", "1,2"), "cannot be joined"),
        (("contract", "day2.csv", "--append", "-o", "s.parquet"), "add --tile-size 25m"),
    ],
)
def test_what_cannot_be_is_refused_with_words(gridcli, trips, arguments, words):
    gridcli("contract", "day1.csv", "--tile-size", "25m", "-o", "s.parquet", "-q")
    outcome = gridcli(*arguments)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert words in outcome.err


def test_sweep_tries_the_tiles_as_they_are(gridcli, trips):
    gridcli("contract", "day1.csv", "--tile-size", "25m", "-o", "s.parquet", "-q")
    swept = gridcli("sweep", "s.parquet", "--tau", "2,3", "--json")
    assert swept.code == 0, swept.err
    assert [level["grid"]["name"] for level in json.loads(swept.out)["levels"]] == ["m25"]


def test_another_table_of_columns_is_refused(gridcli, trips, monkeypatch):
    gridcli("contract", "day1.csv", "--tile-size", "25m", "-o", "s.parquet", "-q")
    monkeypatch.setattr("gridcli.grid.metres.table_digest", lambda _: "of another machine")
    outcome = gridcli("agglomerate", "s.parquet", "-o", "x.csv")
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert "other numbers of columns" in outcome.err


@pytest.mark.parametrize(("size", "tile"), [("25m", "0,400079"), ("25m", "3,400078"), ("4", None)])
def test_tiles_that_are_none_are_noticed(gridcli, trips, size, tile):
    option = "--tile-size" if tile else "--prec"
    command = ("raster", "day1.csv", option, size, *SETTINGS, "--mu", 1, "-o", "a.csv")
    assert gridcli(*command, "--tiles", "a.tiles.csv").code == 0
    lines = (trips / "a.tiles.csv").read_text().splitlines()
    last = lines[-1].split(",", 2)
    lines[-1] = f"{tile or '0,900000'},{last[2]}"
    (trips / "a.tiles.csv").write_text("\n".join(lines) + "\n")
    outcome = gridcli("diff", "a.tiles.csv", "a.tiles.csv")
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert "is none of the grid" in outcome.err
