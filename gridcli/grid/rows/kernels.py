"""Projection of points to tile keys where rows have different numbers of columns.

The same two steps as in `gridcli.grid.kernels`: a branch-free pass, and an exact one for the few
points near an edge, or in a row whose number of columns rounding could decide.
"""

from __future__ import annotations

import numpy as np

from gridcli.grid.kernels import BIAS, BLOCK, NEAR_EDGE, reason_of, settled, tile_key
from gridcli.runtime.jit import kernel, part

NEAR_TIE = 1e-5
"""A bound on twice the rounding error of the sides of tiles around a parallel, at most 4.1e7 of
them: `_parallel` and the table of columns are each wrong by less than 1e-14 of the equator."""


@part
def _parallel(latitude):
    """Radius of the parallel at a latitude in radians, the equator's being 1, within 2e-15.

    The polynomial that interpolates ``cos / sqrt(1 - e^2 sin^2)`` over the square of the latitude,
    from 0 to 90 degrees, at eleven Chebyshev nodes; evaluated in pairs (Estrin 1960), which lets
    the processor do several steps at once.
    """
    t = latitude * latitude
    t2 = t * t
    t4 = t2 * t2
    p01 = 1.0000000000000009 - 0.4966528100050121 * t
    p23 = 0.03889414719345635 - 0.0005623063388379423 * t
    p45 = -0.00010182090879688766 + 1.0658937476387045e-05 * t
    p67 = -4.321355242624904e-07 - 1.711195982646671e-08 * t
    p89 = 3.87688456626896e-09 - 2.754341611476743e-10 * t
    low = (p01 + p23 * t2) + (p45 + p67 * t2) * t4
    return low + (p89 + 8.652853428865059e-12 * t2) * (t4 * t4)


@part
def _exact_key(x, y, columns):
    """Key of a valid point where rows have different numbers of columns."""
    n_rows = columns.shape[0]
    k = np.floor(y * (n_rows / 90.0))
    row = np.int64(settled(k, k * 90.0 / n_rows, (k + 1.0) * 90.0 / n_rows, y))
    row = min(row, n_rows - 1)
    n = np.float64(columns[row if row >= 0 else -1 - row])
    k = np.floor((x + 180.0) * (n / 360.0))
    k = settled(k, (360.0 * k - 180.0 * n) / n, (360.0 * (k + 1.0) - 180.0 * n) / n, x)
    return tile_key(np.int64(k - n if k >= n else k), row)


@kernel(
    "float64[:], float64[:], int32[:], float64, float64[:], float64, uint8[:], uint64[:], "
    "int64[:], uint8[:] -> int64, int64"
)
def project_to_rows(x, y, columns, equator, bbox, island, flags, keys, rejected, reasons):
    """Project float64 points to tiles of a grid whose rows have different numbers of columns.

    Row k begins at latitude ``90 k / R``, column k of n at longitude ``(360 k - 180 n) / n``.

    Parameters
    ----------
    columns : int32 (R,)
        Columns of each row from the equator to a pole; row -1 has as many as row 0.
    equator : float
        Length of the equator in sides of tiles.
    x, y, bbox, island, flags, keys, rejected, reasons
        As for `project_floats`.

    Returns
    -------
    n_keys, n_rejected : int
    """
    n = x.shape[0]
    n_rows = columns.shape[0]
    rows_per_degree = n_rows / 90.0
    radians_per_row = 0.5 * np.pi / n_rows
    west, south, east, north = bbox[0], bbox[1], bbox[2], bbox[3]
    # As in `project_floats`: what is rare is left to the exact pass.
    x_low, x_high = max(west, -180.0), min(east, 179.0 if east < np.inf else 359.0)
    if west > east:
        x_low = np.inf
    y_low, y_high = max(south, -90.0), min(north, 90.0)
    n_keys, n_rejected = 0, 0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        n_good = 0
        base = n_keys
        for i in range(size):
            vx, vy = x[start + i], y[start + i]
            ty = vy * rows_per_degree
            ky = np.floor(ty)
            fy = ty - ky
            # The number of columns as the table has it: looking it up takes longer than to find
            # it again, where no rounding can decide between two numbers.
            sides = _parallel((ky + 0.5) * radians_per_row) * equator
            fewer = np.floor(sides)
            twice = 2.0 * fewer + 1.0
            beyond_tie = (2.0 * sides - twice) * twice + 1.0
            n_columns = fewer + 1.0 if beyond_tie > 0.0 else fewer
            tx = (vx + 180.0) * (n_columns * (1.0 / 360.0))
            kx = np.floor(tx)
            fx = tx - kx
            usable = (
                (vx >= x_low)
                & (vx <= x_high)
                & (vy >= y_low)
                & (vy <= y_high)
                & (abs(fy - 0.5) < 0.5 - NEAR_EDGE)
                & (abs(fx - 0.5) < 0.5 - NEAR_EDGE)
                & ((abs(vx) > island) | (abs(vy) > island))
                & (abs(beyond_tie) > NEAR_TIE * twice)
            )
            kx = kx - n_columns if kx >= n_columns else kx
            kx = kx if usable else 0.0
            ky = ky if usable else 0.0
            ux = np.uint64(np.uint32(np.int32(kx)) ^ np.uint32(BIAS))
            uy = np.uint64(np.uint32(np.int32(ky)) ^ np.uint32(BIAS))
            keys[base + i] = (uy << np.uint64(32)) | ux
            flags[i] = usable
            n_good += usable
        if n_good == size:
            n_keys += size
            continue
        for i in range(size):
            key = keys[base + i]
            if not flags[i]:
                vx, vy = x[start + i], y[start + i]
                reason = reason_of(vx, vy, 0, island, west, south, east, north)
                if reason != 0:
                    rejected[n_rejected] = start + i
                    reasons[n_rejected] = reason
                    n_rejected += 1
                    continue
                key = _exact_key(vx, vy, columns)
            keys[n_keys] = key
            n_keys += 1
    return n_keys, n_rejected
