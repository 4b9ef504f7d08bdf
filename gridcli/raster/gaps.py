"""Where things on a circle begin and end: beyond the widest gap between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


def beyond_widest_gaps(
    group: Int64s, first: Int64s, last: Int64s, around: int
) -> tuple[Int64s, Int64s, Int64s]:
    """Return where each group begins and ends, so that its widest gap lies outside.

    Of equally wide gaps it is the one where the circle begins, if that is one of them, else the
    first.

    Parameters
    ----------
    group, first, last : ndarray of int64, shape (n,)
        Ranges, sorted by group, then place; those of a group do not overlap.
    around : int
        Length of the circle, which begins at its smallest place.

    Returns
    -------
    group, begin, end : ndarray of int64, shape (n_groups,)
        Begin is above end where a group lies on both sides of where the circle begins.
    """
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(group))[: len(starts)] - 1
    begin, end = first[starts], last[ends]
    if not len(starts):
        return group, begin, end
    following = np.append(first[1:], 0)
    following[ends] = begin + around
    steps = following - last
    widest = np.maximum.reduceat(steps, starts)
    crosses = widest > steps[ends]
    wanted = np.repeat(np.where(crosses, widest, -1), ends - starts + 1)
    candidates = np.flatnonzero(steps == wanted)
    crossing, at = np.unique(group[candidates], return_index=True)
    place = np.searchsorted(group[starts], crossing)
    begin[place] = following[candidates[at]]
    end[place] = last[candidates[at]]
    return group[starts], begin, end
