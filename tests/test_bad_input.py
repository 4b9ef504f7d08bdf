"""Inputs that are broken, empty, odd or not what they seem: exit code, message, nothing left."""

from __future__ import annotations

import gzip
import json
import os
import socket
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "lat,lon\n" + "57.70005,11.90005\n" * 10


def text(content: str, encoding: str = "utf-8") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "in.csv").write_bytes(content.encode(encoding))
        return folder / "in.csv"

    return make


def parquet(columns: dict[str, object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pq.write_table(pa.table(columns), folder / "in.parquet")
        return folder / "in.parquet"

    return make


def truncated_gz(folder: Path) -> Path:
    lines = "".join(f"{i / 1000},{i * 7919 % 360 / 3}\n" for i in range(20_000))
    packed = gzip.compress(b"lat,lon\n" + lines.encode())
    (folder / "in.csv.gz").write_bytes(packed[: len(packed) // 2])
    return folder / "in.csv.gz"


def truncated_parquet(folder: Path) -> Path:
    path = parquet({"lat": [57.7] * 1000, "lon": [11.9] * 1000})(folder)
    path.write_bytes(path.read_bytes()[:-50])
    return path


def corrupt_parquet(folder: Path) -> Path:
    """Spoil the header of a page; the footer is whole."""
    path = parquet({"lat": [57.7] * 1000, "lon": [11.9] * 1000})(folder)
    content = bytearray(path.read_bytes())
    content[4:24] = bytes(20)
    path.write_bytes(content)
    return path


def folder_without_data(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text("nothing here")
    (folder / "data" / "_hidden.csv").write_text(GOOD)
    return folder / "data"


def dangling_link(folder: Path) -> Path:
    (folder / "in.csv").symlink_to(folder / "gone.csv")
    return folder / "in.csv"


def file_as_folder(folder: Path) -> Path:
    (folder / "in.csv").write_text(GOOD)
    return folder / "in.csv" / "part.csv"


def socket_file(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(".", os.O_RDONLY)
        os.chdir(folder)  # a socket's path is limited to about a hundred characters
        server.bind("in.csv")
        os.fchdir(here)
        os.close(here)
    return folder / "in.csv"


def mixed_schemas(folder: Path) -> str:
    (folder / "a.csv").write_text(GOOD)
    (folder / "b.csv").write_text("time,speed\n1,2\n")
    return f"{folder}/*.csv"


def binary(folder: Path) -> Path:
    (folder / "in.csv").write_bytes(bytes(range(256)) * 40)
    return folder / "in.csv"


REFUSED = {
    "zero-byte": (text(""), 3, "empty"),
    "no-columns": (text("a,b\n1,2\n"), 2, "Its columns: a, b"),
    "headerless": (text("57.7,11.9\n57.8,11.8\n"), 2, "--columns"),
    "two-pairs": (
        text("start_lat,start_lon,end_lat,end_lon\n1,2,3,4\n"),
        2,
        "--lat end_lat --lon end_lon",
    ),
    "duplicate-names": (text("lat,lon,lat\n1,2,3\n"), 2, "'lat'"),
    "truncated-gz": (truncated_gz, 3, "in.csv.gz"),
    "truncated-parquet": (truncated_parquet, 3, "in.parquet"),
    "corrupt-parquet": (corrupt_parquet, 3, "in.parquet"),
    "folder-without-data": (folder_without_data, 3, "no data file"),
    "missing": (lambda folder: folder / "none.csv", 3, "no such file"),
    "empty-glob": (lambda folder: f"{folder}/*.csv", 3, "matches no file"),
    "dangling-link": (dangling_link, 3, "no such file"),
    "file-as-folder": (file_as_folder, 3, "in.csv"),
    "socket": (socket_file, 3, "in.csv"),
    "binary": (binary, 3, "in.csv"),
    "utf-16": (text(GOOD, "utf-16"), 3, "UTF-16"),
    "mixed-schemas": (mixed_schemas, 2, "b.csv"),
    "words-column": (parquet({"lat": ["north"], "lon": ["east"]}), 4, "not_a_number"),
    "wrong-type": (parquet({"lat": [[1.0]], "lon": [[2.0]]}), 2, "no coordinate"),
    "all-bad": (text("lat,lon\nx,y\n,\n95,200\n"), 4, "none of the 3 rows"),
    "all-null-island": (text("lat,lon\n0,0\n0,0\n"), 4, "null_island"),
    "uri": (lambda _: "s3://bucket/trips.parquet", 2, "s3://"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_input_is_refused(case, gridcli, tmp_path) -> None:
    make, code, phrase = REFUSED[case]
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    outputs.mkdir()
    outcome = gridcli(
        *("raster", make(inputs), "-o", outputs / "hubs.geojson"),
        *("--tiles", outputs / "tiles.parquet", "--rejects", outputs / "rejects.csv"),
        *("--summary", outputs / "summary.json"),
    )
    assert outcome.code == code, outcome.err
    assert phrase in outcome.err
    outcome.assert_one_paragraph()
    left = {each.name for each in outputs.iterdir()}
    assert left == ({"rejects.csv"} if code == 4 else set())


ROWS = "57.70005,11.90005\n" * 5
ACCEPTED = {
    "header-only": (text("lat,lon\n"), {"read": 0, "used": 0}),
    "letters": (text(f"lat,lon\n{ROWS}north,11.9\n57.7,1l.9\n"), {"used": 5, "not_a_number": 2}),
    "nan": (text(f"lat,lon\n{ROWS}NaN,11.9\n57.7,nan\n"), {"used": 5, "not_a_number": 2}),
    "infinity": (text(f"lat,lon\n{ROWS}inf,11.9\n57.7,-Infinity\n"), {"not_a_number": 2}),
    "1e300": (text(f"lat,lon\n{ROWS}1e300,11.9\n57.7,-1e300\n"), {"out_of_range": 2}),
    "1e999": (text(f"lat,lon\n{ROWS}1e999,11.9\n"), {"used": 5}),
    "out-of-range": (text(f"lat,lon\n{ROWS}90.1,0\n0,360.1\n0,-180.1\n"), {"out_of_range": 3}),
    "empty-cells": (text(f"lat,lon\n{ROWS},11.9\n57.7,\nNA,NULL\n"), {"null": 3}),
    "ragged": (text(f"lat,lon\n{ROWS}57.7\n57.7,11.9,3\n"), {"used": 5, "ragged": 2}),
    "null-island": (text(f"lat,lon\n{ROWS}0,0\n0.0005,-0.0005\n"), {"null_island": 2}),
    "long-line": (
        text(f"lat,lon,note\n57.7,11.9,{'x' * 10_000_000}\n" + "57.7,11.9,y\n" * 4),
        {"read": 5, "used": 5},
    ),
    "integer-columns": (parquet({"lat": [57] * 5, "lon": [11] * 5}), {"used": 5}),
    "text-columns": (parquet({"lat": ["57.7", "x"], "lon": ["11.9", "1"]}), {"used": 1}),
    "nulls": (parquet({"lat": [57.7, None], "lon": [None, 11.9], "a": [1, 2]}), {"null": 2}),
    "bom": (text("\ufeff" + GOOD), {"used": 10}),
    "crlf": (text(GOOD.replace("\n", "\r\n")), {"used": 10}),
    "no-last-newline": (text(GOOD.rstrip()), {"used": 10}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_bad_row_is_counted_and_stops_nothing(case, gridcli, tmp_path) -> None:
    make, expected = ACCEPTED[case]
    outputs = tmp_path / "out"
    outputs.mkdir()
    outcome = gridcli(
        *("raster", make(tmp_path), "-o", outputs / "hubs.geojson"),
        *("--rejects", outputs / "rejects.csv", "--summary", "-"),
    )
    assert outcome.code == (4 if case == "nulls" else 0), outcome.err
    assert "Traceback" not in outcome.err
    if outcome.code:
        return
    rows = json.loads(outcome.out)["rows"]
    assert {reason: rows[reason] for reason in expected} == expected
    assert rows["read"] == sum(n for reason, n in rows.items() if reason != "read")
    assert sorted(each.name for each in outputs.iterdir()) == ["hubs.geojson", "rejects.csv"]
    rejects = (outputs / "rejects.csv").read_text().splitlines()
    assert len(rejects) - 1 == rows["read"] - rows["used"] - rows["filtered"]
    assert json.loads((outputs / "hubs.geojson").read_text())["type"] == "FeatureCollection"


def test_all_rows_filtered_is_no_error(gridcli, tmp_path) -> None:
    path = text(GOOD)(tmp_path)
    for options in (["--where", "lat < 0"], ["--bbox", "0,0,1,1"]):
        target = tmp_path / "hubs.geojson"
        outcome = gridcli("raster", path, "-o", target, "-q", "--overwrite", *options)
        assert outcome.code == 0, outcome.err
        assert "warning: all 10 rows were removed" in outcome.err
        assert json.loads(target.read_text())["features"] == []


@pytest.mark.parametrize(
    ("content", "command"),
    [
        ("lat,lon\n" + "113.4,52.5\n" * 9, "gridcli raster --lat lon --lon lat"),
        ("lat,lon\n" + "577000500,119000500\n" * 9, "--lat lat --lon lon --scale 1e-7"),
        (
            "lat,lon\n" + "6400000.5,319000.5\n" * 9,
            "gridcli raster --planar --x lon --y lat --tile-size SIZE",
        ),
    ],
)
def test_a_mistake_is_answered_with_the_corrected_command(
    content, command, gridcli, tmp_path
) -> None:
    path = text(content)(tmp_path)
    target = tmp_path / "hubs.parquet"
    outcome = gridcli("raster", path, "-o", target, "--tau", "3")
    assert outcome.code == 4
    assert command in outcome.err
    assert f"{path} -o {target} --tau 3" in outcome.err
    assert not target.exists()


def test_inspect_refuses_what_raster_refuses(gridcli, tmp_path) -> None:
    for case in ("zero-byte", "truncated-parquet", "truncated-gz", "binary", "utf-16", "missing"):
        make, code, phrase = REFUSED[case]
        folder = tmp_path / case
        folder.mkdir()
        outcome = gridcli("inspect", make(folder))
        assert outcome.code == code, case
        assert phrase in outcome.err
        outcome.assert_one_paragraph()


def test_rejects_outlive_a_run_that_fails_for_them(gridcli, tmp_path) -> None:
    path = text("lat,lon\n" + "50,10\n" * 6 + "x,1\n,1\n0,0\n")(tmp_path)
    target, rejects = tmp_path / "hubs.csv", tmp_path / "bad.csv"
    outcome = gridcli("raster", path, "-o", target, "--max-bad", "1", "--rejects", rejects)
    assert outcome.code == 4
    assert "2 of 9 rows are bad (1 null, 1 not_a_number)" in outcome.err
    outcome.assert_one_paragraph()
    assert not target.exists()
    reasons = [line.split(",")[3] for line in rejects.read_text().splitlines()[1:]]
    assert reasons == ["not_a_number", "null", "null_island"]


def test_many_bad_rows_are_worth_a_warning(gridcli, tmp_path) -> None:
    path = text("lat,lon\n" + "50,10\n" * 6 + "99,1\n" * 3)(tmp_path)
    outcome = gridcli("raster", path, "-o", tmp_path / "hubs.csv", "-q")
    assert outcome.code == 0
    assert "3 of 9 rows are bad and were left out, most of them as out_of_range" in outcome.err
    assert "--rejects FILE lists them" in outcome.err
    assert "--dims" not in outcome.err


def test_bad_rows_are_not_all_of_one_kind_or_left_out(gridcli, tmp_path) -> None:
    path = text("lat,lon,v\n" + "50,10,1\n" * 6 + "99,1,1\n" * 2 + "x,1,1\n,2,1\n")(tmp_path)
    rejects, tiles = tmp_path / "bad.csv", tmp_path / "tiles.parquet"
    outcome = gridcli(
        "raster", path, "-o", tmp_path / "hubs.csv", "--tiles", tiles, "--rejects", rejects,
        "--dims", "lat,lon,v", "--prec", "4,4,0", "--range", "v=0:9",
    )  # fmt: skip
    assert outcome.code == 0
    assert "4 of 10 rows are bad and were left out, 2 of them as out_of_range" in outcome.err
    assert f"{rejects} lists them" in outcome.err
    assert "beyond the bounds of --range?" in outcome.err
    labelled = gridcli("label", tiles, path, "-o", tmp_path / "rows.csv", "--keep-noise")
    assert labelled.code == 0
    assert "4 of 10 rows are bad and lie in no hub, 2 of them" in labelled.err


def test_json_and_geojson_are_told_from_csv(gridcli, tmp_path) -> None:
    path = text('{"type":"FeatureCollection","features":[]}\n')(tmp_path)
    outcome = gridcli("raster", path, "-o", tmp_path / "hubs.csv")
    assert outcome.code == 3
    assert "holds JSON" in outcome.err


def test_json_progress_leaves_standard_error_to_json(gridcli, tmp_path) -> None:
    path = text(GOOD)(tmp_path)
    outcome = gridcli(
        "raster", path, "-o", tmp_path / "hubs.csv", "--mu", "1", "--progress", "json"
    )
    assert outcome.code == 0
    assert {json.loads(line)["stage"] for line in outcome.err.splitlines()} >= {"contract", "write"}
