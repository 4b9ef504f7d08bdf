"""Projection of points to tile keys (docs/contract.md, section 3; paper: RASTER, Algorithm 1).

The kernels work in two steps: a branch-free pass over a block, which the compiler turns into
vector instructions, and a slow, exact path for the few points that lie within rounding distance
of a tile's edge or that may not be used at all.
"""

from __future__ import annotations

import numpy as np

from gridcli.runtime.jit import kernel, part

BLOCK = 1024

# Reasons, as in gridcli.points.batch.Reason; kernels read module constants only.
FILTERED = 1
NOT_A_NUMBER = 4
OUT_OF_RANGE = 5
NULL_ISLAND = 6
OUTSIDE_INT32 = 7

DIVIDE = 0
MULTIPLY = 1
REAL = 2

BIAS = 1 << 31
NEAR_EDGE = 1e-5
"""A bound on the rounding error of an index, in tiles: indexes are below 2^32, so that the product
with a precision's scale is wrong by less than 2^32 * 2^-51 < 2e-6 tiles."""


@part
def _exact_index(v, k, rule, scale):  # type: ignore[no-untyped-def]
    """Largest k with fl(edge of k) <= v, given a k that is off by at most one."""
    if rule == REAL:
        return k
    upper = (k + 1.0) / scale if rule == DIVIDE else (k + 1.0) * scale
    lower = k / scale if rule == DIVIDE else k * scale
    if upper <= v:
        return k + 1.0
    if lower > v:
        return k - 1.0
    return k


@kernel(
    "float64[:], float64[:], int64, float64, int64, float64[:], float64[:], float64, "
    "uint8[:], uint64[:], int64[:], uint8[:] -> int64, int64"
)
def project_floats(x, y, rule, scale, planar, shape, bbox, island, flags, keys, rejected, reasons):  # type: ignore[no-untyped-def]
    """Project float64 points to tile keys.

    Parameters
    ----------
    x, y : float64 (n,)
    rule, scale : int, float
        As `gridcli.grid.grid.Grid`.
    planar : bool
    shape : float64 (4,)
        Columns around the earth, first column, last column, last row; ignored where planar.
    bbox : float64 (4,)
        West, south, east, north with west <= east; infinities where there is none.
    island : float
        Half the side of the null island in degrees; negative: none.
    flags : uint8 (BLOCK,)
        Scratch.
    keys : uint64 (n,)
        Receives the keys of the usable points, in order.
    rejected : int64 (n,)
        Receives the positions of the other points.
    reasons : uint8 (n,)
        Receives their reasons, beside `rejected`.

    Returns
    -------
    n_keys, n_rejected : int
    """
    n = x.shape[0]
    columns, first_column, last_column, last_row = shape[0], shape[1], shape[2], shape[3]
    west, south, east, north = bbox[0], bbox[1], bbox[2], bbox[3]
    inverse = 1.0 / scale if rule == MULTIPLY else scale
    near = -1.0 if rule == REAL else NEAR_EDGE
    if planar:
        x_low, x_high, y_low, y_high = west, east, south, north
        k_low, k_high = -2147483648.0 + 1.0, 2147483647.0 - 1.0
    else:
        # The fast pass leaves to the exact one what is rare: longitudes around 360 that may be
        # the null island, and all beyond 180 where the coordinate itself is wrapped (a real
        # precision) or compared with a box.
        unwrapped = rule == REAL or east < np.inf
        x_low, x_high = max(west, -180.0), min(east, 179.0 if unwrapped else 359.0)
        y_low, y_high = max(south, -90.0), min(north, 90.0)
        k_low, k_high = first_column, last_column
    wrap_from = np.inf if planar else last_column + 1.0
    row_limit = np.inf if planar else last_row
    n_keys = 0
    n_rejected = 0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        n_good = 0
        base = n_keys
        for i in range(size):
            vx = x[start + i]
            vy = y[start + i]
            tx = vx * inverse
            ty = vy * inverse
            kx = np.floor(tx)
            ky = np.floor(ty)
            fx = tx - kx
            fy = ty - ky
            usable = (
                (vx >= x_low)
                & (vx <= x_high)
                & (vy >= y_low)
                & (vy <= y_high)
                & (fx > near)
                & (fx < 1.0 - near)
                & (fy > near)
                & (fy < 1.0 - near)
                & ((abs(vx) > island) | (abs(vy) > island))
            )
            kx = kx - columns if kx >= wrap_from else kx
            ky = min(ky, row_limit)
            usable &= (kx >= k_low) & (kx <= k_high) & (abs(ky) <= 2147483646.0)
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
            if flags[i]:
                keys[n_keys] = keys[base + i]
                n_keys += 1
                continue
            vx = x[start + i]
            vy = y[start + i]
            reason = 0
            wrapped = vx
            if not (np.isfinite(vx) and np.isfinite(vy)):
                reason = NOT_A_NUMBER
            elif not planar:
                if not (-180.0 <= vx <= 360.0 and -90.0 <= vy <= 90.0):
                    reason = OUT_OF_RANGE
                else:
                    wrapped = vx - 360.0 if vx >= 180.0 else vx
                    if abs(wrapped) <= island and abs(vy) <= island:
                        reason = NULL_ISLAND
            if reason == 0 and not (
                south <= vy <= north
                and (
                    west <= wrapped <= east
                    or (not planar and west - 360.0 <= wrapped <= east - 360.0)
                    or (not planar and west + 360.0 <= wrapped <= east + 360.0)
                )
            ):
                reason = FILTERED
            if reason == 0:
                if rule == REAL and not planar:
                    vx = wrapped
                kx = _exact_index(vx, np.floor(vx * inverse), rule, scale)
                ky = _exact_index(vy, np.floor(vy * inverse), rule, scale)
                if not planar:
                    kx = kx - columns if kx >= wrap_from else kx
                    ky = min(ky, row_limit)
                if abs(kx) <= 2147483647.0 and abs(ky) <= 2147483647.0:
                    ux = np.uint64(np.int64(kx) + BIAS)
                    uy = np.uint64(np.int64(ky) + BIAS)
                    keys[n_keys] = (uy << np.uint64(32)) | ux
                    n_keys += 1
                    continue
                reason = OUTSIDE_INT32
            rejected[n_rejected] = start + i
            reasons[n_rejected] = reason
            n_rejected += 1
    return n_keys, n_rejected
