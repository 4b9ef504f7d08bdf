"""Rows in hive folders: a folder for each value of some columns, and a Parquet file in each.

Rows are buffered by folder; when there are many, those of the largest folders are written, each as
a row group appended to its file, which is open only for that. So memory does not grow with the
number of folders, and what is written depends on the rows alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gridcli.errors import ResourceError, UsageError
from gridcli.labelling.columns import array_at, one_array
from gridcli.labelling.formats import has_text
from gridcli.labelling.groups import row_ends
from gridcli.labelling.parquet import ParquetFile
from gridcli.output.folder import errors_named
from gridcli.points.arrow import HIVE_NULL
from gridcli.points.names import find, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridcli.labelling.parquet import ParquetEncoder

PART_NAME = "part-00000.parquet"
BUFFER_BYTES = 64 << 20
"""Rows that wait for their folders; beyond, half of them are written."""
MOST_PARTITIONS = 10_000
_PARTITION = re.compile("[^=]+=.*", re.DOTALL)

Key = tuple[str, ...]
"""Names of the folders below each other, e.g. ``("hub_id=3", "day=2026-11-20")``."""


@dataclass
class _Partition:
    """A folder: its file, and the rows that wait for it."""

    file: ParquetFile
    waiting: list[Any] = field(default_factory=list)
    n_bytes: int = 0


class PartitionedRows:
    """Rows as a hive folder of Parquet files (a `gridcli.labelling.formats.RowWriter`).

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the rows.
    by : sequence of str
        Columns whose values name the folders; the files do not repeat them.
    make_encoder : callable
        Given the schema of the files, returns their encoder.
    folder : Path
        Exists and is empty.
    target : Path
        What the folder will be called, for messages.

    Raises
    ------
    UsageError
        A column of `by` is missing, or its values cannot name folders.
    """

    def __init__(
        self,
        schema: Any,
        by: Sequence[str],
        make_encoder: Callable[[Any], ParquetEncoder],
        folder: Path,
        target: Path,
    ) -> None:
        self._by = partition_columns(schema, by)
        self._stored = pa.schema([f for f in schema if f.name not in self._by])
        self._encoder = make_encoder(self._stored)
        self._folder = folder
        self._target = target
        self._partitions: dict[Key, _Partition] = {}
        self._n_bytes = 0

    def encode(self, rows: Any) -> list[tuple[Key, Any]]:
        """Return the rows of each folder, in their order."""
        code = np.zeros(rows.num_rows, np.int64)
        keys: list[Key] = [()]
        for column in self._by:
            text = one_array(rows.column(column).cast(pa.string())).fill_null(HIVE_NULL)
            encoded = text.dictionary_encode()
            values = encoded.dictionary.to_pylist()
            names = [f"{quote(column, safe='')}={quote(value, safe='')}" for value in values]
            # Of all combinations with the columns before, only those that occur get a number.
            present, code = np.unique(
                code * len(values) + encoded.indices.to_numpy(), return_inverse=True
            )
            keys = [(*keys[n // len(values)], names[n % len(values)]) for n in present.tolist()]
        order = pa.array(np.argsort(code, kind="stable"))
        arrays = [
            array_at(one_array(_resolved(rows.column(name))), order) for name in self._stored.names
        ]
        table = pa.Table.from_arrays(arrays, names=self._stored.names)
        ends = np.cumsum(np.bincount(code, minlength=len(keys))).tolist()
        return [
            (key, table.slice(start, end - start))
            for key, start, end in zip(keys, [0, *ends[:-1]], ends, strict=True)
        ]

    def write(self, encoded: list[tuple[Key, Any]]) -> None:
        """Take rows, and write some where many wait."""
        for key, rows in encoded:
            partition = self._partitions.get(key)
            if partition is None:
                if len(self._partitions) == MOST_PARTITIONS:
                    raise ResourceError(
                        f"--partition-by {','.join(self._by)} makes more than "
                        f"{MOST_PARTITIONS:,} folders, the most that are written. Name a column "
                        "with fewer values."
                    )
                partition = self._partitions[key] = _Partition(ParquetFile(self._encoder))
            n_bytes = sum(int(row_ends(batch)[-1]) for batch in rows.to_batches())
            partition.waiting.append(rows)
            partition.n_bytes += n_bytes
            self._n_bytes += n_bytes
        if self._n_bytes > BUFFER_BYTES:
            self._write_largest(BUFFER_BYTES // 2)
            self._gather()

    def finish(self) -> None:
        """Write all rows that wait, and complete all files."""
        self._write_largest(-1)
        for key, partition in self._partitions.items():
            with errors_named(self._target), self._path(key).open("ab") as file:
                partition.file.finish(file)
                file.flush()
                os.fsync(file.fileno())

    def _write_largest(self, most_bytes: int) -> None:
        """Write rows, folder by folder, until those that wait take no more than `most_bytes`."""
        ordered = sorted(self._partitions.items(), key=lambda item: (-item[1].n_bytes, item[0]))
        for key, partition in ordered:
            if self._n_bytes <= most_bytes or not partition.waiting:
                return
            group = self._encoder.encode(pa.concat_tables(partition.waiting))
            path = self._path(key)
            with errors_named(self._target):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    partition.file.add(group, file)
            self._n_bytes -= partition.n_bytes
            partition.waiting, partition.n_bytes = [], 0

    def _gather(self) -> None:
        """Copy what still waits: slices of a few rows would keep whole groups in memory."""
        left = [partition for partition in self._partitions.values() if partition.waiting]
        if not left:
            return
        pieces = [pa.concat_tables(partition.waiting) for partition in left]
        together = pa.concat_tables(pieces).combine_chunks()
        begin = 0
        for partition, rows in zip(left, pieces, strict=True):
            partition.waiting = [together.slice(begin, rows.num_rows)]
            begin += rows.num_rows

    def _path(self, key: Key) -> Path:
        return self._folder.joinpath(*key, PART_NAME)


def partition_columns(schema: Any, by: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that name folders, as the schema spells them.

    Raises
    ------
    UsageError
        One is missing, or its values cannot name folders, or none is left for the files.
    """
    found = tuple(find(schema.names, name, "--partition-by") for name in by)
    for name in found:
        type_ = schema.field(name).type
        if not has_text(type_):
            raise UsageError(f"--partition-by {name}: a folder cannot be named by {type_}.")
    if len(set(found)) < len(found):
        raise UsageError(f"--partition-by names a column twice: {listed(found)}.")
    if len(found) == len(schema):
        raise UsageError("--partition-by names all columns: none is left for the files.")
    return found


def foreign_entry(folder: Path) -> str | None:
    """Return the name of something in a folder that `PartitionedRows` did not write, or None."""
    is_checked = False
    for root, folders, files in os.walk(folder):
        for name in sorted(folders):
            if _PARTITION.fullmatch(name) is None:
                return name
        for name in sorted(files):
            if name != PART_NAME or Path(root) == folder:
                return name
            if not is_checked and not _is_own(Path(root) / name):
                return name
            is_checked = True
    return None


def _resolved(column: Any) -> Any:
    """Return a column without dictionaries, which would differ from group to group."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column


def _is_own(path: Path) -> bool:
    try:
        return b"gridcli" in (pq.read_metadata(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False
