"""The tile table: counts of distinct tiles, filled by many threads at once.

Its contract is create / append / combine / finish:

- ``TileTable()`` creates an empty table;
- ``table.appender()`` gives a thread its own `Appender`, whose `append` takes tile keys;
- ``table.combine(keys, counts)`` adds counts made elsewhere: another table, a file, a cluster;
- ``table.finish(least)`` returns the tiles, sorted; ``table.drain(least)`` yields them in blocks.

Tables hold integers only, so the result depends on nothing but the multiset of keys. A table with
a budget spills groups of partitions that may not grow; `drain` and `close` add them up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.runtime.memory import zeroed
from gridcli.tiles import kernels
from gridcli.tiles.group import PARTITION_BITS, Extracts, Group
from gridcli.tiles.merge import MEMORY_BYTES, merge_runs
from gridcli.tiles.regroup import Regrouped, regroup
from gridcli.tiles.runs import MemoryRun
from gridcli.tiles.sharing import GroupSharing
from gridcli.tiles.sorting import CountedKeys, sort_parts

if TYPE_CHECKING:
    from gridcli.runtime.budget import MemoryBudget
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.partitions import PartitionRun
    from gridcli.tiles.runs import SortedRun

GROUP_BITS = 4
HELD_KEYS = 4096
"""Keys held back for each partition until they are inserted together."""
LIST_KEYS = 1 << 19
"""Keys that an appender collects before it sorts them by partition."""
SMALL_LIST_KEYS = 1 << 17
AMPLE_BYTES = 1 << 30
"""Limit from which buffers need not be small."""
ENTRY_BYTES = 16
FINISH_BYTES = 64
"""Memory to finish a tile in memory: extracted, cut into ranges, sorted, and unpacked."""


@dataclass(frozen=True)
class TableSizes:
    """Buffers of a table: the larger, the fewer cache misses.

    Attributes
    ----------
    held_keys : int
        Keys held back for each of the 1 024 partitions before they are inserted (16 bytes each).
    list_keys : int
        Keys that each thread collects before it sorts them by partition (32 bytes each).
    """

    held_keys: int = HELD_KEYS
    list_keys: int = LIST_KEYS

    @property
    def shared_bytes(self) -> int:
        """Memory that a table takes from its first keys on, beside its tiles."""
        return self.held_keys * ENTRY_BYTES << PARTITION_BITS

    @property
    def thread_bytes(self) -> int:
        """Memory of an appender."""
        return 2 * self.list_keys * ENTRY_BYTES

    @classmethod
    def within(cls, limit_bytes: int) -> TableSizes:
        """Return the sizes for a process that may hold so much: a few hundredths of it."""
        if limit_bytes >= AMPLE_BYTES:
            return cls()
        held = HELD_KEYS // 2
        while cls(held).shared_bytes > limit_bytes // 16:
            held //= 2
        return cls(held, SMALL_LIST_KEYS)


class TileTable:
    """Counts of distinct tiles, in partitions by hash. See the module's text.

    Parameters
    ----------
    sizes : TableSizes
    budget : MemoryBudget, optional
        What tables may take; without one they take what they need.
    spill : SpillFile, optional
        Where tiles go that memory does not hold; needed with a budget.
    runs : sequence of PartitionRun
        Counts that are there already.
    """

    def __init__(
        self,
        sizes: TableSizes | None = None,
        *,
        budget: MemoryBudget | None = None,
        spill: SpillFile | None = None,
        runs: Sequence[PartitionRun] = (),
    ) -> None:
        self.sizes = sizes or TableSizes()
        partitions, per_group = 1 << PARTITION_BITS, 1 << (PARTITION_BITS - GROUP_BITS)
        pending = zeroed((partitions, self.sizes.held_keys, 2), np.uint64)
        extracts = Extracts()
        self._groups = [
            Group(p, pending[p : p + per_group], budget, spill, extracts)
            for p in range(0, partitions, per_group)
        ]
        self._budget = budget
        self._spill = spill
        self._runs = list(runs)
        self._sharing = GroupSharing(budget)
        self._turn = 0

    def appender(self) -> Appender:
        """Return an appender for the calling thread; flush it before `finish`."""
        self._turn += 1
        return Appender(self)

    def combine(self, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        """Add tile counts made elsewhere. Thread-safe.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n,)
            In any order; a key may occur more than once.
        counts : ndarray of int64, shape (n,)
            At least 1 each.

        Raises
        ------
        ResourceError
            The disk is full of spilled tiles.
        """
        entries = np.column_stack([keys, counts.astype(np.uint64)])
        ordered = np.empty_like(entries)
        starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        kernels.partition_keys(
            entries, len(keys), 64 - PARTITION_BITS, starts, np.empty_like(starts), ordered
        )
        self._take(ordered, starts, first_group=0)

    @property
    def spilled(self) -> list[PartitionRun]:
        """All runs: those given at first, and what has been spilled."""
        return [*self._runs, *(run for group in self._groups for run in group.runs)]

    def finish(self, least: int = 1, *, threads: int = 1) -> CountedKeys:
        """Return the tiles of a table without runs that hold at least `least` points, sorted.

        Every appender must have been flushed. The table stays as it is, and may be appended to
        and finished again.
        """
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(_settle, self._groups))
            parts = list(pool.map(lambda group: group.extract(least), self._groups))
            keys, counts = sort_parts(parts, threads, pool)
        return CountedKeys(
            keys,
            counts,
            distinct=sum(part.distinct for part in parts),
            largest=max(part.largest for part in parts),
        )

    def drain(self, least: int = 1, *, threads: int = 1, stop: StopFlag | None = None) -> Drained:
        """Return the tiles that hold at least `least` points, in ascending blocks.

        The table ends with it: its memory is given back before the first block comes.

        Raises
        ------
        ResourceError
            The disk is full of spilled tiles.
        """
        finished = self._close_in_memory(least, threads)
        if finished is not None:
            blocks = [(finished.keys, finished.counts)] if len(finished.keys) else []
            return Drained(blocks, finished.distinct, finished.largest)
        found = self._close_on_disk(least, threads, stop)
        merged = merge_runs(
            found.runs, threads=threads, stop=stop, spill=self._spill, memory_bytes=self._room
        )
        return Drained(merged, found.distinct, found.largest)

    def close(self, *, threads: int = 1, stop: StopFlag | None = None) -> Sequence[SortedRun]:
        """Return all tiles as runs, to be merged with others; as `drain`, this ends the table."""
        finished = self._close_in_memory(1, threads)
        if finished is not None:
            return [MemoryRun(finished.keys, finished.counts)]
        return self._close_on_disk(1, threads, stop).runs

    def _close_in_memory(self, least: int, threads: int) -> CountedKeys | None:
        """Finish the table if it has no runs and memory allows it to be sorted."""
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(_settle, self._groups))
            if self.spilled or not self._fits(least, pool):
                return None
        finished = self.finish(least, threads=threads)
        for group in self._groups:
            group.free()
        self._groups = []
        return finished

    def _close_on_disk(self, least: int, threads: int, stop: StopFlag | None) -> Regrouped:
        """Spill all that memory holds, and add everything up, partition by partition."""
        assert self._spill is not None  # noqa: S101 - a table that has spilled has one
        self.spill(threads=threads, stop=stop)
        spilled, self._groups = self.spilled, []
        return regroup(
            spilled,
            self._spill,
            least=least,
            threads=threads,
            stop=stop,
            memory_bytes=self._room,
        )

    @property
    def _room(self) -> int:
        return MEMORY_BYTES if self._budget is None else self._budget.room

    def spill(self, *, threads: int = 1, stop: StopFlag | None = None) -> None:
        """Write everything to the spill file; the table is empty afterwards.

        Every appender must have been flushed.
        """

        def empty(group: Group) -> None:
            if stop is not None:
                stop.check()
            _settle(group)
            with group.lock:
                group.spill(shrink=True)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(empty, self._groups))

    def _fits(self, least: int, pool: ThreadPoolExecutor) -> bool:
        """Whether the chosen tiles can be sorted in memory beside the table."""
        if self._budget is None:
            return True
        n: int = sum(pool.map(lambda group: group.count(least), self._groups))
        return n * FINISH_BYTES <= self._budget.room

    def _take(
        self,
        entries: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.int64],
        first_group: int,
    ) -> None:
        """Append keys that are sorted by partition; threads begin at different groups."""
        self._sharing.append(self._groups, entries, starts, first_group)


@dataclass(frozen=True)
class Drained:
    """All tiles of a table, in ascending blocks of keys and counts, to be walked once.

    Attributes
    ----------
    blocks : iterable
    distinct : int
        Number of distinct tiles, also those below the asked count.
    largest : int
        The largest count of all; 0 for an empty table.
    """

    blocks: Iterable[Counted]
    distinct: int
    largest: int

    def __iter__(self) -> Iterator[Counted]:
        """Yield blocks of keys (uint64) and counts (int64), none empty."""
        return iter(self.blocks)


def _settle(group: Group) -> None:
    with group.lock:
        group.settle()


class Appender:
    """One thread's way into a `TileTable`: a cache, a list, and a sort by partition."""

    def __init__(self, table: TileTable) -> None:
        self._table = table
        self._first_group = 7 * table._turn % (1 << GROUP_BITS)  # noqa: SLF001 - the two classes are one mechanism
        self._cache = np.zeros((1 << kernels.CACHE_BITS, 2), np.uint64)
        self._entries = zeroed((table.sizes.list_keys, 2), np.uint64)
        self._ordered = zeroed((table.sizes.list_keys, 2), np.uint64)
        self._starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        self._place = np.empty_like(self._starts)
        self._n = 0

    def append(self, keys: npt.NDArray[np.uint64], n: int) -> None:
        """Count the first `n` of the tile keys, one point each (n at most the list's length)."""
        if self._n + n > len(self._entries):
            self._hand_over()
        self._n += kernels.combine_keys(keys, n, self._cache, self._entries[self._n :])

    def flush(self) -> None:
        """Hand everything over to the table."""
        self._hand_over()
        occupied = self._cache[self._cache[:, 1] > 0]
        self._table.combine(occupied[:, 0], occupied[:, 1].astype(np.int64))
        self._cache[:] = 0

    def _hand_over(self) -> None:
        kernels.partition_keys(
            self._entries, self._n, 64 - PARTITION_BITS, self._starts, self._place, self._ordered
        )
        self._n = 0
        self._table._take(  # noqa: SLF001 - the two classes are one mechanism
            self._ordered, self._starts, self._first_group
        )
