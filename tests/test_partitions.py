"""Rows in hive folders: what is held in memory, and when there are too many folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from gridcli.errors import ResourceError
from gridcli.labelling import partitions as partitions_module
from gridcli.labelling.formats import parquet_encoder
from gridcli.labelling.partitions import PartitionedRows

SCHEMA = pa.schema([("row", pa.int64()), ("text", pa.string()), ("place", pa.int64())])


def writer_into(folder: Path) -> PartitionedRows:
    folder.mkdir()
    return PartitionedRows(SCHEMA, ["place"], lambda s: parquet_encoder(s, {}), folder, folder)


def group(begin: int, places: Any) -> Any:
    rows = np.arange(begin, begin + len(places))
    return pa.table([rows, rows.astype(str), places], schema=SCHEMA)


def test_what_is_held_has_a_bound(tmp_path, monkeypatch) -> None:
    buffer_bytes, entries_bytes, n_rows = 40_000, 8_000, 1000
    monkeypatch.setattr(partitions_module, "BUFFER_BYTES", buffer_bytes)
    monkeypatch.setattr(partitions_module, "ENTRIES_BYTES", entries_bytes)
    random = np.random.default_rng(5)
    writer = writer_into(tmp_path / "out")
    most_held = most_entries = n_entries_aside = 0
    expected = []
    for i in range(20):
        # A few large folders, and many that wait long with a row now and then.
        rows = group(i * n_rows, np.minimum(random.geometric(0.1, n_rows), 60))
        expected += rows.to_pylist()
        before = writer.entries_bytes
        writer.write(writer.encode(rows))
        most_held = max(most_held, writer.waiting_bytes)
        most_entries = max(most_entries, writer.entries_bytes)
        n_entries_aside += writer.entries_bytes < before
    writer.finish()
    assert buffer_bytes / 2 < most_held <= 1.1 * buffer_bytes
    assert 0 < most_entries <= entries_bytes
    assert n_entries_aside > 1
    found = ds.dataset(tmp_path / "out", partitioning="hive").to_table().sort_by("row")
    assert found.to_pylist() == expected
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        "part-00000.parquet"
    }


def test_the_first_folder_too_many_is_refused_before_anything_is_written(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(partitions_module, "MOST_PARTITIONS", 5)
    writer = writer_into(tmp_path / "out")
    writer.encode(group(0, np.arange(3)))
    writer.encode(group(3, np.arange(5)))
    with pytest.raises(ResourceError, match="more than 5 folders"):
        writer.encode(group(8, np.full(1, 5)))
