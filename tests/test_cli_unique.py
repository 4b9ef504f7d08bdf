"""`--unique` and `--vehicle`: what raster, contract and the states they write make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridcli.raster.unique.rule import UniqueRule
from gridcli.states.file import open_state


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_fixes(path, rows):
    lines = [f"{lat},{lon},{imei}" for lat, lon, imei in rows]
    Path(path).write_text("\n".join(["lat,lon,IMEI", *lines]) + "\n", encoding="ascii")


DEPOT = [(57.7000 + 0.00005 * k, 11.9 + 0.00003 * j, "a") for k in range(10) for j in range(10)]
PARKED = [(59.1 + 0.0001 * k, 18.1, "a") for k in range(4)] * 50


def test_a_parked_logger_makes_no_hub_by_itself(gridcli, folder):
    write_fixes("day.csv", DEPOT + PARKED + [("", "", "a")])
    assert gridcli("raster", "day.csv", "--tau", "4", "-o", "all.csv").code == 0
    outcome = gridcli(
        *("raster", "day.csv", "--tau", "4", "-o", "unique.csv", "--unique"),
        *("--summary", "summary.json", "--state", "s.parquet"),
    )
    assert outcome.code == 0, outcome.err
    assert len(Path("all.csv").read_text().splitlines()) == 3
    assert len(Path("unique.csv").read_text().splitlines()) == 2
    rows = json.loads(Path("summary.json").read_text())["rows"]
    assert list(rows)[:3] == ["read", "used", "repeated"]
    assert (rows["read"], rows["used"], rows["repeated"], rows["null"]) == (301, 300, 196, 1)
    assert "196 of these" in outcome.err
    info = open_state("s.parquet").info
    assert (info.n_points, info.counts.repeated) == (104, 196)
    assert gridcli("contract", "day.csv", "--unique", "-o", "t.parquet").code == 0
    assert Path("t.parquet").read_bytes() == Path("s.parquet").read_bytes()
    assert gridcli("agglomerate", "s.parquet", "--tau", "4", "-o", "again.csv").code == 0
    assert Path("again.csv").read_bytes() == Path("unique.csv").read_bytes()


def test_vehicles_make_coordinates_distinct(gridcli, folder):
    write_fixes("day.csv", [(59.1, 18.1, imei) for imei in (7, "07", "", "", 7)])
    outcome = gridcli(
        *("contract", "day.csv", "--unique", "--vehicle", "imei", "-o", "s.parquet", "--planar"),
        *("--x", "lon", "--y", "lat", "--prec", "1"),
    )
    assert outcome.code == 0, outcome.err
    info = open_state("s.parquet").info
    assert (info.n_points, info.counts.repeated) == (3, 2)
    assert info.rules.unique == UniqueRule("imei")


def test_states_add_up_only_where_the_same_rows_count(gridcli, folder):
    write_fixes("day1.csv", PARKED)
    write_fixes("day2.csv", PARKED + DEPOT)
    unique = ("--unique", "--append", "-o", "year.parquet", "--summary", "-")
    assert gridcli("contract", "day1.csv", *unique).code == 0
    # Each night counts a coordinate once; a night says nothing about another one.
    outcome = gridcli("contract", "day1.csv", "day2.csv", *unique)
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["rows"]
    assert rows["used"] - rows["repeated"] == 4 + 4 + 100
    for options, advice in (
        ((), "give --unique without --vehicle, or write another state"),
        (("--unique", "--vehicle", "IMEI"), "was counted with --unique yes"),
    ):
        outcome = gridcli("contract", "day2.csv", *options, "--append", "-o", "year.parquet")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert advice in outcome.err
    assert gridcli("contract", "day2.csv", "--unique", "-o", "two.parquet").code == 0
    assert gridcli("contract", "day1.csv", "--unique", "-o", "one.parquet").code == 0
    assert gridcli("contract", "day1.csv", "-o", "plain.parquet").code == 0
    outcome = gridcli("merge", "one.parquet", "plain.parquet", "-o", "x.parquet")
    assert outcome.code == 2
    assert "their --unique differs (yes and no)" in outcome.err
    subtract = ("--subtract", "two.parquet", "-o", "first.parquet")
    assert gridcli("merge", "year.parquet", *subtract).code == 0
    first, one = open_state("first.parquet").info, open_state("one.parquet").info
    assert first.counts == one.counts
    assert first.content_hash == one.content_hash


def test_a_state_by_vehicle_says_how_to_add_to_it(gridcli, folder):
    write_fixes("day1.csv", PARKED)
    write_fixes("day2.csv", DEPOT)
    by_vehicle = ("--unique", "--vehicle", "IMEI")
    assert gridcli("contract", "day1.csv", *by_vehicle, "-o", "s.parquet").code == 0
    outcome = gridcli("contract", "day2.csv", "--append", "-o", "s.parquet")
    assert outcome.code == 2
    assert "give --unique --vehicle IMEI" in outcome.err
    by_vehicle = ("--unique", "--vehicle", "imei")
    outcome = gridcli("contract", "day2.csv", *by_vehicle, "--append", "-o", "s.parquet")
    assert outcome.code == 0, outcome.err


def test_wrong_combinations_are_refused_before_anything_is_read(gridcli, folder):
    for options, reason in (
        (("--vehicle", "id"), "--vehicle goes with --unique"),
        (("--unique", "--checkpoint", "c"), "contract part by part with --append"),
        (("--unique", "--resume", "c"), "--unique does not go with --checkpoint and --resume"),
    ):
        outcome = gridcli("contract", "missing.csv", *options, "-o", "s.parquet")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert reason in outcome.err
    assert gridcli("raster", "missing.csv", "--vehicle", "id", "-o", "h.csv").code == 2


def test_a_column_that_is_not_there_is_named_beside_those_that_are(gridcli, folder):
    write_fixes("day.csv", DEPOT)
    outcome = gridcli("raster", "day.csv", "--unique", "--vehicle", "truck", "-o", "h.csv")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "no column 'truck'. Its columns: lat, lon, IMEI" in outcome.err
    Path("other.csv").write_text("lat,lon\n1,2\n")
    outcome = gridcli(
        *("raster", "day.csv", "other.csv", "--unique", "--vehicle", "IMEI", "-o", "h.csv")
    )
    assert outcome.code == 2
    assert "other.csv: no column 'IMEI'" in outcome.err


def test_no_hub_may_be_for_lack_of_decimals(gridcli, folder):
    write_fixes("day.csv", PARKED)
    outcome = gridcli("raster", "day.csv", "--unique", "-o", "h.csv")
    assert outcome.code == 0, outcome.err
    assert "--unique left out 196 rows that repeat others" in outcome.err
    outcome = gridcli("raster", "day.csv", "-o", "h.csv", "--overwrite", "--tau", "60")
    assert "--unique" not in outcome.err


def test_nothing_to_count_is_a_summary_too(gridcli, folder):
    write_fixes("day.csv", DEPOT)
    outcome = gridcli(
        *("raster", "day.csv", "--unique", "--where", "IMEI = 'b'", "-o", "h.csv"),
        *("--summary", "-"),
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["rows"]["repeated"] == 0
