"""Merging sorted runs, however many and however long, in bounded memory and in parallel.

All runs together are cut into ranges of keys, each of about as many rows. Threads decode blocks
and merge ranges; the ranges come out in order. Runs are taken in any number: beyond a fan-in that
memory allows, some are first merged into one that is spilled.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import DataError
from gridcli.tiles.runs import kernels
from gridcli.tiles.runs.spilled import spill_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.tiles.runs import SortedRun

Counted = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Keys, strictly ascending, and their counts."""

ENTRY_BYTES = 16
COPIES = 4
"""Of a range's rows while it is merged: decoded, joined, merged, and filtered."""
MOST_ROWS = 1 << 20
FEWEST_ROWS = 1 << 14
MEMORY_BYTES = 512 << 20
LEAST_BYTES = 24 << 20
"""Memory that is taken in any case: with less, work would be cut into endless little pieces."""
FEWEST_RUNS = 8
"""Fan-in that is taken whatever the memory: fewer would only mean more passes."""


class Merged:
    """The keys of all runs, with the sums of their counts: an iterator of ascending blocks.

    Attributes
    ----------
    distinct : int
        Keys with a count of at least 1 so far, also those with less than was asked for.
    largest : int
        Their largest count so far.
    """

    def __init__(self, ranges: Iterator[_Range]) -> None:
        self._ranges = ranges
        self.distinct = 0
        self.largest = 0

    def __iter__(self) -> Iterator[Counted]:
        """Yield blocks of keys (uint64) and counts (int64), none empty."""
        for merged in self._ranges:
            self.distinct += merged.distinct
            self.largest = max(self.largest, merged.largest)
            if len(merged.keys):
                yield merged.keys, merged.counts


class TooFewPointsError(DataError):
    """A tile holds fewer points than are to be subtracted from it.

    Attributes
    ----------
    key : numpy.uint64
    """

    def __init__(self, key: np.uint64, there: int, wanted: int) -> None:
        super().__init__(
            f"holds {there:,} points, fewer than the {wanted:,} that are to be subtracted from it."
        )
        self.key = key


def merge_runs(
    runs: Sequence[SortedRun],
    *,
    minus: Sequence[SortedRun] = (),
    least: int = 1,
    threads: int = 1,
    stop: StopFlag | None = None,
    spill: SpillFile | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Merged:
    """Merge runs: add up the counts of every key, in ascending order.

    Parameters
    ----------
    runs : sequence of SortedRun
    minus : sequence of SortedRun
        Their counts are subtracted; keys whose count becomes 0 are left out.
    least : int
        Leave out keys with smaller sums.
    threads : int
    stop : StopFlag, optional
        Checked between ranges.
    spill : SpillFile, optional
        Takes intermediate runs, where there are more runs than memory holds a block of. Without
        it all are merged at once.
    memory_bytes : int
        About how much to use, beyond `LEAST_BYTES`.

    Returns
    -------
    Merged
        Work is done as it is walked, which can be done once.

    Raises
    ------
    TooFewPointsError
        While it is walked: a key's count would fall below 0 (a DataError).
    """
    memory_bytes = max(memory_bytes, LEAST_BYTES)
    if spill is not None:
        runs = _reduce(runs, threads, stop, spill, memory_bytes)
        minus = _reduce(minus, threads, stop, spill, memory_bytes)
    return Merged(_ranges(runs, minus, least, threads, stop, memory_bytes))


@dataclass(frozen=True)
class _Range:
    """What is merged of one range of keys."""

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    distinct: int
    largest: int


def _ranges(
    runs: Sequence[SortedRun],
    minus: Sequence[SortedRun],
    least: int,
    threads: int,
    stop: StopFlag | None,
    memory_bytes: int,
) -> Iterator[_Range]:
    """Merge range by range, some at a time, and yield them in order."""
    in_flight = threads + 1
    rows = memory_bytes // 2 // (in_flight * COPIES * ENTRY_BYTES)
    rows = min(MOST_ROWS, max(FEWEST_ROWS, rows))
    cursors = [_Cursor(run) for run in runs]
    cursors_minus = [_Cursor(run) for run in minus]
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Range]] = deque()
        try:
            for cut in _cuts([*runs, *minus], rows):
                if stop is not None:
                    stop.check()
                for cursor in (*cursors, *cursors_minus):
                    cursor.fetch(cut, pool)
                parts = [part for cursor in cursors if (part := cursor.take(cut))]
                parts_minus = [part for cursor in cursors_minus if (part := cursor.take(cut))]
                waiting.append(pool.submit(_merge_range, parts, parts_minus, least))
                while len(waiting) >= in_flight:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Blocks to come too: an interrupted run must not decode what nobody takes.
            pool.shutdown(wait=False, cancel_futures=True)


