"""How much memory readers take, and how they stay within the limit of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from gridcli.errors import ResourceError

MIB = 1 << 20
LIBRARIES_BYTES = 136 * MIB
"""What the process holds before it reads: Python, numpy, llvmlite, pyarrow, kernels (measured)."""
USUAL_BYTES = 24 * MIB
"""Pages, batches and records up to this size are not looked at; the next constant has them."""
THREAD_BYTES = 48 * MIB
"""What a thread takes that reads and counts: decoding 65 536 rows at a time from 1 MB pages
(measured: 15 to 25 MiB, with what Arrow's allocator keeps), and `USUAL_BYTES` once."""
EXPECTED_BYTES = 28 * MIB
"""What a thread takes as a rule; larger pieces are counted one by one."""
LARGEST_SHARE, TOTAL_SHARE = 4, 2
"""The largest part of a piece is at most a quarter of the limit, the whole piece half of it."""
TOGETHER_SHARE = 4
"""Pieces are held at the same time as long as they are a quarter of the limit together."""


def threads_that_fit(limit_bytes: int, threads: int) -> int:
    """Return how many threads may read within a limit: at most `threads`, at least 1.

    Readers may take half of what the libraries leave; the rest is for the tiles.

    Parameters
    ----------
    limit_bytes : int
        On the memory of the whole process.
    threads : int
    """
    return max(1, min(threads, (limit_bytes - LIBRARIES_BYTES) // 2 // THREAD_BYTES))


def release_unused() -> None:
    """Give back what Arrow's allocator keeps of freed memory: else it is most of it."""
    pa.default_memory_pool().release_unused()


class Room:
    """Lets threads hold large pieces of input together only as far as the limit allows.

    Parameters
    ----------
    limit_bytes : int or None
        On the memory of the whole process; None: no limit.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes = limit_bytes
        self._held = 0
        self._freed = threading.Condition()

    @property
    def held_bytes(self) -> int:
        """What all threads hold in large pieces now."""
        return self._held

    def check(
        self, where: str, part: str, largest_bytes: int, total_bytes: int, advice: str
    ) -> None:
        """Refuse a piece that is too large for the limit, however long one waits.

        Parameters
        ----------
        where : str
            The piece, e.g. "trips.parquet: row group 3".
        part : str
            Its largest part, e.g. "a page of "; empty: itself.
        largest_bytes : int
            Of its largest part.
        total_bytes : int
            Held at once to read the piece.
        advice : str
            How to make smaller ones.

        Raises
        ------
        ResourceError
        """
        limit = self.limit_bytes
        if limit is None:
            return
        least = max(LARGEST_SHARE * largest_bytes, TOTAL_SHARE * total_bytes)
        if least <= limit:
            return
        fault = f"takes {total_bytes / MIB:,.0f} MiB at once to be read, more than half"
        if LARGEST_SHARE * largest_bytes > limit:
            fault = f"has {part}{largest_bytes / MIB:,.0f} MiB, more than a quarter"
        raise ResourceError(
            f"{where} {fault} of the memory limit of {limit / MIB:,.0f} MiB. Give at least "
            f"--max-memory {-(-least // MIB)}MiB, or {advice}."
        )

    @contextmanager
    def taken(self, n_bytes: int) -> Iterator[None]:
        """Hold some bytes; wait first until there is room for them. Thread-safe.

        Usual sizes are not counted. A thread must hold one piece at a time.
        """
        if self.is_usual(n_bytes):
            yield
            return
        most = (self.limit_bytes or 0) // TOGETHER_SHARE
        with self._freed:
            self._freed.wait_for(lambda: self._held == 0 or self._held + n_bytes <= most)
            self._held += n_bytes
        try:
            yield
        finally:
            self.give_back(n_bytes)

    def hold(self, n_bytes: int) -> None:
        """Count bytes that were read already, unless they are as few as usual."""
        if not self.is_usual(n_bytes):
            with self._freed:
                self._held += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Count bytes no longer that were held."""
        if not self.is_usual(n_bytes):
            release_unused()
            with self._freed:
                self._held -= n_bytes
                self._freed.notify_all()

    def wait_for_others(self) -> None:
        """Wait until nothing is held."""
        with self._freed:
            self._freed.wait_for(lambda: self._held == 0)

    def is_usual(self, n_bytes: int) -> bool:
        """Whether a piece is held without being counted."""
        return self.limit_bytes is None or n_bytes <= USUAL_BYTES
