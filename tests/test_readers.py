"""The same rows from every format: `gridcli.points.reader` and the readers behind it."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridcli.errors import InputError, UsageError
from gridcli.points import arrow as arrow_module
from gridcli.points import parquet as parquet_module
from gridcli.points.batch import PointBatch, Reason
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader

CHUNK_ROWS = 5
FORMATS = [
    "csv",
    "tsv",
    "csv.gz",
    "csv.bz2",
    "csv.zst",
    "parquet",
    "arrow",
    "arrows",
    "stdin:csv",
    "stdin:parquet",
    "stdin:arrow",
    "stdin:arrows",
]


def as_csv(table: pa.Table, delimiter: str = ",") -> bytes:
    def cell(value: Any) -> str:
        return "" if value is None else str(value)

    lines = [delimiter.join(table.column_names)]
    columns = (column.to_pylist() for column in table.columns)
    lines += [delimiter.join(map(cell, row)) for row in zip(*columns, strict=True)]
    return ("\n".join(lines) + "\n").encode()


def encode(table: pa.Table, suffix: str) -> bytes:
    """Return the table as a file of the format, in chunks of a few rows."""
    sink = io.BytesIO()
    if suffix == "parquet":
        pq.write_table(table, sink, row_group_size=CHUNK_ROWS)
    elif suffix == "arrow":
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=CHUNK_ROWS)
    elif suffix == "arrows":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=CHUNK_ROWS)
    elif suffix == "tsv":
        return as_csv(table, "\t")
    elif suffix == "csv.gz":
        return gzip.compress(as_csv(table))
    elif suffix == "csv.bz2":
        return bz2.compress(as_csv(table))
    elif suffix == "csv.zst":
        return pa.compress(as_csv(table), codec="zstd", asbytes=True)
    else:
        return as_csv(table)
    return sink.getvalue()


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a table where a reader finds it; return the argument that names it."""

    def call(table: pa.Table, format_: str, name: str = "points") -> str:
        kind, _, suffix = format_.rpartition(":")
        data = encode(table, suffix)
        if kind == "stdin":
            buffer = io.BufferedReader(io.BytesIO(data))
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))
            return "-"
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        return str(path)

    return call


def batches(*inputs: str, **options: Any) -> list[PointBatch]:
    with PointReader(inputs, ReadOptions(**options)) as reader:
        return [batch for chunk in reader.chunks() for batch in chunk.decode()]


def rows_of(batch: PointBatch) -> list[Any]:
    """Return each row's x and y as doubles, or the reason why there are none."""
    reasons = np.zeros(len(batch), dtype=np.uint8) if batch.reason is None else batch.reason
    unit = batch.unit or Fraction(1)
    assert batch.x.dtype == batch.y.dtype == (np.float64 if batch.unit is None else np.int64)
    return [
        Reason(reason) if reason else (float(Fraction(x) * unit), float(Fraction(y) * unit))
        for x, y, reason in zip(batch.x.tolist(), batch.y.tolist(), reasons.tolist(), strict=True)
    ]


def read(*inputs: str, **options: Any) -> list[Any]:
    return [row for batch in batches(*inputs, **options) for row in rows_of(batch)]


def table_of(lat: pa.Array, lon: pa.Array) -> pa.Table:
    return pa.table({"id": pa.array(range(len(lat)), pa.int64()), "lat": lat, "lon": lon})


LAT = ["57.7", "-0.1", "90", "12.25", "0.29", "33", "-89.999999"]
LON = ["11.9", "0.2", "-180", "179.5", "360", "-0.5", "1e1"]


