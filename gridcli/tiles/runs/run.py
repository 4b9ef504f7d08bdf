"""Runs: counted tile keys in ascending order, read block by block.

A run may lie in memory, in a spill file, or in a state file; merging treats all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


class SortedRun(Protocol):
    """Counted keys in ascending order, in blocks.

    Attributes
    ----------
    first_keys : ndarray of uint64, shape (n_blocks,)
        Smallest key of each block, ascending.
    block_rows : ndarray of int64, shape (n_blocks,)
        Keys in each block, at least 1.
    """

    @property
    def first_keys(self) -> Uint64s:
        """Smallest key of each block."""

    @property
    def block_rows(self) -> Int64s:
        """Number of keys of each block."""

    def read(self, block: int) -> tuple[Uint64s, Int64s]:
        """Return keys, strictly ascending, and counts of a block. Thread-safe."""


@dataclass(frozen=True)
class MemoryRun:
    """A run in memory, cut into blocks of equal length.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n,)
        Strictly ascending.
    counts : ndarray of int64, shape (n,)
    rows_per_block : int
    """

    keys: Uint64s
    counts: Int64s
    rows_per_block: int = 1 << 16

    @property
    def first_keys(self) -> Uint64s:
        """Smallest key of each block."""
        return self.keys[:: self.rows_per_block]

    @property
    def block_rows(self) -> Int64s:
        """Number of keys of each block."""
        starts = np.arange(0, len(self.keys), self.rows_per_block)
        return np.minimum(self.rows_per_block, len(self.keys) - starts)

    def read(self, block: int) -> tuple[Uint64s, Int64s]:
        """Return keys and counts of a block."""
        rows = slice(block * self.rows_per_block, (block + 1) * self.rows_per_block)
        return self.keys[rows], self.counts[rows]
