"""The distinct coordinates of a run: collected by threads, then counted into a tile table.

Create, append from any thread, then `count_into` a tile table: as `gridcli.tiles.table` is made,
with the difference that records are told apart at leisure. A partition's buffer takes repeats
too, until it is full; then it is searched for them while it lies in the processor's cache. What
may not grow is spilled, and told apart at the end, partition by partition.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.raster.unique import kernels
from gridcli.raster.unique.coordinates import coordinate_bits
from gridcli.raster.unique.drain import count_distinct, spill_all
from gridcli.raster.unique.group import RECORD_BYTES, RecordGroup
from gridcli.raster.unique.kernels import CACHE_BITS, PARTITION_BITS, WORDS
from gridcli.raster.unique.vehicles import VehicleCodes
from gridcli.runtime.memory import zeroed
from gridcli.tiles.sharing import GroupSharing

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridcli.points.batch import PointBatch
    from gridcli.raster.projecting import KeyedRows
    from gridcli.raster.unique.rule import UniqueRule
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.table import TileTable

GROUP_BITS = 4
LIST_RECORDS = 1 << 17
"""Records that an appender collects before it sorts them by partition."""
THREAD_BYTES = 2 * LIST_RECORDS * RECORD_BYTES
"""Memory of an appender."""
NO_RECORD = np.uint64(2**64 - 1)
"""As the bits of a coordinate: no number, so that no row is like it."""


class DistinctRows:
    """Coordinates (of each vehicle) of all rows so far, each once.

    Parameters
    ----------
    rule : UniqueRule
    planar : bool
        Longitudes are not wrapped.
    space : Workspace
        Its budget grants memory, and its spill file takes what does not fit.
    """

    def __init__(self, rule: UniqueRule, space: Workspace, *, planar: bool) -> None:
        self.planar = planar
        self.vehicles = None if rule.vehicle is None else VehicleCodes(rule.vehicle, space.budget)
        self._space = space
        per_group = 1 << (PARTITION_BITS - GROUP_BITS)
        self._groups = [
            RecordGroup(p, per_group, space.budget, space.spill)
            for p in range(0, 1 << PARTITION_BITS, per_group)
        ]
        self._sharing = GroupSharing(space.budget)
        self._turn = 0

    def appender(self) -> DistinctAppender:
        """Return an appender for one thread; flush it before `count_into`."""
        self._turn += 1
        return DistinctAppender(self, 7 * self._turn % (1 << GROUP_BITS))

    def take(
        self, records: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], first_group: int
    ) -> None:
        """Append records that are sorted by partition. Thread-safe."""
        self._sharing.append(self._groups, records, starts, first_group)

    def count_into(self, table: TileTable, *, stop: StopFlag) -> int:
        """Count each distinct row into a tile table; return how many there are.

        The records end with it: their memory is given back group by group.

        Raises
        ------
        ResourceError
            The disk is full.
        Interrupted
            A signal arrived.
        """
        space, groups, self._groups = self._space, self._groups, []
        if any(group.runs for group in groups):
            spill_all(groups, threads=space.threads, stop=stop)
        return count_distinct(groups, table, space, stop=stop)


class DistinctAppender:
    """One thread's way into `DistinctRows`: a cache, a list, and a sort by partition."""

    def __init__(self, rows: DistinctRows, first_group: int) -> None:
        self._rows = rows
        self._first_group = first_group
        self._cache = np.full((1 << CACHE_BITS, WORDS), NO_RECORD)
        self._records = zeroed((LIST_RECORDS, WORDS), np.uint64)
        self._ordered = zeroed((LIST_RECORDS, WORDS), np.uint64)
        self._starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        self._place = np.empty_like(self._starts)
        self._n = 0
        self._batch: Callable[[], PointBatch | None] = lambda: None
        self._codes: npt.NDArray[np.uint64] | None = None

    def append(self, batch: PointBatch, piece: KeyedRows) -> None:
        """Append the used rows of a piece of a batch (as `BatchProjector.pieces` yields it).

        Raises
        ------
        UsageError
            The column of vehicles is of a type that names none.
        ResourceError
            There are too many vehicles, or the disk is full.
        """
        n = len(piece.keys)
        if self._n + n > len(self._records):
            self.flush()
        if batch is not self._batch():
            vehicles = self._rows.vehicles
            self._batch = weakref.ref(batch)  # its memory goes when its reader is done with it
            self._codes = None if vehicles is None else vehicles.codes(batch.table)
        used = piece.used
        wraps = not self._rows.planar
        self._n += kernels.drop_recent(
            piece.keys,
            coordinate_bits(batch.x[used], batch.unit, wraps=wraps),
            coordinate_bits(batch.y[used], batch.unit),
            np.zeros(n, np.uint64) if self._codes is None else self._codes[used],
            self._cache,
            self._records[self._n :],
        )

    def flush(self) -> None:
        """Hand over all records that are not in the table yet."""
        kernels.partition_records(self._records, self._n, self._starts, self._place, self._ordered)
        self._n = 0
        self._rows.take(self._ordered, self._starts, self._first_group)
