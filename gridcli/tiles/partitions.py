"""Spilled partitions of a tile table: written as they lie in it, and added up again later.

A group of partitions that may not grow is written as it is, unsorted. A partition's tiles always
have the same hash, so all that was spilled of it can be added up by itself, in a table small
enough for a processor's cache, whatever the number of times it was spilled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import numpy.typing as npt

from gridcli.errors import InputError
from gridcli.runtime.spill import Extent, SpillFile

if TYPE_CHECKING:
    from gridcli.tiles.sorting import CountedKeys

KEY_BYTES = 8


@dataclass(frozen=True)
class PartitionRun:
    """What was spilled of some consecutive partitions at once: keys, then counts.

    Attributes
    ----------
    spill : SpillFile
    first : int
        Number of the first partition.
    starts : ndarray of int64, shape (partitions + 1,)
        Where each partition's entries begin.
    checksums : ndarray of int64, shape (partitions,)
        CRC-32 of each partition's keys and counts.
    keys, counts : Extent
        Where they stand in the file.
    """

    spill: SpillFile
    first: int
    starts: npt.NDArray[np.int64]
    checksums: npt.NDArray[np.int64]
    keys: Extent
    counts: Extent

    def read(self, begin: int, end: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return what partitions [begin, end) hold. Thread-safe.

        Returns
        -------
        entries : ndarray of uint64, shape (n, 2)
            Keys and counts, sorted by partition.
        starts : ndarray of int64, shape (end - begin + 1,)
            Where each partition's entries begin.

        Raises
        ------
        InputError
            The file does not hold what was written to it.
        """
        starts = self.starts[begin - self.first : end - self.first + 1]
        low, n = int(starts[0]), int(starts[-1] - starts[0])
        width = self._count_type.itemsize
        keys = self.spill.read(Extent(self.keys.offset + low * KEY_BYTES, n * KEY_BYTES))
        counts = self.spill.read(Extent(self.counts.offset + low * width, n * width))
        starts = starts - low
        for i in range(end - begin):
            rows = slice(int(starts[i]), int(starts[i + 1]))
            checksum = _checksum(keys, counts, rows, width)
            if checksum != self.checksums[begin - self.first + i]:
                raise InputError(f"temporary data in {self.spill.place} is corrupt.")
        entries = np.empty((n, 2), np.uint64)
        entries[:, 0] = keys.view(np.uint64)
        entries[:, 1] = counts.view(self._count_type)
        return entries, starts

    def save(self) -> Extent:
        """Write all that `load` needs to the file too."""
        places = [self.first, self.keys.offset, self.keys.size, self.counts.offset]
        head = np.array([*places, self.counts.size], np.int64)
        return self.spill.append(np.concatenate([head, self.starts, self.checksums]))

    @classmethod
    def load(cls, spill: SpillFile, extent: Extent) -> PartitionRun:
        """Return a run that was saved."""
        numbers = spill.read(extent).view(np.int64)
        first, key_offset, key_size, count_offset, count_size = numbers[:5].tolist()
        partitions = (len(numbers) - 6) // 2
        return cls(
            spill,
            first,
            numbers[5 : 6 + partitions],
            numbers[6 + partitions :],
            Extent(key_offset, key_size),
            Extent(count_offset, count_size),
        )

    @property
    def _count_type(self) -> np.dtype[np.unsignedinteger]:
        """Counts are as narrow as the largest of them allows."""
        return np.dtype(f"u{self.counts.size * KEY_BYTES // self.keys.size}")


def write_partitions(
    spill: SpillFile, first: int, tiles: CountedKeys, used: npt.NDArray[np.int64]
) -> PartitionRun:
    """Spill partitions.

    Parameters
    ----------
    spill : SpillFile
    first : int
        Number of the first partition.
    tiles : CountedKeys
        All their tiles, sorted by partition.
    used : ndarray of int64, shape (partitions,)
        How many tiles each partition holds.

    Raises
    ------
    ResourceError
        The disk is full.
    """
    narrow = np.min_scalar_type(tiles.largest)
    keys, counts = tiles.keys.view(np.uint8), tiles.counts.astype(narrow).view(np.uint8)
    starts = np.concatenate([[0], np.cumsum(used)])
    checksums = [
        _checksum(keys, counts, slice(begin, end), narrow.itemsize)
        for begin, end in pairwise(starts.tolist())
    ]
    return PartitionRun(
        spill,
        first,
        starts,
        np.array(checksums, np.int64),
        spill.append(keys),
        spill.append(counts),
    )


def _checksum(
    keys: npt.NDArray[np.uint8], counts: npt.NDArray[np.uint8], rows: slice, width: int
) -> int:
    """Return the CRC-32 of some entries, given as bytes."""
    key_bytes = keys[rows.start * KEY_BYTES : rows.stop * KEY_BYTES]
    return crc32(counts[rows.start * width : rows.stop * width].data, crc32(key_bytes.data))
