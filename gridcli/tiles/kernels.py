"""Counting tile keys: a small cache per thread, partitions, open-addressing tables.

A key's hash decides everything: its highest bits name the partition, the next 32 bits the slot.
A table of ``cap`` slots maps those 32 bits to a slot by ``bits * cap >> 32``, so that it may have
any size, and lies in hash order: a larger table is filled by walking the smaller one.
"""

from __future__ import annotations

import numpy as np

from gridcli.runtime.jit import kernel, part, prefetch

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd: multiplicative hashing (Knuth, TAOCP 3, 6.4)."""

LOOK_AHEAD = 16
"""Keys between asking for a slot and looking at it."""

CACHE_BITS = 12
"""4 096 slots of 16 bytes: the cache of one thread stays in its core's L2."""


@kernel("uint64[:], int64, uint64[:,:], uint64[:,:] -> int64")
def combine_keys(keys, n, cache, out):
    """Count keys in a direct-mapped cache; what falls out of it is appended to the output.

    Consecutive fixes of a vehicle lie in the same few tiles, so most of them end here.

    Parameters
    ----------
    keys : uint64 (>= n,)
    n : int
    cache : uint64 (2^CACHE_BITS, 2)
        Key and count; count 0 marks a free place.
    out : uint64 (>= n, 2)
        Keys and counts.

    Returns
    -------
    n_out : int
    """
    n_out = 0
    for i in range(n):
        key = keys[i]
        place = (key * MULTIPLIER) >> np.uint64(64 - CACHE_BITS)
        if cache[place, 0] == key:
            cache[place, 1] += np.uint64(1)
            continue
        if cache[place, 1] > 0:
            out[n_out, 0] = cache[place, 0]
            out[n_out, 1] = cache[place, 1]
            n_out += 1
        cache[place, 0] = key
        cache[place, 1] = np.uint64(1)
    return n_out


@kernel("uint64[:,:], int64, int64, int64[:], int64[:], uint64[:,:]")
def partition_keys(entries, n, shift, starts, place, out):
    """Sort keys and counts by partition (one counting-sort pass).

    Parameters
    ----------
    entries : uint64 (>= n, 2)
        Keys and counts.
    n : int
    shift : int
        64 minus the number of partition bits.
    starts : int64 (partitions + 1,)
        Receives where each partition begins in the output.
    place : int64 (partitions + 1,)
        Scratch.
    out : uint64 (>= n, 2)
    """
    s = np.uint64(shift)
    for p in range(starts.shape[0]):
        starts[p] = 0
    for i in range(n):
        starts[np.int64((entries[i, 0] * MULTIPLIER) >> s) + 1] += 1
    for p in range(1, starts.shape[0]):
        starts[p] += starts[p - 1]
    for p in range(starts.shape[0]):
        place[p] = starts[p]
    for i in range(n):
        key = entries[i, 0]
        p = np.int64((key * MULTIPLIER) >> s)
        j = place[p]
        place[p] = j + 1
        out[j, 0] = key
        out[j, 1] = entries[i, 1]


@part
def _slot(key, bits, cap):
    """First slot to look at: the 32 bits of the hash below the partition's, scaled to the table."""
    return ((((key * MULTIPLIER) << bits) >> np.uint64(32)) * cap) >> np.uint64(32)


@part
def _insert(slots, used, limit, bits, entries, start, stop):
    """Add entries to one table until it is full; return `used` and where it stopped."""
    cap = np.uint64(slots.shape[0])
    b = np.uint64(bits)
    i = start
    while i < stop:
        if i + LOOK_AHEAD < stop:
            prefetch(slots, np.int64(_slot(entries[i + LOOK_AHEAD, 0], b, cap)), 0)
        key = entries[i, 0]
        j = _slot(key, b, cap)
        while slots[j, 1] != 0 and slots[j, 0] != key:
            j += np.uint64(1)
            if j == cap:
                j = np.uint64(0)
        if slots[j, 1] == 0:
            if used >= limit:
                return used, i
            slots[j, 0] = key
            used += 1
        slots[j, 1] += entries[i, 1]
        i += 1
    return used, i


@kernel(
    "uint64[:,:], int64[:], int64, int64, int64, int64, uint64[:,:,:], int64[:], int64, "
    "uint64[:,:,:], int64[:] -> int64, int64"
)
def append_to_group(
    entries, starts, first, resume, inserted, everything, slots, used, bits, pending, held
):
    """Hold back the new counts of one group's partitions; insert those that became too many.

    Inserting many keys at once into one partition loads its table from memory once for all of
    them, where inserting them as they come would miss the processor's caches with every key.

    Parameters
    ----------
    entries : uint64 (n, 2)
        New keys and counts, sorted by partition.
    starts : int64 (all partitions + 1,)
        Where each partition begins in `entries`.
    first : int
        Number of the group's first partition.
    resume : int
        Partition of the group, from 0, to go on with.
    inserted : int
        How many of that partition's new entries have been inserted already.
    everything : bool
        Insert all, hold nothing back.
    slots : uint64 (partitions, cap, 2)
        Key and count of each slot, by partition of the group; count 0 marks a free slot.
    used : int64 (partitions,)
        Occupied slots.
    bits : int
        Partition bits.
    pending : uint64 (partitions, room, 2)
        Held-back keys and counts.
    held : int64 (partitions,)
        How many are held back.

    Returns
    -------
    resume, inserted : int
        The partition whose table is full, and how many of its new entries have been inserted:
        call again with both once the group has grown. The number of partitions when all is done.
    """
    partitions = slots.shape[0]
    room = pending.shape[1]
    cap = slots.shape[1]
    limit = cap - cap // 5
    for q in range(resume, partitions):
        start, stop = starts[first + q], starts[first + q + 1]
        if q == resume:
            start += inserted
        n = held[q]
        if n + stop - start > room or everything:
            used[q], done = _insert(slots[q], used[q], limit, bits, pending[q], 0, n)
            if done < n:
                for i in range(done, n):
                    pending[q, i - done, 0] = pending[q, i, 0]
                    pending[q, i - done, 1] = pending[q, i, 1]
                held[q] = n - done
                return q, start - starts[first + q]
            n = 0
            held[q] = 0
        if stop - start > room or everything:
            used[q], done = _insert(slots[q], used[q], limit, bits, entries, start, stop)
            if done < stop:
                return q, done - starts[first + q]
            continue
        for i in range(start, stop):
            pending[q, n, 0] = entries[i, 0]
            pending[q, n, 1] = entries[i, 1]
            n += 1
        held[q] = n
    return partitions, 0


