"""`gridcli label` and `gridcli raster --points` as a user meets them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.cli import labelling as cli_labelling
from gridcli.cli.exits import run
from gridcli.cli.main import cli
from gridcli.labelling import partitions as partitions_module
from tests.conftest import process_environment

HUB = ["--tau", "2", "--mu", "1"]


def write_csv(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def trips(tmp_path):
    """Two rows in one hub, one in none and one that is bad; and the tiles."""
    source = write_csv(
        tmp_path / "trips.csv",
        "id,lat,lon,note\n007,57.70005,11.90005,a\n008,57.70005,11.90005,\n"
        '009,10.0,10.0,"b, ""c"""\n010,91,0,d\n',
    )
    tiles = tmp_path / "tiles.parquet"
    assert (
        run(
            cli,
            [
                "raster",
                str(source),
                *HUB,
                "-o",
                str(tmp_path / "h.csv"),
                "--tiles",
                str(tiles),
                "-q",
            ],
        )
        == 0
    )
    return tiles, source


def test_texts_of_csv_stay_as_they_are(trips, gridcli, tmp_path):
    tiles, source = trips
    out = tmp_path / "out.csv"
    assert gridcli("label", tiles, source, "-o", out, "--keep-noise").code == 0
    assert out.read_text(encoding="utf-8") == (
        "id,lat,lon,note,hub_id,hub_key,reason\n"
        "007,57.70005,11.90005,a,1,g4/119000/577000,\n"
        "008,57.70005,11.90005,,1,g4/119000/577000,\n"
        '009,10.0,10.0,"b, ""c""",,,\n'
        "010,91,0,d,,,out_of_range\n"
    )
    assert gridcli("label", tiles, source, "-o", tmp_path / "out.parquet").code == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("id").to_pylist() == ["007", "008"]
    assert table.schema.field("lat").type == pa.string()


def test_the_summary_counts_rows(trips, gridcli, tmp_path):
    tiles, source = trips
    out, summary = tmp_path / "out.csv", tmp_path / "s.json"
    outcome = gridcli("label", tiles, source, "-o", out, "--summary", summary)
    assert outcome.code == 0
    record = json.loads(summary.read_text(encoding="utf-8"))
    assert record["command"] == "label"
    assert record["rows"]["read"] == 4
    assert record["rows"]["out_of_range"] == 1
    assert record["labelled"] == {"in_hubs": 2, "written": 2}
    assert record["files"] == [{"layer": "points", "path": str(out), "format": "csv", "rows": 2}]
    assert "rows in hubs" in outcome.err


def test_filters_remove_rows_that_noise_would_keep(trips, gridcli, tmp_path):
    tiles, source = trips
    out = tmp_path / "out.csv"
    words = ["label", tiles, source, "-o", out, "--keep-noise", "--where", "id != '007'"]
    assert gridcli(*words, "--bbox", "9,9,12,60").code == 0
    assert [line[:3] for line in out.read_text(encoding="utf-8").splitlines()[1:]] == [
        "008",
        "009",
        "010",
    ]


def test_rejects_and_max_bad(trips, gridcli, tmp_path):
    tiles, source = trips
    out, rejects = tmp_path / "out.csv", tmp_path / "rejects.csv"
    outcome = gridcli("label", tiles, source, "-o", out, "--rejects", rejects, "--max-bad", 0)
    assert outcome.code == 4
    outcome.assert_one_paragraph()
    assert not out.exists()
    assert "out_of_range" in rejects.read_text(encoding="utf-8")


