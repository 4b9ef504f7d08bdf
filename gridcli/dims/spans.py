"""Along each axis, from where to where a hub reaches: around a circle, beyond its widest gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.dims.agglomerate import starts_of

if TYPE_CHECKING:
    from gridcli.dims.axes import Axis

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


def spans_of(
    axis: Axis, hub: npt.NDArray[np.int32], index: npt.NDArray[np.int32]
) -> tuple[Float64s, Float64s]:
    """Return the lower edge of the first bin and the upper edge of the last one of each hub.

    Along a cyclic axis the widest range without a tile lies outside, so that the first edge may
    be above the last; of equally wide ranges it is the one where the axis begins again, if that
    is one of them, else the first.

    Parameters
    ----------
    axis : Axis
    hub : ndarray of int32, shape (n,)
        Of each tile; every hub from 0 to the largest has one.
    index : ndarray of int32, shape (n,)
        Bin of each tile.
    """
    pairs = np.sort(hub.astype(np.int64) * axis.bins + (index - axis.first))
    pairs = pairs[starts_of(pairs)[:-1]]
    of, position = np.divmod(pairs, axis.bins)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    ends = np.append(starts[1:], len(of))[: len(starts)] - 1
    first, last = position[starts], position[ends]
    if axis.is_cyclic and len(starts):
        first, last = _beyond_gaps(of, position, starts, ends, axis.bins)
    return axis.edges(first + axis.first), axis.edges(last + axis.first + 1)


def _beyond_gaps(
    of: Int64s, position: Int64s, starts: Int64s, ends: Int64s, period: int
) -> tuple[Int64s, Int64s]:
    """Return the first and the last position of each hub, going on from its widest gap."""
    following = np.append(position[1:], 0)
    following[ends] = position[starts] + period
    steps = following - position
    widest = np.maximum.reduceat(steps, starts)
    first, last = position[starts], position[ends]
    crosses = widest > steps[ends]
    candidates = np.flatnonzero(steps == np.where(crosses, widest, -1)[of])
    crossing, earliest = np.unique(of[candidates], return_index=True)
    first[crossing] = following[candidates[earliest]]
    last[crossing] = position[candidates[earliest]]
    return first, last
