"""Along each axis, from where to where a hub reaches: around a circle, beyond its widest gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.dims.agglomerate import starts_of
from gridcli.raster.gaps import beyond_widest_gaps

if TYPE_CHECKING:
    from gridcli.dims.axes import Axis

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
    if axis.is_cyclic:
        _, first, last = beyond_widest_gaps(of, position, position, axis.bins)
    else:
        starts = starts_of(of)
        first, last = position[starts[:-1]], position[starts[1:] - 1]
    return axis.edges(first + axis.first), axis.edges(last + axis.first + 1)
