"""Clustering of significant tiles that need not fit in memory: components, then hubs.

Source: RASTER, Algorithm 1 (step 2) and Appendix C: arbitrary slicing does not change the
components. Here slices are taken one after the other; of those before, only the tiles that later
ones can reach are kept, with their labels. Tiles in memory are one slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError
from gridcli.raster.agglomerate import agglomerate, check_neighbourhood
from gridcli.raster.hubs import build_hubs, check_mu
from gridcli.raster.labels import LabelWriter
from gridcli.tiles.tiles import Tiles, join_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.raster.model import Components, Hubs
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.spill import SpillFile
    from gridcli.tiles.tiles import TileBlocks

LEAST_BYTES = 16 << 20
"""Memory that is taken in any case."""
BYTES_PER_SLICE_TILE = 50
"""Memory for each tile of a slice and of the rows before it: the tile, copied, and its labels."""
SLICE_SHARE = 4
"""A slice aims at one part in so many of the memory; it can become twice as large, and a row."""
BYTES_PER_HUB = 450
"""Memory for each hub, at most: sums, the finished columns, and the key as a Python text."""
BYTES_PER_LABEL = 120
"""Memory for each component that is or may become a hub: sums with room to grow, a parent."""
SAFETY = 1.25
"""A limit that is advised holds so many times what hubs need: a part of it is kept free, and
other uses grow with it."""
STEP_BYTES = 64 << 20
"""What limits that are advised are multiples of."""
GROWTH = 1.5
UNNAMED = np.int32(2**31 - 1)
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


def cluster(
    tiles: TileBlocks,
    *,
    mu: int = 4,
    delta: int = 1,
    metric: str = "chebyshev",
    threads: int = 1,
    spill: SpillFile | None = None,
    stop: StopFlag | None = None,
    slice_tiles: int | None = None,
    memory_bytes: int | None = None,
    limit_bytes: int | None = None,
) -> Hubs:
    """Return the hubs among significant tiles.

    The result does not depend on blocks, slices or threads. Memory grows with the number of hubs
    (`BYTES_PER_HUB` each) and with the tiles of a slice and of the `delta` rows before it
    (`BYTES_PER_SLICE_TILE` each), not with the number of tiles.

    Parameters
    ----------
    tiles : TileBlocks
        The significant tiles. Walked twice, and again for hubs that go around the earth or are
        too large for 64-bit sums.
    mu : int
        Smallest number of tiles of a hub, at least 1.
    delta, metric, threads
        As in `agglomerate`.
    spill : SpillFile or None
        Takes 4 bytes a tile where there is more than one slice; must stay open as long as the
        hubs are used. None: they stay in memory.
    stop : StopFlag or None
    slice_tiles : int or None
        Least tiles of a slice. None: what `memory_bytes` allows; without a limit, all tiles.
    memory_bytes : int or None
        Take no more than about this much, or `LEAST_BYTES`, beside what the tiles take already.
        None: no limit.
    limit_bytes : int or None
        The limit of the whole process, of which `memory_bytes` is left: messages say how much
        more would be enough. None: `memory_bytes`.

    Raises
    ------
    UsageError
        `mu` or `delta` is below 1, or the metric is unknown.
    ResourceError
        Hubs, or the tiles of a slice, do not fit in `memory_bytes`; or the disk is full.
    Interrupted
        A signal arrived.
    """
    check_mu(mu)
    check_neighbourhood(delta, metric, tiles.grid)
    if memory_bytes is not None:
        memory_bytes = max(memory_bytes, LEAST_BYTES)
    if slice_tiles is None:
        slice_tiles = len(tiles)
        if memory_bytes is not None:
            slice_tiles = memory_bytes // (SLICE_SHARE * BYTES_PER_SLICE_TILE)
    joined = _JoinedSlices(tiles, mu, delta, metric, threads, memory_bytes, limit_bytes)
    labels = LabelWriter(spill)
    for rows, is_last in row_slices(tiles, max(1, slice_tiles)):
        if stop is not None:
            stop.check()
        labels.add(joined.label(rows, is_last=is_last))
    sums, hub_of_label = joined.rank()
    del joined  # the sums of all labels
    return build_hubs(tiles, labels.finish(hub_of_label), sums, stop=stop)


def row_slices(tiles: TileBlocks, least: int) -> Iterator[tuple[Tiles, bool]]:
    """Join and cut blocks to slices of complete rows, of at least `least` tiles but for the last.

    Where rows are short, a slice has fewer than twice as many.

    Yields
    ------
    rows : Tiles
    is_last : bool
    """
    waiting: list[Tiles] = []
    n = 0
    for block in _pieces(tiles, least):
        row_end = 0
        if n >= least:
            row_end = int(np.searchsorted(block.y, waiting[-1].y[-1], side="right"))
            if row_end:
                waiting.append(block.piece(0, row_end))
            if row_end < len(block):
                yield join_tiles(waiting), False
                waiting, n = [], 0
        if row_end < len(block):
            waiting.append(block.piece(row_end, len(block)))
        n += len(block) - row_end
    if waiting:
        yield join_tiles(waiting), True


def _pieces(tiles: TileBlocks, most: int) -> Iterator[Tiles]:
    for block in tiles.blocks():
        for begin in range(0, len(block), most):
            yield block.piece(begin, begin + most)


class _JoinedSlices:
    """Components of slices that follow each other, under labels that span slices.

    A label is given to a component once it has mu tiles, or while it can still grow; labels
    increase with the smallest tile. A slice that shows two labels to be one component hangs the
    larger below the smaller in `_parent`, so that a root stands for its component's smallest tile.
    """

    def __init__(
        self,
        tiles: TileBlocks,
        mu: int,
        delta: int,
        metric: str,
        threads: int,
        memory_bytes: int | None,
        limit_bytes: int | None,
    ) -> None:
        from gridcli.raster.kernels import N_SUMS

        self._mu = mu
        self._delta = delta
        self._metric = metric
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._limit_bytes = limit_bytes
        self._n_tiles, self._n_labelled = len(tiles), 0
        nothing = np.empty(0, np.int32)
        self._border = Tiles(tiles.grid, nothing, nothing, np.empty(0, np.int64))
        self._border_label = nothing
        self._n = 0
        self._parent = np.empty(0, np.int32)
        self._sums = np.zeros((0, N_SUMS), np.int64)

    def label(self, rows: Tiles, *, is_last: bool) -> Int32s:
        """Return the label of each tile of the rows that follow; -1 for what is no hub."""
        from gridcli.raster.kernels import sum_components

        n_border = len(self._border)
        together = join_tiles([self._border, rows]) if n_border else rows
        self._check_slice(len(together), n_border)
        components = agglomerate(
            together, delta=self._delta, metric=self._metric, threads=self._threads
        )
        first_open = len(together)
        if not is_last:
            beyond = max(int(rows.y[-1]) - self._delta, -(2**31) - 1)
            first_open = int(np.searchsorted(together.y, np.int32(beyond + 1)))
        names = self._name(components, n_border, first_open)
        self._n_labelled += len(rows)
        self._check_labels()
        label = names[components.label]
        # Copies: views would keep the whole slice.
        self._border = together.piece(first_open, len(together)).copy()
        self._border_label = label[first_open:].copy()
        label = label[n_border:]
        sum_components(label, rows.x, rows.y, rows.count, rows.grid.column_table, self._sums)
        return label

    def rank(self) -> tuple[Int64s, Int32s]:
        """Return the sums of each hub, in hub order, and the hub of each label, -1 at the end."""
        from gridcli.raster.kernels import N_TILES, PEAK, POINTS, X_MAX, X_MIN, Y_LAST

        sums, n = self._sums, self._n
        root = _roots(self._parent, np.arange(n, dtype=np.int32))
        hung = np.flatnonzero(root != np.arange(n))
        into, added = root[hung], sums[hung]
        for column in (N_TILES, POINTS):
            np.add.at(sums[:, column], into, added[:, column])
        for column in (PEAK, Y_LAST, X_MAX):
            np.maximum.at(sums[:, column], into, added[:, column])
        np.minimum.at(sums[:, X_MIN], into, added[:, X_MIN])
        is_hub = sums[:n, N_TILES] >= self._mu
        is_hub[hung] = False
        kept = np.flatnonzero(is_hub)
        self._check_hubs(len(kept))
        # Labels increase with the smallest tile, so a stable sort settles ties.
        ranked = kept[np.argsort(-sums[kept, POINTS], kind="stable")]
        hub_of_label = np.full(n + 1, -1, np.int32)
        hub_of_label[ranked] = np.arange(len(ranked))
        hub_of_label[hung] = hub_of_label[into]
        return sums[ranked], hub_of_label

    def _name(self, components: Components, n_border: int, first_open: int) -> Int32s:
        """Return the label of each component of the border and the rows together, -1 for none.

        Tiles from position `first_open` on are in reach of rows to come.
        """
        label, n = components.label, components.n_components
        names = np.full(n, UNNAMED)
        known = label[:n_border]
        np.minimum.at(names, known, self._border_label)
        joins = self._border_label != names[known]
        pairs = np.column_stack([self._border_label[joins], names[known[joins]]])
        for larger, smaller in np.unique(pairs, axis=0).tolist():
            self._join(larger, smaller)
        names[known] = _roots(self._parent, names[known])
        is_hub = np.bincount(label, minlength=n) >= self._mu
        is_hub[label[first_open:]] = True
        is_new = names == UNNAMED
        names[is_new & ~is_hub] = -1
        new = np.flatnonzero(is_new & is_hub)
        names[new] = np.arange(self._n, self._n + len(new), dtype=np.int32)
        self._grow(self._n + len(new))
        return names

    def _join(self, a: int, b: int) -> None:
        """Hang the larger of two labels' roots below the smaller one."""
        parent = self._parent
        while parent[a] != a:
            a = int(parent[a])
        while parent[b] != b:
            b = int(parent[b])
        parent[max(a, b)] = min(a, b)

    def _grow(self, n: int) -> None:
        """Make room for `n` labels; new ones are their own parents."""
        if n > len(self._parent):
            room = n if self._n == 0 else max(n, int(GROWTH * len(self._parent)))
            # In place, which moves no memory where the system can remap it.
            self._sums.resize((room, self._sums.shape[1]), refcheck=False)
            self._parent.resize(room, refcheck=False)
        self._parent[self._n : n] = np.arange(self._n, n, dtype=np.int32)
        self._n = n

    def _check_slice(self, n_tiles: int, n_border: int) -> None:
        needed = BYTES_PER_SLICE_TILE * n_tiles
        if self._memory_bytes is not None and needed > self._memory_bytes:
            raise ResourceError(
                f"{n_tiles:,} tiles must be joined at once, {n_border:,} of them in reach of "
                f"--delta {self._delta} before the others: that needs {needed / 1e6:,.1f} MB, and "
                f"--max-memory leaves {self._memory_bytes / 1e6:,.1f} MB. Raise it, or use a "
                "smaller --delta or a larger --tau."
            )

    def _check_labels(self) -> None:
        needed = 2 * BYTES_PER_LABEL * self._n  # slices take the other half
        if self._memory_bytes is not None and needed > self._memory_bytes:
            expected = self._n * self._n_tiles // self._n_labelled
            what = f"more than {self._n:,} hubs, perhaps {expected:,},"
            raise self._too_many(what, expected, self._memory_bytes)

    def _check_hubs(self, n_hubs: int) -> None:
        if self._memory_bytes is not None and BYTES_PER_HUB * n_hubs > self._memory_bytes:
            raise self._too_many(f"{n_hubs:,} hubs", n_hubs, self._memory_bytes)

    def _too_many(self, what: str, n_hubs: int, left: int) -> ResourceError:
        needed = BYTES_PER_HUB * n_hubs
        limit = left if self._limit_bytes is None else self._limit_bytes
        enough = limit + max(0, int(SAFETY * needed) - left)
        return ResourceError(
            f"{what} need {needed / 1e6:,.1f} MB (about {BYTES_PER_HUB} bytes each), and "
            f"--max-memory leaves {left / 1e6:,.1f} MB. About --max-memory "
            f"{-(-enough // STEP_BYTES) * STEP_BYTES >> 20}MiB would be enough; or find fewer hubs "
            f"with a --mu above {self._mu:,}, a larger --tau or a coarser --prec."
        )


def _roots(parent: Int32s, labels: Int32s) -> Int32s:
    """Return the root above each label."""
    above = parent[labels]
    while not np.array_equal(above, labels):
        labels = above
        above = parent[labels]
    return labels