def test_no_row_in_a_hub_is_a_valid_output_and_a_warning(trips, gridcli, tmp_path):
    tiles, _ = trips
    other = write_csv(tmp_path / "other.csv", "lat,lon\n1,1\n")
    for form in ("csv", "parquet", "arrow"):
        outcome = gridcli("label", tiles, other, "-o", tmp_path / f"out.{form}")
        assert outcome.code == 0
        assert "none of the 1 rows lies in a hub" in outcome.err
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0
    with pa.ipc.open_file(tmp_path / "out.arrow") as reader:
        assert reader.read_all().num_rows == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["TRIPS", "TRIPS", "-o", "o.csv"], "no file of tiles"),
        (["h.csv", "TRIPS", "-o", "o.csv"], "holds hubs without their tiles"),
        (["TILES", "TRIPS", "-o", "o.geojson"], "Rows are written as parquet, csv, arrow"),
        (["TILES", "TRIPS", "-o", "-"], "--format"),
        (["TILES", "TRIPS", "-o", "o.csv", "--planar"], "leave out --planar"),
        (["TILES", "TRIPS", "-o", "o", "--partition-by", "nope"], "no column 'nope'"),
        (["TILES", "TRIPS", "-o", "-", "--partition-by", "id"], "a folder's name"),
        (["TILES", "TRIPS", "-o", "o.csv", "--partition-by", "id"], "o.csv is the name of a file"),
        (["TRIPS", "TILES", "-o", "o.csv"], "TILES comes first, then INPUTS"),
        (["TILES", "TRIPS", "-o", "o.dat"], "use one of .parquet, .csv, .arrow, or add --format"),
        (["TILES", "TRIPS", "-o", "-"], "one of parquet, csv, arrow, or a folder with"),
        (["TILES", "TRIPS", "-o", "TRIPS", "--overwrite"], "is an input"),
        (["TILES", "TRIPS", "-o", "TILES", "--overwrite"], "is an input"),
    ],
)
def test_wrong_usage(trips, gridcli, tmp_path, monkeypatch, words, told):
    tiles, source = trips
    monkeypatch.chdir(tmp_path)
    names = {"TRIPS": source, "TILES": tiles}
    before = names_in(tmp_path)
    outcome = gridcli("label", *(names.get(word, word) for word in words))
    assert outcome.code in {2, 3}
    assert told in outcome.err
    outcome.assert_one_paragraph()
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("option", [["--keep-noise"], ["--partition-by", "id"]])
def test_options_of_rows_need_points(trips, gridcli, tmp_path, option):
    outcome = gridcli("raster", trips[1], "-o", tmp_path / "o.csv", *option)
    assert outcome.code == 2
    assert "needs --points" in outcome.err


def test_standard_output_takes_one_output(trips, gridcli):
    outcome = gridcli("raster", trips[1], "-o", "-", "--points", "-")
    assert outcome.code == 2
    assert "Two outputs go to standard output" in outcome.err


def test_columns_that_labelling_adds_are_refused(trips, gridcli, tmp_path):
    tiles, _ = trips
    source = write_csv(tmp_path / "x.csv", "lat,lon,Hub_ID,reason\n57.70005,11.90005,1,x\n")
    outcome = gridcli("label", tiles, source, "-o", tmp_path / "o.csv")
    assert outcome.code == 2
    assert "EXCLUDE (Hub_ID)" in outcome.err
    outcome.assert_one_paragraph()
    source = write_csv(tmp_path / "x.csv", "lat,lon,reason\n57.70005,11.90005,x\n")
    assert gridcli("label", tiles, source, "-o", tmp_path / "o.csv").code == 0
    assert gridcli("label", tiles, source, "-o", tmp_path / "p.csv", "--keep-noise").code == 2


# --- Columns of several inputs --------------------------------------------------------------------


def write_parquet(path, **columns):
    here = {"lat": [57.70005], "lon": [11.90005]}
    pq.write_table(pa.table({**here, **columns}), path)
    return path


def test_columns_are_those_of_all_inputs(trips, gridcli, tmp_path):
    tiles, _ = trips
    a = write_parquet(
        tmp_path / "a.parquet", n=pa.array([1], pa.int32()), kind=pa.array(["x"]), a=[-(2**63)]
    )
    b = write_parquet(
        tmp_path / "b.parquet",
        b=[b"b"],
        kind=pa.array(["y"]).dictionary_encode(),
        n=pa.array([2**40]),
        a=pa.array([Decimal("0.05")]),
    )
    out = tmp_path / "o.parquet"
    assert gridcli("label", tiles, a, b, "-o", out).code == 0
    table = pq.read_table(out)
    assert table.column_names == ["lat", "lon", "n", "kind", "a", "b", "hub_id", "hub_key"]
    assert table.column("n").to_pylist() == [1, 2**40]
    assert table.column("kind").to_pylist() == ["x", "y"]
    assert table.column("a").to_pylist() == [-(2**63), Decimal("0.05")]
    assert table.column("b").to_pylist() == [None, b"b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1]), pa.array(["x"])),
        (pa.array([2**60]), pa.array([0.5])),
        (pa.array([1], pa.uint64()), pa.array([-1])),
        (pa.array([[2**60]]), pa.array([[0.5]])),
    ],
)
def test_types_that_no_type_joins_are_refused_before_anything_is_written(
    trips, gridcli, tmp_path, first, second
):
    tiles, _ = trips
    a = write_parquet(tmp_path / "a.parquet", n=first)
    b = write_parquet(tmp_path / "b.parquet", n=second)
    outcome = gridcli("label", tiles, a, b, "-o", tmp_path / "o.parquet")
    assert outcome.code == 2
    types = [pq.read_schema(path).field("n").type for path in (b, a)]
    assert f"the column n is {types[0]}, but {types[1]} in {a}" in outcome.err
    outcome.assert_one_paragraph()
    assert not (tmp_path / "o.parquet").exists()