@kernel("uint64[:,:,:], uint64[:,:,:], int64")
def grow_group(old, new, bits):
    """Move all slots into larger, empty tables (uint64 (partitions, cap, 2) both)."""
    cap = np.uint64(new.shape[1])
    b = np.uint64(bits)
    for p in range(old.shape[0]):
        for i in range(old.shape[1]):
            if old[p, i, 1] == 0:
                continue
            key = old[p, i, 0]
            j = _slot(key, b, cap)
            while new[p, j, 1] != 0:
                j += np.uint64(1)
                if j == cap:
                    j = np.uint64(0)
            new[p, j, 0] = key
            new[p, j, 1] = old[p, i, 1]


@kernel("uint64[:,:,:], int64, uint64[:], int64[:] -> int64, int64")
def extract_group(slots, least, keys, counts):
    """Copy the tiles of a group that hold at least `least` points.

    Parameters
    ----------
    slots : uint64 (partitions, cap, 2)
    least : int
    keys, counts : uint64, int64
        With room for all of them.

    Returns
    -------
    n, largest : int
        Tiles that reach `least`; the largest count of all.
    """
    n = 0
    largest = np.uint64(0)
    for p in range(slots.shape[0]):
        for i in range(slots.shape[1]):
            count = slots[p, i, 1]
            largest = max(largest, count)
            if count >= np.uint64(least) and count > 0:
                keys[n] = slots[p, i, 0]
                counts[n] = count
                n += 1
    return n, np.int64(largest)


@kernel("uint64[:], int64[:], uint64, uint64, int64, uint64[:], int64[:] -> int64")
def select_range(keys, counts, low, high, is_last, out_keys, out_counts):
    """Copy the tiles with low <= key, and key < high unless the range is the last one.

    Parameters
    ----------
    keys, counts : uint64, int64 (n,)
    low, high : int
    is_last : bool
    out_keys, out_counts : uint64, int64 (>= n,)

    Returns
    -------
    n_out : int
    """
    n = 0
    for i in range(keys.shape[0]):
        if keys[i] >= low and (is_last or keys[i] < high):
            out_keys[n] = keys[i]
            out_counts[n] = counts[i]
            n += 1
    return n


SORT_BITS = 11
SORT_PASSES = 6
"""Digits of 11 bits: the counters of a pass fit the first-level cache."""


@kernel("uint64[:], int64[:], uint64[:], int64[:], int64[:,:] -> int64")
def sort_by_key(keys, counts, other_keys, other_counts, starts):
    """Sort counts by key: a radix sort, least significant digit first.

    Parameters
    ----------
    keys, counts : uint64, int64 (n,)
        Not preserved.
    other_keys, other_counts : uint64, int64 (n,)
        Scratch.
    starts : int64 (SORT_PASSES, 2^SORT_BITS)
        Scratch.

    Returns
    -------
    swapped : int
        1 where the result stands in `other_keys` and `other_counts`, 0 where in `keys` and
        `counts`.
    """
    n = keys.shape[0]
    size = 1 << SORT_BITS
    mask = np.uint64(size - 1)
    for d in range(SORT_PASSES):
        for j in range(size):
            starts[d, j] = 0
    for i in range(n):
        for d in range(SORT_PASSES):
            starts[d, np.int64((keys[i] >> np.uint64(d * SORT_BITS)) & mask)] += 1
    swapped = 0
    for d in range(SORT_PASSES):
        shift = np.uint64(d * SORT_BITS)
        total = 0
        fullest = 0
        for j in range(size):
            here = starts[d, j]
            fullest = max(fullest, here)
            starts[d, j] = total
            total += here
        if fullest == n:
            continue  # all keys have the same digit here
        source, target = (keys, other_keys) if swapped == 0 else (other_keys, keys)
        source_counts, target_counts = (
            (counts, other_counts) if swapped == 0 else (other_counts, counts)
        )
        for i in range(n):
            key = source[i]
            digit = np.int64((key >> shift) & mask)
            j = starts[d, digit]
            starts[d, digit] = j + 1
            target[j] = key
            target_counts[j] = source_counts[i]
        swapped = 1 - swapped
    return swapped
