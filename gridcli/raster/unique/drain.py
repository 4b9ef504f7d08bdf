"""From records to counts of tiles: repeats dropped partition by partition, keys counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridcli.grid.project import PIECE
from gridcli.raster.unique import kernels
from gridcli.raster.unique.group import RECORD_BYTES, SLOT_BYTES, SLOTS_PER_RECORD
from gridcli.raster.unique.kernels import WORDS
from gridcli.runtime.memory import zeroed
from gridcli.runtime.workers import share_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gridcli.raster.unique.group import RecordGroup, RecordRun, Records
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.table import TileTable

    Distinct = Callable[[RecordGroup], Iterator[Records]]

SHARE = 4
"""Threads use one part in so many of the memory: the rest is for the tiles."""
LEAST_BYTES = 1 << 20
"""What a thread uses in any case: less would read large partitions in endless passes."""
FULL_SHARE = 0.8
"""Of a thread's memory, that a pass is to fill: passes are not of quite the same size."""
COST_BYTES = RECORD_BYTES + SLOTS_PER_RECORD * SLOT_BYTES


def count_distinct(
    groups: Sequence[RecordGroup], table: TileTable, space: Workspace, *, stop: StopFlag
) -> int:
    """Count each distinct record of some groups into a tile table; return how many there are.

    Parameters
    ----------
    groups : sequence of RecordGroup
        All in memory, or all spilled. Their memory is given back group by group.
    table : TileTable
    space : Workspace
    stop : StopFlag

    Raises
    ------
    ResourceError
        The disk is full of spilled tiles.
    Interrupted
        A signal arrived.
    """
    is_spilled = any(group.runs for group in groups)
    share = max(space.budget.room // SHARE // space.threads, LEAST_BYTES)
    if is_spilled:
        space.budget.expect(space.threads * share)

    def consumer() -> _Counter:
        made = _Counter(_Disk(space.spill, share).distinct if is_spilled else _memory, table, stop)
        consumers.append(made)
        return made

    consumers: list[_Counter] = []
    share_out(iter(groups), consumer, space.threads, stop)
    return sum(each.n for each in consumers)


def spill_all(groups: Sequence[RecordGroup], *, threads: int, stop: StopFlag) -> None:
    """Spill what groups still hold in memory.

    Raises
    ------
    ResourceError
        The disk is full.
    Interrupted
        A signal arrived.
    """
    share_out(iter(groups), _Spiller, threads, stop)


class _Spiller:
    """One thread: spills groups."""

    def take(self, group: RecordGroup) -> None:
        group.spill(shrink=True)

    def finish(self) -> None:
        """Nothing is held."""


class _Counter:
    """One thread: counts the keys of groups."""

    def __init__(self, distinct: Distinct, table: TileTable, stop: StopFlag) -> None:
        self._distinct = distinct
        self._appender = table.appender()
        self._stop = stop
        self.n = 0

    def take(self, group: RecordGroup) -> None:
        for records in self._distinct(group):
            for start in range(0, len(records), PIECE):
                self._stop.check()
                keys = np.ascontiguousarray(records[start : start + PIECE, 0])
                self._appender.append(keys, len(keys))
            self.n += len(records)

    def finish(self) -> None:
        self._appender.flush()


def _memory(group: RecordGroup) -> Iterator[Records]:
    """Yield the distinct records of each partition of a group that has spilled nothing."""
    yield from map(group.distinct, group.partitions)
    group.free()


class _Disk:
    """Reads spilled partitions back, in memory that is used again for the next one.

    A partition that is too large is read several times, for another part of it each time.
    """

    def __init__(self, spill: SpillFile, share_bytes: int) -> None:
        self._spill = spill
        self._most = share_bytes // COST_BYTES
        self._records = zeroed((0, WORDS), np.uint64)

    def distinct(self, group: RecordGroup) -> Iterator[Records]:
        """Yield the distinct records of each partition, or of each part of one."""
        for partition in group.partitions:
            n = sum(run.size(partition) for run in group.runs)
            passes = 1 if n <= self._most else int(n / (self._most * FULL_SHARE)) + 1
            for turn in range(passes):
                yield self._read(group.runs, partition, passes, turn)

    def _read(self, runs: Sequence[RecordRun], partition: int, passes: int, turn: int) -> Records:
        n = known = 0
        for run in runs:
            found = run.read(self._spill, partition)
            if n + len(found) > len(self._records):
                n = known = self._drop_repeats(n, known)
                if n + len(found) > len(self._records) * FULL_SHARE:
                    self._enlarge(n, n + len(found))
            n += kernels.select_pass(found, passes, turn, self._records[n:])
        return self._records[: self._drop_repeats(n, known)]

    def _drop_repeats(self, n: int, known: int) -> int:
        held = np.array([n])
        slots = np.empty(SLOTS_PER_RECORD * n, np.int32)
        kernels.keep_distinct(self._records[np.newaxis], held, np.array([known]), slots)
        return int(held[0])

    def _enlarge(self, n: int, needed: int) -> None:
        """Make more room: half as much again, so that it is seldom made."""
        larger = zeroed((needed + needed // 2, WORDS), np.uint64)
        larger[:n] = self._records[:n]
        self._records = larger
