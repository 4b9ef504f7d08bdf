"""Convex hulls of hubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridcli.raster.enclosing.rings import Rings, multipolygons, split_at_180

if TYPE_CHECKING:
    import numpy.typing as npt

    from gridcli.output.layer import Geometry
    from gridcli.raster.enclosing.extents import Corners


def hull_geometry(corners: Corners, *, planar: bool) -> Geometry:
    """Return the convex hull of each hub's tiles, of one polygon or, across 180 degrees, two.

    Convex in longitude and latitude (x and y) as the hub goes east from its western edge.

    Parameters
    ----------
    corners : Corners
    planar : bool

    Returns
    -------
    Geometry
        Of kind "multipolygon", a row a hub.
    """
    hull, start = hulls_of(corners.x, corners.y, corners.start, corners.top)
    n = len(corners.top)
    rings = Rings(corners.lon[hull], corners.lat[hull], start, np.arange(n))
    return multipolygons(rings if planar else split_at_180(rings, 180.0), n)


def hulls_of(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    start: npt.NDArray[np.int64],
    top: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the vertices of each ring's convex hull, and where each hull begins among them.

    Parameters
    ----------
    x, y, start, top : ndarray
        As in `gridcli.raster.enclosing.kernels.convex_hulls`.
    """
    from gridcli.raster.enclosing.kernels import convex_hulls

    hull = np.empty(len(x), np.int64)
    hull_start = np.zeros(len(start), np.int64)
    convex_hulls(x, y, start, top, hull, hull_start[1:])
    return hull[: hull_start[-1]], hull_start
