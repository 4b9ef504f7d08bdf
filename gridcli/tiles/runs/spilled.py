"""Runs in a spill file: written once, block by block, and merged later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import numpy.typing as npt

from gridcli.errors import InputError
from gridcli.runtime.spill import Extent, SpillFile
from gridcli.tiles.runs import kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK_ROWS = 1 << 14
"""Keys in a block: a merge of many runs holds one block of each (256 KiB)."""


@dataclass(frozen=True)
class SpilledRun:
    """A run in a spill file (a `SortedRun`).

    Attributes
    ----------
    spill : SpillFile
    first_keys : ndarray of uint64, shape (n_blocks,)
    block_rows : ndarray of int64, shape (n_blocks,)
    extents : ndarray of int64, shape (n_blocks, 3)
        Where each block stands in the file: offset and size; and its checksum.
    """

    spill: SpillFile
    first_keys: npt.NDArray[np.uint64]
    block_rows: npt.NDArray[np.int64]
    extents: npt.NDArray[np.int64]

    def read(self, block: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return keys and counts of a block. Thread-safe.

        Raises
        ------
        InputError
            The file does not hold what was written to it.
        """
        offset, size, checksum = self.extents[block].tolist()
        data = self.spill.read(Extent(offset, size))
        n = int(self.block_rows[block])
        keys, counts = np.empty(n, np.uint64), np.empty(n, np.int64)
        decoded = kernels.decode_block(data, int(self.first_keys[block]), keys, counts)
        if decoded != size or crc32(data.data) != checksum:
            raise InputError(f"temporary data in {self.spill.place} is corrupt.")
        return keys, counts


class RunWriter:
    """Writes one run to a spill file.

    Parameters
    ----------
    spill : SpillFile
    """

    def __init__(self, spill: SpillFile) -> None:
        self._spill = spill
        self._first_keys: list[int] = []
        self._rows: list[int] = []
        self._extents: list[tuple[int, int, int]] = []
        self._buffer = np.empty(kernels.LONGEST_ENTRY * BLOCK_ROWS, np.uint8)

    def write(self, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        """Append keys, all above those before, and their counts.

        Raises
        ------
        ResourceError
            The disk of the spill file is full.
        """
        for start in range(0, len(keys), BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, len(keys))
            size = kernels.encode_block(keys, counts, start, stop, self._buffer)
            data = self._buffer[:size]
            extent = self._spill.append(data)
            self._first_keys.append(int(keys[start]))
            self._rows.append(stop - start)
            self._extents.append((extent.offset, extent.size, crc32(data.data)))

    def finish(self) -> SpilledRun:
        """Return the run."""
        return SpilledRun(
            self._spill,
            np.array(self._first_keys, np.uint64),
            np.array(self._rows, np.int64),
            np.array(self._extents, np.int64).reshape(-1, 3),
        )


def spill_run(
    spill: SpillFile,
    blocks: Iterable[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]],
) -> SpilledRun:
    """Write ascending blocks of keys and counts as one run."""
    writer = RunWriter(spill)
    for keys, counts in blocks:
        writer.write(keys, counts)
    return writer.finish()
