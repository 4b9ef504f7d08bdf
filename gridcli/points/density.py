"""Which precision suits the data: how densely points lie, from a sample of places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FINEST_PREC = 4
"""Tiles of about 11 m; finer ones are smaller than the error of most GPS fixes."""
CELL_PREC = 2
MIN_POINTS = 5
MIN_SHARE = 0.5
MOST_DECIMALS = 8
DECIMALS_SAMPLE = 100_000


@dataclass(frozen=True)
class Suggestion:
    """A precision for ``--prec``, and why."""

    prec: int
    reason: str


class DensitySample:
    """Counts points per tile of prec 4 in a sample of places, complete in each place.

    A place is a tile of prec 2. When there are too many tiles to hold, half of the places are
    dropped, chosen by a hash of where they lie; which ones does not depend on the order of the
    points.

    Parameters
    ----------
    max_tiles : int
        Tiles to hold at most.
    """

    def __init__(self, max_tiles: int = 1 << 20) -> None:
        self._max_tiles = max_tiles
        self._level = 0
        self._keys = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)
        self._pending: list[npt.NDArray[np.uint64]] = []
        self._n_pending = 0

    def add(self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> None:
        """Count valid points, in degrees; longitudes up to 360."""
        scale = 10**FINEST_PREC
        x = np.floor(np.where(lon >= 180, lon - 360, lon) * scale).astype(np.int64) + 180 * scale
        y = np.floor(lat * scale).astype(np.int64) + 90 * scale
        keys = (y.astype(np.uint64) << np.uint64(32)) | x.astype(np.uint64)
        keys = keys[self._is_sampled(keys)]
        self._pending.append(keys)
        self._n_pending += len(keys)
        if self._n_pending >= self._max_tiles:
            self._combine()

    def share(self, prec: int, min_points: int = MIN_POINTS) -> float:
        """Return the share of points that lie in tiles of `prec` with at least `min_points`."""
        self._combine()
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        _, tile = np.unique(_coarsen(self._keys, FINEST_PREC - prec), return_inverse=True)
        counts = np.bincount(tile, weights=self._counts)
        return float(counts[counts >= min_points].sum() / total)

    @property
    def precisions(self) -> range:
        """Precisions whose tiles lie wholly inside the sampled places, finest first."""
        return range(FINEST_PREC, -1 if self._level == 0 else CELL_PREC - 1, -1)

    def _combine(self) -> None:
        if not self._pending:
            return
        added = np.concatenate(self._pending)
        self._pending, self._n_pending = [], 0
        weights = np.concatenate([self._counts, np.ones(len(added), np.int64)])
        self._keys, tile = np.unique(np.concatenate([self._keys, added]), return_inverse=True)
        self._counts = np.bincount(tile, weights=weights).astype(np.int64)
        while len(self._keys) > self._max_tiles:
            self._level += 1
            kept = self._is_sampled(self._keys)
            self._keys, self._counts = self._keys[kept], self._counts[kept]

    def _is_sampled(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        places = _coarsen(keys, FINEST_PREC - CELL_PREC)
        # Fibonacci hashing: the high bits of the product depend on all bits of the key.
        bits = (places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        sampled: npt.NDArray[np.bool_] = (bits & np.uint64((1 << self._level) - 1)) == 0
        return sampled


def _coarsen(keys: npt.NDArray[np.uint64], steps: int) -> npt.NDArray[np.uint64]:
    factor = np.uint64(10**steps)
    y, x = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
    return ((y // factor) << np.uint64(32)) | (x // factor)


class DecimalsSample:
    """How many decimals the first coordinates of the data carry."""

    def __init__(self) -> None:
        self._values: list[npt.NDArray[np.float64]] = []
        self._n = 0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take coordinates until there are enough."""
        if self._n < DECIMALS_SAMPLE:
            taken = values[: DECIMALS_SAMPLE - self._n].copy()
            self._values.append(taken)
            self._n += len(taken)

    @property
    def decimals(self) -> int | None:
        """Decimals that 99 % of the coordinates do with; None where 8 are not enough."""
        if self._n == 0:
            return None
        values = np.concatenate(self._values)
        for decimals in range(MOST_DECIMALS + 1):
            scale = 10.0**decimals
            # The quotient is the double nearest to the decimal, so equality is exact.
            if np.mean(np.rint(values * scale) / scale == values) >= 0.99:
                return decimals
        return None


def suggest_prec(density: DensitySample, decimals: int | None) -> Suggestion | None:
    """Return the finest precision at which most points have company; None without points.

    Company means at least 5 points in the tile (the default of ``--tau``), most means half, and
    no precision is finer than the decimals of the data.
    """
    shares: dict[int, float] = {prec: density.share(prec) for prec in density.precisions}
    if not any(shares.values()):
        return None
    usable = {p: s for p, s in shares.items() if decimals is None or p <= decimals} or shares
    dense = [prec for prec, share in usable.items() if share >= MIN_SHARE]
    prec = max(dense) if dense else max(usable, key=lambda p: usable[p])
    limit: Any = "" if decimals is None else f", and the coordinates carry {decimals} decimals"
    return Suggestion(
        prec,
        f"{'the finest' if dense else 'the best'} at which {shares[prec]:.0%} of the points share "
        f"their tile with at least {MIN_POINTS - 1} others{limit}",
    )