def test_partitions_of_the_inputs_are_columns(trips, gridcli, tmp_path):
    tiles, source = trips
    folder = tmp_path / "in" / "day=a%20b"
    folder.mkdir(parents=True)
    (folder / "x.csv").write_bytes(source.read_bytes())
    assert gridcli("label", tiles, tmp_path / "in", "-o", tmp_path / "o.parquet").code == 0
    assert pq.read_table(tmp_path / "o.parquet").column("day").to_pylist() == ["a b", "a b"]


def test_geo_metadata_stay_where_they_are_true_of_all_rows(trips, gridcli, tmp_path):
    tiles, source = trips
    hubs = tmp_path / "hubs.parquet"
    assert gridcli("raster", source, *HUB, "-o", hubs, "--overwrite").code == 0
    table = pq.read_table(hubs).select(["geometry", "points"])
    geo = json.loads(pq.read_metadata(hubs).metadata[b"geo"])
    for name, told in (("a", geo), ("b", {**geo, "columns": {"geometry": {"encoding": "WKB"}}})):
        kept = table.replace_schema_metadata({"geo": json.dumps(told)})
        pq.write_table(kept, tmp_path / f"{name}.parquet")
    a, b, out = (tmp_path / f"{name}.parquet" for name in ("a", "b", "o"))
    assert gridcli("label", tiles, a, "-o", out).code == 0
    kept = json.loads(pq.read_metadata(out).metadata[b"geo"])
    del geo["columns"]["geometry"]["bbox"]
    assert kept == geo
    assert gridcli("label", tiles, a, b, "-o", out, "--overwrite").code == 0
    assert b"geo" not in pq.read_metadata(out).metadata


# --- Grids ----------------------------------------------------------------------------------------


