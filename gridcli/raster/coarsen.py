"""Coarsening: tile counts of a finer grid to those of a coarser one, exactly.

Indexes are floor-divided by an integer (docs/contract.md, section 3). The coarser tiles are counted
in a tile table, which takes them in any order, from several threads, and spills where memory is
short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridcli.grid.kernels import coarsen_keys
from gridcli.runtime.workers import share_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridcli.runtime.signals import StopFlag
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.table import TileTable

PIECE = 1 << 17
"""Tiles coarsened at once: each thread holds some 80 bytes a tile of them."""


def coarsen_into(
    table: TileTable, blocks: Iterable[Counted], m: int, *, threads: int, stop: StopFlag
) -> None:
    """Add tile counts to a table, the tiles' indexes floor-divided by `m`.

    Parameters
    ----------
    table : TileTable
    blocks : iterable of (ndarray of uint64, ndarray of int64)
        Keys and counts; in any order, but ascending ones are fastest.
    m : int
        At least 1; `Grid.coarsened` gives the grid of the result.
    threads : int
    stop : StopFlag

    Raises
    ------
    ResourceError
        The disk is full of spilled tiles.
    Interrupted
        A signal arrived.
    """
    share_out(iter(blocks), lambda: _Coarsener(table, m, stop), threads, stop)


class _Coarsener:
    """One thread of a coarsening."""

    def __init__(self, table: TileTable, m: int, stop: StopFlag) -> None:
        self._table = table
        self._m = m
        self._stop = stop
        self._keys = np.empty(PIECE, np.uint64)
        self._counts = np.empty(PIECE, np.int64)

    def take(self, block: Counted) -> None:
        """Add the tiles of one block."""
        keys, counts = block
        for start in range(0, len(keys), PIECE):
            self._stop.check()
            piece = slice(start, start + PIECE)
            n = coarsen_keys(keys[piece], counts[piece], self._m, self._keys, self._counts)
            self._table.combine(self._keys[:n], self._counts[:n])

    def finish(self) -> None:
        """Nothing is held."""
