"""The tile table: counts of distinct tiles, filled by many threads at once.

Its contract is create / append / combine / finish:

- ``TileTable()`` creates an empty table;
- ``table.appender()`` gives a thread its own `Appender`, whose `append` takes tile keys;
- ``table.combine(keys, counts)`` adds counts made elsewhere: another table, a file, a cluster;
- ``table.finish(least)`` returns the tiles, sorted.

Tables hold integers only, so the result depends on nothing but the multiset of keys.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from gridcli.runtime.memory import zeroed
from gridcli.tiles import kernels

PARTITION_BITS = 10
GROUP_BITS = 4
HELD_KEYS = 4096
"""Keys held back for each partition until they are inserted together."""
LIST_KEYS = 1 << 19
"""Keys that an appender collects before it sorts them by partition."""
FIRST_CAPACITY = 256
LARGE_CAPACITY = 1 << 14
"""From here on (268 MB in all partitions) tables grow by half."""
SAMPLE_STEP = 64
"""One tile in so many helps to cut the keys into ranges for threads."""


@dataclass(frozen=True)
class CountedKeys:
    """What a finished table holds.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n,)
        Tile keys with at least the asked count, ascending: sorted by (tile_y, tile_x).
    counts : ndarray of int64, shape (n,)
    distinct : int
        Number of distinct tiles, also those below the asked count.
    largest : int
        The largest count of all; 0 for an empty table.
    """

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    distinct: int
    largest: int


class _Group:
    """Some partitions that share a lock and grow together."""

    def __init__(self, first: int, pending: npt.NDArray[np.uint64]) -> None:
        partitions = len(pending)
        self.first = first
        self.lock = threading.Lock()
        self.slots = zeroed((partitions, FIRST_CAPACITY, 2), np.uint64)
        self.used = np.zeros(partitions, np.int64)
        self.pending = pending
        self.held = np.zeros(partitions, np.int64)

    def append(
        self,
        entries: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.int64],
        *,
        everything: bool = False,
    ) -> None:
        resume, inserted, partitions = 0, 0, len(self.used)
        while resume < partitions:
            resume, inserted = kernels.append_to_group(
                entries,
                starts,
                self.first,
                resume,
                inserted,
                everything,
                self.slots,
                self.used,
                PARTITION_BITS,
                self.pending,
                self.held,
            )
            if resume < partitions:
                self._grow()

    def finish(self, least: int) -> CountedKeys:
        """Insert what is held back; return the tiles that hold at least `least`, unsorted."""
        nothing = np.empty((0, 2), np.uint64), np.zeros((1 << PARTITION_BITS) + 1, np.int64)
        with self.lock:
            self.append(*nothing, everything=True)
            distinct = int(self.used.sum())
            # Room for all tiles; what is not filled is never mapped to memory.
            keys, counts = np.empty(distinct, np.uint64), np.empty(distinct, np.int64)
            size, largest = kernels.extract_group(self.slots, least, keys, counts)
            return CountedKeys(keys[:size], counts[:size], distinct, largest)

    def _grow(self) -> None:
        """Enlarge every table of the group: small ones fast, large ones by half, to waste less."""
        partitions, capacity, _ = self.slots.shape
        larger = capacity + capacity // 2
        if capacity < LARGE_CAPACITY:
            larger = capacity * (4 if capacity == FIRST_CAPACITY else 2)
        slots = zeroed((partitions, larger, 2), np.uint64)
        kernels.grow_group(self.slots, slots, PARTITION_BITS)
        self.slots = slots


class TileTable:
    """Counts of distinct tiles, in partitions by hash. See the module's text.

    Parameters
    ----------
    held_keys : int
        Keys held back for each of the 1 024 partitions before they are inserted.
    """

    def __init__(self, *, held_keys: int = HELD_KEYS) -> None:
        partitions, per_group = 1 << PARTITION_BITS, 1 << (PARTITION_BITS - GROUP_BITS)
        pending = zeroed((partitions, held_keys, 2), np.uint64)
        self._groups = [
            _Group(p, pending[p : p + per_group]) for p in range(0, partitions, per_group)
        ]
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
        """
        entries = np.column_stack([keys, counts.astype(np.uint64)])
        ordered = np.empty_like(entries)
        starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        kernels.partition_keys(
            entries, len(keys), 64 - PARTITION_BITS, starts, np.empty_like(starts), ordered
        )
        self._take(ordered, starts, first_group=0)

    def _take(
        self,
        entries: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.int64],
        first_group: int,
    ) -> None:
        """Append keys that are sorted by partition; threads begin at different groups."""
        n = len(self._groups)
        for g in range(n):
            group = self._groups[(first_group + g) % n]
            with group.lock:
                group.append(entries, starts)

    def finish(self, least: int = 1, *, threads: int = 1) -> CountedKeys:
        """Return the tiles that hold at least `least` points, sorted by (tile_y, tile_x).

        Every appender must have been flushed. The table stays as it is, and may be appended to
        and finished again.
        """
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda group: group.finish(least), self._groups))
            keys, counts = _merge(parts, threads, pool)
        return CountedKeys(
            keys,
            counts,
            distinct=sum(part.distinct for part in parts),
            largest=max(part.largest for part in parts),
        )


