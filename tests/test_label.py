"""Rows with their hubs: as the oracle labels them, whatever threads, memory and formats do."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.cli.exits import run
from gridcli.cli.main import cli
from gridcli.labelling import groups as groups_module
from gridcli.labelling import membership as membership_module
from gridcli.labelling import run as run_module
from gridcli.labelling.groups import row_ends
from gridcli.points import arrow as arrow_module
from tests import naive

PREC = "4"
CENTRES = [(11.90005, 57.70005), (-179.99995, -33.10005), (0.00255, 51.00005)]
FORMATS = ("parquet", "csv", "arrow")

fixes = st.tuples(
    st.sampled_from(CENTRES), st.integers(-3, 3), st.integers(-2, 2), st.sampled_from([0.0, 4e-5])
).map(lambda v: (round(v[0][0] + v[1] / 1e4 + v[3], 6), round(v[0][1] + v[2] / 1e4, 6)))
odd = st.sampled_from(
    [(None, 57.7), (11.9, None), ("east", 57.7), (200.0, 91.0), (-999.0, 1.0), (0.0, 0.0005)]
)
points = st.lists(st.one_of(fixes, fixes, fixes, odd), min_size=1, max_size=120)


def write_input(path, rows, first_row=0):
    """Write rows as a file of the format that the suffix says, with columns of several kinds."""
    n = len(rows)
    columns = {
        "code": [f"{first_row + i:05}" for i in range(n)],
        "lon": [row[0] for row in rows],
        "lat": [row[1] for row in rows],
        "note": [None if i % 5 == 0 else ('say "a, b"', "x\ny", "", " z")[i % 4] for i in range(n)],
    }
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(
                ["" if value is None else value for value in row]
                for row in zip(*columns.values(), strict=True)
            )
        return path
    texts = {k: [None if v is None else str(v) for v in columns[k]] for k in ("lon", "lat")}
    table = pa.table({**columns, **texts, "number": pa.array(range(first_row, first_row + n))})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=7)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=6):
                writer.write_batch(batch)
    return path


def read_rows(path):
    """Return the rows of an output as a table; those of CSV as texts."""
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".arrow":
        with pa.ipc.open_file(path) as reader:
            return reader.read_all()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    return pa.table({name: [row[name] or None for row in rows] for name in names})


def hubs_by_tile(path):
    table = pq.read_table(path).to_pydict()
    keys = {}
    found = {}
    for x, y, hub_id, key in zip(
        table["tile_x"], table["tile_y"], table["hub_id"], table["hub_key"], strict=True
    ):
        if hub_id is not None:
            found[x, y] = hub_id
            keys[hub_id] = key
    return found, keys


def succeed(*words):
    assert run(cli, [str(word) for word in (*words, "-q")]) == 0


@pytest.fixture
def small_pieces(monkeypatch):
    """Make everything that is cut in pieces small."""
    monkeypatch.setattr(groups_module, "GROUP_ROWS", 9)
    monkeypatch.setattr(arrow_module, "BATCH_ROWS", 4)


@given(
    rows=points,
    cut=st.integers(0, 120),
    source=st.sampled_from(["csv", "parquet", "arrow"]),
    form=st.sampled_from(FORMATS),
    keep_noise=st.booleans(),
    threads=st.sampled_from([1, 3]),
)
@settings(max_examples=25)
def test_rows_are_labelled_as_the_oracle_says(
    tmp_path_factory, rows, cut, source, form, keep_noise, threads
):
    if naive.labelled(rows, PREC, {}, keep_noise=True) and all(
        reason for _, _, reason in naive.labelled(rows, PREC, {}, keep_noise=True)
    ):
        rows = [*rows, (5.0, 5.0)]  # data without any valid row is an error of its own
    folder = tmp_path_factory.mktemp("rows")
    inputs = [write_input(folder / f"a.{source}", rows[:cut] or rows)]
    if rows[:cut] and rows[cut:]:
        inputs.append(write_input(folder / f"b.{source}", rows[cut:], cut))
    tiles, out, again = folder / "tiles.parquet", folder / f"out.{form}", folder / f"again.{form}"
    noise = ["--keep-noise"] if keep_noise else []
    options = ["--threads", threads, *noise]
    command = ["raster", *inputs, "-o", folder / "hubs.csv", "--tau", 2, "--mu", 2]
    succeed(*command, "--tiles", tiles, "--points", out, *options)
    succeed("label", tiles, *inputs, "-o", again, *options)
    assert again.read_bytes() == out.read_bytes()

    hub_of_tile, keys = hubs_by_tile(tiles)
    expected = naive.labelled(rows, PREC, hub_of_tile, keep_noise=keep_noise)
    table = read_rows(out).to_pydict()
    as_found = str if form == "csv" else int
    assert [int(code) for code in table["code"]] == [row for row, _, _ in expected]
    assert table["hub_id"] == [None if hub is None else as_found(hub) for _, hub, _ in expected]
    assert table["hub_key"] == [keys.get(hub) for _, hub, _ in expected]
    if keep_noise:
        assert table["reason"] == [reason for _, _, reason in expected]
    assert table["code"] == [f"{row:05}" for row, _, _ in expected]
    for name, position in (("lon", 0), ("lat", 1)):
        values = [rows[row][position] for row, _, _ in expected]
        assert table[name] == [None if value is None else str(value) for value in values]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Three files with hubs and every kind of bad row, and the tiles that were found in them."""
    folder = tmp_path_factory.mktemp("example")
    random = np.random.default_rng(4)
    rows = []
    for i in range(300):
        x, y = CENTRES[random.integers(3)]
        rows.append((round(x + random.integers(-4, 5) / 1e4, 6), y))
        if i % 11 == 0:
            rows.append([(None, 1.0), ("a", 1.0), (1.0, 95.0), (0.0, 0.0)][i % 4])
    inputs = [
        write_input(folder / "a.parquet", rows[:120]),
        write_input(folder / "b.parquet", rows[120:200], 120),
        write_input(folder / "c.parquet", rows[200:], 200),
    ]
    succeed("raster", *inputs, "-o", folder / "hubs.csv", "--tiles", folder / "tiles.parquet")
    return folder / "tiles.parquet", inputs, rows


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_but_the_rows_decides_the_bytes(example, form, tmp_path, monkeypatch, small_pieces):
    tiles, inputs, _ = example
    found = set()
    for number, (threads, hold, room) in enumerate(
        [(1, 1 << 20, None), (4, 1 << 20, None), (4, 0, None), (3, 0, 0)]
    ):
        monkeypatch.setattr(run_module, "LEAST_HOLD_BYTES", hold)
        monkeypatch.setattr(run_module, "MOST_HOLD_BYTES", hold)
        monkeypatch.setattr(run_module, "THREAD_BYTES", 1)
        if room is not None:
            monkeypatch.setattr(membership_module, "SLOT_BYTES", 1 << 60)
            monkeypatch.setattr(membership_module, "BLOCK_TILES", 3)
        out = tmp_path / f"{number}.{form}"
        succeed("label", tiles, *inputs, "-o", out, "--threads", threads, "--keep-noise")
        found.add(out.read_bytes())
    assert len(found) == 1
    if form == "parquet":
        metadata = pq.read_metadata(tmp_path / "0.parquet")
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert set(sizes[:-1]) == {9}