def make(values: list[str], kind: str) -> pa.Array:
    """Return texts of numbers as a column; 'with nulls' puts a null in the middle."""
    kind, _, nulls = kind.partition(" ")
    values = [*values]
    made: list[Any] = [*map(float, values)]
    type_: pa.DataType = pa.float64()
    if kind == "float32":
        made, type_ = np.array(made, np.float32).tolist(), pa.float32()
    elif kind.startswith(("int", "uint")):
        made = [int(value) for value in made]
        type_ = getattr(pa, kind)()
        if kind.startswith("uint"):
            made = [abs(value) for value in made]
    elif kind == "decimal":
        made, type_ = [Decimal(value) for value in values], pa.decimal128(9, 6)
    elif kind == "widedecimal":
        made, type_ = [Decimal(value) for value in values], pa.decimal128(38, 18)
    elif kind == "string":
        made, type_ = values, pa.string()
    elif kind == "largestring":
        made, type_ = values, pa.large_string()
    elif kind == "dictionary":
        made, type_ = values, pa.dictionary(pa.int8(), pa.string())
    if nulls:
        made[len(made) // 2] = None
    return pa.array(made, type_)


KINDS = [
    "float64",
    "float32",
    "int16",
    "int32",
    "int64",
    "uint16",
    "decimal",
    "widedecimal",
    "string",
    "largestring",
    "dictionary",
]


def expected(lat: pa.Array, lon: pa.Array) -> list[Any]:
    return [
        Reason.NULL if x is None or y is None else (float(x), float(y))
        for x, y in zip(lon.to_pylist(), lat.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", [*KINDS, *(f"{kind} with nulls" for kind in KINDS)])
def test_same_rows_from_every_format(give, format_, kind):
    lat, lon = make(LAT, kind), make(LON, kind)
    assert read(give(table_of(lat, lon), format_)) == expected(lat, lon)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(("y_kind", "x_kind"), [("float64", "string"), ("int32", "decimal")])
def test_columns_of_two_types(give, format_, y_kind, x_kind):
    lat, lon = make(LAT, y_kind), make(LON, x_kind)
    assert read(give(table_of(lat, lon), format_)) == expected(lat, lon)


@pytest.mark.parametrize("format_", FORMATS)
def test_bad_cells_have_the_same_reason_in_every_format(give, format_):
    lat = pa.array(["1", "NA", "north", "nan", "2", "inf", "3", "null", " 4 ", "0x10"])
    lon = pa.array(["1", "x", "1", "1", "east", "1", None, "1", "4e0", "1"])
    bad = Reason.NOT_A_NUMBER
    assert read(give(table_of(lat, lon), format_)) == [
        (1.0, 1.0),
        Reason.NULL,
        bad,
        bad,
        bad,
        bad,
        Reason.NULL,
        Reason.NULL,
        (4.0, 4.0),
        bad,
    ]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["int64", "float64", "string", "decimal"])
def test_scaled_integers_are_exact(give, format_, kind):
    lat, lon = [577000001, -1, 29], [119000000, 0, 290000]
    type_ = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "decimal": pa.decimal128(20, 0),
    }[kind]
    convert = {"string": str, "decimal": Decimal}.get(kind, lambda value: value)
    table = table_of(*(pa.array([convert(v) for v in values], type_) for values in (lat, lon)))
    found = batches(give(table, format_), scale=Fraction(1, 10**7))
    assert {batch.unit for batch in found} == {Fraction(1, 10**7)}
    assert np.concatenate([batch.x for batch in found]).tolist() == lon
    assert np.concatenate([batch.y for batch in found]).tolist() == lat


@pytest.mark.parametrize("format_", ["parquet", "arrow", "arrows"])
def test_decimals_keep_their_digits(give, format_):
    lat = pa.array([Decimal("0.29"), Decimal("-0.01"), None], pa.decimal128(5, 2))
    lon = pa.array([Decimal("1.000001"), Decimal(2), Decimal(3)], pa.decimal128(9, 6))
    (batch,) = batches(give(table_of(lat, lon), format_))
    assert batch.unit == Fraction(1, 10**6)
    assert batch.y[:2].tolist() == [290000, -10000]
    assert batch.x[:2].tolist() == [1000001, 2000000]
    assert batch.reason is not None
    assert batch.reason.tolist() == [0, 0, Reason.NULL]


@pytest.mark.parametrize("format_", FORMATS)
def test_no_rows(give, format_):
    empty = pa.array([], pa.float64())
    assert read(give(table_of(empty, empty), format_)) == []


@pytest.mark.parametrize("format_", ["parquet", "arrow", "arrows"])
def test_columns_that_hold_only_nulls(give, format_):
    nulls = pa.nulls(3)
    assert read(give(table_of(nulls, nulls), format_)) == [Reason.NULL] * 3


@pytest.mark.parametrize("format_", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("type_", [pa.bool_(), pa.timestamp("ms"), pa.list_(pa.float64())])
def test_types_that_are_no_coordinates(give, format_, type_):
    table = table_of(pa.nulls(2, type_), pa.array([1.0, 2.0]))
    with pytest.raises(UsageError, match="'lat' has type"):
        read(give(table, format_))


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_doubles_are_not_copied(give, format_):
    table = table_of(pa.array([1.0, 2.0]), pa.array([3.0, 4.0]))
    (batch,) = batches(give(table, format_))
    assert not batch.x.flags.owndata
    assert batch.reason is None
    assert batch.table is None
    assert batch.origin is None


@pytest.mark.parametrize("format_", FORMATS)
def test_chunks_of_an_input_sum_to_its_size(give, format_):
    lat, lon = make(LAT, "float64"), make(LON, "float64")
    argument = give(table_of(lat, lon), format_)
    with PointReader([argument], ReadOptions()) as reader:
        total = reader.total_bytes
        seen = []
        for chunk in reader.chunks():
            seen.append((chunk.input_index, chunk.chunk_index, chunk.position, chunk.n_bytes))
            list(chunk.decode())
    assert [row[:3] for row in seen] == [(0, i, i) for i in range(len(seen))]
    if total is None:
        assert format_.startswith("stdin")
    else:
        assert total == Path(argument).stat().st_size
        assert sum(row[3] for row in seen) == total


@pytest.mark.parametrize("format_", FORMATS)
def test_extra_columns(give, format_):
    argument = give(table_of(make(LAT, "float64"), make(LON, "float64")), format_)
    found = batches(argument, extra_columns=("ID",))
    ids = [int(value) for b in found for value in b.table.column("id").to_pylist()]
    assert ids == list(range(len(LAT)))
    names = [b.table.schema.names for b in batches(give_again(argument), extra_columns=("*",))]
    assert all(name == ["id", "lat", "lon"] for name in names)
    with pytest.raises(UsageError, match="vehicle"):
        batches(give_again(argument), extra_columns=("vehicle",))


def give_again(argument: str) -> str:
    """Return the same argument, with standard input rewound."""
    if argument == "-":
        sys.stdin.buffer.seek(0)
    return argument


@pytest.mark.parametrize("format_", ["csv", "parquet", "arrow", "arrows"])
def test_origin_tells_record_and_text(give, format_):
    lat = pa.array([*range(8), None], pa.int64())
    argument = give(table_of(lat, lat), format_)
    with PointReader([argument], ReadOptions(keep_origin=True)) as reader:
        *_, chunk = reader.chunks()
        (batch,) = chunk.decode()
    row = len(batch) - 1
    assert batch.origin is not None
    assert batch.origin.record(row) == (9 if format_ == "csv" else 4)
    assert batch.origin.line(row) == (10 if format_ == "csv" else None)
    shown = "8,," if format_ == "csv" else "lat=NULL, lon=NULL"
    assert batch.origin.text(row) == shown


def test_several_inputs_of_several_formats(give, tmp_path):
    expect = []
    for i, format_ in enumerate(["csv", "parquet", "arrow", "arrows"]):
        lat, lon = make(LAT[i:], "float64"), make(LON[i:], "float64")
        give(table_of(lat, lon), format_, name=f"{i}")
        expect += expected(lat, lon)
    assert read(str(tmp_path)) == expect


def test_any_thread_may_decode_any_chunk(tmp_path):
    lat = np.random.default_rng(1).uniform(-90, 90, 5000)
    table = table_of(pa.array(lat), pa.array(lat * 2))
    for suffix in ("parquet", "arrow"):
        with pa.OSFile(str(tmp_path / f"a.{suffix}"), "wb") as sink:
            sink.write(encode(table, suffix))
    with PointReader([str(tmp_path)], ReadOptions()) as reader, ThreadPoolExecutor(4) as pool:
        decoded = pool.map(lambda chunk: [b.y for b in chunk.decode()], reader.chunks())
        found = np.concatenate([y for ys in decoded for y in ys])
    assert np.array_equal(found, np.concatenate([lat, lat]))


def open_handles() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_files_are_closed_when_they_are_decoded(give, tmp_path):
    table = table_of(make(LAT, "float64"), make(LON, "float64"))
    for i in range(60):
        give(table, ("csv", "parquet", "arrow", "arrows")[i % 4], name=f"{i}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = open_handles()
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 20, hard))
    try:
        assert len(read(str(tmp_path))) == 60 * len(LAT)
        assert open_handles() == n_open
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("format_", FORMATS)
def test_closing_with_chunks_unread(give, format_):
    argument = give(table_of(make(LAT, "float64"), make(LON, "float64")), format_)
    n_open = open_handles()
    reader = PointReader([argument], ReadOptions())
    next(reader.chunks())
    reader.close()
    reader.close()
    assert open_handles() == n_open


def test_large_batches_are_cut(give, monkeypatch):
    monkeypatch.setattr(arrow_module, "BATCH_ROWS", 3)
    monkeypatch.setattr(parquet_module, "BATCH_ROWS", 3)
    lat, lon = make(LAT, "float64"), make(LON, "float64")
    for format_ in ("parquet", "arrow", "arrows"):
        found = batches(give(table_of(lat, lon), format_), keep_origin=True)
        assert [len(batch) for batch in found] == [3, 2, 2]
        assert [row for batch in found for row in rows_of(batch)] == expected(lat, lon)
        assert [b.origin.record(0) for b in found if b.origin is not None] == [1, 4, 1]


def test_hive_partitions_are_columns(tmp_path):
    for year in ("2023", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        table = table_of(pa.array([1.0]), pa.array([2.0]))
        for suffix in ("csv", "parquet", "arrow", "arrows"):
            (folder / f"a.{suffix}").write_bytes(encode(table, suffix))
    found = batches(str(tmp_path), extra_columns=("year", "id"))
    assert [b.table.column("year").to_pylist() for b in found] == [["2023"]] * 4 + [[None]] * 4
    with PointReader([str(tmp_path)], ReadOptions()) as reader:
        assert reader.schema_of_first.names == ["id", "lat", "lon", "year"]


def test_column_of_the_file_hides_the_partition(tmp_path):
    folder = tmp_path / "id=99"
    folder.mkdir()
    table = table_of(pa.array([1.0]), pa.array([2.0]))
    (folder / "a.parquet").write_bytes(encode(table, "parquet"))
    (batch,) = batches(str(tmp_path), extra_columns=("id",))
    assert batch.table.column("id").to_pylist() == [0]


@pytest.mark.parametrize("format_", FORMATS)
def test_rows_that_the_filter_drops(give, format_):
    lat = pa.array([1.0, None, 3.0, None, 5.0, 6.0])
    argument = give(table_of(lat, lat), format_)
    assert read(argument, where=("ID >= 3", "id != 4")) == [
        *([Reason.FILTERED] * 3),
        Reason.NULL,
        Reason.FILTERED,
        (6.0, 6.0),
    ]


def test_filter_on_a_partition(tmp_path):
    for year in ("2023", "2024"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        table = table_of(pa.array([float(year)]), pa.array([2.0]))
        for suffix in ("csv", "parquet", "arrow", "arrows"):
            (folder / f"a.{suffix}").write_bytes(encode(table, suffix))
    dropped, kept = [Reason.FILTERED] * 4, [(2.0, 2024.0)] * 4
    assert read(str(tmp_path), where=("year > 2023",)) == dropped + kept


def test_mixed_schemas(give, tmp_path):
    give(table_of(pa.array([1.0]), pa.array([2.0])), "parquet", name="a")
    (tmp_path / "b.csv").write_text("id,speed\n1,2\n")
    with pytest.raises(UsageError, match="Mixed schemas") as caught:
        read(str(tmp_path))
    assert "b.csv" in str(caught.value)
    assert "a.parquet" in str(caught.value)
    assert "id, speed" in str(caught.value)
    assert "id, lat, lon" in str(caught.value)


def test_other_columns_in_a_later_input_are_noted(tmp_path):
    (tmp_path / "a.csv").write_text("lat,lon\n1,2\n")
    (tmp_path / "b.csv").write_text("x,y\n2,1\n")
    with PointReader([str(tmp_path)], ReadOptions()) as reader:
        assert reader.choice == "reading latitude from 'lat', longitude from 'lon'"
        assert reader.notes == []
        found = [row for c in reader.chunks() for b in c.decode() for row in rows_of(b)]
        assert found == [(2.0, 1.0)] * 2
        (note,) = reader.notes
    assert "b.csv: reading latitude from 'y', longitude from 'x'" in note


def test_wrong_usage_shows_before_anything_is_read(give):
    argument = give(table_of(pa.array([1.0]), pa.array([2.0])), "parquet")
    with pytest.raises(UsageError, match="north"):
        PointReader([argument], ReadOptions(x="lon", y="north"))
    with pytest.raises(UsageError, match="vehicle"):
        PointReader([argument], ReadOptions(where=("vehicle = 1",)))


def big_table() -> pa.Table:
    rng = np.random.default_rng(3)
    lat, lon = (pa.array(rng.uniform(-90, 90, 40)) for _ in range(2))
    return table_of(lat, lon).append_column("name", pa.array([f"name {i}" for i in range(40)]))


@pytest.mark.parametrize("kind", ["", "stdin:"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99, 1.0])
def test_truncated_files(tmp_path, monkeypatch, kind, suffix, share):
    data = encode(big_table(), suffix)
    data = data[: max(1, min(int(len(data) * share), len(data) - 1))]
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data)
    argument = str(path)
    options: dict[str, Any] = {}
    if kind:
        buffer = io.BufferedReader(io.BytesIO(data))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))
        argument, options = "-", {"input_format": "ipc" if suffix == "arrow" else suffix}
    with pytest.raises(InputError) as caught:
        read(argument, **options)
    assert str(caught.value).startswith(argument)
    assert "\n" not in str(caught.value)


