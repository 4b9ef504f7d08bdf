"""From Arrow record batches to point batches: what the Parquet and IPC readers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.errors import InputError
from gridcli.points.batch import PointBatch, Reason
from gridcli.points.coordinates import first_reason, read_pair
from gridcli.points.geometry import read_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridcli.points.plan import ColumnPlan, Input

BATCH_ROWS = 1 << 16
"""Most rows decoded at a time: no slower than whole row groups, in half of the memory."""

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""How hive spells a null partition value."""

READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError)
"""What pyarrow raises on files that are truncated or corrupt (an absurd length: MemoryError)."""

_FORMAT_NAMES = {
    "parquet": "a Parquet file",
    "ipc": "an Arrow IPC file",
    "ipc-stream": "an Arrow IPC stream",
}

_Handle = TypeVar("_Handle")


def broken(source: Input, place: str, error: BaseException) -> InputError:
    """Return the error for a file that cannot be decoded; `place` may be empty."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
    what = f"truncated or corrupt in {place}" if place else "not one, or truncated or corrupt"
    advice = "Fetch or write it anew" + ("" if place else ", or say its format with --input-format")
    return InputError(
        f"{source.name}: read as {_FORMAT_NAMES[source.format]}, but it is {what} ({reason}). "
        f"{advice}."
    )


def with_partitions(schema: Any, source: Input) -> Any:
    """Return a file's schema with its hive partition columns appended, as strings.

    A column of the file itself hides a partition of the same name.

    Raises
    ------
    UnicodeDecodeError
        A column's name is damaged; pyarrow notices when it is asked for the names.
    """
    names = schema.names
    for name in source.partitions:
        if name not in names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema


class HandlePool(Generic[_Handle]):
    """Open handles on one file, each used by one thread at a time.

    There are as many as threads that ever read the file at once.

    Parameters
    ----------
    open_handle : callable
        Opens another one.
    first : handle
        The one that the file was opened with.
    close_handle : callable
    """

    def __init__(
        self,
        open_handle: Callable[[], _Handle],
        first: _Handle,
        close_handle: Callable[[_Handle], None],
    ) -> None:
        self._open = open_handle
        self._close = close_handle
        self._idle = [first]
        self._closed = False
        self._lock = Lock()

    def take(self) -> _Handle:
        """Return an idle handle, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._open()

    def give_back(self, handle: _Handle) -> None:
        """Make a handle idle; it is closed where the pool is closed already."""
        with self._lock:
            if not self._closed:
                self._idle.append(handle)
                return
        self._close(handle)

    def close(self) -> None:
        """Close all idle handles now, and the others when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for handle in idle:
            self._close(handle)


class Converter:
    """Turns record batches of one file into point batches.

    Parameters
    ----------
    source : Input
    file_schema : pyarrow.Schema
        Columns of the file, without partitions.
    plan : ColumnPlan
    """

    def __init__(self, source: Input, file_schema: Any, plan: ColumnPlan) -> None:
        self._source = source
        self._plan = plan
        self._filter_columns = plan.row_filter.columns if plan.row_filter is not None else ()
        coordinates = (plan.geometry,) if plan.geometry is not None else (plan.x, plan.y)
        wanted = dict.fromkeys([*coordinates, *self._filter_columns, *plan.extra])
        self.columns: list[str] = [name for name in file_schema.names if name in wanted]
        """Columns of the file that must be read, in its order."""
        self.has_extra = bool(plan.extra)
        """Whether batches hold columns beside those of coordinates and filters."""
        self._partitions = {
            name: value for name, value in source.partitions.items() if name not in self.columns
        }

    def batches(self, rows: Any, first_record: int) -> Iterator[PointBatch]:
        """Yield the point batches of one pyarrow.RecordBatch, cut where it is large.

        Parameters
        ----------
        rows : pyarrow.RecordBatch
            Holds at least `columns`.
        first_record : int
            0-based number of the batch's first row within its chunk.
        """
        n = rows.num_rows
        for start in range(0, n, BATCH_ROWS):
            yield self._convert(rows.slice(start, BATCH_ROWS), first_record + start)

    def _convert(self, rows: Any, first_record: int) -> PointBatch:
        plan, unit = self._plan, None
        x: npt.NDArray[Any]
        y: npt.NDArray[Any]
        if plan.geometry is not None:
            arrays = {plan.geometry: rows.column(plan.geometry)}
            x, y, reason = read_points(arrays[plan.geometry], plan.geometry, self._source.name)
        else:
            # A name of the folders may be a coordinate too, odd as that is.
            arrays = {str(name): self._column(rows, str(name)) for name in (plan.y, plan.x)}
            x, y, unit, reason = read_pair(arrays[str(plan.x)], arrays[str(plan.y)], plan.scale)
        if plan.row_filter is not None:
            kept = plan.row_filter.mask(self._table(rows, self._filter_columns))
            dropped = np.where(kept, np.uint8(0), np.uint8(Reason.FILTERED))
            reason = first_reason(dropped, reason)
        return PointBatch(
            x=x,
            y=y,
            unit=unit,
            reason=reason,
            origin=ArrowOrigin(arrays, first_record) if plan.keep_origin else None,
            table=self.table(rows) if plan.extra else None,
        )

    def table(self, rows: Any) -> Any:
        """Return the extra columns of a record batch that holds those of the file."""
        return self._table(rows, self._plan.extra)

    def _column(self, rows: Any, name: str) -> Any:
        if name in self._partitions:
            value = self._partitions[name]
            scalar = pa.scalar(None if value == HIVE_NULL else value, pa.string())
            return pa.repeat(scalar, rows.num_rows)
        return rows.column(name)

    def _table(self, rows: Any, names: tuple[str, ...]) -> Any:
        arrays = [self._column(rows, name) for name in names]
        fields = [
            pa.field(name, pa.string()) if name in self._partitions else rows.schema.field(name)
            for name in names
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


@dataclass(frozen=True)
class ArrowOrigin:
    """Where the rows of a batch come from, in a format without lines."""

    arrays: dict[str, Any]
    first_record: int = field(default=0)

    def text(self, row: int) -> str:
        """Return the coordinates as ``lat=91.5, lon=NULL``."""
        return ", ".join(f"{name}={_shown(array[row])}" for name, array in self.arrays.items())

    def line(self, row: int) -> int | None:  # noqa: ARG002 - the protocol's
        """Return None: there are no lines."""
        return None

    def record(self, row: int) -> int:
        """Return the 1-based record of the row within its chunk."""
        return self.first_record + row + 1


def _shown(scalar: Any) -> str:
    value = scalar.as_py()
    if value is None:
        return "NULL"
    return value.hex() if isinstance(value, bytes) else str(value)
