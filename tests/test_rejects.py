"""The rejects file: `gridcli.points.rejects`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.points.batch import PointBatch, Reason
from gridcli.points.plan import Input, ReadOptions
from gridcli.points.reader import OrderedChunk, PointReader
from gridcli.points.rejects import HEADER, RejectsWriter


@dataclass(frozen=True)
class NumberedOrigin:
    """Rows whose record is their number, and whose text names chunk and row."""

    name: str
    first: int = 0
    has_lines: bool = True

    def text(self, row: int) -> str:
        return f"{self.name}:{self.first + row}"

    def line(self, row: int) -> int | None:
        return 2 * (self.first + row) + 1 if self.has_lines else None

    def record(self, row: int) -> int:
        return self.first + row + 1


class FakeChunk:
    """Stands for what a format's reader yields."""

    def __init__(self, input_index: int, chunk_index: int, n_lines: int | None) -> None:
        self.input_index = input_index
        self.chunk_index = chunk_index
        self.n_bytes = 0
        self.n_lines = n_lines

    def decode(self):
        return iter(())


def chunk_of(input_index: int, chunk_index: int, position: int, n_lines: int | None = 20) -> Any:
    inner = FakeChunk(input_index, chunk_index, n_lines)
    return OrderedChunk(input_index, chunk_index, 0, position, inner, None)  # type: ignore[arg-type]


def batch_of(name: str, n: int = 10, **more: Any) -> PointBatch:
    return PointBatch(np.zeros(n), np.zeros(n), origin=NumberedOrigin(name), **more)


INPUTS = [Input("a.csv", Path("a.csv"), 1, "csv"), Input("b,1.csv", Path("b,1.csv"), 1, "csv")]


def lines_of(stream: io.BytesIO) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(stream.getvalue().decode(), newline="")))
    assert tuple(rows[0]) == HEADER
    return rows[1:]


def reasons(*values: Reason) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


def test_rows_and_lines_go_on_through_the_chunks_of_a_file():
    stream = io.BytesIO()
    writer = RejectsWriter(stream.write, INPUTS)
    for position, (index, chunk_index) in enumerate([(0, 0), (0, 1), (1, 0)]):
        chunk = chunk_of(index, chunk_index, position)
        writer.add(chunk, batch_of(f"{position}"), np.array([3]), reasons(Reason.NULL))
        writer.chunk_done(chunk, 10)
    assert lines_of(stream) == [
        ["a.csv", "4", "7", "null", "0:3"],
        ["a.csv", "14", "27", "null", "1:3"],
        ["b,1.csv", "4", "7", "null", "2:3"],
    ]


def test_ragged_records_stand_between_the_rows_and_filtered_rows_do_not():
    stream = io.BytesIO()
    writer = RejectsWriter(stream.write, INPUTS)
    chunk = chunk_of(0, 0, 0)
    batch = batch_of("x", ragged=((3, 5, 'cut,"off'), (9, 17, "two\nlines")))
    bad = reasons(Reason.OUT_OF_RANGE, Reason.FILTERED, Reason.NOT_A_NUMBER)
    writer.add(chunk, batch, np.array([7, 5, 1]), bad)
    writer.chunk_done(chunk, 12)
    assert lines_of(stream) == [
        ["a.csv", "2", "3", "not_a_number", "x:1"],
        ["a.csv", "3", "5", "ragged", 'cut,"off'],
        ["a.csv", "8", "15", "out_of_range", "x:7"],
        ["a.csv", "9", "17", "ragged", "two\nlines"],
    ]


def test_formats_without_lines():
    stream = io.BytesIO()
    writer = RejectsWriter(stream.write, INPUTS)
    for position in range(2):
        chunk = chunk_of(0, position, position, n_lines=None)
        origin = NumberedOrigin("p", has_lines=False)
        batch = PointBatch(np.zeros(1), np.zeros(1), origin=origin)
        writer.add(chunk, batch, np.array([0]), reasons(Reason.NULL_ISLAND))
        writer.chunk_done(chunk, 5)
    assert [row[1:4] for row in lines_of(stream)] == [
        ["1", "", "null_island"],
        ["6", "", "null_island"],
    ]


