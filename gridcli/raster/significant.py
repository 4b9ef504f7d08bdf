"""Tiles that count, out of ascending blocks of all tiles: what is agglomerated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcli.raster.relax.rows import Relaxation, relaxed_tiles
from gridcli.raster.spool import TileSpool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from gridcli.grid.grid import Grid
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.tiles import TileBlocks

    EachBlock = Callable[[npt.NDArray[np.uint64], npt.NDArray[np.int64]], None]

BYTES_PER_CLUSTERED_TILE = 160
"""Memory for each tile that is agglomerated as part of one slice, and described: measured 70 to
100, and as much again for what the layers take."""


def significant_tiles(
    blocks: Iterable[Counted],
    grid: Grid,
    tau: int,
    space: Workspace,
    relaxation: Relaxation | None = None,
    *,
    each_block: EachBlock | None = None,
    stop: StopFlag | None = None,
) -> TileBlocks:
    """Return the tiles of ascending blocks that hold at least `tau` points, or count all the same.

    Parameters
    ----------
    blocks : iterable of keys and counts
    grid : Grid
    tau : int
    space : Workspace
        Its spill file takes the tiles if they are too many.
    relaxation : Relaxation or None
        Which tiles with fewer points count too.
    each_block : callable, optional
        Called with the keys and counts of every block as it comes.
    stop : StopFlag, optional

    Raises
    ------
    ResourceError
        The disk is full, or a row is too long for what `relaxation` needs.
    Interrupted
        A signal arrived.
    """
    keep_tiles = space.budget.room // BYTES_PER_CLUSTERED_TILE
    with_kinds = relaxation is not None
    spool = TileSpool(grid, space.spill, keep_tiles=keep_tiles, with_kinds=with_kinds)
    if each_block is not None:
        blocks = told_blocks(blocks, each_block)
    if relaxation is not None:
        room = space.budget.room
        for tiles in relaxed_tiles(
            blocks, grid, tau, relaxation, threads=space.threads, memory_bytes=room
        ):
            if stop is not None:
                stop.check()
            spool.add_tiles(tiles)
        return spool.finish()
    for keys, counts in blocks:
        chosen = counts >= tau
        if chosen.all():
            spool.add(keys, counts)
        else:
            spool.add(keys[chosen], counts[chosen])
    return spool.finish()


def told_blocks(blocks: Iterable[Counted], each_block: EachBlock) -> Iterator[Counted]:
    """Yield the blocks, each when it has been told."""
    for keys, counts in blocks:
        each_block(keys, counts)
        yield keys, counts
