"""Refinement: hubs that are decided on coarse tiles, and shown by the finer ones inside them.

The paper's future work (section 6): dense tiles are subdivided for sharper shapes. Definition:
docs/contract.md, section 3 (`--refine`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import DataError, ResourceError, UsageError
from gridcli.grid.grid import MAX_GEOGRAPHIC_PREC, Grid
from gridcli.grid.keys import pack, unpack
from gridcli.raster.cluster import BYTES_PER_HUB, LEAST_BYTES
from gridcli.raster.hubs import build_hubs
from gridcli.raster.labels import LabelWriter, TileLabels, labelled_blocks
from gridcli.raster.model import HubShapes
from gridcli.raster.screening import IndexRangeError
from gridcli.raster.spool import TileSpool
from gridcli.tiles.tiles import KINDS, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gridcli.raster.model import Hubs
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace
    from gridcli.tiles.merge import Counted
    from gridcli.tiles.tiles import TileBlocks

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

PIECE = 1 << 18
"""Subtiles looked up at once."""
BYTES_PER_SUBTILE = 160
"""Memory for each subtile that is kept in memory; what is beyond goes to the spill file."""
SIGNIFICANT = KINDS.index("significant")


def subtiles_per_side(k: int) -> int:
    """Return how many subtiles of ``--refine k`` stand along the side of a tile."""
    return int(10**k)


def least_subtile_count(tau: int, k: int) -> int:
    """Return the points from which a subtile counts: those that tau would ask of its area."""
    return max(1, -(-tau // subtiles_per_side(k) ** 2))


def finer_grid(grid: Grid, k: int) -> Grid:
    """Return the grid of precision P + k, for one of a whole precision P.

    Raises
    ------
    UsageError
        The grid is of no whole precision, so that coarsening the finer one does not give it back;
        or the finer one is beyond 32-bit indexes.
    """
    if re.fullmatch(r"[gp]-?\d+", grid.name) is None:
        raise UsageError(
            f"--refine {k} needs a whole --prec: only then are tiles ten times smaller exact parts "
            f"of those of the hubs, and those of {grid.name} have none. {_whole_precs(grid)}"
        )
    prec = int(grid.name[1:]) + k
    if not grid.planar and prec > MAX_GEOGRAPHIC_PREC:
        coarsest = MAX_GEOGRAPHIC_PREC - k
        raise UsageError(
            f"--refine {k} counts tiles of --prec {prec}, which is too fine: tile indexes are "
            f"32-bit integers, and the finest is {MAX_GEOGRAPHIC_PREC}. Give --prec {coarsest} or "
            "less, or a smaller --refine."
        )
    finer = Grid.planar_prec(prec) if grid.planar else Grid.degrees(prec)
    if finer.coarsening_to(grid) != subtiles_per_side(k):
        raise UsageError(
            f"--refine {k} counts tiles of --prec {prec}, which is too fine: their edges are no "
            "exact parts of those of larger tiles. Give a smaller --prec or --refine."
        )
    return finer


def _whole_precs(grid: Grid) -> str:
    """Say which whole precisions have tiles about as large as a grid's."""
    prec = -math.log10(grid.exact_side)
    choices = sorted({math.floor(prec), math.ceil(prec)})
    return f"Give --prec {' or '.join(map(str, choices))}."


@contextmanager
def finer_indexes_explained(k: int | None) -> Iterator[None]:
    """Say of a coordinate beyond the finer grid how much coarser the hubs' tiles must be."""
    try:
        yield
    except IndexRangeError as error:
        if k is None:
            raise
        raise DataError(
            f"{error} --refine {k} counts tiles that fine, and takes {k} from it for the --prec "
            "of the hubs."
        ) from error