def _merge(
    parts: Sequence[CountedKeys], threads: int, pool: ThreadPoolExecutor
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Sort the tiles of all parts by key: each thread takes a range of keys, about equally many."""
    sample = np.sort(np.concatenate([part.keys[::SAMPLE_STEP] for part in parts]))
    cuts = (
        [int(sample[len(sample) * i // threads]) for i in range(1, threads)] if len(sample) else []
    )
    chosen = list(pool.map(partial(_select, parts), [None, *cuts], [*cuts, None]))
    stops = np.cumsum([len(keys) for keys, _ in chosen])
    sorted_keys, sorted_counts = np.empty(stops[-1], np.uint64), np.empty(stops[-1], np.int64)

    def sort(i: int) -> None:
        keys, counts = chosen[i]
        place = slice(stops[i] - len(keys), stops[i])
        starts = np.empty((kernels.SORT_PASSES, 1 << kernels.SORT_BITS), np.int64)
        if not kernels.sort_by_key(keys, counts, sorted_keys[place], sorted_counts[place], starts):
            sorted_keys[place], sorted_counts[place] = keys, counts

    list(pool.map(sort, range(len(chosen))))
    return sorted_keys, sorted_counts


def _select(
    parts: Sequence[CountedKeys], low: int | None, high: int | None
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the tiles with low <= key < high, in any order; None stands for no bound."""
    room = sum(len(part.keys) for part in parts)  # what is not filled is never mapped to memory
    keys, counts = np.empty(room, np.uint64), np.empty(room, np.int64)
    n = 0
    for part in parts:
        n += kernels.select_range(
            part.keys, part.counts, low or 0, high or 0, high is None, keys[n:], counts[n:]
        )
    return keys[:n], counts[:n]


class Appender:
    """One thread's way into a `TileTable`: a cache, a list, and a sort by partition."""

    def __init__(self, table: TileTable) -> None:
        self._table = table
        self._first_group = 7 * table._turn  # noqa: SLF001 - the two classes are one mechanism
        self._cache = np.zeros((1 << kernels.CACHE_BITS, 2), np.uint64)
        self._entries = zeroed((LIST_KEYS, 2), np.uint64)
        self._ordered = zeroed((LIST_KEYS, 2), np.uint64)
        self._starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        self._place = np.empty_like(self._starts)
        self._n = 0

    def append(self, keys: npt.NDArray[np.uint64], n: int) -> None:
        """Count the first `n` of the tile keys, one point each (n at most `LIST_KEYS`)."""
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
