"""Rims: hubs of a coarser level that surround or adjoin hubs of finer ones.

Where the tiles of a dense hub are taken away, what is left around it is often a hub of its own at
the next level. It is a rim if it would be one hub with the finer one, were that still there: if
one of its tiles holds tiles of a finer hub, or is a neighbour of one that does.

Both levels are walked side by side, row by row. Memory grows with the tiles of the rows in reach
of one row, which agglomeration has held before, and with the number of hubs.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gridcli.grid import keys as tile_keys
from gridcli.runtime.workers import call
from gridcli.tiles.table import TableSizes, TileTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gridcli.raster.model import Hubs
    from gridcli.raster.run import ClusterOptions
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted

PIECE = 1 << 14
"""Tiles looked at together: they take some 200 bytes each."""
HIGH = np.uint64(32)
LOW_BITS = np.uint64(0xFFFFFFFF)
LEAST_INT32, MOST_INT32 = -(2**31), 2**31 - 1
BEYOND_ALL_ROWS = 2**62
Int64s = npt.NDArray[np.int64]


class FinerHubs(NamedTuple):
    """Hubs of a finer level.

    Attributes
    ----------
    hubs : Hubs
    ratio : int
        How many of their tiles are one of the coarser level, on each axis.
    place : ndarray of int64, shape (n_hubs,)
        The place that each of them belongs to, a number from 0: its own, or that of a hub whose
        rim it is.
    """

    hubs: Hubs
    ratio: int
    place: Int64s


class _Pieces(NamedTuple):
    """Parts of finer hubs, each within one coarser tile.

    Attributes
    ----------
    x, y : ndarray of int64
        The coarser tile; y ascends.
    points : ndarray of int64
    place : ndarray of int64
    """

    x: Int64s
    y: Int64s
    points: Int64s
    place: Int64s

    def cut(self, begin: int, end: int) -> _Pieces:
        return _Pieces(*(column[begin:end] for column in self))


def surrounded_places(
    hubs: Hubs,
    finer: Sequence[FinerHubs],
    *,
    options: ClusterOptions,
    space: Workspace,
    stop: StopFlag,
) -> Int64s:
    """Return the place that each hub is a rim of, -1 for hubs that are no rims.

    Of several places it is the one with most points in or beside the tiles of the rim, those of
    its own rims included; ties go to the smallest number.

    Parameters
    ----------
    hubs : Hubs
    finer : sequence of FinerHubs
        Hubs of all finer levels.
    options : ClusterOptions
        What makes tiles neighbours.
    space : Workspace
    stop : StopFlag

    Raises
    ------
    ResourceError
        The disk is full.
    Interrupted
        A signal arrived.
    """
    if not (finer and len(hubs)):
        return np.full(len(hubs), -1, np.int64)
    sizes = TableSizes.within(space.budget.limit_bytes)
    table = TileTable(sizes, budget=space.budget, spill=space.spill)
    for of_level in finer:
        for pairs in _contacts(hubs, of_level, options, stop):
            table.combine(*pairs)
    pairs_of_hubs = call(partial(table.drain, threads=space.threads, stop=stop), stop)
    return _with_most_points(pairs_of_hubs, len(hubs))


def _with_most_points(blocks: Iterable[Counted], n_hubs: int) -> Int64s:
    """Return the place with the largest count of each hub, the first of equal ones.

    `blocks` hold pairs as keys, hub above place, in ascending order.
    """
    most = np.zeros(n_hubs, np.int64)
    place = np.full(n_hubs, -1, np.int64)
    for pairs, points in blocks:
        hub = (pairs >> HIGH).astype(np.int64)
        order = np.lexsort((pairs, -points, hub))
        best = order[np.flatnonzero(np.diff(hub[order], prepend=-1))]
        better = best[points[best] > most[hub[best]]]
        most[hub[better]] = points[better]
        place[hub[better]] = (pairs[better] & LOW_BITS).astype(np.int64)
    return place


def _contacts(
    hubs: Hubs, finer: FinerHubs, options: ClusterOptions, stop: StopFlag
) -> Iterator[Counted]:
    """Yield hubs and the places in or beside their tiles, as keys, with the points there."""
    rows = _HeldRows(hubs)
    # As numbers that sums and differences of indexes cannot overflow.
    delta = min(options.delta, 2**33)
    for pieces in _pieces_of(finer):
        begin = 0
        while begin < len(pieces.x):
            stop.check()
            south = int(pieces.y[begin])
            complete = rows.hold(south - delta, south + delta)
            end = int(np.searchsorted(pieces.y, complete - delta, side="right"))
            part = pieces.cut(begin, end)
            found = [
                _neighbours(part, keys, hub, delta, options.metric, hubs.tiles.grid.columns)
                for keys, hub in rows.held
            ]
            # A hub is met from several of its tiles; the points count once.
            pairs = np.unique(np.concatenate([np.empty(0, np.uint64), *found]))
            if len(pairs):
                piece = (pairs >> HIGH).astype(np.int64)
                place = part.place[piece].astype(np.uint64)
                yield (pairs & LOW_BITS) << HIGH | place, part.points[piece]
            begin = end


def _neighbours(
    part: _Pieces,
    keys: npt.NDArray[np.uint64],
    hub: npt.NDArray[np.int32],
    delta: int,
    metric: str,
    columns: int,
) -> npt.NDArray[np.uint64]:
    """Return pairs of a piece and a hub that has a tile in reach: piece << 32 | hub.

    Tiles of a row that are all within reach to one side of a column are neighbours of each other,
    so they are one hub, and the nearest on each side is enough.
    """
    x, y = (index.astype(np.int64) for index in tile_keys.unpack(keys))
    first, last = int(y[0]), int(y[-1])
    found = []
    # What a piece has met last: it meets the same hub in most directions.
    met = np.full(len(part.x), -1, np.int64)
    south, north = first - int(part.y[-1]), last - int(part.y[0])
    for dy in range(max(-delta, south), min(delta, north) + 1):
        reach = delta if metric == "chebyshev" else delta - abs(dy)
        near = np.flatnonzero((part.y + dy >= first) & (part.y + dy <= last))
        for around in (0, -columns, columns) if columns else (0,):
            row, column = part.y[near] + dy, part.x[near] + around
            # Farther out there is no tile, and keys hold no such column.
            wanted = tile_keys.pack(np.clip(column, LEAST_INT32, MOST_INT32), row)
            after = np.searchsorted(keys, wanted)
            for candidate in (after - 1, after):
                at = np.clip(candidate, 0, len(keys) - 1)
                is_met = (y[at] == row) & (np.abs(x[at] - column) <= reach)
                is_met &= met[near] != hub[at]
                piece, other = near[is_met], hub[at[is_met]]
                met[piece] = other
                found.append(piece.astype(np.uint64) << HIGH | other.astype(np.uint64))
    return np.concatenate([np.empty(0, np.uint64), *found])


class _HeldRows:
    """The tiles of hubs in a range of rows that moves north."""

    def __init__(self, hubs: Hubs) -> None:
        self._coming = _tiles_of_hubs(hubs)
        self._complete = -BEYOND_ALL_ROWS
        self.held: deque[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]] = deque()

    def hold(self, south: int, north: int) -> int:
        """Hold at least the rows from `south` to `north`; return the last that is complete."""
        while self.held and _row(self.held[0][0][-1]) < south:
            self.held.popleft()
        while self._complete < north:
            tiles = next(self._coming, None)
            if tiles is None:
                self._complete = BEYOND_ALL_ROWS
                break
            keys, hub, _ = tiles
            self._complete = _row(keys[-1]) - 1
            if _row(keys[-1]) >= south:
                self.held.append((keys, hub))
        return self._complete


def _row(key: np.uint64) -> int:
    return (int(key) >> 32) - tile_keys.BIAS


def _pieces_of(finer: FinerHubs) -> Iterator[_Pieces]:
    """Yield the tiles of hubs by the coarser tiles that they lie in, neighbours joined."""
    for keys, hub, count in _tiles_of_hubs(finer.hubs):
        x, y = (index.astype(np.int64) // finer.ratio for index in tile_keys.unpack(keys))
        place = finer.place[hub]
        is_other = (np.diff(x) != 0) | (np.diff(y) != 0) | (np.diff(place) != 0)
        begins = np.flatnonzero(np.concatenate([[True], is_other]))
        yield _Pieces(x[begins], y[begins], np.add.reduceat(count, begins), place[begins])


def _tiles_of_hubs(
    hubs: Hubs,
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], Int64s]]:
    """Yield keys, hubs and counts of the tiles that belong to hubs, ascending, none empty."""
    for tiles, hub in hubs.labelled_blocks():
        for begin in range(0, len(tiles), PIECE):
            piece, of_piece = tiles.piece(begin, begin + PIECE), hub[begin : begin + PIECE]
            chosen = of_piece >= 0
            if chosen.any():
                keys = tile_keys.pack(piece.x[chosen], piece.y[chosen])
                yield keys, of_piece[chosen], piece.count[chosen]
