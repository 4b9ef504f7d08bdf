"""Names over time: hubs that keep the keys that they had in an earlier file of tiles.

Two hubs of different runs are the same place as far as they share points: of each tile that both
hold, the smaller of its two counts. The files are joined tile by tile, in their common order, so
that memory is needed for the hubs alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import count as counting
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.grid import keys
from gridcli.raster.tilesfile import LabelledTiles, TilesFile, open_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid
    from gridcli.raster.model import Hubs

Int64s = npt.NDArray[np.int64]

MOST_WAITING = 1 << 20
"""Sums that wait before equal pairs among them are added up."""


@dataclass(frozen=True)
class SharedPoints:
    """Pairs of an old and a new hub that share points, the largest share first.

    Ties are settled by the new hub, then by the old one, the smaller position first.

    Attributes
    ----------
    old, new : ndarray of int64, shape (n,)
        Positions of the hubs.
    points : ndarray of int64, shape (n,)
        Sum over their common tiles of the smaller count.
    """

    old: Int64s
    new: Int64s
    points: Int64s

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield old and new hub of each pair."""
        yield from zip(self.old.tolist(), self.new.tolist(), strict=True)


def share_points(old: Iterator[LabelledTiles], new: Iterator[LabelledTiles]) -> SharedPoints:
    """Return what the hubs of two runs share; both iterators are walked to their ends.

    Parameters
    ----------
    old, new : iterator of LabelledTiles
        Tiles in ascending order, in pieces of any size.
    """
    sums = _PairSums()
    for older, newer in _aligned(old, new):
        older, newer = older[older.hub >= 0], newer[newer.hub >= 0]
        at = np.searchsorted(newer.keys, older.keys)
        is_common = at < len(newer)
        is_common[is_common] = newer.keys[at[is_common]] == older.keys[is_common]
        at, older = at[is_common], older[is_common]
        sums.add(older.hub, newer.hub[at], np.minimum(older.count, newer.count[at]))
    old_hub, new_hub, points = sums.result()
    order = np.lexsort((old_hub, new_hub, -points))
    return SharedPoints(old_hub[order], new_hub[order], points[order])


def match_greedily(shared: SharedPoints) -> dict[int, int]:
    """Return the old hub of each new one: the largest share first, every hub at most once."""
    old_of: dict[int, int] = {}
    matched: set[int] = set()
    for old, new in shared.pairs():
        if old not in matched and new not in old_of:
            old_of[new] = old
            matched.add(old)
    return old_of


def open_names(path: str, grid: Grid) -> TilesFile:
    """Open the file that ``--keys-from`` names, for hubs of a grid.

    To be called before the hubs are looked for: names of another grid are no use to them.

    Raises
    ------
    UsageError
        The grids differ, or the file holds no tiles (`open_tiles`).
    InputError
        The file cannot be read.
    """
    old = open_tiles(path)
    if old.grid is not None and old.grid.name != grid.name:
        raise UsageError(
            f"--keys-from {old.path} is of the grid {old.grid.name}, and these hubs are of "
            f"{grid.name}: names can only be taken over on the same grid."
        )
    return old


def take_over(hubs: Hubs, old: TilesFile) -> Hubs:
    """Return the hubs with the keys that they had in an earlier run, as far as they existed.

    A key goes to the hub that shares most points with its old owner, the largest share first; so
    the larger part of a hub that was split keeps its key, and two hubs that were merged go on
    under the key of the larger one. Hubs that take over none have their own, after their smallest
    tile; where an old hub had that key, it gets the first free one of the suffixes ~2, ~3, …, so
    that no name stands for one place before and for another after.

    Parameters
    ----------
    hubs : Hubs
        With their own keys.
    old : TilesFile
        The earlier run, of `open_names`.

    Returns
    -------
    Hubs
        With `hub_key`, and with `absorbed`: for each hub the old keys that nobody took over and
        that shared more points with it than with any other hub, the largest share first.

    Raises
    ------
    InputError
        The old file is truncated or corrupt.
    """
    shared = share_points(old.blocks(), labelled_tiles(hubs))
    old_of = match_greedily(shared)
    reserved = set(old.hub_keys)
    names = [
        old.hub_keys[old_of[hub]] if hub in old_of else _free(key, reserved)
        for hub, key in enumerate(hubs.hub_key)
    ]
    absorbed: list[list[str]] = [[] for _ in names]
    placed = set(old_of.values())
    for owner, hub in shared.pairs():
        if owner not in placed:
            placed.add(owner)
            absorbed[hub].append(old.hub_keys[owner])
    return replace(hubs, hub_key=names, absorbed=absorbed)


def labelled_tiles(hubs: Hubs) -> Iterator[LabelledTiles]:
    """Yield the tiles of hubs in ascending order, each with the position of its hub."""
    for tiles, hub in hubs.labelled_blocks():
        yield LabelledTiles(keys.pack(tiles.x, tiles.y), tiles.count, hub)


def _free(key: str, reserved: set[str]) -> str:
    """Return the key, or the first with a suffix, that is not reserved.

    Own keys differ in their tiles, so the results differ from one another too.
    """
    if key not in reserved:
        return key
    return next(name for n in counting(2) if (name := f"{key}~{n}") not in reserved)


class _PairSums:
    """Sums by pair of hubs, in memory that grows with the number of pairs alone."""

    def __init__(self) -> None:
        self._pairs: list[Int64s] = []
        self._points: list[Int64s] = []
        self._waiting = 0
        self._limit = MOST_WAITING

    def add(self, old: npt.NDArray[np.int32], new: npt.NDArray[np.int32], points: Int64s) -> None:
        """Add points of pairs, which may repeat."""
        self._pairs.append((old.astype(np.int64) << 32) | new)
        self._points.append(points)
        self._waiting += len(points)
        if self._waiting >= self._limit:
            self._add_up()
            self._limit = self._waiting + max(MOST_WAITING, self._waiting)

    def result(self) -> tuple[Int64s, Int64s, Int64s]:
        """Return old hub, new hub and sum of each pair."""
        if not self._pairs:
            return (np.empty(0, np.int64),) * 3
        self._add_up()
        pair = self._pairs[0]
        return pair >> 32, pair & 0xFFFFFFFF, self._points[0]

    def _add_up(self) -> None:
        pairs, position = np.unique(np.concatenate(self._pairs), return_inverse=True)
        sums = np.zeros(len(pairs), np.int64)
        np.add.at(sums, position, np.concatenate(self._points))
        self._pairs, self._points, self._waiting = [pairs], [sums], len(pairs)


def _aligned(
    old: Iterator[LabelledTiles], new: Iterator[LabelledTiles]
) -> Iterator[tuple[LabelledTiles, LabelledTiles]]:
    """Yield pieces of both that cover the same range of keys, and read both to their ends."""
    older, newer = next(old, None), next(new, None)
    while older is not None and newer is not None:
        end = min(older.keys[-1], newer.keys[-1])
        n_older = int(np.searchsorted(older.keys, end, side="right"))
        n_newer = int(np.searchsorted(newer.keys, end, side="right"))
        yield older[:n_older], newer[:n_newer]
        older = older[n_older:] if n_older < len(older) else next(old, None)
        newer = newer[n_newer:] if n_newer < len(newer) else next(new, None)
    for rest in (old, new):
        deque(rest, maxlen=0)