def refine_hubs(
    hubs: Hubs,
    read: Callable[[int], Iterable[Counted]],
    grid: Grid,
    m: int,
    least: int,
    space: Workspace,
    *,
    stop: StopFlag,
) -> Hubs:
    """Return the hubs with outlines, areas, centroids, radii and bounds from finer tiles.

    A hub none of whose subtiles holds `least` points keeps all of them. With a threshold of
    `least_subtile_count`, that is a hub without a significant tile.

    Parameters
    ----------
    hubs : Hubs
    read : callable
        Called once; returns the subtiles with at least so many points, in ascending blocks.
    grid : Grid
        That of the subtiles.
    m : int
        Subtiles along the side of a tile.
    least : int
        Points from which a subtile counts.
    space : Workspace
        Its spill file takes the subtiles of hubs if they are many.
    stop : StopFlag

    Raises
    ------
    ResourceError
        The hubs do not fit in memory once more, or the disk is full.
    Interrupted
        A signal arrived.
    """
    from gridcli.raster.kernels import N_SUMS, N_TILES, sum_components

    room = max(space.budget.room, LEAST_BYTES)
    _check_hubs(len(hubs), room)
    collected = _Subtiles(hubs, grid, m, least, room // BYTES_PER_SUBTILE, space)
    for keys, counts in read(least if collected.all_are_significant else 1):
        stop.check()
        collected.add(keys, counts)
    tiles, labels = collected.finish()
    sums = np.zeros((len(hubs), N_SUMS), np.int64)
    for block, hub in labelled_blocks(tiles, labels):
        stop.check()
        sum_components(hub, block.x, block.y, block.count, grid.column_table, sums)
    shown = build_hubs(tiles, labels, sums, stop=stop)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = hubs.points / shown.area_m2
    return replace(
        hubs,
        lon=shown.lon,
        lat=shown.lat,
        radius_m=shown.radius_m,
        area_m2=shown.area_m2,
        density=density,
        west=shown.west,
        south=shown.south,
        east=shown.east,
        north=shown.north,
        refined=HubShapes(tiles, labels, sums[:, N_TILES].copy()),
    )


def _check_hubs(n_hubs: int, room: int) -> None:
    needed = BYTES_PER_HUB * n_hubs
    if needed > room:
        raise ResourceError(
            f"--refine describes {n_hubs:,} hubs a second time, which needs {needed / 1e6:,.1f} MB "
            f"more, and --max-memory leaves {room / 1e6:,.1f} MB. Raise it, or find fewer hubs "
            "with a larger --mu or --tau."
        )


class _Subtiles:
    """The subtiles of hubs, collected in ascending order, each with a label.

    The label of a subtile that counts is its hub. One with too few points, of a hub that may have
    none that counts, has a label of its own, which is made the hub or none at the end.
    """

    def __init__(
        self, hubs: Hubs, grid: Grid, m: int, least: int, keep_tiles: int, space: Workspace
    ) -> None:
        self._m = m
        self._least = least
        self._grid = grid
        self._places = _HubTiles(hubs)
        self._spool = TileSpool(grid, space.spill, keep_tiles=keep_tiles)
        self._labels = LabelWriter(space.spill)
        self._waiting: list[Int32s] = []
        self._n_waiting, self._keep = 0, keep_tiles
        self._has_significant = _has_significant(hubs)
        self._is_shown = np.zeros(len(hubs) + 1, np.bool_)  # one more for label -1

    @property
    def all_are_significant(self) -> bool:
        """Whether every hub has a significant tile, and so a subtile that counts."""
        return bool(self._has_significant.all())

    def add(self, keys: npt.NDArray[np.uint64], counts: Int64s) -> None:
        """Take the subtiles that follow, as far as they lie in hubs."""
        for begin in range(0, len(keys), PIECE):
            rows = slice(begin, begin + PIECE)
            x, y = unpack(keys[rows])
            hub, count = self._places.find(x // self._m, y // self._m), counts[rows]
            counting = (hub >= 0) & (count >= self._least)
            self._is_shown[hub[counting]] = True
            kept = np.flatnonzero(counting | ((hub >= 0) & ~self._has_significant[hub]))
            label = np.where(counting, hub, hub + np.int32(len(self._has_significant) - 1))
            self._spool.add_tiles(Tiles(self._grid, x[kept], y[kept], count[kept]))
            self._waiting.append(label[kept].astype(np.int32))
            self._n_waiting += len(kept)
            if self._n_waiting > self._keep:
                self._hand_over()

    def finish(self) -> tuple[TileBlocks, TileLabels]:
        """Return the subtiles, and the hub of each; -1: they have too few points."""
        self._hand_over()
        n = len(self._is_shown) - 1
        names = np.arange(n, dtype=np.int32)
        none = np.int32(-1)
        too_few = np.where(self._is_shown[:-1], none, names)
        return self._spool.finish(), self._labels.finish(np.concatenate([names, too_few, [none]]))

    def _hand_over(self) -> None:
        if self._n_waiting:
            self._labels.add(np.concatenate(self._waiting))
        self._waiting, self._n_waiting = [], 0


def _has_significant(hubs: Hubs) -> npt.NDArray[np.bool_]:
    """Return whether each hub has a significant tile; one element more for label -1."""
    found = np.zeros(len(hubs) + 1, np.bool_)
    for tiles, hub in hubs.labelled_blocks():
        found[hub if tiles.kind is None else hub[tiles.kind == SIGNIFICANT]] = True
        if found[:-1].all():
            break
    found[-1] = True
    return found


class _HubTiles:
    """The tiles of hubs, looked up in ascending rows: of all, only those rows are held."""

    def __init__(self, hubs: Hubs) -> None:
        self._blocks: Iterator[tuple[Tiles, Int32s]] = hubs.labelled_blocks()
        self._keys = np.empty(0, np.uint64)
        self._hub = np.empty(0, np.int32)
        self._last_row: int | None = None
        """Rows up to the one before this have been read; None: all have."""
        self._read_block()

    def find(self, x: Int32s, y: Int32s) -> Int32s:
        """Return the hub of each tile, -1 for none; rows ascend, also from call to call."""
        starts = np.concatenate([[0], np.flatnonzero((np.diff(x) != 0) | (np.diff(y) != 0)) + 1])
        self._hold(int(y[0]), int(y[-1]))
        if not len(self._keys):
            return np.full(len(x), -1, np.int32)
        wanted = pack(x[starts], y[starts])
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        hub = np.where(self._keys[place] == wanted, self._hub[place], np.int32(-1))
        return np.repeat(hub, np.diff(np.append(starts, len(x))))

    def _hold(self, first_row: int, last_row: int) -> None:
        """Read up to a row, and let go of those before another."""
        while self._last_row is not None and self._last_row <= last_row:
            self._read_block()
        first_key = pack(np.array([-(2**31)]), np.array([first_row]))[0]
        start = int(np.searchsorted(self._keys, first_key))
        if start:
            self._keys, self._hub = self._keys[start:].copy(), self._hub[start:].copy()

    def _read_block(self) -> None:
        tiles, hub = next(self._blocks, (None, None))
        if tiles is None or hub is None:
            self._last_row = None
            return
        self._last_row = int(tiles.y[-1])
        chosen = hub >= 0
        keys = pack(tiles.x[chosen], tiles.y[chosen])
        self._keys = np.concatenate([self._keys, keys])
        self._hub = np.concatenate([self._hub, hub[chosen]])