def _reduce(
    runs: Sequence[SortedRun],
    threads: int,
    stop: StopFlag | None,
    spill: SpillFile,
    memory_bytes: int,
) -> Sequence[SortedRun]:
    """Merge some of the runs into spilled ones until memory holds a block of each of the rest."""
    while True:
        block_bytes = ENTRY_BYTES * max(
            (int(run.block_rows.max(initial=0)) for run in runs), default=1
        )
        most = max(FEWEST_RUNS, memory_bytes // 2 // max(block_bytes, 1))
        if len(runs) <= most:
            return runs
        # The shortest runs go first: what is merged now is written and read once more.
        ordered = sorted(runs, key=lambda run: int(run.block_rows.sum()))
        n = min(most, len(runs) - most + 1)
        n = max(n, 2)
        merged = merge_runs(ordered[:n], threads=threads, stop=stop, memory_bytes=memory_bytes)
        runs = [*ordered[n:], spill_run(spill, merged)]


def _cuts(runs: Sequence[SortedRun], rows: int) -> Iterator[int | None]:
    """Yield the upper ends of ranges of about `rows` rows of all runs, ascending; None: no end.

    The keys of a block are taken to lie evenly up to where the next one begins. Cuts at the first
    keys of blocks would not do: runs of the same places begin blocks at the same keys, and all
    rows of such blocks would fall into one range.
    """
    runs = [run for run in runs if len(run.first_keys)]
    if not runs:
        return
    begins = np.concatenate([run.first_keys for run in runs]).astype(np.float64)
    ends = np.concatenate([_block_ends(run) for run in runs])
    sizes = np.concatenate([run.block_rows for run in runs])
    ends = np.maximum(ends, begins + np.maximum(1.0, np.spacing(begins)))
    density = sizes / (ends - begins)
    places = np.concatenate([begins, ends])
    order = np.argsort(places, kind="stable")
    places = places[order]
    together = np.cumsum(np.concatenate([density, -density])[order])
    before = np.concatenate([[0.0], np.cumsum(together[:-1] * np.diff(places))])
    wanted = np.arange(rows, int(sizes.sum()), rows)
    cuts = np.interp(wanted, np.maximum.accumulate(before), places)
    yield from (int(cut) for cut in np.unique(cuts) if begins.min() < cut < 2.0**64)
    yield None


def _block_ends(run: SortedRun) -> npt.NDArray[np.float64]:
    """Return about where each block of a run ends."""
    firsts = run.first_keys.astype(np.float64)
    if len(firsts) == 1:
        return run.read(0)[0][-1:].astype(np.float64)
    step = (firsts[-1] - firsts[0]) / int(run.block_rows[:-1].sum())
    return np.append(firsts[1:], firsts[-1] + step * int(run.block_rows[-1]))


class _Cursor:
    """How far one run has been read: blocks being decoded, and the rest of the last one taken."""

    def __init__(self, run: SortedRun) -> None:
        self._run = run
        self._firsts = run.first_keys
        self._next = 0
        self._coming: list[Future[Counted]] = []
        self._rest: Counted | None = None

    def fetch(self, cut: int | None, pool: ThreadPoolExecutor) -> None:
        """Let blocks that begin below the cut be decoded."""
        end = len(self._firsts)
        if cut is not None:
            end = int(np.searchsorted(self._firsts, np.uint64(cut)))
        for block in range(self._next, end):
            self._coming.append(pool.submit(self._run.read, block))
        self._next = max(self._next, end)

    def take(self, cut: int | None) -> list[Counted]:
        """Return all rows below the cut, in order, as blocks; what is beyond stays."""
        blocks = [] if self._rest is None else [self._rest]
        blocks += [future.result() for future in self._coming]
        self._coming = []
        self._rest = None
        if blocks and cut is not None:
            keys, counts = blocks[-1]
            n = int(np.searchsorted(keys, np.uint64(cut)))
            if n < len(keys):
                self._rest = keys[n:], counts[n:]
                blocks[-1] = keys[:n], counts[:n]
        return [block for block in blocks if len(block[0])]


def _merge_range(parts: list[list[Counted]], minus: list[list[Counted]], least: int) -> _Range:
    """Merge the rows of one range, given run by run."""
    keys, counts = _merge_all([_join(blocks) for blocks in parts])
    if minus:
        keys, counts = _subtract((keys, counts), _merge_all([_join(blocks) for blocks in minus]))
    distinct, largest = len(keys), int(counts.max(initial=0))
    if least > 1:
        chosen = counts >= least
        keys, counts = keys[chosen], counts[chosen]
    return _Range(keys, counts, distinct, largest)


def _join(blocks: list[Counted]) -> Counted:
    if len(blocks) == 1:
        return np.ascontiguousarray(blocks[0][0]), np.ascontiguousarray(blocks[0][1])
    return np.concatenate([keys for keys, _ in blocks]), np.concatenate([n for _, n in blocks])


def _merge_all(runs: list[Counted]) -> Counted:
    """Merge runs two by two, always the two shortest that stand side by side in the queue."""
    if not runs:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    waiting = deque(sorted(runs, key=lambda run: len(run[0])))
    while len(waiting) > 1:
        waiting.append(_merge_two(waiting.popleft(), waiting.popleft()))
    return waiting[0]


def _merge_two(a: Counted, b: Counted) -> Counted:
    room = len(a[0]) + len(b[0])
    keys, counts = np.empty(room, np.uint64), np.empty(room, np.int64)
    n = kernels.merge_two(*a, *b, keys, counts)
    return keys[:n], counts[:n]


def _subtract(a: Counted, b: Counted) -> Counted:
    keys, counts = np.empty(len(a[0]), np.uint64), np.empty(len(a[0]), np.int64)
    n, lacking = kernels.subtract_run(*a, *b, keys, counts)
    if lacking >= 0:
        place = np.searchsorted(a[0], b[0][lacking])
        there = a[1][place] if place < len(a[0]) and a[0][place] == b[0][lacking] else 0
        raise TooFewPointsError(b[0][lacking], int(there), int(b[1][lacking]))
    return keys[:n], counts[:n]
