"""Sets of rows: what a row is told by, compared whole; a hash only says where to look for it.

A row is four 64-bit words, called a **record**: the key of its tile, the bits of x and of y, and
its vehicle. The highest bits of a record's hash name its partition, the next 32 bits a place in a
table of its partition, and bits that neither of them uses a pass over a partition that is too
large.
"""

from __future__ import annotations

import numpy as np

from gridcli.runtime.jit import kernel, part

WORDS = 4
"""Of a record."""
PARTITION_BITS = 10
CACHE_BITS = 12
"""4 096 records of 32 bytes: what a thread has seen last stays in its core's caches."""

ODD_A = np.uint64(0x9E3779B97F4A7C15)
ODD_B = np.uint64(0xBF58476D1CE4E5B9)
ODD_C = np.uint64(0x94D049BB133111EB)
"""Odd multipliers: the golden ratio's, and those of SplitMix64 (Steele, Lea and Flood, 2014)."""

PASS_BITS = np.uint64(20)


@part
def _hash(key, x, y, vehicle):
    """Mix the words of a record. Its key too: tiles in time hold a coordinate over and over."""
    h = key * ODD_B
    h ^= h >> np.uint64(32)
    h = (h + x) * ODD_A
    h ^= h >> np.uint64(32)
    h = (h + y) * ODD_B
    h ^= h >> np.uint64(29)
    h = (h + vehicle) * ODD_C
    h ^= h >> np.uint64(32)
    return h * ODD_A


@part
def _hash_of(records, i):
    return _hash(records[i, 0], records[i, 1], records[i, 2], records[i, 3])


@part
def _is_same(records, i, j):
    return (
        records[i, 1] == records[j, 1]
        and records[i, 2] == records[j, 2]
        and records[i, 3] == records[j, 3]
        and records[i, 0] == records[j, 0]
    )


@kernel("uint64[:], uint64[:], uint64[:], uint64[:], uint64[:,:], uint64[:,:] -> int64")
def drop_recent(keys, x, y, vehicles, cache, out):
    """Make records of rows, except of those that stand in a direct-mapped cache of recent ones.

    A parked logger sends the same fix for hours, so nearly all of its rows end here.

    Parameters
    ----------
    keys, x, y, vehicles : uint64 (n,)
        Tile keys, bits of coordinates (equal where the numbers are), vehicles.
    cache : uint64 (2^CACHE_BITS, WORDS)
        Records; free places hold what no row has.
    out : uint64 (>= n, WORDS)

    Returns
    -------
    n_out : int
    """
    n_out = 0
    for i in range(keys.shape[0]):
        j = _hash(keys[i], x[i], y[i], vehicles[i]) >> np.uint64(64 - CACHE_BITS)
        if (
            cache[j, 1] == x[i]
            and cache[j, 2] == y[i]
            and cache[j, 3] == vehicles[i]
            and cache[j, 0] == keys[i]
        ):
            continue
        cache[j, 0] = keys[i]
        cache[j, 1] = x[i]
        cache[j, 2] = y[i]
        cache[j, 3] = vehicles[i]
        out[n_out, 0] = keys[i]
        out[n_out, 1] = x[i]
        out[n_out, 2] = y[i]
        out[n_out, 3] = vehicles[i]
        n_out += 1
    return n_out


@kernel("uint64[:,:], int64, int64[:], int64[:], uint64[:,:]")
def partition_records(records, n, starts, place, out):
    """Sort the first `n` records by partition (one counting-sort pass).

    Parameters
    ----------
    records : uint64 (>= n, WORDS)
    n : int
    starts : int64 (partitions + 1,)
        Receives where each partition begins in the output.
    place : int64 (partitions + 1,)
        Scratch.
    out : uint64 (>= n, WORDS)
    """
    shift = np.uint64(64 - PARTITION_BITS)
    for p in range(starts.shape[0]):
        starts[p] = 0
    for i in range(n):
        starts[np.int64(_hash_of(records, i) >> shift) + 1] += 1
    for p in range(1, starts.shape[0]):
        starts[p] += starts[p - 1]
    for p in range(starts.shape[0]):
        place[p] = starts[p]
    for i in range(n):
        p = np.int64(_hash_of(records, i) >> shift)
        j = place[p]
        place[p] = j + 1
        for w in range(WORDS):
            out[j, w] = records[i, w]


