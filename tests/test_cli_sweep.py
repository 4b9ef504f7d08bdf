"""`gridcli sweep`: the table, its formats, and what it recommends for the profiles of generate."""

from __future__ import annotations

import csv
import json

import pytest

from gridcli.grid.grid import Grid
from tests.state_examples import write_state
from tests.tile_examples import tiles_of

ROWS = {(x, 0): 9 for x in range(6)} | {(x, 50): 3 for x in range(4)} | {(90, 90): 1}


@pytest.fixture
def state(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_state(tmp_path / "s.parquet", tiles_of(Grid.degrees(4), ROWS))
    return "s.parquet"


def test_the_table(gridcli, state) -> None:
    outcome = gridcli("sweep", state, "--coarsen", "1,2", "--tau", "2,5", "--mu", "4", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = gridcli(
        *("sweep", state, "--coarsen", "2,1", "--tau", "5,2,2", "--mu", "4", "--progress", "none")
    )
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0][:6] == ["coarsen", "grid", "tiles", "tau", "significant", "mu"]
    assert [line[:7] for line in lines[1:5]] == [
        ["1", "g4", "11", "2", "10", "4", "2"],
        ["1", "g4", "11", "5", "6", "4", "1"],
        ["2", "g4x2", "6", "2", "5", "4", "0"],
        ["2", "g4x2", "6", "5", "5", "4", "0"],
    ]
    assert lines[1][7] == "98.5%"
    last = outcome.out.splitlines()[-1]
    assert last.startswith("no setting is convincing; the least bad: --tau 2 --mu 4 (2 hubs): ")


def test_json_and_files_hold_the_same(gridcli, state, tmp_path) -> None:
    base = ["sweep", state, "--coarsen", "1,2,10", "--tau", "2,5", "--mu", "1,4", "-q"]
    outcome = gridcli(*base, "--json", "-o", "table.csv")
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    assert list(record) == [
        *("gridcli", "command", "state", "delta", "metric", "points", "levels", "settings"),
        "recommendation",
    ]
    assert record["points"] == sum(ROWS.values())
    assert [level["grid"]["name"] for level in record["levels"]] == ["g4", "g4x2", "g3"]
    assert len(record["settings"]) == 12
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = [{k: "" if v is None else str(v) for k, v in s.items()} for s in record["settings"]]
    assert rows == told
    assert "median_area_m2" in rows[0]
    assert gridcli(*base, "-o", "table.json").code == 0
    assert json.loads((tmp_path / "table.json").read_text()) == record


def test_planar_areas_have_no_unit(gridcli, state, tmp_path) -> None:
    write_state(tmp_path / "p.parquet", tiles_of(Grid.planar_size("2"), ROWS))
    outcome = gridcli("sweep", "p.parquet", "--json", "-q")
    assert outcome.code == 0, outcome.err
    settings = json.loads(outcome.out)["settings"]
    assert settings[0]["median_area"] == 20.0
    assert {s["coarsen"] for s in settings} == {1, 2, 5, 10}


def test_an_empty_state(gridcli, state, tmp_path) -> None:
    write_state(tmp_path / "e.parquet", tiles_of(Grid.degrees(4), {}))
    outcome = gridcli("sweep", "e.parquet", "--progress", "none")
    assert outcome.code == 0, outcome.err
    assert "no recommendation: the state holds no tiles." in outcome.out
    assert gridcli("sweep", "e.parquet", "--json", "-q").code == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--tau", "0,2"], 2),
        (["--tau", "x"], 2),
        (["--coarsen", "1.5"], 2),
        (["--coarsen", "3G"], 2),
        (["--mu", ","], 2),
        (["--delta", "0"], 2),
        (["-o", "table.txt"], 2),
        (["-o", "-"], 2),
        (["-o", "there.csv"], 5),
    ],
)
def test_options_that_make_no_sense(gridcli, state, tmp_path, options, code) -> None:
    (tmp_path / "there.csv").write_text("")
    outcome = gridcli("sweep", state, *options)
    assert outcome.code == code
    outcome.assert_one_paragraph()
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("profile", "prec", "coarsen", "tau", "share_found"),
    [
        ("paper", 4, 2, 5, 0.99),
        ("paper", 5, 20, 5, 0.99),
        ("paper", 6, 200, 5, 0.99),
        ("fleet", 4, 1, 5, 0.5),
        ("fleet", 5, 10, 5, 0.5),
    ],
)
def test_recommendations_for_generated_data(
    gridcli, tmp_path, monkeypatch, profile, prec, coarsen, tau, share_found
) -> None:
    monkeypatch.chdir(tmp_path)
    generate = ["generate", "-o", "points", "--profile", profile, "--points", "100k", "-q"]
    assert gridcli(*generate, "--clusters", "200").code == 0
    assert gridcli("contract", "points", "--prec", f"{prec}", "-o", "s.parquet", "-q").code == 0
    outcome = gridcli("sweep", "s.parquet", "--json", "-q")
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    advice = record["recommendation"]
    assert (advice["coarsen"], advice["tau"]) == (coarsen, tau)
    (setting,) = [
        s for s in record["settings"] if all(s[k] == advice[k] for k in ("coarsen", "tau", "mu"))
    ]
    assert 200 * share_found <= setting["hubs"] <= 200
