"""Coarsening: tile counts of a finer grid to those of a coarser one, exactly.

Indexes are floor-divided by an integer (docs/contract.md, section 3). The coarser tiles are counted
in a tile table, which takes them in any order, from several threads, and spills where memory is
short.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gridcli.runtime.workers import call, share_out
from gridcli.tiles.merge import merge_runs
from gridcli.tiles.runs.kernels import coarsen_keys
from gridcli.tiles.table import TableSizes, TileTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted, Merged
    from gridcli.tiles.runs import SortedRun
    from gridcli.tiles.table import Drained

PIECE = 1 << 17
"""Tiles coarsened at once: each thread holds some 80 bytes a tile of them."""

SHARE_OF_ROOM = 4
"""One part in so many of the free memory goes to reading; the table takes what it finds."""


def coarser_blocks(
    run: SortedRun,
    m: int,
    space: Workspace,
    *,
    stop: StopFlag,
    least: int = 1,
    minus: Sequence[SortedRun] = (),
) -> Merged | Drained:
    """Return the tiles of a run, coarsened by `m`, in ascending blocks.

    With `m` = 1 they stream from the run; otherwise they are counted in a table first.

    Parameters
    ----------
    run : SortedRun
    m : int
        At least 1; `Grid.coarsened` gives the grid of the result.
    space : Workspace
    stop : StopFlag
    least : int
        Leave out tiles with fewer points.
    minus : sequence of SortedRun
        Tiles to take away before; see `merge_runs`.

    Returns
    -------
    iterable
        Of keys (uint64) and counts (int64), to be walked once; its attributes `distinct` and
        `largest`, of all coarser tiles, are complete afterwards.

    Raises
    ------
    ResourceError
        The disk is full of spilled tiles.
    Interrupted
        A signal arrived.
    """
    read = partial(
        merge_runs,
        [run],
        minus=minus,
        threads=space.threads,
        stop=stop,
        memory_bytes=space.budget.room // SHARE_OF_ROOM,
    )
    if m == 1:
        return read(least=least)
    return coarsened_blocks(read(), m, space, least=least, stop=stop)


def coarsened_blocks(
    blocks: Iterable[Counted], m: int, space: Workspace, *, least: int, stop: StopFlag
) -> Drained:
    """Return the tiles of blocks, coarsened by `m`, in ascending blocks; see `coarser_blocks`."""
    sizes = TableSizes.within(space.budget.limit_bytes)
    table = TileTable(sizes, budget=space.budget, spill=space.spill)
    coarsen_into(table, blocks, m, threads=space.threads, stop=stop)
    return call(partial(table.drain, least, threads=space.threads, stop=stop), stop)


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
