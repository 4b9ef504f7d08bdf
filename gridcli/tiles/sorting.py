"""Counted keys, and sorting them by key."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from gridcli.tiles import kernels

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


def sort_counted(
    keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return keys and counts sorted by key; the arguments are not preserved."""
    sorted_keys, sorted_counts = np.empty_like(keys), np.empty_like(counts)
    _sort_into(sorted_keys, sorted_counts, keys, counts)
    return sorted_keys, sorted_counts


def _sort_into(
    sorted_keys: npt.NDArray[np.uint64],
    sorted_counts: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
) -> None:
    starts = np.empty((kernels.SORT_PASSES, 1 << kernels.SORT_BITS), np.int64)
    if not kernels.sort_by_key(keys, counts, sorted_keys, sorted_counts, starts):
        sorted_keys[:], sorted_counts[:] = keys, counts


def sort_parts(
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
        _sort_into(sorted_keys[place], sorted_counts[place], keys, counts)

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
