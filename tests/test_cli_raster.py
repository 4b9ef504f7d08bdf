"""`gridcli raster`: outputs, summary, warnings, and what the options do."""

from __future__ import annotations

import json

import pytest

from tests.conftest import run_process

HUB = "57.70005,11.90005\n" * 6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, name: str, rows: str, header: str = "lat,lon\n") -> str:
    (folder / name).write_text(header + rows)
    return name


def test_all_outputs_of_a_run(gridcli, sample_csv, folder) -> None:
    outcome = gridcli(
        *("raster", sample_csv, "-o", "hubs.geojson", "--tiles", "tiles.csv"),
        *("--clusters", "clusters.geojsonl", "--rejects", "rejects.csv"),
        *("--summary", "summary.json", "--threads", "2"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    hubs = json.loads((folder / "hubs.geojson").read_text())
    (hub,) = hubs["features"]
    assert hub["geometry"]["type"] == "Point"
    assert hub["properties"]["points"] == 40
    assert hub["properties"]["tiles"] == 5
    assert hubs["gridcli"]["tau"] == 5
    assert len((folder / "tiles.csv").read_text().splitlines()) == 6
    (cluster,) = (folder / "clusters.geojsonl").read_text().splitlines()
    assert json.loads(cluster)["geometry"]["type"] == "MultiPolygon"
    rejects = (folder / "rejects.csv").read_text().splitlines()
    assert [line.split(",")[1:4] for line in rejects[1:]] == [
        ["61", "62", "null"],
        ["62", "63", "not_a_number"],
        ["63", "64", "out_of_range"],
        ["64", "65", "null_island"],
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["rows"] == {
        "read": 64,
        "used": 60,
        "filtered": 0,
        "ragged": 0,
        "null": 1,
        "not_a_number": 1,
        "out_of_range": 1,
        "null_island": 1,
    }
    assert summary["tiles"] == {"distinct": 25, "significant": 5, "largest_count": 8}
    assert summary["hubs"] == 1
    assert summary["threads"] == 2
    assert summary["grid"]["name"] == "g4"
    assert set(summary["seconds"]) >= {"contract", "agglomerate", "write", "total"}
    assert [(f["layer"], f["path"], f["rows"]) for f in summary["files"]] == [
        ("hubs", "hubs.geojson", 1),
        ("clusters", "clusters.geojsonl", 1),
        ("tiles", "tiles.csv", 5),
    ]
    text = " ".join(outcome.err.split())
    assert "reading latitude from 'lat', longitude from 'lon'." in text
    assert "grid g4 rows read 64 used 60 null 1 not a number 1 out of range 1 null island 1" in text
    assert "tiles 25 significant tiles 5 with at least 5 points hubs 1 of at least 4 tiles" in text
    assert "hubs.geojson (1 row)" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--refine", "1"], "grid g4, drawn from g5 rows read"),
        (["--tile-size", "25m"], "grid m25 rows read"),
        (
            ["--dims", "lat,lon,speed", "--range", "speed=0:100", "--prec", "4,4,-1"],
            "grid g4+speed(0:100)-1 rows read",
        ),
    ],
)
def test_the_summary_names_the_grid(gridcli, sample_csv, folder, options, told) -> None:
    outcome = gridcli("raster", sample_csv, "-o", "hubs.csv", *options)
    assert outcome.code == 0
    assert told in " ".join(outcome.err.split())


def test_quiet_hides_all_but_warnings(gridcli, sample_csv, folder) -> None:
    found = gridcli("raster", sample_csv, "-o", "a.csv", "-q")
    assert (found.code, found.out, found.err) == (0, "", "")
    none = gridcli("raster", sample_csv, "-o", "b.csv", "-q", "--tau", "100")
    assert none.code == 0
    assert none.err.startswith("gridcli: warning: no hub was found: the fullest tile holds 8 ")
    assert "a --tau of at most 8: lower, where fewer than 4 adjacent tiles" in none.err
    assert len(none.err.splitlines()) == 1


def test_too_few_adjacent_tiles_are_explained(gridcli, sample_csv, folder) -> None:
    outcome = gridcli("raster", sample_csv, "-o", "hubs.csv", "--mu", "6")
    assert outcome.code == 0
    assert "5 tiles hold at least 5 points, but no 6 of them adjoin" in outcome.err
    assert len((folder / "hubs.csv").read_text().splitlines()) == 1


def test_no_rows_at_all_is_a_warning(gridcli, folder) -> None:
    outcome = gridcli("raster", write(folder, "in.csv", ""), "-o", "hubs.geojson", "-q")
    assert outcome.code == 0
    assert outcome.err == "gridcli: warning: the inputs hold no rows, so the outputs are empty.\n"
    assert json.loads((folder / "hubs.geojson").read_text())["features"] == []


def test_hubs_on_standard_output_are_data_alone(sample_csv) -> None:
    outcome = run_process("raster", sample_csv, "-o", "-", "--format", "geojson")
    assert outcome.code == 0, outcome.err
    assert len(json.loads(outcome.out)["features"]) == 1


def test_the_summary_on_standard_output_is_json_alone(gridcli, sample_csv, folder) -> None:
    outcome = gridcli("raster", sample_csv, "-o", "hubs.csv", "--summary", "-", "-q")
    assert json.loads(outcome.out)["hubs"] == 1
    assert outcome.err == ""


def test_the_format_is_that_of_standard_output(gridcli, sample_csv, folder) -> None:
    outcome = gridcli(
        *("raster", sample_csv, "-o", "hubs.geojson", "--tiles", "-", "--format", "csv", "-q")
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith('"tile_x","tile_y","count"')
    assert json.loads((folder / "hubs.geojson").read_text())["type"] == "FeatureCollection"


def test_polygons_of_hubs(gridcli, sample_csv, folder) -> None:
    assert gridcli("raster", sample_csv, "-o", "h.geojson", "--geometry", "polygon").code == 0
    (hub,) = json.loads((folder / "h.geojson").read_text())["features"]
    assert hub["geometry"]["type"] == "MultiPolygon"
    assert hub["properties"]["peak"] == 8


def test_parameters_reach_the_algorithm(gridcli, folder) -> None:
    rows = "".join(f"57.70005,{11.90005 + i * 2e-4:.5f}\n" * 3 for i in range(4))
    path = write(folder, "gaps.csv", rows)
    base = ["raster", path, "-o", "-", "--format", "csv", "-q", "--tau", "3"]
    assert len(gridcli(*base, "--mu", "4").out.splitlines()) == 1
    assert len(gridcli(*base, "--mu", "4", "--delta", "2").out.splitlines()) == 2
    assert len(gridcli(*base, "--mu", "1").out.splitlines()) == 5
    assert len(gridcli(*base, "--mu", "1", "--prec", "3").out.splitlines()) == 2
    assert len(gridcli(*base, "--mu", "1", "--bbox", "11.9,57,11.9003,58").out.splitlines()) == 3


def test_diagonal_tiles_adjoin_by_one_metric_only(gridcli, folder) -> None:
    rows = "".join(f"{57.70005 + i * 1e-4:.5f},{11.90005 + i * 1e-4:.5f}\n" * 5 for i in range(4))
    base = ["raster", write(folder, "d.csv", rows), "-o", "-", "--format", "csv", "-q"]
    assert len(gridcli(*base).out.splitlines()) == 2
    assert len(gridcli(*base, "--metric", "manhattan").out.splitlines()) == 1


def test_planar_data(gridcli, folder) -> None:
    rows = "".join(f"{319_010 + 25 * i},6400010\n" * 5 for i in range(4))
    path = write(folder, "plane.csv", rows, "east,north\n")
    outcome = gridcli(
        *("raster", path, "--planar", "--x", "east", "--y", "north", "--tile-size", "25"),
        *("-o", "hubs.csv", "--crs", "EPSG:3006", "--summary", "-", "-q"),
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["grid"]["name"] == "t25"
    header, hub = (folder / "hubs.csv").read_text().splitlines()
    assert '"x","y","radius","area"' in header
    assert ",20,4,319050" in hub


def test_where_keeps_the_rows_that_match(gridcli, sample_csv, folder) -> None:
    outcome = gridcli(
        *("raster", sample_csv, "-o", "hubs.csv", "--summary", "-", "-q", "--tau", "2"),
        *("--where", "speed < 4", "--where", "id in ('0', '1', '2')"),
    )
    rows = json.loads(outcome.out)["rows"]
    assert (rows["used"], rows["filtered"]) == (15, 49)


def test_expressions_may_stand_in_the_environment(gridcli, sample_csv, folder, monkeypatch) -> None:
    monkeypatch.setenv("GRIDCLI_RASTER_WHERE", "speed < 4\nid in ('0', '1', '2')\n")
    outcome = gridcli("raster", sample_csv, "-o", "hubs.csv", "--summary", "-", "-q", "--tau", "2")
    assert json.loads(outcome.out)["rows"]["used"] == 15


def test_an_output_may_not_be_an_input(gridcli, folder) -> None:
    path = write(folder, "in.csv", HUB)
    outcome = gridcli("raster", path, "-o", "in.csv", "--overwrite")
    assert outcome.code == 2
    assert "input of this run" in outcome.err
    assert (folder / "in.csv").read_text().endswith(HUB)


def test_other_columns_in_a_later_input_are_said(gridcli, folder) -> None:
    write(folder, "a.csv", HUB)
    for i in range(7):
        write(folder, f"b{i}.csv", HUB, "latitude,longitude\n")
    outcome = gridcli("raster", "*.csv", "-o", "hubs.geojson", "-q", "--mu", "1")
    assert outcome.code == 0, outcome.err
    (line,) = outcome.err.splitlines()
    assert "b0.csv: reading latitude from 'latitude'" in line
    assert line.endswith("(6 more inputs differ from the first in their columns).")


def test_progress_as_json_lines(gridcli, sample_csv, folder) -> None:
    outcome = gridcli("raster", sample_csv, "-o", "hubs.csv", "--progress", "json")
    lines = [line for line in outcome.err.splitlines() if line.startswith("{")]
    readings = [json.loads(line) for line in lines]
    last = next(each for each in readings if each["done"])
    assert last["stage"] == "contract"
    assert last["rows"] == 64
    assert last["bytes"] == last["total_bytes"] == sample_csv.stat().st_size


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_outputs_given_as_points_are_named_for_what_they_are(gridcli, sample_csv, folder, suffix):
    tiles, clusters = f"tiles.{suffix}", f"clusters.{suffix}"
    made = gridcli("raster", sample_csv, "-o", "h.csv", "--tiles", tiles, "--clusters", clusters)
    assert made.code == 0, made.err
    for name, what in ((tiles, "is a file of tiles"), (clusters, "holds hubs")):
        outcome = gridcli("raster", name, "-o", "x.csv")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert f"{name} {what}" in outcome.err
