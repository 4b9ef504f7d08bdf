"""Columns decoded apart: the same rows, whichever batches ask for them, and only then."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import InputError
from gridcli.points import arrow as arrow_module
from gridcli.points import parquet as parquet_module
from gridcli.points.late import LateRows
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=8),
)
def test_rows_are_those_of_the_whole(sizes, asked):
    whole = pa.record_batch({"a": pa.array(range(sum(sizes)))})
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    read = [whole.slice(begin, size) for begin, size in zip(begins, sizes, strict=True)]
    begin = 0
    with LateRows(lambda: (batch for batch in read)) as late:
        for skipped, n in asked:
            begin += skipped
            if begin + n > len(whole):
                with pytest.raises(ValueError, match=r"rows, fewer|fewer than"):
                    late.at(begin, n)
                return
            assert late.at(begin, n).to_pydict() == whole.slice(begin, n).to_pydict()
            begin += n


@pytest.fixture
def source(tmp_path):
    rows = 50
    table = pa.table(
        {
            "text": [f"t{i}" for i in range(rows)],
            "lat": [50.0] * rows,
            "speed": pa.array(range(rows), pa.int16()),
            "lon": [10.0] * rows,
        }
    )
    folder = tmp_path / "day=1"
    folder.mkdir()
    pq.write_table(table, folder / "a.parquet", row_group_size=20)
    return tmp_path


@pytest.mark.parametrize("columns", [("*",), ("lon",), ("text", "lat"), ("day", "speed")])
@pytest.mark.parametrize("where", [(), ("speed > 3",)])
def test_tables_are_the_same_as_at_once(source, monkeypatch, columns, where):
    monkeypatch.setattr(arrow_module, "BATCH_ROWS", 7)
    options = {"extra_columns": columns, "where": where}
    with (
        PointReader([str(source)], ReadOptions(**options)) as at_once,
        PointReader([str(source)], ReadOptions(**options, late_columns=True)) as later,
    ):
        for one, other in zip(at_once.chunks(), later.chunks(), strict=True):
            batches = zip(one.decode(), other.decode(), strict=True)
            for number, (batch, late) in enumerate(batches):
                assert late.table is None
                if number % 2:
                    assert late.later().equals(batch.table)


def test_what_nobody_asks_for_is_not_decoded(source, monkeypatch):
    read = []
    original = parquet_module.ParquetChunk._read

    def noted(self, columns):
        read.append((self.chunk_index, columns))
        return original(self, columns)

    monkeypatch.setattr(parquet_module.ParquetChunk, "_read", noted)
    options = ReadOptions(extra_columns=("*",), late_columns=True)
    with PointReader([str(source)], options) as reader:
        for chunk in reader.chunks():
            for batch in chunk.decode():
                if chunk.chunk_index == 1:
                    batch.later()
    assert read == [
        (0, ["lat", "lon"]),
        (1, ["lat", "lon"]),
        (1, ["text", "speed"]),
        (2, ["lat", "lon"]),
    ]


def test_a_column_that_ends_early_is_told(source, monkeypatch):
    original = parquet_module.ParquetChunk._read

    def short(self, columns):
        for batch in original(self, columns):
            yield batch if "lat" in columns else batch.slice(0, 3)

    monkeypatch.setattr(parquet_module.ParquetChunk, "_read", short)
    options = ReadOptions(extra_columns=("*",), late_columns=True)
    with PointReader([str(source)], options) as reader:
        (batch, *_) = next(reader.chunks()).decode()
        with pytest.raises(InputError, match="row group 0"):
            batch.later()