@part
def _keep_distinct(records, n, known, slots):
    """Move the distinct ones of `n` records to the front; the first `known` are distinct."""
    cap = np.uint64(2 * n)
    for j in range(2 * n):
        slots[j] = 0
    kept = 0
    for i in range(n):
        bits = _hash_of(records, i) << np.uint64(PARTITION_BITS)
        j = ((bits >> np.uint64(32)) * cap) >> np.uint64(32)
        is_new = i < known
        while slots[j] != 0 and (is_new or not _is_same(records, slots[j] - 1, i)):
            j += np.uint64(1)
            if j == cap:
                j = np.uint64(0)
        if slots[j] == 0:
            slots[j] = kept + 1
            if kept < i:
                for w in range(WORDS):
                    records[kept, w] = records[i, w]
            kept += 1
    return kept


@kernel(
    "uint64[:,:], int64[:], int64, int64, int64, uint64[:,:,:], int64[:], int64[:], int32[:] "
    "-> int64, int64"
)
def append_to_group(records, starts, first, resume, appended, buffers, held, known, slots):
    """Append new records to one group's partitions; drop repeats wherever a buffer is full.

    Parameters
    ----------
    records : uint64 (n, WORDS)
        New ones, sorted by partition.
    starts : int64 (all partitions + 1,)
        Where each partition begins in `records`.
    first : int
        Number of the group's first partition.
    resume : int
        Partition of the group, from 0, to go on with.
    appended : int
        How many of that partition's new records have been appended already.
    buffers : uint64 (partitions, cap, WORDS)
    held : int64 (partitions,)
        Records in each buffer.
    known : int64 (partitions,)
        How many of them, at the front, are known to be distinct.
    slots : int32 (2 * cap,)
        Scratch.

    Returns
    -------
    resume, appended : int
        The partition whose buffer is full of distinct records, nearly, and how many of its new
        ones have been appended: call again with both once the group has grown. The number of
        partitions when all is done.
    """
    partitions = buffers.shape[0]
    cap = buffers.shape[1]
    for q in range(resume, partitions):
        start, stop = starts[first + q], starts[first + q + 1]
        if q == resume:
            start += appended
        while True:
            n = min(cap - held[q], stop - start)
            for i in range(n):
                for w in range(WORDS):
                    buffers[q, held[q] + i, w] = records[start + i, w]
            held[q] += n
            start += n
            if start == stop:
                break
            held[q] = _keep_distinct(buffers[q], held[q], known[q], slots)
            known[q] = held[q]
            # With less room, dropping repeats would come round again too soon.
            if held[q] > cap - cap // 4:
                return q, start - starts[first + q]
    return partitions, 0


@kernel("uint64[:,:,:], int64[:], int64[:], int32[:]")
def keep_distinct(buffers, held, known, slots):
    """Drop all repeats within each partition of a group.

    Parameters
    ----------
    buffers, held, known
        As for `append_to_group`.
    slots : int32 (2 * the largest of held,)
        Scratch.
    """
    for q in range(buffers.shape[0]):
        if known[q] < held[q]:
            held[q] = _keep_distinct(buffers[q], held[q], known[q], slots)
            known[q] = held[q]


@kernel("uint64[:,:], int64, int64, uint64[:,:] -> int64")
def select_pass(records, passes, turn, out):
    """Copy the records of one partition that belong to a pass over it.

    Parameters
    ----------
    records : uint64 (n, WORDS)
    passes : int
        How many there are, at most 2^PASS_BITS.
    turn : int
        Which one this is, from 0.
    out : uint64 (>= n, WORDS)

    Returns
    -------
    n_out : int
    """
    mask = (np.uint64(1) << PASS_BITS) - np.uint64(1)
    n = 0
    for i in range(records.shape[0]):
        bits = _hash_of(records, i) & mask
        if np.int64((bits * np.uint64(passes)) >> PASS_BITS) == turn:
            for w in range(WORDS):
                out[n, w] = records[i, w]
            n += 1
    return n
