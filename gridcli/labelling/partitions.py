"""Rows in hive folders: a folder for each value of some columns, and a Parquet file in each.

Rows wait in one table, whatever their folders; when they are many, those of the largest folders are
written, each as a row group appended to its file, which is open only for that. What footers tell
of row groups waits in a file, too. So memory does not grow with the number of folders, and what is
written depends on the rows alone.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
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
ENTRIES_BYTES = 16 << 20
"""What footers will tell of the row groups written; beyond, it waits in a file."""
MOST_PARTITIONS = 10_000
_PARTITION = re.compile("[^=]+=.*", re.DOTALL)

Key = tuple[str, ...]
"""Names of the folders below each other, e.g. ``("hub_id=3", "day=2026-11-20")``."""


@dataclass
class _Partition:
    """A folder: its file, and how many bytes of rows wait for it."""

    number: int
    file: ParquetFile
    n_bytes: int = 0
    extents: array[int] = field(default_factory=lambda: array("q"))
    """Where entries of its footer wait: begin and length of each piece."""


@dataclass(frozen=True)
class _Rows:
    """Rows in their order, and the folder of each: its place in `keys`."""

    table: Any
    keys: list[Key]
    code: npt.NDArray[np.int64]


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
        self._lock = threading.Lock()
        self._keys: set[Key] = set()
        self._partitions: dict[Key, _Partition] = {}
        self._waiting: list[tuple[Any, npt.NDArray[np.int64]]] = []
        """Tables, and the number of each row's folder."""
        self._n_bytes = 0
        self._n_entries_bytes = 0
        self._entries: IO[bytes] | None = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of Arrow memory that rows take which wait for their folders."""
        return sum(table.get_total_buffer_size() for table, _ in self._waiting)

    @property
    def entries_bytes(self) -> int:
        """Bytes held for footers."""
        return self._n_entries_bytes

    def encode(self, rows: Any) -> _Rows:
        """Return the rows as files store them, and their folders.

        Raises
        ------
        ResourceError
            There are more folders than are written.
        """
        code = np.zeros(rows.num_rows, np.int64)
        keys: list[Key] = [()]
        for column in self._by:
            text = one_array(rows.column(column).cast(pa.string())).fill_null(HIVE_NULL)
            encoded = text.dictionary_encode()
            self._refuse_many(len(encoded.dictionary))
            values = encoded.dictionary.to_pylist()
            names = [f"{quote(column, safe='')}={quote(value, safe='')}" for value in values]
            # Of all combinations with the columns before, only those that occur get a number.
            present, code = np.unique(
                code * len(values) + encoded.indices.to_numpy(), return_inverse=True
            )
            self._refuse_many(len(present))
            keys = [(*keys[n // len(values)], names[n % len(values)]) for n in present.tolist()]
        with self._lock:
            self._keys.update(keys)
            self._refuse_many(len(self._keys))
        arrays = [one_array(_resolved(rows.column(name))) for name in self._stored.names]
        return _Rows(pa.Table.from_arrays(arrays, names=self._stored.names), keys, code)

    def write(self, encoded: _Rows) -> None:
        """Take rows, and write some where many wait."""
        ends = [np.diff(row_ends(batch), prepend=0) for batch in encoded.table.to_batches()]
        if not ends:
            return
        n_bytes = np.bincount(encoded.code, np.concatenate(ends), len(encoded.keys))
        numbers = np.zeros(len(encoded.keys), np.int64)
        for i, key in enumerate(encoded.keys):
            partition = self._partitions.get(key)
            if partition is None:
                partition = _Partition(len(self._partitions), ParquetFile(self._encoder))
                self._partitions[key] = partition
            numbers[i] = partition.number
            partition.n_bytes += int(n_bytes[i])
        self._n_bytes += int(n_bytes.sum())
        self._waiting.append((encoded.table, numbers[encoded.code]))
        if self._n_bytes > BUFFER_BYTES:
            self._write_largest(BUFFER_BYTES // 2)

    def finish(self) -> None:
        """Write all rows that wait, and complete all files."""
        self._write_largest(-1)
        for key, partition in self._partitions.items():
            with errors_named(self._target), self._path(key).open("ab") as file:
                partition.file.finish(file, self._entries_of(partition))
                file.flush()
                os.fsync(file.fileno())
        if self._entries is not None:
            self._entries.close()

    def _refuse_many(self, n_folders: int) -> None:
        if n_folders > MOST_PARTITIONS:
            raise ResourceError(
                f"--partition-by {','.join(self._by)} makes more than {MOST_PARTITIONS:,} "
                "folders, the most that are written. Name a column with fewer values."
            )

    def _write_largest(self, most_bytes: int) -> None:
        """Write rows, folder by folder, until those that wait take no more than `most_bytes`."""
        if not self._waiting:
            return
        table, numbers = self._by_folder()
        ends = np.cumsum(np.bincount(numbers, minlength=len(self._partitions)))
        is_left = np.ones(len(self._partitions), np.bool_)
        ordered = sorted(self._partitions.items(), key=lambda item: (-item[1].n_bytes, item[0]))
        for key, partition in ordered:
            if self._n_bytes <= most_bytes or not partition.n_bytes:
                break
            end = int(ends[partition.number])
            begin = int(ends[partition.number - 1]) if partition.number else 0
            group = self._encoder.encode(table.slice(begin, end - begin))
            path = self._path(key)
            with errors_named(self._target):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    self._n_entries_bytes += partition.file.add(group, file)
            if self._n_entries_bytes > ENTRIES_BYTES:
                self._put_entries_aside()
            self._n_bytes -= partition.n_bytes
            partition.n_bytes = 0
            is_left[partition.number] = False
        rest = np.flatnonzero(is_left[numbers])
        if len(rest):  # a copy: a slice would keep all rows in memory
            self._waiting = [(_rows_at(table, rest), numbers[rest])]

    def _by_folder(self) -> tuple[Any, npt.NDArray[np.int64]]:
        """Take all rows that wait, those of a folder behind each other and in their order."""
        numbers = np.concatenate([numbers for _, numbers in self._waiting])
        order = np.argsort(numbers, kind="stable")
        table = pa.concat_tables([table for table, _ in self._waiting])
        self._waiting = []
        return _rows_at(table, order), numbers[order]

    def _put_entries_aside(self) -> None:
        """Write to a file without a name what footers will tell of the row groups so far."""
        with errors_named(self._target):
            if self._entries is None:
                self._entries = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            for partition in self._partitions.values():
                entries = partition.file.take_entries()
                if entries:
                    partition.extents.extend([self._entries.tell(), len(entries)])
                    self._entries.write(entries)
        self._n_entries_bytes = 0

    def _entries_of(self, partition: _Partition) -> bytes:
        """Return the entries of a footer that were put aside."""
        if self._entries is None:
            return b""
        parts = []
        for begin, length in zip(partition.extents[::2], partition.extents[1::2], strict=True):
            self._entries.seek(begin)
            parts.append(self._entries.read(length))
        return b"".join(parts)

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


def _rows_at(table: Any, positions: npt.NDArray[np.int64]) -> Any:
    """Return a copy of the rows of a table at some positions, each column one array."""
    chosen = pa.array(positions)
    arrays = [array_at(one_array(column), chosen) for column in table.columns]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _resolved(column: Any) -> Any:
    """Return a column without dictionaries, which would differ from group to group."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column


def _is_own(path: Path) -> bool:
    try:
        return b"gridcli" in (pq.read_metadata(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False
