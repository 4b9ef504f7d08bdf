"""How threads share the groups of a table: none waits for another as long as it has other work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from gridcli.runtime.budget import MemoryBudget

SMALL_GROUP_BYTES = 1 << 20
"""Tables that are worth keeping even where memory is short."""


class SpillingGroup(Protocol):
    """Some partitions of a table, behind one lock."""

    lock: threading.Lock

    @property
    def slot_bytes(self) -> int:
        """Memory that spilling gives back."""

    def append(self, entries: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64]) -> None:
        """Take in what is the group's of entries that are sorted by partition."""

    def spill(self, *, shrink: bool = False) -> None:
        """Write everything to the spill file and forget it; `shrink`: give memory back."""


class GroupSharing:
    """Appends to groups, and spills the largest when memory runs short.

    Parameters
    ----------
    budget : MemoryBudget or None
        None: memory never runs short.
    """

    def __init__(self, budget: MemoryBudget | None) -> None:
        self._budget = budget
        self._relieving = threading.Lock()

    def append(
        self,
        groups: Sequence[SpillingGroup],
        entries: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.int64],
        first_group: int,
    ) -> None:
        """Append entries that are sorted by partition; threads begin at different groups.

        A group that another thread is busy with, which may be spilling it, comes last.
        """
        busy = []
        for group in (*groups[first_group:], *groups[:first_group]):
            if group.lock.acquire(blocking=False):
                try:
                    group.append(entries, starts)
                finally:
                    group.lock.release()
            else:
                busy.append(group)
        for group in busy:
            with group.lock:
                group.append(entries, starts)
        if self._budget is not None and self._budget.is_short:
            self._relieve(groups)

    def _relieve(self, groups: Sequence[SpillingGroup]) -> None:
        """Spill the largest group and give its memory back: others need more than was thought."""
        if not self._relieving.acquire(blocking=False):
            return
        try:
            group = max(groups, key=lambda group: group.slot_bytes)
            if group.slot_bytes > SMALL_GROUP_BYTES:
                with group.lock:
                    group.spill(shrink=True)
        finally:
            self._relieving.release()
