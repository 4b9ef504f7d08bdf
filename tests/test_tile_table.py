"""The tile table: counts equal a dictionary's, whatever the order, threads and batches."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.grid import keys as tile_keys
from gridcli.tiles import table as tile_table
from gridcli.tiles.table import TileTable


def counted(table, least=1):
    found = table.finish(least)
    assert np.all(np.diff(found.keys.astype(object)) > 0)
    return dict(zip(found.keys.tolist(), found.counts.tolist(), strict=True)), found


def append(table, keys, piece):
    appender = table.appender()
    for start in range(0, len(keys), piece):
        part = keys[start : start + piece]
        appender.append(part, len(part))
    appender.flush()


some_keys = st.lists(
    st.one_of(
        st.integers(0, 2**64 - 1),
        st.integers(0, 50),
        st.sampled_from([0, 2**64 - 1, 1 << 63, (1 << 31) | (1 << 63)]),
    )
)


@given(some_keys, st.integers(1, 64), st.integers(1, 3))
def test_counts_equal_a_dictionary(keys, piece, least):
    table = TileTable(held_keys=4)
    append(table, np.array(keys, np.uint64), piece)
    expected = Counter(keys)
    found, finished = counted(table, least)
    assert found == {key: n for key, n in expected.items() if n >= least}
    assert finished.distinct == len(expected)
    assert finished.largest == max(expected.values(), default=0)


@given(st.lists(some_keys, min_size=1, max_size=4))
def test_combining_counts_equals_appending_the_points(parts):
    table = TileTable(held_keys=2)
    for part in parts:
        expected = Counter(part)
        table.combine(
            np.array(list(expected), np.uint64), np.array(list(expected.values()), np.int64)
        )
    assert counted(table)[0] == Counter(key for part in parts for key in part)


@pytest.mark.parametrize("held_keys", [1, 64, 4096])
def test_many_tiles_from_many_threads(held_keys, monkeypatch):
    monkeypatch.setattr(tile_table, "LIST_KEYS", 1 << 14)
    rng = np.random.default_rng(0)
    x, y = rng.integers(-700, 700, (2, 400_000))
    keys = tile_keys.pack(x, y)
    table = TileTable(held_keys=held_keys)
    threads = [
        threading.Thread(target=append, args=(table, keys[i::4].copy(), 5_000)) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected_keys, expected_counts = np.unique(keys, return_counts=True)
    found = table.finish(threads=3)
    np.testing.assert_array_equal(found.keys, expected_keys)
    np.testing.assert_array_equal(found.counts, expected_counts)


def test_a_finished_table_takes_more():
    table = TileTable()
    for _ in range(3):
        append(table, np.array([7, 7, 9], np.uint64), 3)
        table.finish()
    assert counted(table)[0] == {7: 6, 9: 3}


def test_large_counts_do_not_wrap():
    table = TileTable()
    big = np.array([2**61, 2**40], np.int64)
    table.combine(np.array([3, 4], np.uint64), big)
    table.combine(np.array([3, 4], np.uint64), big)
    assert counted(table)[0] == {3: 2**62, 4: 2**41}


def test_keys_sort_as_tiles_do():
    rng = np.random.default_rng(1)
    x, y = rng.integers(-(2**31), 2**31, (2, 1000)).astype(np.int32)
    order = np.argsort(tile_keys.pack(x, y))
    np.testing.assert_array_equal(order, np.lexsort((x, y)))
    back = tile_keys.unpack(tile_keys.pack(x, y))
    np.testing.assert_array_equal(back, (x, y))


@pytest.mark.parametrize("turn", [1, 2, 5])
def test_a_table_that_fills_while_keys_are_inserted_directly(turn):
    # Many more keys a partition than are held back, and a first group that is not group 0.
    rng = np.random.default_rng(turn)
    keys = rng.integers(0, 2**64, 400_000, dtype=np.uint64)
    table = TileTable(held_keys=16)
    for _ in range(turn - 1):
        table.appender()
    append(table, keys, 1 << 16)
    found = table.finish()
    expected_keys, expected_counts = np.unique(keys, return_counts=True)
    np.testing.assert_array_equal(found.keys, expected_keys)
    np.testing.assert_array_equal(found.counts, expected_counts)