def test_truncated_stream_gives_whole_batches_or_an_error(tmp_path):
    table = big_table()
    data = encode(table, "arrows")
    path = tmp_path / "cut.arrows"
    whole = read(str(give_bytes(path, data)))
    outcomes = set()
    for size in range(8, len(data), 37):
        try:
            found = read(str(give_bytes(path, data[:size])))
        except InputError:
            outcomes.add("error")
        else:
            # The end mark is optional in this format: a stream may end after any batch.
            assert found == whole[: len(found)]
            assert len(found) % CHUNK_ROWS == 0
    assert "error" in outcomes


def give_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_damaged_bytes_never_crash(tmp_path, suffix):
    data = bytearray(encode(big_table(), suffix))
    path = tmp_path / f"damaged.{suffix}"
    rng = random.Random(7)
    n_refused = 0
    for _ in range(60):
        position = rng.randrange(len(data))
        old = data[position]
        data[position] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            read(str(path), extra_columns=("name",))
        except (InputError, UsageError):  # a name may have changed: no column found
            n_refused += 1
        data[position] = old
    assert 0 < n_refused < 60


def test_damaged_row_group_is_named(tmp_path):
    sink = io.BytesIO()
    pq.write_table(big_table(), sink, row_group_size=CHUNK_ROWS, compression="zstd")
    data = bytearray(sink.getvalue())
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(3).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path = tmp_path / "damaged.parquet"
    path.write_bytes(data)
    with PointReader([str(path)], ReadOptions()) as reader:
        chunks = list(reader.chunks())
        assert len(list(chunks[2].decode())) == 1
        with pytest.raises(InputError, match=r"damaged\.parquet.* row group 3"):
            list(chunks[3].decode())


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_text_with_the_suffix_of_another_format(tmp_path, suffix):
    path = give_bytes(tmp_path / f"a.{suffix}", b"lat,lon\n1,2\n")
    with pytest.raises(InputError, match="--input-format"):
        read(str(path))


def test_spooled_input_leaves_nothing_behind(give, tmp_path):
    argument = give(big_table(), "stdin:parquet")
    with PointReader([argument], ReadOptions(temp_dir=tmp_path)) as reader:
        chunks = list(reader.chunks())
        assert list(tmp_path.iterdir()) == []
        threads = [threading.Thread(target=lambda c=c: list(c.decode())) for c in chunks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
