"""The memory a run may take: claims of large arrays against the limit of the whole process."""

from __future__ import annotations

import threading

from gridcli.runtime.footprint import resident_bytes

SHARE_OF_MARGIN = 16
"""One part in so many of the limit stays free for what nobody claims, and for what comes between
two looks at the process."""

FADING = 32
"""One part in so many of a peak is forgotten with every look."""


class MemoryBudget:
    """Grants memory to large arrays as long as the process stays within its limit.

    What is claimed counts in full, also while the system has not mapped all of it; everything
    else is what the process is seen to hold beyond the claims. A peak of that is remembered, for
    it may come again, but fades: one huge piece of input must not cripple the rest of the run.

    Parameters
    ----------
    limit_bytes : int
        Largest resident size of the process.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._usable = limit_bytes - limit_bytes // SHARE_OF_MARGIN
        self._others = self._expected = resident_bytes()
        self._claimed = 0
        self._lock = threading.Lock()

    def expect(self, n_bytes: int) -> None:
        """Keep memory free for what is about to be taken without a claim: readers' buffers."""
        with self._lock:
            self._expected = max(self._expected, resident_bytes() - self._claimed + n_bytes)

    @property
    def room(self) -> int:
        """Bytes that may still be claimed; 0 where there are none."""
        with self._lock:
            return max(0, self._look())

    def claim(self, n_bytes: int, *, force: bool = False) -> bool:
        """Claim memory for an array that is about to be made.

        Parameters
        ----------
        n_bytes : int
        force : bool
            It is made in any case.

        Returns
        -------
        bool
            False where there is none left.
        """
        with self._lock:
            if self._look() < n_bytes and not force:
                return False
            self._claimed += n_bytes
            return True

    def release(self, n_bytes: int) -> None:
        """Give back what was claimed, once the array is gone."""
        with self._lock:
            self._claimed -= n_bytes

    @property
    def is_short(self) -> bool:
        """Whether the process holds more than it should: something claimed must go."""
        with self._lock:
            self._look()
        return resident_bytes() > self._usable

    def _look(self) -> int:
        """Return how much is left, after a look at what the process holds beside the claims."""
        seen = max(self._expected, resident_bytes() - self._claimed)
        self._others = max(seen, self._others - (self._others - seen) // FADING)
        return self._usable - self._others - self._claimed
