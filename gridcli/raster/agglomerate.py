"""Agglomeration: significant tiles to connected components, in parallel slices (P-RASTER).

Source: RASTER, Algorithm 1 (step 2), Algorithm 3 and Appendix C: slices are agglomerated each by
itself, then joined across their borders; arbitrary slicing does not change the components. Here
the slices share one union-find forest, whose trees are rooted at their smallest tiles.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.raster.model import Components

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridcli.grid.grid import Grid
    from gridcli.runtime.jit import Kernel
    from gridcli.tiles.tiles import Tiles

METRICS = ("chebyshev", "manhattan")

VISITS_PER_PIECE = 20_000_000
"""Tiles, or rows, looked at in one call of the kernel: some 0.1 s, a signal is soon noticed."""
SLICES_PER_THREAD = 4
MOST_HOPS = 1000
LARGEST_DISTANCE = 2**33
"""Beyond any distance of two int32 index pairs."""


def agglomerate(
    tiles: Tiles,
    *,
    delta: int = 1,
    metric: str = "chebyshev",
    threads: int = 1,
    slices: int | None = None,
) -> Components:
    """Return the connected components of significant tiles.

    Two tiles are neighbours if their distance is at most `delta`; on a geographic grid columns
    are counted around the earth, whichever way is shorter. Where rows have different numbers of
    columns, the distance is the least number of hops, each within a row to the next tile or to a
    tile of an adjacent row that touches (Manhattan: that shares some length); a hop may lead over
    any tile of the grid, with points or without.

    Parameters
    ----------
    tiles : Tiles
        The significant tiles.
    delta : int
        Largest distance of neighbours, in tiles, at least 1.
    metric : {"chebyshev", "manhattan"}
    threads : int
        Threads that agglomerate slices.
    slices : int, optional
        Contiguous ranges of rows, of about as many tiles each. The result does not depend on it.

    Raises
    ------
    UsageError
        `delta` is below 1, or the metric is unknown.

    Examples
    --------
    >>> from gridcli.grid.grid import Grid
    >>> x, y = np.array([[0, 1, 9], [0, 1, 1]], dtype=np.int32)
    >>> agglomerate(Tiles(Grid.degrees(4), x, y, np.full(3, 5))).label
    array([0, 0, 1], dtype=int32)
    """
    check_neighbourhood(delta, metric, tiles.grid)
    if not len(tiles):
        return Components(np.empty(0, np.int32), 0)
    from gridcli.raster.kernels import number_components

    row_start, row_y = rows_of(tiles)
    forest = _Forest(tiles, row_start, row_y, min(delta, LARGEST_DISTANCE), metric)
    if slices is None:
        slices = SLICES_PER_THREAD * threads if threads > 1 else 1
    borders = slice_borders(row_start, slices)
    _join_concurrently(forest, borders, threads)
    for border in borders[1:-1]:
        forest.join_border(border)
    return Components(forest.parent, int(number_components(forest.parent)))


def check_neighbourhood(delta: int, metric: str, grid: Grid) -> None:
    """Raise `UsageError` where `delta` is out of range or the metric is unknown."""
    if delta < 1:
        raise UsageError(
            f"--delta {delta} must be at least 1: neighbours are that many tiles apart."
        )
    if grid.rows_differ and delta > MOST_HOPS:
        raise UsageError(
            f"--delta {delta} is too large for tiles in metres: each row in reach has other "
            f"columns, so that time grows with its square. Use {MOST_HOPS:,} or less, larger "
            "tiles, or tiles in degrees (--prec)."
        )
    if metric not in METRICS:
        raise UsageError(f"--metric {metric!r} must be one of {', '.join(METRICS)}.")


def rows_of(tiles: Tiles) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return where each non-empty row starts in the tiles (and their number), and its index y."""
    changes = np.flatnonzero(tiles.y[1:] != tiles.y[:-1]) + 1
    begin = np.zeros(min(len(tiles), 1), np.int64)
    return np.concatenate([begin, changes, [len(tiles)]]), tiles.y[np.concatenate([begin, changes])]


def slice_borders(row_start: npt.NDArray[np.int64], slices: int) -> list[int]:
    """Return the rows at which to cut, first and last included: ascending, without repetition."""
    n_tiles = int(row_start[-1])
    wanted = [n_tiles * part // slices for part in range(slices + 1)]
    return sorted({int(row) for row in np.searchsorted(row_start, wanted)})


class _Forest:
    """The union-find forest over all tiles, and the rule of who is whose neighbour."""

    def __init__(
        self,
        tiles: Tiles,
        row_start: npt.NDArray[np.int64],
        row_y: npt.NDArray[np.int32],
        delta: int,
        metric: str,
    ) -> None:
        self._kernel: Kernel
        self._columns: int | npt.NDArray[np.int32]
        self.parent = np.empty(len(tiles), np.int32)
        self._x = tiles.x
        self._row_start = row_start
        self._row_y = row_y
        self._delta = delta
        self._chebyshev = int(metric == "chebyshev")
        self._visits = delta + 1
        if tiles.grid.rows_differ:
            from gridcli.raster.hops.kernels import join_uneven_rows

            self._kernel, self._columns = join_uneven_rows, tiles.grid.column_table
            self._visits *= delta + 1  # every row on the way to another is looked at
        else:
            from gridcli.raster.kernels import join_rows

            self._kernel, self._columns = join_rows, tiles.grid.columns

    def join_slice(self, begin: int, end: int, is_stopped: Callable[[], bool]) -> None:
        """Join all neighbours within rows [begin, end), piece by piece."""
        piece_tiles = max(1, VISITS_PER_PIECE // self._visits)
        row = begin
        while row < end and not is_stopped():
            reached = np.searchsorted(self._row_start, self._row_start[row] + piece_tiles)
            stop = min(end, max(row + 1, int(reached)))
            self._join(row, stop, begin, stop)
            row = stop

    def join_border(self, border: int) -> None:
        """Join the rows from `border` on, as far as they reach, with all rows before it."""
        last_y = int(self._row_y[border - 1]) + self._delta
        stop = int(np.searchsorted(self._row_y, last_y, side="right"))
        self._join(border, stop, 0, border)

    def _join(self, first: int, stop: int, low: int, high: int) -> None:
        self._kernel(
            self._x,
            self._row_y,
            self._row_start,
            self.parent,
            first,
            stop,
            low,
            high,
            self._delta,
            self._chebyshev,
            self._columns,
        )


def _join_concurrently(forest: _Forest, borders: list[int], threads: int) -> None:
    """Join the tiles within each slice; slices touch disjoint parts of the forest."""
    stopped = Event()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        jobs = [
            pool.submit(forest.join_slice, begin, end, stopped.is_set)
            for begin, end in pairwise(borders)
        ]
        try:
            for job in jobs:
                job.result()
        except BaseException:  # also an interrupt: the threads must end before it goes on
            stopped.set()
            raise
