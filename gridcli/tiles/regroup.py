"""Adding up what a tile table has spilled: some partitions at a time, each in one small table."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.runtime.memory import zeroed
from gridcli.tiles import kernels
from gridcli.tiles.group import PARTITION_BITS
from gridcli.tiles.merge import LEAST_BYTES, merge_runs
from gridcli.tiles.runs import MemoryRun
from gridcli.tiles.runs.spilled import spill_run
from gridcli.tiles.sorting import CountedKeys, sort_counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.tiles.partitions import PartitionRun
    from gridcli.tiles.runs import SortedRun

SLOT_BYTES = 16
TABLE_BYTES = 8 << 20
"""Tables of a batch, where there is memory enough: more would leave the processor's caches."""
BATCH_SHARE = 4
"""A thread's tables take one part in so many of its share of memory: the rest is for what is read
of one run, what is extracted and sorted, and what waits in memory to be merged."""
ENTRY_BYTES = 48
"""Of an entry that does not fit a table, while it is sorted."""


@dataclass(frozen=True)
class Regrouped:
    """What has been spilled, added up.

    Attributes
    ----------
    runs : list of SortedRun
        The tiles that reach the asked count, each in one run.
    distinct, largest : int
        Number of distinct tiles, and the largest count, also of those below the asked count.
    """

    runs: list[SortedRun]
    distinct: int
    largest: int


def regroup(
    spilled: Sequence[PartitionRun],
    spill: SpillFile,
    *,
    least: int = 1,
    threads: int = 1,
    stop: StopFlag | None = None,
    memory_bytes: int,
) -> Regrouped:
    """Add up spilled partitions.

    Parameters
    ----------
    spilled : sequence of PartitionRun
        All of one table: those of the same partitions have the same first one.
    spill : SpillFile
        Takes what does not stay in memory.
    least : int
        Leave out tiles with fewer points.
    threads : int
    stop : StopFlag, optional
        Checked between batches.
    memory_bytes : int
        About how much to use, beyond `LEAST_BYTES`.

    Raises
    ------
    InputError
        The temporary file does not hold what was written to it.
    ResourceError
        The disk is full.
    """
    job = _Job(spill, least, stop, max(memory_bytes, LEAST_BYTES), threads)
    with ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(job.add_up, _batches(spilled, job.table_bytes)))
    return Regrouped(
        [run for each in done for run in each.runs],
        sum(each.distinct for each in done),
        max((each.largest for each in done), default=0),
    )


@dataclass(frozen=True)
class _Batch:
    """Some consecutive partitions, all runs that hold any of them, and slots for each."""

    runs: Sequence[PartitionRun]
    begin: int
    end: int
    capacity: int


def _batches(spilled: Sequence[PartitionRun], table_bytes: int) -> Iterator[_Batch]:
    """Cut each group's partitions into batches whose tables take so many bytes at most."""
    groups: dict[int, list[PartitionRun]] = {}
    for run in spilled:
        groups.setdefault(run.first, []).append(run)
    for first, runs in groups.items():
        entries = np.sum([np.diff(run.starts) for run in runs], axis=0)
        begin, capacity = 0, 0
        for partition, n in enumerate(entries.tolist()):
            needed = n + n // 3 + 8  # more than four fifths of it, where tables are full
            larger = max(capacity, needed)
            if partition > begin and larger * (partition + 1 - begin) * SLOT_BYTES > table_bytes:
                yield _Batch(runs, first + begin, first + partition, capacity)
                begin, larger = partition, needed
            capacity = larger
        yield _Batch(runs, first + begin, first + len(entries), capacity)


class _Job:
    """What all batches have in common."""

    def __init__(
        self,
        spill: SpillFile,
        least: int,
        stop: StopFlag | None,
        memory_bytes: int,
        threads: int,
    ) -> None:
        self._spill = spill
        self._least = least
        self._stop = stop
        self._piece_bytes = memory_bytes // threads // BATCH_SHARE
        self.table_bytes = min(self._piece_bytes, TABLE_BYTES)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._kept_bytes = 0
        self._most_kept_bytes = memory_bytes // BATCH_SHARE

    def add_up(self, batch: _Batch) -> Regrouped:
        """Add up one batch, in a table; one partition that is too large, by sorting."""
        if self._stop is not None:
            self._stop.check()
        if batch.capacity * SLOT_BYTES > self._piece_bytes:  # a batch of one partition
            return self._sort(batch)
        tiles = self._count(batch)
        if not len(tiles.keys):
            return Regrouped([], tiles.distinct, tiles.largest)
        keys, counts = sort_counted(tiles.keys, tiles.counts)
        run: SortedRun
        if self._may_keep(keys.nbytes + counts.nbytes):
            run = MemoryRun(keys, counts)
        else:
            run = spill_run(self._spill, [(keys, counts)])
        return Regrouped([run], tiles.distinct, tiles.largest)

    def _may_keep(self, n_bytes: int) -> bool:
        with self._lock:
            may_keep = self._kept_bytes + n_bytes <= self._most_kept_bytes
            if may_keep:
                self._kept_bytes += n_bytes
            return may_keep

    def _count(self, batch: _Batch) -> CountedKeys:
        partitions = batch.end - batch.begin
        slots = self._slots(partitions, batch.capacity)
        used, held = np.zeros(partitions, np.int64), np.zeros(partitions, np.int64)
        nothing_held = np.empty((partitions, 0, 2), np.uint64)
        for run in batch.runs:
            entries, starts = run.read(batch.begin, batch.end)
            tables = (True, slots, used, PARTITION_BITS, nothing_held, held)
            kernels.append_to_group(entries, starts, 0, 0, 0, *tables)
        distinct = int(used.sum())
        keys, counts = np.empty(distinct, np.uint64), np.empty(distinct, np.int64)
        n, largest = kernels.extract_group(slots, self._least, keys, counts)
        return CountedKeys(keys[:n], counts[:n], distinct, largest)

    def _slots(self, partitions: int, capacity: int) -> npt.NDArray[np.uint64]:
        """Return empty tables, in memory that the thread uses for all of its batches."""
        size = partitions * capacity * 2
        memory: npt.NDArray[np.uint64] | None = getattr(self._own, "memory", None)
        if memory is None or len(memory) < size:
            memory = self._own.memory = zeroed((max(size, self.table_bytes // 8),), np.uint64)
        slots = memory[:size]
        slots.fill(0)
        return slots.reshape(partitions, capacity, 2)

    def _sort(self, batch: _Batch) -> Regrouped:
        """Sort the pieces that fit, and merge them."""
        most = max(1, self._piece_bytes // ENTRY_BYTES)
        pieces = []
        for run in batch.runs:
            entries, _ = run.read(batch.begin, batch.end)
            for begin in range(0, len(entries), most):
                part = entries[begin : begin + most]
                counts = part[:, 1].astype(np.int64)
                piece = sort_counted(np.ascontiguousarray(part[:, 0]), counts)
                pieces.append(spill_run(self._spill, [piece]))
        merged = merge_runs(
            pieces,
            least=self._least,
            stop=self._stop,
            spill=self._spill,
            memory_bytes=self._piece_bytes,
        )
        chosen = spill_run(self._spill, merged)
        return Regrouped([chosen], merged.distinct, merged.largest)