def test_earliest_chunk_is_written_at_once():
    stream = io.BytesIO()
    writer = RejectsWriter(stream.write, INPUTS)
    first, second = chunk_of(0, 0, 0), chunk_of(0, 1, 1)
    writer.add(second, batch_of("b"), np.array([0]), reasons(Reason.NULL))
    assert lines_of(stream) == []
    writer.add(first, batch_of("a"), np.array([0]), reasons(Reason.NULL))
    assert len(lines_of(stream)) == 1
    writer.chunk_done(first, 10)
    assert len(lines_of(stream)) == 2


def test_file_names_of_any_bytes():
    stream = io.BytesIO()
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    writer = RejectsWriter(stream.write, [Input(name, Path(name), 1, "csv")])
    chunk = chunk_of(0, 0, 0)
    writer.add(chunk, batch_of("x"), np.array([0]), reasons(Reason.NULL))
    assert b"caf\\udce9.csv,1,1,null,x:0\n" in stream.getvalue()


@given(st.data())
@settings(max_examples=50)
def test_any_order_of_chunks_gives_the_same_file(data):
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=2))
    chunks = []
    for index, n_chunks in enumerate(shape):
        chunks += [chunk_of(index, i, len(chunks) + i) for i in range(n_chunks)]
    found = [data.draw(st.lists(st.integers(0, 9), unique=True)) for _ in chunks]

    def write(order: list[int]) -> bytes:
        stream = io.BytesIO()
        writer = RejectsWriter(stream.write, INPUTS)
        for i in order:
            if found[i]:
                rows = np.array(found[i])
                bad = np.full(len(rows), Reason.NULL, np.uint8)
                writer.add(chunks[i], batch_of(f"{i}"), rows, bad)
            writer.chunk_done(chunks[i], 10)
        return stream.getvalue()

    in_order = write(list(range(len(chunks))))
    assert write(data.draw(st.permutations(range(len(chunks))))) == in_order
    assert in_order.count(b"\n") == 1 + sum(map(len, found))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "arrows"])
def test_records_of_real_files(tmp_path, suffix):
    lat = [1.0 if i % 3 else None for i in range(20)]
    table = pa.table({"lat": pa.array(lat), "lon": pa.array([2.0] * 20)})
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "csv":
            lines = ["lat,lon", *("" if v is None else str(v) for v in lat)]
            path.write_text("\n".join([lines[0], *(f"{v},2" for v in lines[1:])]) + "\n")
        elif suffix == "parquet":
            pq.write_table(table, path, row_group_size=7)
        else:
            new = pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream
            with new(str(path), table.schema) as sink:
                sink.write_table(table, max_chunksize=7)
    stream = io.BytesIO()
    with PointReader([str(tmp_path)], ReadOptions(keep_origin=True)) as reader:
        writer = RejectsWriter(stream.write, reader.inputs)
        pending = list(reader.chunks())
        for chunk in reversed(pending):
            n = 0
            for batch in chunk.decode():
                n += len(batch)
                assert batch.reason is not None
                rows = np.flatnonzero(batch.reason)
                writer.add(chunk, batch, rows, batch.reason[rows])
            writer.chunk_done(chunk, n)
    found = lines_of(stream)
    expected = [i + 1 for i in range(20) if lat[i] is None]
    assert [int(row[1]) for row in found] == expected * 2
    assert [row[0] for row in found] == [
        str(tmp_path / f"{n}.{suffix}") for n in "ab" for _ in expected
    ]
    if suffix == "csv":
        assert [int(row[2]) for row in found] == [n + 1 for n in expected] * 2
        assert {row[4] for row in found} == {",2"}
    else:
        assert {row[2] for row in found} == {""}
        assert {row[4] for row in found} == {"lat=NULL, lon=2.0"}
