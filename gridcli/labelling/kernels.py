"""Which hub a tile belongs to: an open-addressing table from tile keys to hubs.

A slot is a key and a hub, counted from 1; 0 marks a free one. The hash's upper 32 bits, times the
number of slots, shifted back, name the slot where the search begins, so that the table may have
any size (as in `gridcli.tiles.kernels`). Most rows of a fleet lie in no hub: a filter of bits by
the same hash (Bloom 1970, with one hash function) stays in the cache, and spares most of them the
look at the table.
"""

from __future__ import annotations

import numpy as np

from gridcli.runtime.jit import kernel, part, prefetch

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd: multiplicative hashing (Knuth, TAOCP 3, 6.4)."""

LOOK_AHEAD = 16
"""Keys between asking for a slot and looking at it."""


@part
def _slot(key, n_slots):
    return (((key * MULTIPLIER) >> np.uint64(32)) * n_slots) >> np.uint64(32)


@part
def _may_be_there(key, filter_bits, shift):
    bit = (key * MULTIPLIER) >> shift
    return (filter_bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1)


@kernel("uint64[:], int32[:], uint64[:,:], uint64[:], int64")
def insert_tiles(keys, hubs, table, filter_bits, filter_power):
    """Put tiles, each of which comes once, into a table that has room for them.

    Parameters
    ----------
    keys : uint64 (n,)
    hubs : int32 (n,)
        At least 0.
    table : uint64 (n_slots, 2)
    filter_bits : uint64 (2 ** filter_power / 64,)
    filter_power : int
        6 to 63.
    """
    n_slots = np.uint64(table.shape[0])
    shift = np.uint64(64 - filter_power)
    for i in range(len(keys)):
        bit = (keys[i] * MULTIPLIER) >> shift
        filter_bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        place = _slot(keys[i], n_slots)
        while table[place, 1] > 0:
            place += np.uint64(1)
            if place == n_slots:
                place = np.uint64(0)
        table[place, 0] = keys[i]
        table[place, 1] = np.uint64(hubs[i] + 1)


@kernel("uint64[:], uint64[:,:], uint64[:], int64, int32[:]")
def find_hubs(keys, table, filter_bits, filter_power, hubs):
    """Look up the hub of every key; consecutive equal keys are looked up once.

    Parameters
    ----------
    keys : uint64 (n,)
    table : uint64 (n_slots, 2)
        At least one slot is free.
    filter_bits, filter_power
        As `insert_tiles` has filled them.
    hubs : int32 (n,)
        Set to the hub of each key, -1 where it is not in the table.
    """
    n = len(keys)
    n_slots = np.uint64(table.shape[0])
    shift = np.uint64(64 - filter_power)
    hub = np.int64(-1)
    for i in range(n):
        key = keys[i]
        if i + LOOK_AHEAD < n:
            ahead = keys[i + LOOK_AHEAD]
            if ahead != key and _may_be_there(ahead, filter_bits, shift):
                prefetch(table, np.int64(_slot(ahead, n_slots)), 0)
        if not _may_be_there(key, filter_bits, shift):
            hub = np.int64(-1)
        elif i == 0 or key != keys[i - 1]:
            place = _slot(key, n_slots)
            while table[place, 1] > 0 and table[place, 0] != key:
                place += np.uint64(1)
                if place == n_slots:
                    place = np.uint64(0)
            hub = np.int64(table[place, 1]) - 1
        hubs[i] = hub
