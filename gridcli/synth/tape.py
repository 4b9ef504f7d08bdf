"""A growing record of fixes that kernels write to, vehicle after vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.synth import kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    Floats = npt.NDArray[np.float64]


class Tape:
    """Fixes written since `take`, and the clock and random state of the current vehicle.

    Parameters
    ----------
    room : int
        Fixes to begin with; grows where a single move of a vehicle needs more.

    Attributes
    ----------
    rows : int
        Fixes on the tape.
    left : int
        Fixes that the current vehicle may still write.
    clock : ndarray of float64, shape (CLOCK_SIZE,)
    rng : ndarray of uint64, shape (1,)
    """

    def __init__(self, room: int) -> None:
        self.rows = 0
        self.left = 0
        self.clock = np.zeros(kernels.CLOCK_SIZE)
        self.rng = np.zeros(1, dtype=np.uint64)
        self._fixes = np.empty((kernels.FIX_ROWS, room))
        self._vehicles: list[tuple[int, int]] = []

    def begin_vehicle(
        self, vehicle_id: int, rows: int, time_s: float, rng: np.random.Generator
    ) -> None:
        """Let the following fixes, so many in all, be those of a vehicle."""
        self.left = rows
        self.clock[:] = 0.0
        self.clock[[kernels.CLOCK_TIME, kernels.CLOCK_NEXT_FIX]] = time_s
        self.clock[kernels.CLOCK_LAST_FIX] = -np.inf
        self.rng[0] = rng.integers(2**64, dtype=np.uint64)
        self._vehicles.append((vehicle_id, self.rows))

    def write(self, move: Callable[[Floats, int, int], int]) -> None:
        """Let a kernel write a move: ``move(fixes, first row, limit)`` returns the next row.

        A move that runs into the end of the tape is done again on a longer one.
        """
        saved = self.clock.copy(), self.rng.copy()
        while True:
            limit = min(self.rows + self.left, self._fixes.shape[1])
            end = move(self._fixes, self.rows, limit)
            if end < limit or limit == self.rows + self.left:
                break
            self.clock[:], self.rng[:] = saved
            longer = np.empty((kernels.FIX_ROWS, 2 * self._fixes.shape[1]))
            longer[:, : self.rows] = self._fixes[:, : self.rows]
            self._fixes = longer
        self.left -= end - self.rows
        self.rows = end

    def take(self) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return vehicle (n,) and fixes (FIX_ROWS, n) of all rows, and empty the tape."""
        ids = np.array([vehicle for vehicle, _ in self._vehicles], dtype=np.int32)
        firsts = [first for _, first in self._vehicles]
        vehicle = np.repeat(ids, np.diff([*firsts, self.rows]))
        fixes = self._fixes[:, : self.rows].copy()
        self._vehicles = [(int(ids[-1]), 0)]
        self.rows = 0
        return vehicle, fixes