def test_a_group_ends_with_its_bytes(example, tmp_path, monkeypatch):
    tiles, inputs, rows = example
    monkeypatch.setattr(groups_module, "GROUP_BYTES", 1000)
    for threads in (1, 3):
        out = tmp_path / f"{threads}.parquet"
        succeed("label", tiles, *inputs, "-o", out, "--threads", threads, "--keep-noise")
    metadata = pq.read_metadata(out)
    assert metadata.num_rows == len(rows)
    assert metadata.num_row_groups > 10
    assert out.read_bytes() == (tmp_path / "1.parquet").read_bytes()


def test_other_programs_read_the_row_groups(example, tmp_path, small_pieces):
    tiles, inputs, rows = example
    out = tmp_path / "out.parquet"
    succeed("label", tiles, *inputs, "-o", out, "--keep-noise")
    table = pq.read_table(out)
    assert table.column("number").to_pylist() == list(range(len(rows)))
    assert duckdb.sql(f"from '{out}'").to_arrow_table().to_pylist() == table.to_pylist()
    one = pq.ParquetFile(out)
    assert one.read_row_group(3).num_rows == 9
    metadata = one.metadata
    numbers = metadata.row_group(2).column(table.column_names.index("number"))
    assert (numbers.statistics.min, numbers.statistics.max) == (18, 26)
    record = json.loads(metadata.metadata[b"gridcli"])
    assert record["grid"]["name"] == "g4"
    assert record["tau"] == 5


