"""Kernels on sorted runs: their encoding, merging, subtracting and coarsening."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridcli.runtime.jit import kernel, part

Uint8s = npt.NDArray[np.uint8]
Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

BIAS = 1 << 31
"""What indexes are moved up by, so that none is negative in a key."""
LONGEST_ENTRY = 20
"""Bytes of an entry at most: two integers of 64 bits, 7 bits a byte."""


@part
def _put(out, at, value):
    """Write an integer, 7 bits a byte, lowest first; the eighth bit says that more follow."""
    while value >= np.uint64(128):
        out[at] = np.uint8((value & np.uint64(127)) | np.uint64(128))
        value >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@kernel("uint64[:], int64[:], int64, int64, uint8[:] -> int64")
def encode_block(keys, counts, start, stop, out):
    """Encode part of a run: steps between the keys, and counts, as integers of variable length.

    Parameters
    ----------
    keys, counts : uint64, int64 (n,)
        Strictly ascending keys; counts at least 1.
    start, stop : int
        Which of them.
    out : uint8 (>= LONGEST_ENTRY * (stop - start),)

    Returns
    -------
    n_bytes : int
    """
    at = 0
    before = keys[start]
    for i in range(start, stop):
        at = _put(out, at, keys[i] - before)
        at = _put(out, at, np.uint64(counts[i]))
        before = keys[i]
    return at


@kernel("uint8[:], uint64, uint64[:], int64[:] -> int64")
def decode_block(data, first_key, keys, counts):
    """Decode what `encode_block` wrote.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    first_key : int
    keys, counts : uint64, int64 (n,)
        Are filled.

    Returns
    -------
    n_bytes : int
        Bytes read; less or more than there are shows that the data is not what was written.
    """
    at = 0
    n = data.shape[0]
    key = first_key
    for i in range(keys.shape[0]):
        for field in range(2):
            value = np.uint64(0)
            shift = np.uint64(0)
            byte = np.uint64(128)
            while byte >= np.uint64(128):
                if at >= n or shift > np.uint64(63):
                    return -1
                byte = np.uint64(data[at])
                at += 1
                value |= (byte & np.uint64(127)) << shift
                shift += np.uint64(7)
            if field == 0:
                key += value
            else:
                counts[i] = np.int64(value)
        keys[i] = key
    return at


@kernel("uint64[:], int64[:], uint64[:], int64[:], uint64[:], int64[:] -> int64")
def merge_two(keys_a, counts_a, keys_b, counts_b, keys, counts):
    """Merge two runs; the counts of a key that is in both are added.

    Which run comes next is random, so nothing here branches on it.

    Parameters
    ----------
    keys_a, counts_a, keys_b, counts_b : uint64, int64
        Strictly ascending keys.
    keys, counts : uint64, int64 (>= n_a + n_b,)
        Receive the merged run.

    Returns
    -------
    n : int
    """
    n_a = keys_a.shape[0]
    n_b = keys_b.shape[0]
    a = 0
    b = 0
    n = 0
    while a < n_a and b < n_b:
        key_a = keys_a[a]
        key_b = keys_b[b]
        from_a = np.int64(key_a <= key_b)
        from_b = np.int64(key_b <= key_a)
        keys[n] = min(key_a, key_b)
        counts[n] = counts_a[a] * from_a + counts_b[b] * from_b
        a += from_a
        b += from_b
        n += 1
    while a < n_a:
        keys[n] = keys_a[a]
        counts[n] = counts_a[a]
        a += 1
        n += 1
    while b < n_b:
        keys[n] = keys_b[b]
        counts[n] = counts_b[b]
        b += 1
        n += 1
    return n


@kernel("uint64[:], int64[:], uint64[:], int64[:], uint64[:], int64[:] -> int64, int64")
def subtract_run(keys_a, counts_a, keys_b, counts_b, keys, counts):
    """Subtract run b from run a; keys whose count becomes 0 are left out.

    Parameters
    ----------
    keys_a, counts_a, keys_b, counts_b : uint64, int64
        Strictly ascending keys.
    keys, counts : uint64, int64 (>= n_a,)
        Receive the difference.

    Returns
    -------
    n : int
    lacking : int
        Position in b of a key that a does not hold often enough; -1: none.
    """
    n_b = keys_b.shape[0]
    b = 0
    n = 0
    for a in range(keys_a.shape[0]):
        count = counts_a[a]
        if b < n_b and keys_b[b] <= keys_a[a]:
            if keys_b[b] < keys_a[a] or counts_b[b] > count:
                return n, b
            count -= counts_b[b]
            b += 1
        if count > 0:
            keys[n] = keys_a[a]
            counts[n] = count
            n += 1
    if b < n_b:
        return n, b
    return n, -1


@kernel("uint64[:], int64[:], int64, uint64[:], int64[:] -> int64")
def coarsen_keys(keys, counts, m, out_keys, out_counts):
    """Divide the indexes of tiles by `m`, rounding down; add up neighbours that become one tile.

    Within a row of ascending keys, all tiles of a coarser one stand side by side, so that a
    division is needed only where one coarser tile ends, and each comes out once for each row.

    Parameters
    ----------
    keys : uint64 (n,)
    counts : int64 (n,)
    m : int
        At least 1.
    out_keys, out_counts : uint64, int64 (>= n,)
        In the order of the input; a key may occur more than once.

    Returns
    -------
    n_out : int
    """
    n = -1
    first = np.uint64(0)  # keys of this row from `first` up to `beyond` are one coarser tile
    beyond = np.uint64(0)
    for i in range(keys.shape[0]):
        key = keys[i]
        if n < 0 or key < first or key >= beyond:
            y = np.int64(key >> np.uint64(32)) - BIAS
            x = np.int64(key & np.uint64(0xFFFFFFFF)) - BIAS
            coarse_x = x // m
            row = key - np.uint64(x + BIAS)
            first = row + np.uint64(max(coarse_x * m + BIAS, 0))
            beyond = row + np.uint64(min(coarse_x * m + m + BIAS, 1 << 32))
            n += 1
            column, y = np.uint64(coarse_x + BIAS), np.uint64(y // m + BIAS)
            out_keys[n] = (y << np.uint64(32)) | column
            out_counts[n] = counts[i]
        else:
            out_counts[n] += counts[i]
    return n + 1
