"""Which hub a tile belongs to: an open-addressing table from tile keys to hubs.

A slot is a key and a hub, counted from 1; 0 marks a free one. The hash's upper 32 bits, times the
number of slots, shifted back, name the slot where the search begins, so that the table may have
any size (as in `gridcli.tiles.kernels`).
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


@kernel("uint64[:], int32[:], uint64[:,:]")
def insert_tiles(keys, hubs, table):
    """Put tiles, each of which comes once, into a table that has room for them.

    Parameters
    ----------
    keys : uint64 (n,)
    hubs : int32 (n,)
        At least 0.
    table : uint64 (n_slots, 2)
    """
    n_slots = np.uint64(table.shape[0])
    for i in range(len(keys)):
        place = _slot(keys[i], n_slots)
        while table[place, 1] > 0:
            place += np.uint64(1)
            if place == n_slots:
                place = np.uint64(0)
        table[place, 0] = keys[i]
        table[place, 1] = np.uint64(hubs[i] + 1)


@kernel("uint64[:], uint64[:,:], int32[:]")
def find_hubs(keys, table, hubs):
    """Look up the hub of every key; consecutive equal keys are looked up once.

    Parameters
    ----------
    keys : uint64 (n,)
    table : uint64 (n_slots, 2)
        At least one slot is free.
    hubs : int32 (n,)
        Set to the hub of each key, -1 where it is not in the table.
    """
    n = len(keys)
    n_slots = np.uint64(table.shape[0])
    hub = np.int64(-1)
    for i in range(n):
        key = keys[i]
        if i + LOOK_AHEAD < n:
            ahead = keys[i + LOOK_AHEAD]
            if ahead != key:
                prefetch(table, np.int64(_slot(ahead, n_slots)), 0)
        if i == 0 or key != keys[i - 1]:
            place = _slot(key, n_slots)
            while table[place, 1] > 0 and table[place, 0] != key:
                place += np.uint64(1)
                if place == n_slots:
                    place = np.uint64(0)
            hub = np.int64(table[place, 1]) - 1
        hubs[i] = hub
