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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
LARGE_CAPACITY = 8192
"""From here on (134 MB in all partitions), tables grow by half instead of doubling."""


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

    def __init__(
        self,
        first: int,
        pending: npt.NDArray[np.uint64],
        pending_counts: npt.NDArray[np.int64],
    ) -> None:
        partitions = len(pending)
        self.first = first
        self.lock = threading.Lock()
        self.slots = zeroed((partitions, FIRST_CAPACITY, 2), np.uint64)
        self.used = np.zeros(partitions, np.int64)
        self.pending = pending
        self.pending_counts = pending_counts
        self.held = np.zeros(partitions, np.int64)

    def append(
        self,
        keys: npt.NDArray[np.uint64],
        counts: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        *,
        everything: bool = False,
    ) -> None:
        resume, partitions = 0, len(self.used)
        while resume < partitions:
            resume = kernels.append_to_group(
                keys,
                counts,
                starts,
                self.first,
                resume,
                everything,
                self.slots,
                self.used,
                PARTITION_BITS,
                self.pending,
                self.pending_counts,
                self.held,
            )
            if resume < partitions:
                self._grow()

    def finish(self, least: int) -> CountedKeys:
        """Insert what is held back; return the tiles that hold at least `least`, unsorted."""
        keys, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        with self.lock:
            self.append(
                keys, counts, np.zeros((1 << PARTITION_BITS) + 1, np.int64), everything=True
            )
            size, largest = kernels.extract_group(self.slots, least, keys, counts)
            if size:
                keys, counts = np.empty(size, np.uint64), np.empty(size, np.int64)
                kernels.extract_group(self.slots, least, keys, counts)
            return CountedKeys(keys, counts, int(self.used.sum()), largest)

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
        pending = zeroed((partitions, held_keys), np.uint64)
        pending_counts = zeroed((partitions, held_keys), np.int64)
        self._groups = [
            _Group(p, pending[p : p + per_group], pending_counts[p : p + per_group])
            for p in range(0, partitions, per_group)
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
        n = len(keys)
        sorted_keys, sorted_counts = np.empty(n, np.uint64), np.empty(n, np.int64)
        starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        kernels.partition_keys(
            keys,
            counts,
            n,
            64 - PARTITION_BITS,
            starts,
            np.empty_like(starts),
            sorted_keys,
            sorted_counts,
        )
        self._take(sorted_keys, sorted_counts, starts, first_group=0)

    def _take(
        self,
        keys: npt.NDArray[np.uint64],
        counts: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        first_group: int,
    ) -> None:
        """Append keys that are sorted by partition; threads begin at different groups."""
        n = len(self._groups)
        for g in range(n):
            group = self._groups[(first_group + g) % n]
            with group.lock:
                group.append(keys, counts, starts)

    def finish(self, least: int = 1, *, threads: int = 1) -> CountedKeys:
        """Return the tiles that hold at least `least` points, sorted by (tile_y, tile_x).

        Every appender must have been flushed. The table stays as it is, and may be appended to
        and finished again.
        """
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda group: group.finish(least), self._groups))
        keys = np.concatenate([part.keys for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        sorted_keys, sorted_counts = _sorted(keys, counts)
        return CountedKeys(
            sorted_keys,
            sorted_counts,
            distinct=sum(part.distinct for part in parts),
            largest=max(part.largest for part in parts),
        )


def _sorted(
    keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    other_keys, other_counts = np.empty_like(keys), np.empty_like(counts)
    starts = np.empty((kernels.SORT_PASSES, 1 << kernels.SORT_BITS), np.int64)
    swapped = kernels.sort_by_key(keys, counts, other_keys, other_counts, starts)
    return (other_keys, other_counts) if swapped else (keys, counts)


class Appender:
    """One thread's way into a `TileTable`: a cache, a list, and a sort by partition."""

    def __init__(self, table: TileTable) -> None:
        self._table = table
        self._first_group = 7 * table._turn  # noqa: SLF001 - the two classes are one mechanism
        self._cache_keys = np.zeros(1 << kernels.CACHE_BITS, np.uint64)
        self._cache_counts = np.zeros(1 << kernels.CACHE_BITS, np.int64)
        self._keys = zeroed((LIST_KEYS,), np.uint64)
        self._counts = zeroed((LIST_KEYS,), np.int64)
        self._sorted_keys = zeroed((LIST_KEYS,), np.uint64)
        self._sorted_counts = zeroed((LIST_KEYS,), np.int64)
        self._starts = np.empty((1 << PARTITION_BITS) + 1, np.int64)
        self._place = np.empty_like(self._starts)
        self._n = 0

    def append(self, keys: npt.NDArray[np.uint64], n: int) -> None:
        """Count the first `n` of the tile keys, one point each (n at most `LIST_KEYS`)."""
        if self._n + n > LIST_KEYS:
            self._hand_over()
        self._n += kernels.combine_keys(
            keys,
            n,
            self._cache_keys,
            self._cache_counts,
            self._keys[self._n :],
            self._counts[self._n :],
        )

    def flush(self) -> None:
        """Hand everything over to the table."""
        self._hand_over()
        occupied = np.flatnonzero(self._cache_counts)
        self._table.combine(self._cache_keys[occupied], self._cache_counts[occupied])
        self._cache_counts[:] = 0

    def _hand_over(self) -> None:
        kernels.partition_keys(
            self._keys,
            self._counts,
            self._n,
            64 - PARTITION_BITS,
            self._starts,
            self._place,
            self._sorted_keys,
            self._sorted_counts,
        )
        self._n = 0
        self._table._take(  # noqa: SLF001 - the two classes are one mechanism
            self._sorted_keys, self._sorted_counts, self._starts, self._first_group
        )
