"""Whose a tile is: from tile keys to hubs, in memory, or in the spill file where that is short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from gridcli.labelling.kernels import find_hubs, insert_tiles
from gridcli.runtime.memory import zeroed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridcli.runtime.spill import Extent, SpillFile
    from gridcli.runtime.workspace import Workspace

Keys = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int32]

SLOTS_PER_TILE = 2
SLOT_BYTES = 16
FILTER_BITS_PER_TILE = 32
"""At least, and up to twice as many: some 2 to 3 % of the keys that are not there pass."""
MOST_FILTER_POWER = 36
TILE_BYTES = 12
"""A key and a position, while they are collected, or in the spill file."""
BLOCK_TILES = 1 << 13
"""Tiles read at a time from the spill file: about 100 KB."""


@dataclass(frozen=True)
class HubNames:
    """What rows are told of their hub, by its position.

    Attributes
    ----------
    hub_id : sequence of int, or ndarray of int64
    hub_key : sequence of str
    """

    hub_id: Sequence[int] | npt.NDArray[np.int64]
    hub_key: Sequence[str]


class Membership(Protocol):
    """Tells the hub of tiles; used by any number of threads."""

    def hubs_of(self, keys: Keys) -> Positions:
        """Return the position of the hub of each key, -1 where it belongs to none."""


class TableMembership:
    """A hash table in memory, 32 bytes a tile, behind a filter of up to 8 more.

    Parameters
    ----------
    blocks : iterable of (keys, hubs)
        Tiles of hubs, each once.
    n_tiles : int
    """

    def __init__(self, blocks: Iterable[tuple[Keys, Positions]], n_tiles: int) -> None:
        self._table = zeroed((SLOTS_PER_TILE * n_tiles + 1, 2), np.uint64)
        power = (FILTER_BITS_PER_TILE * n_tiles).bit_length()
        self._filter_power = min(max(6, power), MOST_FILTER_POWER)
        self._filter_bits = zeroed((1 << self._filter_power - 6,), np.uint64)
        for keys, hubs in blocks:
            insert_tiles(keys, hubs, self._table, self._filter_bits, self._filter_power)

    def hubs_of(self, keys: Keys) -> Positions:
        """Return the position of the hub of each key, -1 where it belongs to none."""
        hubs = np.empty(len(keys), np.int32)
        find_hubs(keys, self._table, self._filter_bits, self._filter_power, hubs)
        return hubs


class SpilledMembership:
    """Sorted blocks of tiles in the spill file; in memory is the first key of each.

    Keys of a batch are sorted, and only the blocks are read that one of them may lie in.

    Parameters
    ----------
    spill : SpillFile
    blocks : iterable of (keys, hubs)
        Tiles of hubs, ascending.
    """

    def __init__(self, spill: SpillFile, blocks: Iterable[tuple[Keys, Positions]]) -> None:
        self._spill = spill
        self._extents: list[tuple[Extent, Extent]] = []
        first = []
        for keys, hubs in blocks:
            for start in range(0, len(keys), BLOCK_TILES):
                piece = slice(start, start + BLOCK_TILES)
                first.append(keys[start])
                self._extents.append((spill.append(keys[piece]), spill.append(hubs[piece])))
        self._first = np.array(first, np.uint64)

    def hubs_of(self, keys: Keys) -> Positions:
        """Return the position of the hub of each key, -1 where it belongs to none."""
        distinct, inverse = np.unique(keys, return_inverse=True)
        found = np.full(len(distinct), -1, np.int32)
        block = np.searchsorted(self._first, distinct, side="right") - 1
        starts = np.flatnonzero(np.diff(block, prepend=-1))
        for start, stop in zip(starts, np.append(starts, len(block))[1:], strict=True):
            key_extent, hub_extent = self._extents[block[start]]
            block_keys = self._spill.read(key_extent).view(np.uint64)
            hubs = self._spill.read(hub_extent).view(np.int32)
            wanted = distinct[start:stop]
            place = np.searchsorted(block_keys, wanted)
            place[place == len(block_keys)] = 0
            found[start:stop] = np.where(block_keys[place] == wanted, hubs[place], -1)
        result: Positions = found[inverse]
        return result


def membership_of(
    blocks: Iterable[tuple[Keys, Positions]], space: Workspace
) -> TableMembership | SpilledMembership:
    """Return the membership of tiles: in memory if it takes no more than half of the room.

    Both give the same answers; that in the spill file is slower.

    Parameters
    ----------
    blocks : iterable of (keys, hubs)
        Tiles in ascending order, with the position of their hub; -1: they are in none.
    space : Workspace

    Raises
    ------
    ResourceError
        The disk is full.
    """
    table_bytes = SLOTS_PER_TILE * SLOT_BYTES + 2 * FILTER_BITS_PER_TILE // 8
    most = space.budget.room // 2 // (table_bytes + TILE_BYTES)
    kept: list[tuple[Keys, Positions]] = []
    n_kept = 0
    coming = ((keys[hubs >= 0], hubs[hubs >= 0]) for keys, hubs in blocks)
    for keys, hubs in coming:
        kept.append((keys, hubs))
        n_kept += len(keys)
        if n_kept > most:
            return SpilledMembership(space.spill, _joined(kept, coming))
    space.budget.claim(n_kept * table_bytes, force=True)
    return TableMembership(kept, n_kept)


def _joined(
    kept: list[tuple[Keys, Positions]], coming: Iterable[tuple[Keys, Positions]]
) -> Iterable[tuple[Keys, Positions]]:
    """Yield what was kept, which is then given back, and what comes after it."""
    while kept:
        yield kept.pop(0)
    yield from coming
