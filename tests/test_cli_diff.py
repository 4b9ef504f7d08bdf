"""`gridcli diff`: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess

import pytest

from tests.conftest import run_process, start_process
from tests.naming_examples import block, hubs_of, write_tiles

MONDAY = {**block(0, 0, 5, count=20), **block(9, 0, 4), **block(20, 0, 4), (30, 0): 1000}
TUESDAY = {**block(0, 0, 9, count=20), **block(20, 0, 4), **block(40, 0, 2), (30, 0): 900}
NIGHT = ("monday.parquet", "tuesday.parquet")


@pytest.fixture(autouse=True)
def nights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, counts in zip(NIGHT, (MONDAY, TUESDAY), strict=True):
        write_tiles(hubs_of(counts), tmp_path / name, "parquet")
    return tmp_path


TABLE = """\
change       hub          points   tiles  moved m      lon      lat
appeared     g4/40/0     0 -> 10  0 -> 2           0.00410  0.00005
vanished     g4/9/0      20 -> 0  4 -> 0           0.00110  0.00005
moved, grew  g4/0/0   100 -> 180  5 -> 9     22.3  0.00045  0.00005
"""
TOTALS = "hubs: 4 -> 4: 1 appeared, 1 vanished, 1 moved, 1 grew, 0 shrank, 2 unchanged\n"


def test_the_table(gridcli) -> None:
    outcome = gridcli("diff", *NIGHT)
    assert (outcome.code, outcome.out, outcome.err) == (0, TABLE + TOTALS, "")


def test_the_table_is_cut_after_some_rows(gridcli) -> None:
    lines = gridcli("diff", *NIGHT, "--limit", "1").out.splitlines()
    assert lines[1].split() == TABLE.splitlines()[1].split()
    assert lines[2:] == ["and 2 more (--limit 0 prints all)", TOTALS.strip()]
    assert gridcli("diff", *NIGHT, "--limit", "0").out == TABLE + TOTALS


def test_unchanged_hubs_are_listed_when_asked_for(gridcli) -> None:
    rows = gridcli("diff", *NIGHT, "--all").out.splitlines()
    assert len(rows) == 7
    assert rows[4].split()[:3] == ["unchanged", "g4/30/0", "1,000"]
    assert rows[5].split() == ["unchanged", "g4/20/0", "20", "4", "0.0", "0.00220", "0.00005"]


def test_no_differences(gridcli) -> None:
    outcome = gridcli("diff", NIGHT[0], NIGHT[0], "--exit-code")
    assert outcome.code == 0
    assert outcome.out == (
        "hubs: 4 -> 4: 0 appeared, 0 vanished, 0 moved, 0 grew, 0 shrank, 4 unchanged\n"
    )


def test_thresholds(gridcli) -> None:
    def totals(*options: str) -> dict[str, int]:
        return json.loads(gridcli("diff", *NIGHT, "--json", *options).out)["totals"]

    assert totals("--change-threshold", "80%")["grew"] == 0
    assert totals("--change-threshold", "79.9 %")["grew"] == 1
    assert totals("--change-threshold", "9.9%")["shrank"] == 1
    assert totals("--move-threshold", "22m")["moved"] == 1
    assert totals("--move-threshold", "23")["moved"] == 0
    assert totals("--move-threshold", "0.022km")["moved"] == 1
    assert totals("--move-threshold", "1km")["moved"] == 0


@pytest.mark.parametrize("value", ["10", "ten%", "-1%", "%", "1e3%"])
def test_shares_that_are_none(gridcli, value) -> None:
    outcome = gridcli("diff", *NIGHT, "--change-threshold", value)
    assert outcome.code == 2
    assert "10% or 0.5%" in outcome.err


@pytest.mark.parametrize("value", ["m", "-1", "5k", "nan", "1 mile"])
def test_distances_that_are_none(gridcli, value) -> None:
    outcome = gridcli("diff", *NIGHT, "--move-threshold", value)
    assert outcome.code == 2
    assert "25, 25m or 1.5km" in outcome.err


def test_json(gridcli) -> None:
    outcome = gridcli("diff", *NIGHT, "--json", "-q")
    record = json.loads(outcome.out)
    assert outcome.err == ""
    assert record["command"] == "diff"
    assert record["old"]["path"] == "monday.parquet"
    assert record["old"]["record"]["grid"]["name"] == "g4"
    assert (record["old"]["hubs"], record["new"]["hubs"]) == (4, 4)
    assert record["thresholds"] == {"move": None, "change": 0.1}
    assert sum(record["totals"].values()) == 6
    assert [hub["changes"] for hub in record["hubs"]] == [
        ["appeared"],
        ["vanished"],
        ["moved", "grew"],
    ]
    assert record["hubs"][1] == {
        "changes": ["vanished"],
        "hub_key": "g4/9/0",
        "old_key": "g4/9/0",
        "split_from": None,
        "merged_into": None,
        "old_points": 20,
        "points": None,
        "old_tiles": 4,
        "tiles": None,
        "moved_m": None,
        "old_lon": pytest.approx(0.0011),
        "old_lat": pytest.approx(0.00005),
        "lon": None,
        "lat": None,
    }
    assert record["hubs"][2]["moved_m"] == pytest.approx(22.26, abs=0.01)
    unchanged = json.loads(gridcli("diff", *NIGHT, "--json", "--all").out)["hubs"][-1]
    assert unchanged["changes"] == []


def test_planar_files_have_coordinates_of_the_plane(gridcli, nights) -> None:
    rows = "".join(f"{319_010 + 25 * i},6400010\n" * 5 for i in range(4))
    (nights / "plane.csv").write_text("x,y\n" + rows)
    (nights / "more.csv").write_text(
        "x,y\n" + rows + rows.splitlines()[-1] + "\n" + "319110,6400010\n" * 9
    )
    for name in ("plane", "more"):
        outcome = gridcli(
            *("raster", f"{name}.csv", "--planar", "--tile-size", "25", "-q"),
            *("-o", f"{name}.hubs.parquet", "--tiles", f"{name}.parquet"),
        )
        assert outcome.code == 0, outcome.err
    outcome = gridcli("diff", "plane.parquet", "more.parquet", "--json")
    (hub,) = json.loads(outcome.out)["hubs"]
    assert {"moved", "x", "y", "old_x", "old_y"} <= set(hub)
    assert (hub["old_x"], hub["y"]) == (319_050, 6_400_012.5)
    table = gridcli("diff", "plane.parquet", "more.parquet").out
    assert table.split()[:7] == ["change", "hub", "points", "tiles", "moved", "x", "y"]
    assert "6400012.5" in table


def test_files_of_other_formats(gridcli, nights) -> None:
    write_tiles(hubs_of(TUESDAY), nights / "tuesday.csv", "csv")
    write_tiles(hubs_of(MONDAY), nights / "monday.geojson", "geojson")
    outcome = gridcli("diff", "monday.geojson", "tuesday.csv")
    assert (outcome.code, outcome.out, outcome.err) == (0, TABLE + TOTALS, "")


def test_changes_in_a_file(gridcli, nights) -> None:
    outcome = gridcli("diff", *NIGHT, "-o", "changes.csv", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    with (nights / "changes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["changes"] for row in rows] == ["appeared", "vanished", "moved grew"]
    assert rows[2]["old_points"] == "100"
    assert rows[0]["old_key"] == ""
    assert gridcli("diff", *NIGHT, "-o", "changes.json", "--json").code == 0
    printed = json.loads(gridcli("diff", *NIGHT, "--json").out)
    assert json.loads((nights / "changes.json").read_text()) == printed
    again = gridcli("diff", *NIGHT, "-o", "changes.csv")
    assert again.code == 5
    again.assert_one_paragraph()
    assert gridcli("diff", *NIGHT[::-1], "-o", "changes.csv", "--overwrite", "-q").code == 0
    assert (nights / "changes.csv").read_text().splitlines()[1].startswith("appeared,g4/9/0,,")


def test_no_changes_in_a_file(gridcli, nights) -> None:
    gridcli("diff", NIGHT[0], NIGHT[0], "-o", "changes.csv", "-q")
    (header,) = (nights / "changes.csv").read_text().splitlines()
    assert header.startswith("changes,hub_key,old_key,split_from,merged_into,old_points,points,")


@pytest.mark.parametrize(
    ("output", "words"),
    [("-", "--json prints"), ("changes.parquet", ".json or .csv"), ("monday.parquet", ".json")],
)
def test_files_that_changes_cannot_be_written_to(gridcli, output, words) -> None:
    outcome = gridcli("diff", *NIGHT, "-o", output, "--overwrite")
    assert outcome.code == 2
    assert words in outcome.err
    outcome.assert_one_paragraph()


def test_an_input_is_no_output(gridcli, nights) -> None:
    write_tiles(hubs_of(MONDAY), nights / "m.csv", "csv")
    outcome = gridcli("diff", "m.csv", NIGHT[1], "-o", "m.csv", "--overwrite")
    assert outcome.code == 2
    assert "input of this run" in outcome.err


def test_the_exit_code_tells_of_differences(gridcli) -> None:
    assert gridcli("diff", *NIGHT, "--exit-code").code == 10
    assert gridcli("diff", *NIGHT, "--exit-code").out == TABLE + TOTALS
    quiet = gridcli("diff", *NIGHT, "--exit-code", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (10, "", "")
    assert run_process("diff", *NIGHT, "--exit-code", "-q").code == 10
    assert gridcli("diff", *NIGHT, "--exit-code", "-o", "c.json", "-q").code == 10


def test_other_parameters_are_a_warning(gridcli, nights) -> None:
    write_tiles(hubs_of(TUESDAY), nights / "t.parquet", "parquet", tau=7)
    outcome = gridcli("diff", NIGHT[0], "t.parquet", "-q")
    assert outcome.code == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("gridcli: warning: ")
    assert "(tau 5 and 7)" in line


def test_a_file_that_tells_no_grid_is_a_warning(gridcli, nights) -> None:
    write_tiles(hubs_of(MONDAY, mu=9), nights / "none.csv", "csv")
    outcome = gridcli("diff", "none.csv", NIGHT[1], "-q", "--exit-code")
    assert outcome.code == 10
    assert "none.csv holds no hub" in outcome.err


def test_other_grids_are_wrong_usage(gridcli, nights) -> None:
    from gridcli.grid.grid import Grid

    write_tiles(hubs_of(MONDAY, Grid.degrees(3)), nights / "g3.parquet", "parquet")
    outcome = gridcli("diff", NIGHT[0], "g3.parquet")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "g4" in outcome.err
    assert "g3" in outcome.err


def test_wrong_files(gridcli, sample_csv, nights) -> None:
    gridcli("raster", sample_csv, "-o", "hubs.geojson", "-q")
    hubs = gridcli("diff", "hubs.geojson", NIGHT[1])
    assert hubs.code == 2
    assert "gridcli raster INPUTS" in hubs.err
    assert gridcli("contract", sample_csv, "-o", "s.parquet", "-q").code == 0
    state = gridcli("diff", NIGHT[0], "s.parquet")
    assert state.code == 2
    assert "s.parquet is a state" in state.err
    assert "gridcli agglomerate s.parquet -o hubs.geojson --tiles" in state.err
    named = ["--keys-from", "s.parquet", "-o", "h.csv"]
    assert gridcli("raster", sample_csv, *named).err == state.err
    missing = gridcli("diff", NIGHT[0], "nowhere.parquet")
    assert missing.code == 3
    points = gridcli("diff", NIGHT[0], sample_csv)
    assert points.code == 3
    (nights / "cut.parquet").write_bytes((nights / NIGHT[0]).read_bytes()[:-10])
    cut = gridcli("diff", "cut.parquet", NIGHT[1], "-o", "changes.json")
    assert cut.code == 3
    assert not (nights / "changes.json").exists()
    for outcome in (hubs, state, missing, points, cut):
        outcome.assert_one_paragraph()


def test_a_chain_of_runs_of_the_program(gridcli, nights) -> None:
    """The tiles that `gridcli raster` writes, of points that move on by two tiles."""
    for name, first in (("a", 0), ("b", 2)):
        rows = "".join(f"57.70005,{11.90005 + i / 1e4:.5f}\n" * 6 for i in range(first, first + 6))
        (nights / f"{name}.csv").write_text("lat,lon\n" + rows)
        outcome = gridcli(
            "raster", f"{name}.csv", "-o", f"{name}.geojson", "--tiles", f"{name}.arrow"
        )
        assert outcome.code == 0, outcome.err
    (hub,) = json.loads(gridcli("diff", "a.arrow", "b.arrow", "--json").out)["hubs"]
    assert hub["changes"] == ["moved"]
    assert hub["old_key"] == "g4/119000/577000"
    assert hub["hub_key"] == "g4/119002/577000"
    assert hub["moved_m"] == pytest.approx(11.92, abs=0.05)
    assert "was g4/119000/577000" in gridcli("diff", "a.arrow", "b.arrow").out


def test_names_follow_the_hubs_from_night_to_night(gridcli, nights) -> None:
    """A hub that moves on by two tiles a night, beyond where it was named."""
    names = []
    for night in range(4):
        columns = range(2 * night, 2 * night + 6)
        rows = "".join(f"57.70005,{11.90005 + i / 1e4:.5f}\n" * 6 for i in columns)
        (nights / "points.csv").write_text("lat,lon\n" + rows)
        outcome = gridcli(
            *("raster", "points.csv", "-o", f"hubs{night}.csv", "--tiles", f"{night}.parquet"),
            *(["--keys-from", f"{night - 1}.parquet"] if night else []),
        )
        assert outcome.code == 0, outcome.err
        with (nights / f"hubs{night}.csv").open(newline="") as file:
            names += [row["hub_key"] for row in csv.DictReader(file)]
    assert names == ["g4/119000/577000"] * 4
    record = json.loads(gridcli("diff", "0.parquet", "3.parquet", "--json").out)
    assert record["totals"] == {**dict.fromkeys(record["totals"], 0), "moved": 1}


def test_names_of_another_grid_are_refused_before_anything_is_read(gridcli, nights) -> None:
    (nights / "points.csv").write_text("lat,lon\n" + "nonsense\n" * 9)
    outcome = gridcli(
        *("raster", "points.csv", "--prec", "3", "-o", "hubs.csv", "--keys-from", NIGHT[0])
    )
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "of the grid g4" in outcome.err


def test_the_reader_of_the_table_may_go_away(nights) -> None:
    write_tiles(hubs_of(block(0, 0, 200, 200), rows=5000), nights / "one.parquet", "parquet")
    many = {(2 * i, 2 * j): 5 for i in range(100) for j in range(100)}
    write_tiles(hubs_of(many, rows=5000), nights / "many.parquet", "parquet")
    process = start_process("diff", "one.parquet", "many.parquet", "--limit", "0")
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_terminal_sees_colours(nights) -> None:
    ours, theirs = pty.openpty()
    process = start_process("diff", *NIGHT, stdout=theirs)
    os.close(theirs)
    data = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    text = data.decode()
    assert "\x1b[" in text
    assert "g4/40/0" in text


def test_help_names_the_thresholds() -> None:
    done = run_process("diff", "--help", stderr=subprocess.STDOUT)
    assert "--move-threshold" in done.out
    assert "[default: 10%]" in done.out