EVERY_TYPE = {
    "int8": pa.array([1, None, 3, -4], pa.int8()),
    "uint64": pa.array([1, None, 2**64 - 1, 0], pa.uint64()),
    "half": pa.array([1.5, None, -2, 0], pa.float16()),
    "nan": pa.array([float("nan"), None, float("inf"), -0.0]),
    "decimal": pa.array([Decimal("1.25"), None, Decimal("-3.50"), Decimal(0)]),
    "flag": pa.array([True, None, False, True]),
    "date": pa.array([1, None, 3, 4], pa.date32()),
    "stamp": pa.array([1, None, 3, 4], pa.timestamp("ns", "Europe/Berlin")),
    "clock": pa.array([1, None, 3, 4], pa.time64("us")),
    "lasting": pa.array([1, None, 3, 4], pa.duration("s")),
    "bytes": pa.array([b"\xff", None, b"", b"x"]),
    "three": pa.array([b"abc", None, b"def", b"ghi"], pa.binary(3)),
    "large": pa.array(["a", None, "", "d"], pa.large_string()),
    "view": pa.array(["a", None, "", "a text longer than twelve"], pa.string_view()),
    "kind": pa.array(["bus", None, "tram", "bus"]).dictionary_encode(),
    "list": pa.array([[1], None, [], [2, None]]),
    "pair": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 2, "b": None}]),
    "map": pa.array([[("k", 1)], None, [], [("l", 2)]], pa.map_(pa.string(), pa.int64())),
    "uuid": pa.array([bytes(16), None, bytes(range(16)), bytes(16)], pa.uuid()),
    "nothing": pa.nulls(4),
}


@pytest.fixture
def typed(tmp_path):
    """Rows in one hub and one outside, as a file of every Arrow type; and the tiles."""
    points = {"lon": [0.5, 0.5, 7.5, 0.5], "lat": [0.5] * 4}
    table = pa.table({**points, **EVERY_TYPE})
    pq.write_table(table, tmp_path / "typed.parquet")
    found = tmp_path / "tiles.parquet"
    options = ["--prec", "0", "--tau", "3", "--mu", "1"]
    source = tmp_path / "typed.parquet"
    succeed("raster", source, *options, "-o", tmp_path / "h.csv", "--tiles", found)
    return found, source, table


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_every_type_passes_through(typed, form, tmp_path):
    tiles, source, _ = typed
    stored = pq.read_table(source)
    succeed("label", tiles, source, "-o", tmp_path / f"out.{form}")
    found = read_rows(tmp_path / f"out.{form}")
    assert found.column("hub_id").to_pylist() == [1, 1, 1]
    expected = pa.concat_tables([stored.slice(0, 2), stored.slice(3, 1)])
    for field in stored.schema:
        column, wanted = found.column(field.name), expected.column(field.name)
        if form == "arrow" and pa.types.is_dictionary(field.type):
            wanted = wanted.cast(field.type.value_type)
        if field.name == "view":
            wanted = wanted.cast(pa.string())
        assert column.type == wanted.type, field
        assert str(column.to_pylist()) == str(wanted.to_pylist()), field


