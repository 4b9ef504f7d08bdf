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
def _exact_index(v, k, rule, scale):
    """Largest k with fl(edge of k) <= v, given a k that is off by at most one."""
    if rule == REAL:
        return k
    if rule == DIVIDE:
        return settled(k, k / scale, (k + 1.0) / scale, v)
    return settled(k, k * scale, (k + 1.0) * scale, v)


@part
def settled(k, lower, upper, v):
    """Index of the tile of `v`, given one off by at most one, and its edges."""
    if upper <= v:
        return k + 1.0
    return k - 1.0 if lower > v else k


@part
def tile_key(kx, ky):
    """Key of a tile: its row and column, both shifted to be positive, in 32 bits each."""
    return (np.uint64(ky + BIAS) << np.uint64(32)) | np.uint64(kx + BIAS)


@part
def _wrap(x):
    return x - 360.0 if x >= 180.0 else x


@part
def _is_between(x, wrapped, west, east, turn):
    """Whether a longitude lies in a range, whichever way both are written; west > east wraps."""
    if west > east:
        return wrapped >= west or wrapped <= east
    return (
        west <= wrapped <= east
        or west <= x <= east
        or west - turn <= wrapped <= east - turn
        or west + turn <= wrapped <= east + turn
    )


@part
def reason_of(x, y, planar, island, west, south, east, north):
    """Why a point is not used; 0 where it is. A longitude is compared with the box both ways."""
    if not (np.isfinite(x) and np.isfinite(y)):
        return NOT_A_NUMBER
    wrapped = x if planar else _wrap(x)
    turn = 0.0 if planar else 360.0
    if not planar:
        if not (-180.0 <= x <= 360.0 and -90.0 <= y <= 90.0):
            return OUT_OF_RANGE
        if abs(wrapped) <= island and abs(y) <= island:
            return NULL_ISLAND
    if south <= y <= north and _is_between(x, wrapped, west, east, turn):
        return 0
    return FILTERED


@kernel(
    "float64[:], float64[:], int64, float64, int64, float64[:], float64[:], float64, "
    "uint8[:], uint64[:], int64[:], uint8[:] -> int64, int64"
)
def project_floats(x, y, rule, scale, planar, shape, bbox, island, flags, keys, rejected, reasons):
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
        West, south, east, north; infinities where there is none. West > east crosses 180.
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
        if west > east:
            x_low = np.inf
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
            reason = reason_of(vx, vy, planar, island, west, south, east, north)
            if reason == 0:
                if rule == REAL and not planar:
                    vx = _wrap(vx)
                kx = _exact_index(vx, np.floor(vx * inverse), rule, scale)
                ky = _exact_index(vy, np.floor(vy * inverse), rule, scale)
                kx = kx - columns if kx >= wrap_from else kx
                ky = min(ky, row_limit)
                if abs(kx) <= 2147483647.0 and abs(ky) <= 2147483647.0:
                    keys[n_keys] = tile_key(np.int64(kx), np.int64(ky))
                    n_keys += 1
                    continue
                reason = OUTSIDE_INT32
            rejected[n_rejected] = start + i
            reasons[n_rejected] = reason
            n_rejected += 1
    return n_keys, n_rejected


@part
def _integer_reason(x, y, planar, valid, bbox, turn, island):
    """Why a scaled point is not used; 0 where it is."""
    is_valid = valid[0] <= x <= valid[1] and valid[2] <= y <= valid[3]
    if not planar and not is_valid:
        return OUT_OF_RANGE
    wrapped = x - turn if not planar and x >= turn // 2 else x
    if not planar and abs(wrapped) <= island and abs(y) <= island:
        return NULL_ISLAND
    is_inside = _is_between(x, wrapped, bbox[0], bbox[2], 0)
    if not planar:
        is_inside |= bbox[0] <= wrapped + turn <= bbox[2] or bbox[0] <= wrapped - turn <= bbox[2]
    if not (is_inside and bbox[1] <= y <= bbox[3]):
        return FILTERED
    return 0 if is_valid else OUTSIDE_INT32


@kernel(
    "int64[:], int64[:], int64, int64, int64, int64[:], int64[:], int64[:], int64, int64, "
    "uint64[:], int64[:], uint8[:] -> int64, int64"
)
def project_integers(
    x, y, numerator, denominator, planar, shape, valid, bbox, turn, island, keys, rejected, reasons
):
    """Project scaled integers to tile keys by floor division, never through a float.

    Parameters
    ----------
    x, y : int64 (n,)
    numerator, denominator : int
        A coordinate v lies in tile ``floor(v * numerator / denominator)``.
    planar : bool
    shape : int64 (4,)
        As for `project_floats`.
    valid : int64 (4,)
        Lowest and highest valid x, lowest and highest valid y.
    bbox : int64 (4,)
        West, south, east, north; the ends of int64 where there is none.
    turn : int
        360 degrees; 0 where planar.
    island : int
        Half the side of the null island; negative: none.
    keys, rejected, reasons
        As for `project_floats`.

    Returns
    -------
    n_keys, n_rejected : int
    """
    n_keys = 0
    n_rejected = 0
    for i in range(x.shape[0]):
        vx = x[i]
        vy = y[i]
        reason = _integer_reason(vx, vy, planar, valid, bbox, turn, island)
        if reason == 0:
            kx = vx * numerator // denominator
            ky = vy * numerator // denominator
            if not planar:
                kx = kx - shape[0] if kx > shape[2] else kx
                ky = min(ky, shape[3])
            keys[n_keys] = tile_key(kx, ky)
            n_keys += 1
        else:
            rejected[n_rejected] = i
            reasons[n_rejected] = reason
            n_rejected += 1
    return n_keys, n_rejected
