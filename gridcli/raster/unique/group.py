"""One group of partitions of records, which share a lock, and grow or spill together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.raster.unique import kernels
from gridcli.raster.unique.kernels import WORDS
from gridcli.runtime.memory import zeroed
from gridcli.runtime.spill import Extent

if TYPE_CHECKING:
    from gridcli.runtime.budget import MemoryBudget
    from gridcli.runtime.spill import SpillFile

Records = npt.NDArray[np.uint64]
RECORD_BYTES = 8 * WORDS
SLOTS_PER_RECORD = 2
SLOT_BYTES = 4

FIRST_CAPACITY = 128
SMALL_CAPACITY = 1 << 9
"""Up to this buffers grow to four times their size."""
LARGE_CAPACITY = 1 << 13
"""From here on (268 MB in all partitions) buffers grow by half."""

SURE_CAPACITY = 1 << 9
"""Up to this (17 MB in all partitions) buffers grow in any case: smaller ones would make endless
runs of next to nothing."""


@dataclass(frozen=True)
class RecordRun:
    """What a group has spilled at once: its partitions, one after the other.

    Attributes
    ----------
    offset : int
        Where it begins in the spill file.
    starts : ndarray of int64, shape (partitions + 1,)
        Where the records of each partition begin in it.
    """

    offset: int
    starts: npt.NDArray[np.int64]

    def size(self, partition: int) -> int:
        """Return how many records a partition of the group has here."""
        return int(self.starts[partition + 1] - self.starts[partition])

    def read(self, spill: SpillFile, partition: int) -> Records:
        """Return the records of one partition, shape (n, WORDS)."""
        begin = self.offset + int(self.starts[partition]) * RECORD_BYTES
        data = spill.read(Extent(begin, self.size(partition) * RECORD_BYTES))
        return data.view(np.uint64).reshape(-1, WORDS)


class RecordGroup:
    """Some partitions of records: buffers that repeats are dropped from whenever they are full.

    Parameters
    ----------
    first : int
        Number of its first partition.
    partitions : int
    budget : MemoryBudget or None
        Asked before buffers grow; None: there is no limit.
    spill : SpillFile or None
        Where the records go when they may not grow.

    Attributes
    ----------
    lock : Lock
        To be held while anything below is called.
    runs : list of RecordRun
        What has been spilled: distinct within each run, not among them.
    """

    def __init__(
        self, first: int, partitions: int, budget: MemoryBudget | None, spill: SpillFile | None
    ) -> None:
        self._first = first
        self._budget = budget
        self._spill = spill
        self._buffers = zeroed((partitions, FIRST_CAPACITY, WORDS), np.uint64)
        self._slots = np.empty(SLOTS_PER_RECORD * FIRST_CAPACITY, np.int32)
        self._held = np.zeros(partitions, np.int64)
        self._known = np.zeros(partitions, np.int64)
        self.lock = threading.Lock()
        self.runs: list[RecordRun] = []

    @property
    def partitions(self) -> range:
        """Its partitions, numbered from 0."""
        return range(len(self._held))

    @property
    def slot_bytes(self) -> int:
        """Memory of the buffers."""
        return self._buffers.nbytes

    def append(self, entries: Records, starts: npt.NDArray[np.int64]) -> None:
        """Append records, sorted by partition.

        Raises
        ------
        ResourceError
            The disk is full of spilled records.
        """
        resume, appended, partitions = 0, 0, len(self._held)
        while resume < partitions:
            resume, appended = kernels.append_to_group(
                entries,
                starts,
                self._first,
                resume,
                appended,
                self._buffers,
                self._held,
                self._known,
                self._slots,
            )
            if resume < partitions and not self._grow():
                self.spill()

    def distinct(self, partition: int) -> Records:
        """Return the distinct records in memory of one partition, as a view."""
        only = slice(partition, partition + 1)
        kernels.keep_distinct(self._buffers[only], self._held[only], self._known[only], self._slots)
        return self._buffers[partition, : self._held[partition]]

    def spill(self, *, shrink: bool = False) -> None:
        """Write the distinct records in memory to the spill file, and forget them.

        Parameters
        ----------
        shrink : bool
            Give the buffers' memory back too.
        """
        assert self._spill is not None  # noqa: S101 - a group with a budget has one
        kernels.keep_distinct(self._buffers, self._held, self._known, self._slots)
        starts = np.concatenate([[0], np.cumsum(self._held)])
        if starts[-1]:
            records = self._buffers.reshape(-1, WORDS)
            for partition, start in enumerate(starts[:-1].tolist()):  # in place: ever further back
                held = self._buffers[partition, : self._held[partition]]
                records[start : start + len(held)] = held
            extent = self._spill.append(records[: starts[-1]])
            self.runs.append(RecordRun(extent.offset, starts))
        self._held[:] = 0
        self._known[:] = 0
        if shrink:
            self.free()

    def free(self) -> None:
        """Give the buffers' memory back, with all that they hold."""
        self._held[:] = 0
        self._known[:] = 0
        self._replace(zeroed((len(self._held), FIRST_CAPACITY, WORDS), np.uint64))

    def _grow(self) -> bool:
        """Enlarge every buffer: small ones fast, large ones by half, to waste less.

        Returns
        -------
        bool
            False where memory does not allow it.
        """
        partitions, capacity, _ = self._buffers.shape
        larger = capacity + capacity // 2
        if capacity < LARGE_CAPACITY:
            larger = capacity * (4 if capacity <= SMALL_CAPACITY else 2)
        if self._budget is not None and not self._budget.claim(
            _claim_of(partitions, larger), force=larger <= SURE_CAPACITY
        ):
            return False
        buffers = zeroed((partitions, larger, WORDS), np.uint64)
        for partition, held in enumerate(self._held.tolist()):
            buffers[partition, :held] = self._buffers[partition, :held]
        self._replace(buffers)
        return True

    def _replace(self, buffers: Records) -> None:
        """Put new buffers in place; the first ones were never claimed."""
        partitions, capacity, _ = self._buffers.shape
        self._buffers = buffers
        self._slots = np.empty(SLOTS_PER_RECORD * buffers.shape[1], np.int32)
        if self._budget is not None and capacity > FIRST_CAPACITY:
            self._budget.release(_claim_of(partitions, capacity))


def _claim_of(partitions: int, capacity: int) -> int:
    """Return what buffers of some capacity cost, with the group's scratch."""
    return capacity * (partitions * RECORD_BYTES + SLOTS_PER_RECORD * SLOT_BYTES)