VIEWS = {
    "text": pa.array(["a", None, "", "a text longer than twelve"], pa.string_view()),
    "bytes": pa.array([b"\xff", None, b"", b"longer than twelve"], pa.binary_view()),
    "runs": pc.run_end_encode(pa.array(["x", "x", None, "x"])),
    "list": pa.array([["x"], None, ["y", "z"], []], pa.list_view(pa.string_view())),
    "struct": pa.array(
        [{"a": "x"}, None, {"a": None}, {"a": ""}], pa.struct({"a": pa.string_view()})
    ),
    "kinds": pa.array(
        [["x"], None, ["y", "x"], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))
    ),
    "kind": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 1, 0], pa.int8()), pa.array(["a", "b"], pa.string_view())
    ),
}


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_views_and_runs_become_plain(form, tmp_path):
    source = tmp_path / "views.arrow"
    table = pa.table({"lon": [0.5, 7.5, 0.5, 0.5], "lat": [0.5] * 4, **VIEWS})
    with pa.ipc.new_file(source, table.schema) as writer:
        writer.write_table(table)
    out = tmp_path / f"out.{form}"
    options = ["--prec", "0", "--tau", "3", "--mu", "1", "-o", tmp_path / "h.csv", "--points", out]
    succeed("raster", source, *options)
    found = read_rows(out)
    types = {field.name: str(field.type) for field in found.schema}
    assert types["text"] == types["runs"] == "string"
    assert types["bytes"] == "binary"
    for name, values in VIEWS.items():
        wanted = values.to_pylist()
        assert found.column(name).to_pylist() == [wanted[0], *wanted[2:]], name


def test_dictionaries_that_differ_and_are_full(tmp_path):
    """Two inputs of 100 different texts each, whose numbers are 8 bits wide."""
    sources = []
    for name in "ab":
        kinds = pa.DictionaryArray.from_arrays(
            pa.array(range(100), pa.int8()), pa.array([f"{name},{i}" for i in range(100)])
        )
        table = pa.table({"lon": [0.5] * 100, "lat": [0.5] * 100, "kind": kinds})
        sources.append(tmp_path / f"{name}.arrow")
        with pa.ipc.new_file(sources[-1], table.schema) as writer:
            writer.write_table(table)
    for form in ("csv", "arrow", "parquet"):
        out = tmp_path / f"out.{form}"
        options = ["--prec", "0", "--mu", "1", "-o", tmp_path / f"h.{form}", "--points", out]
        succeed("raster", *sources, *options)
        kinds = [f"{name},{i}" for name in "ab" for i in range(100)]
        assert read_rows(out).column("kind").to_pylist() == kinds


def test_bytes_of_rows_are_those_of_each_row():
    """However a column is cut, so that groups of rows end where the rows say."""
    columns = {**EVERY_TYPE, "lists": pa.array([[["a"], []], None, [["b", "cde"]], [None]])}
    rows = pa.record_batch(columns)
    each = [int(row_ends(rows.slice(i, 1))[0]) for i in range(4)]
    assert row_ends(rows).tolist() == np.cumsum(each).tolist()
    assert row_ends(rows.slice(1, 2)).tolist() == np.cumsum(each[1:3]).tolist()


def test_bytes_of_dictionaries_are_those_of_their_texts():
    texts = pa.array(["x" * 1000, None, "y", "x" * 1000])
    plain = row_ends(pa.record_batch({"a": texts}))
    assert row_ends(pa.record_batch({"a": texts.dictionary_encode()}))[-1] >= 2001
    assert abs(plain - row_ends(pa.record_batch({"a": texts.dictionary_encode()}))).max() <= 16


def test_csv_refuses_what_has_no_text(typed, gridcli, tmp_path):
    tiles, source, _ = typed
    outcome = gridcli("label", tiles, source, "-o", tmp_path / "out.csv")
    assert outcome.code == 2
    assert "bytes is binary" in outcome.err or "three" in outcome.err
    assert not (tmp_path / "out.csv").exists()
    outcome.assert_one_paragraph()


def test_streams_go_to_pipes(example, capfdbinary):
    tiles, inputs, rows = example
    words = ["label", tiles, *inputs, "-o", "-", "--keep-noise", "-q", "--format"]
    assert run(cli, [str(word) for word in [*words, "arrow"]]) == 0
    with pa.ipc.open_stream(capfdbinary.readouterr().out) as reader:
        assert reader.read_all().column("number").to_pylist() == list(range(len(rows)))
    assert run(cli, [str(word) for word in [*words, "csv"]]) == 0
    text = capfdbinary.readouterr().out.decode()
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == len(rows) + 1