def test_points_lie_on_coarsened_tiles(gridcli, tmp_path):
    random = np.random.default_rng(2)
    x, y = np.round(np.array([[10], [50]]) + random.uniform(-0.002, 0.002, (2, 400)), 6)
    source = tmp_path / "a.parquet"
    pq.write_table(pa.table({"lon": x, "lat": y}), source)
    state, tiles, out = tmp_path / "s.parquet", tmp_path / "t.parquet", tmp_path / "o.parquet"
    assert gridcli("contract", source, "-o", state).code == 0
    words = ["--coarsen", "3", "--tau", "6", "-o", tmp_path / "h.csv", "--tiles", tiles]
    assert gridcli("agglomerate", state, *words).code == 0
    assert gridcli("label", tiles, source, "-o", out).code == 0
    found = pq.read_table(tiles).to_pydict()
    hub = dict(
        zip(zip(found["tile_x"], found["tile_y"], strict=True), found["hub_id"], strict=True)
    )
    tile = zip(np.floor(x * 1e4 + 1e-6) // 3, np.floor(y * 1e4 + 1e-6) // 3, strict=True)
    expected = [hub.get((int(i), int(j))) for i, j in tile]
    assert pq.read_table(out).column("hub_id").to_pylist() == [h for h in expected if h is not None]
    assert any(h is None for h in expected)


@pytest.mark.parametrize("size", [["--planar", "--tile-size", "25"], ["--tile-size", "25m"]])
def test_other_grids(gridcli, tmp_path, size):
    scale = 100 if "--planar" in size else 1e-3
    values = np.random.default_rng(3).normal(0, scale, (2, 500)) + 40
    source, tiles = tmp_path / "a.parquet", tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": values[0], "y": values[1]}), source)
    out, again = tmp_path / "o.parquet", tmp_path / "p.parquet"
    assert (
        gridcli(
            "raster", source, *size, "-o", tmp_path / "h.csv", "--tiles", tiles, "--points", out
        ).code
        == 0
    )
    planar = size[:1] if "--planar" in size else []
    assert gridcli("label", tiles, source, *planar, "-o", again).code == 0
    assert out.read_bytes() == again.read_bytes()
    counts = pq.read_table(tiles)
    in_hubs = sum(
        n
        for n, hub in zip(counts["count"].to_pylist(), counts["hub_id"].to_pylist(), strict=True)
        if hub is not None
    )
    assert pq.read_metadata(out).num_rows == in_hubs > 0
    if planar:
        outcome = gridcli("label", tiles, source, "-o", again, "--overwrite")
        assert outcome.code == 2
        assert "give --planar" in outcome.err


# --- Streams, and inputs that change --------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_standard_input_is_read_twice(trips, gridcli, tmp_path, suffix):
    _, source = trips
    data = source.read_bytes()
    if suffix == "parquet":
        pq.write_table(pa.csv.read_csv(source), tmp_path / "a.parquet")
        data = (tmp_path / "a.parquet").read_bytes()
    words = [sys.executable, "-m", "gridcli", "raster", "-", *HUB, "-o", "h2.csv", "-q"]
    done = subprocess.run(
        [*words, "--points", "-", "--format", "csv"],
        input=data,
        capture_output=True,
        cwd=tmp_path,
        env=process_environment(),
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "id,lat,lon,note,hub_id,hub_key"
    assert [line.split(",")[4] for line in lines[1:]] == ["1", "1"]


def test_label_reads_standard_input_as_it_comes(trips, tmp_path):
    tiles, source = trips
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = subprocess.Popen(["sh", "-c", f"cat '{source}' > '{pipe}'"])
    done = subprocess.run(
        [sys.executable, "-m", "gridcli", "label", tiles, "-", pipe, "-o", "o.csv", "-q"],
        input=source.read_bytes(),
        cwd=tmp_path,
        env=process_environment(),
        check=True,
    )
    feeder.wait()
    assert done.returncode == 0
    assert len((tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()) == 5


def test_an_input_that_changes_between_the_passes(trips, gridcli, tmp_path, monkeypatch):
    _, source = trips
    write_points = cli_labelling.write_points

    def meddled(*args, **kwargs):
        with source.open("a", encoding="utf-8") as file:
            file.write("011,57.70005,11.90005,z\n")
        return write_points(*args, **kwargs)

    monkeypatch.setattr("gridcli.cli.raster.write_points", meddled)
    outcome = gridcli(
        "raster", source, *HUB, "-o", tmp_path / "h2.csv", "--points", tmp_path / "o.csv"
    )
    assert outcome.code == 4
    assert "has changed while it was read" in outcome.err
    assert not (tmp_path / "h2.csv").exists()
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_truncated_input_leaves_nothing(trips, gridcli, tmp_path, partitioned):
    tiles, source = trips
    table = pa.table({"lat": np.full(5000, 57.70005), "lon": np.linspace(0, 1, 5000)})
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=100)
    data = bytearray((tmp_path / "b.parquet").read_bytes())
    data[20_000:40_000] = bytes(20_000)
    (tmp_path / "b.parquet").write_bytes(data)
    before = names_in(tmp_path)
    by = ["--partition-by", "lat"] if partitioned else []
    name = "o" if partitioned else "o.parquet"
    outcome = gridcli(
        "label",
        tiles,
        source,
        tmp_path / "b.parquet",
        "-o",
        tmp_path / name,
        *by,
        "--where",
        "id is null",
    )
    assert outcome.code == 2  # text in the first, numbers in the second
    outcome = gridcli(
        "label", tiles, tmp_path / "b.parquet", "-o", tmp_path / name, *by, "--keep-noise"
    )
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("words", [["-o", "o.parquet"], ["-o", "o", "--partition-by", "hub_id"]])
def test_a_full_disk_under_the_target(trips, tmp_path, words):
    tiles, _ = trips
    random = np.random.default_rng(1)
    rows = pa.table(
        {
            "lat": np.full(50_000, 57.70005),
            "lon": np.full(50_000, 11.90005),
            "noise": random.random(50_000),
        }
    )
    pq.write_table(rows, tmp_path / "b.parquet")
    before = names_in(tmp_path)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "gridcli", "label", tiles, "b.parquet", *words],
        cwd=tmp_path,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 5, done.stderr
    assert "Cannot write o" in done.stderr
    assert names_in(tmp_path) == before


# --- Folders --------------------------------------------------------------------------------------

cells = st.sampled_from(["a", "b/c", "d=e", "ä %", "", "..", "x" * 40])


@given(
    rows=st.lists(
        st.tuples(cells, st.sampled_from([None, 1, -2, 30]), st.integers(0, 1)),
        min_size=1,
        max_size=60,
    ),
    by=st.sampled_from([("name",), ("n", "name"), ("hub_id",), ("hub_key", "n"), ("reason",)]),
    buffer_bytes=st.sampled_from([0, 500, 1 << 20]),
)
@settings(max_examples=20)
def test_folders_read_back_as_the_rows(tmp_path_factory, rows, by, buffer_bytes):
    folder = tmp_path_factory.mktemp("folders")
    source, tiles = folder / "a.parquet", folder / "t.parquet"
    names, numbers, places = zip(*[*rows, ("a", 1, 0), ("a", 1, 0)], strict=True)
    table = pa.table(
        {
            "row": range(len(names)),
            "name": pa.array(names).dictionary_encode(),
            "n": pa.array(numbers, pa.int16()),
            "lat": [50.00005 if place == 0 else 95.0 for place in places],
            "lon": np.full(len(names), 10.00005),
        }
    )
    pq.write_table(table, source, row_group_size=13)
    out, flat = folder / "out", folder / "flat.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions_module, "BUFFER_BYTES", buffer_bytes)
        words = ["raster", source, *HUB, "-o", folder / "h.csv", "--tiles", tiles, "--points", flat]
        assert run(cli, [str(w) for w in [*words, "--keep-noise", "-q"]]) == 0
        words = ["label", tiles, source, "-o", out, "--keep-noise", "-q", "--partition-by"]
        assert run(cli, [str(w) for w in [*words, ",".join(by)]]) == 0
    expected = pq.read_table(flat)
    types = pa.schema([(name, _text_or(expected.schema.field(name).type)) for name in by])
    found = ds.dataset(out, partitioning=ds.partitioning(types, flavor="hive")).to_table()
    assert found.sort_by("row").select(expected.column_names).to_pylist() == expected.to_pylist()
    for file in out.rglob("*.parquet"):
        part = pq.ParquetFile(file)
        assert not set(by) & set(part.schema_arrow.names)
        assert part.read(["row"]).column("row").to_pylist() == sorted(
            part.read(["row"]).column("row").to_pylist()
        )


def _text_or(type_):
    return pa.string() if pa.types.is_dictionary(type_) else type_


def test_gridcli_reads_its_folders(trips, gridcli, tmp_path):
    tiles, source = trips
    out = tmp_path / "out"
    words = ["label", tiles, source, "--keep-noise"]
    assert gridcli(*words, "-o", out, "--partition-by", "note,HUB_KEY").code == 0
    assert gridcli("inspect", out, "--json").code == 0
    outcome = gridcli("raster", out, *HUB, "-o", "-", "--format", "csv", "--where", "note = 'a'")
    assert outcome.code == 0
    assert "1 rows" not in outcome.err


def test_only_own_folders_are_replaced(trips, gridcli, tmp_path):
    tiles, source = trips
    out = tmp_path / "out"
    words = ["label", tiles, source, "-o", out, "--partition-by", "id"]
    assert gridcli(*words).code == 0
    first = sorted(path.name for path in out.iterdir())
    assert first == ["id=007", "id=008"]
    assert gridcli(*words).code == 5
    assert gridcli(*words, "--keep-noise", "--overwrite").code == 0
    assert len(list(out.iterdir())) == 4
    (out / "id=007" / "mine.txt").write_text("x", encoding="ascii")
    outcome = gridcli(*words, "--overwrite")
    assert outcome.code == 5
    assert "mine.txt" in outcome.err
    outcome.assert_one_paragraph()
    (out / "id=007" / "mine.txt").unlink()
    outcome = gridcli("label", tiles, out, "-o", out, "--partition-by", "id", "--overwrite")
    assert outcome.code == 2
    other = tmp_path / "other" / "id=1"
    other.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), other / "part-00000.parquet")
    assert gridcli(*words[:3], "-o", other.parent, *words[5:], "--overwrite").code == 5


def test_too_many_folders(trips, gridcli, tmp_path, monkeypatch):
    tiles, source = trips
    monkeypatch.setattr(partitions_module, "MOST_PARTITIONS", 3)
    outcome = gridcli(
        "label", tiles, source, "-o", tmp_path / "out", "--keep-noise", "--partition-by", "id"
    )
    assert outcome.code == 6
    assert "more than 3 folders" in outcome.err
    outcome.assert_one_paragraph()
    assert not (tmp_path / "out").exists()


def test_a_reader_that_has_seen_enough(trips, tmp_path):
    tiles, _ = trips
    rows = pa.table({"lat": np.full(300_000, 57.70005), "lon": np.full(300_000, 11.90005)})
    pq.write_table(rows, tmp_path / "b.parquet")
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gridcli",
            "label",
            tiles,
            "b.parquet",
            "-o",
            "-",
            "--format",
            "csv",
            "-q",
        ],
        cwd=tmp_path,
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 141
    assert said == b""
