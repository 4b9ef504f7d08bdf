"""Convex rings of several rows at once, and how they are cut: at 180 degrees, at the poles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Geometry

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rings:
    """Convex rings that run counter-clockwise, the first vertex not repeated.

    Attributes
    ----------
    x, y : ndarray of float64
        All vertices.
    start : ndarray of int64, shape (n + 1,)
        Where each ring's vertices begin.
    row : ndarray of int64, shape (n,)
        Row of a layer that each ring belongs to.
    """

    x: Float64s
    y: Float64s
    start: Int64s
    row: Int64s

    def __len__(self) -> int:
        return len(self.row)

    def of_axis(self, axis: Literal["x", "y"]) -> Float64s:
        """Return one coordinate of all vertices."""
        return self.x if axis == "x" else self.y

    def bounds(self, axis: Literal["x", "y"]) -> tuple[Float64s, Float64s]:
        """Return the smallest and the largest coordinate of each ring."""
        values = self.of_axis(axis)
        if not len(self):
            return values, values
        return (
            np.minimum.reduceat(values, self.start[:-1]),
            np.maximum.reduceat(values, self.start[:-1]),
        )

    def take(self, rings: Int64s) -> Rings:
        """Return some of the rings, in their order."""
        length = np.diff(self.start)[rings]
        start = offsets(length)
        vertex = np.repeat(self.start[rings] - start[:-1], length) + np.arange(start[-1])
        return Rings(self.x[vertex], self.y[vertex], start, self.row[rings])

    def shifted(self, by: Float64s) -> Rings:
        """Return the rings moved along x, each by its own distance."""
        return Rings(self.x + np.repeat(by, np.diff(self.start)), self.y, self.start, self.row)


def offsets(length: Int64s) -> Int64s:
    """Return where things of some lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(length)]).astype(np.int64)


def joined(first: Rings, second: Rings) -> Rings:
    """Return the rings of both by row; of one row, those of the first come first."""
    both = Rings(
        np.concatenate([first.x, second.x]),
        np.concatenate([first.y, second.y]),
        np.concatenate([first.start, first.start[-1] + second.start[1:]]),
        np.concatenate([first.row, second.row]),
    )
    return both.take(np.argsort(both.row, kind="stable"))


def clipped(
    rings: Rings,
    axis: Literal["x", "y"],
    low: Float64s | float,
    high: Float64s | float,
    *,
    in_whole_units: bool = False,
) -> Rings:
    """Return what of the rings lies between two lines, one pair for all rings or for each.

    Every ring must reach to between its lines. `in_whole_units`: new vertices are rounded
    outwards, so that whatever the ring encloses there stays within it.
    """
    least, largest = rings.bounds(axis)
    low, high = np.broadcast_to(low, len(rings)), np.broadcast_to(high, len(rings))
    for limit, crosses, keep in (
        (low, (least < low) & (largest > low), 1),
        (high, (least < high) & (largest > high), -1),
    ):
        rings = _cut(rings, axis, limit, crosses, keep, in_whole_units=in_whole_units)
    return rings


def _cut(
    rings: Rings,
    axis: Literal["x", "y"],
    limit: Float64s,
    crosses: npt.NDArray[np.bool_],
    keep: int,
    *,
    in_whole_units: bool,
) -> Rings:
    """Cut the chosen rings, which have vertices on both sides of their line.

    `keep` is 1 for what lies above the limit, -1 for what lies below.
    """
    if not crosses.any():
        return rings
    length = np.diff(rings.start)
    after = np.arange(1, len(rings.x) + 1)
    after[rings.start[1:] - 1] = rings.start[:-1]
    value = rings.of_axis(axis)
    other = rings.of_axis("y" if axis == "x" else "x")
    line = np.repeat(limit, length)
    above = np.where(np.repeat(crosses, length), keep * (value - line), 1.0)
    is_kept = above >= 0
    is_cut = (above > 0) & (above[after] < 0) | (above < 0) & (above[after] > 0)
    at = np.flatnonzero(is_cut)
    share = (line[at] - value[at]) / (value[after[at]] - value[at])
    met = other[at] + share * (other[after[at]] - other[at])
    if in_whole_units:
        # Counter-clockwise: below an edge that goes east, and left of one that falls, is outside.
        goes_up = value[after[at]] > value[at]
        met = np.where(goes_up == (axis == "x"), np.floor(met), np.ceil(met))

    # Each vertex that is kept, and after it the point in which its edge meets the line.
    vertex: dict[str, Float64s] = {}
    meeting = {axis: line[at], "y" if axis == "x" else "x": met}
    wanted = np.column_stack([is_kept, is_cut]).ravel()
    for name in ("x", "y"):
        pairs = np.empty((len(value), 2))
        pairs[:, 0] = rings.x if name == "x" else rings.y
        pairs[at, 1] = meeting[name]
        vertex[name] = pairs.ravel()[wanted]
    kept = np.add.reduceat(is_kept.astype(np.int64) + is_cut, rings.start[:-1])
    return Rings(vertex["x"], vertex["y"], offsets(kept), rings.row)


def split_at_180(rings: Rings, half_turn: float, *, in_whole_units: bool = False) -> Rings:
    """Return rings within [-half_turn, half_turn]: those that cross it in two pieces.

    Parameters
    ----------
    rings : Rings
        Longitudes, of no ring more than a full turn.
    half_turn : float
        180 degrees, in the units of the rings.
    in_whole_units : bool
        See `clipped`.
    """
    turn = 2 * half_turn
    west, _ = rings.bounds("x")
    rings = rings.shifted(-turn * np.floor((west + half_turn) / turn))
    _, east = rings.bounds("x")
    across = np.flatnonzero(east > half_turn)
    if not len(across):
        return rings
    beyond = clipped(rings.take(across), "x", half_turn, np.inf, in_whole_units=in_whole_units)
    within = clipped(rings, "x", -np.inf, half_turn, in_whole_units=in_whole_units)
    return joined(within, beyond.shifted(np.full(len(across), -turn)))


def multipolygons(rings: Rings, rows: int) -> Geometry:
    """Return the rings, sorted by row, as multipolygons without holes."""
    length = np.diff(rings.start) + 1
    ring_vertices = offsets(length)
    vertex = np.arange(ring_vertices[-1]) - np.repeat(np.arange(len(rings)), length)
    vertex[ring_vertices[1:] - 1] = rings.start[:-1]
    polygons = offsets(np.bincount(rings.row, minlength=rows))
    rings_of_polygon = np.arange(len(rings) + 1)
    offsets_of = (polygons, rings_of_polygon, ring_vertices)
    return Geometry("multipolygon", rings.x[vertex], rings.y[vertex], offsets_of)
