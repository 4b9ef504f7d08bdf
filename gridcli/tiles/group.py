"""One group of a tile table: some partitions that share a lock, and grow or spill together."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.runtime.memory import zeroed
from gridcli.tiles import kernels
from gridcli.tiles.partitions import write_partitions
from gridcli.tiles.sorting import CountedKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.runtime.budget import MemoryBudget
    from gridcli.runtime.spill import SpillFile
    from gridcli.tiles.partitions import PartitionRun

PARTITION_BITS = 10
FIRST_CAPACITY = 256
LARGE_CAPACITY = 1 << 14
"""From here on (268 MB in all partitions) tables grow by half."""

SURE_CAPACITY = 1 << 10
"""Up to this (17 MB in all partitions) tables grow in any case: smaller ones would make endless
runs of next to nothing."""

EXTRACTED_AT_A_TIME = 2


class Extracts:
    """Memory to extract groups into when they spill: two at a time, used again and again."""

    def __init__(self) -> None:
        self._free: SimpleQueue[npt.NDArray[np.uint64]] = SimpleQueue()
        for _ in range(EXTRACTED_AT_A_TIME):
            self._free.put(np.empty(0, np.uint64))

    @contextmanager
    def room(self, n: int) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]:
        """Yield arrays for `n` keys and counts; wait while others use what there is."""
        memory = self._free.get()
        try:
            if len(memory) < 2 * n:
                del memory
                memory = zeroed((2 * n,), np.uint64)
            yield memory[:n], memory[n : 2 * n].view(np.int64)
        finally:
            self._free.put(memory)


class Group:
    """Some partitions of a tile table.

    Parameters
    ----------
    first : int
        Number of its first partition.
    pending : ndarray of uint64, shape (partitions, held_keys, 2)
        Where entries are held back until they are inserted.
    budget : MemoryBudget or None
        Asked before a table grows; None: there is no limit.
    spill : SpillFile or None
        Where the tiles go when a table may not grow.
    extracts : Extracts
        Shared by all groups.

    Attributes
    ----------
    lock : Lock
        To be held while anything below is called.
    runs : list of PartitionRun
        What has been spilled.
    """

    def __init__(
        self,
        first: int,
        pending: npt.NDArray[np.uint64],
        budget: MemoryBudget | None,
        spill: SpillFile | None,
        extracts: Extracts,
    ) -> None:
        partitions = len(pending)
        self._first = first
        self._slots = zeroed((partitions, FIRST_CAPACITY, 2), np.uint64)
        self._used = np.zeros(partitions, np.int64)
        self._pending = pending
        self._held = np.zeros(partitions, np.int64)
        self._budget = budget
        self._spill = spill
        self._extracts = extracts
        self.lock = threading.Lock()
        self.runs: list[PartitionRun] = []

    @property
    def slot_bytes(self) -> int:
        """Memory of the tables."""
        return self._slots.nbytes

    def append(
        self,
        entries: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.int64],
        *,
        everything: bool = False,
    ) -> None:
        """Add entries, sorted by partition: hold them back, or insert those that are too many."""
        resume, inserted, partitions = 0, 0, len(self._used)
        while resume < partitions:
            resume, inserted = kernels.append_to_group(
                entries,
                starts,
                self._first,
                resume,
                inserted,
                everything,
                self._slots,
                self._used,
                PARTITION_BITS,
                self._pending,
                self._held,
            )
            if resume < partitions and not self._grow():
                self.spill()

    def settle(self) -> None:
        """Insert all that is held back."""
        nothing = np.empty((0, 2), np.uint64), np.zeros((1 << PARTITION_BITS) + 1, np.int64)
        self.append(*nothing, everything=True)

    def count(self, least: int) -> int:
        """Return how many tiles in memory, all inserted, hold at least `least` points."""
        return int(np.count_nonzero(self._slots[:, :, 1] >= np.uint64(max(least, 1))))

    def extract(self, least: int) -> CountedKeys:
        """Return the tiles in memory, all inserted, that hold at least `least` points, unsorted."""
        distinct = int(self._used.sum())
        # Room for all tiles; what is not filled is never mapped to memory.
        keys, counts = np.empty(distinct, np.uint64), np.empty(distinct, np.int64)
        size, largest = kernels.extract_group(self._slots, least, keys, counts)
        return CountedKeys(keys[:size], counts[:size], distinct, largest)

    def spill(self, *, shrink: bool = False) -> None:
        """Write the inserted tiles to the spill file, and forget them.

        Parameters
        ----------
        shrink : bool
            Give the tables' memory back too.
        """
        assert self._spill is not None  # noqa: S101 - a table with a budget has one
        n = int(self._used.sum())
        if n:
            with self._extracts.room(n) as (keys, counts):
                _, largest = kernels.extract_group(self._slots, 1, keys, counts)
                tiles = CountedKeys(keys, counts, n, largest)
                self.runs.append(write_partitions(self._spill, self._first, tiles, self._used))
        if shrink:
            self.free()
        else:
            self._slots.fill(0)
            self._used[:] = 0

    def free(self) -> None:
        """Forget the inserted tiles, and give the tables' memory back."""
        self._replace(zeroed((len(self._used), FIRST_CAPACITY, 2), np.uint64))
        self._used[:] = 0

    def _grow(self) -> bool:
        """Enlarge every table: small ones fast, large ones by half, to waste less.

        Returns
        -------
        bool
            False where memory does not allow it.
        """
        partitions, capacity, _ = self._slots.shape
        larger = capacity + capacity // 2
        if capacity < LARGE_CAPACITY:
            larger = capacity * (4 if capacity == FIRST_CAPACITY else 2)
        if self._budget is not None and not self._budget.claim(
            _claim_of(partitions, larger), force=larger <= SURE_CAPACITY
        ):
            return False
        slots = zeroed((partitions, larger, 2), np.uint64)
        kernels.grow_group(self._slots, slots, PARTITION_BITS)
        self._replace(slots)
        return True

    def _replace(self, slots: npt.NDArray[np.uint64]) -> None:
        """Put new tables in place; the first ones were never claimed."""
        partitions, capacity, _ = self._slots.shape
        self._slots = slots
        if self._budget is not None and capacity > FIRST_CAPACITY:
            self._budget.release(_claim_of(partitions, capacity))


def _claim_of(partitions: int, capacity: int) -> int:
    """Return what tables of some capacity cost: themselves, and a share of what spilling takes.

    A group that spills is extracted, a copy of at most four fifths of its slots; of sixteen
    groups, two at a time.
    """
    slots = partitions * capacity * 16
    return slots + slots // 10
