"""The tile table: counts equal a dictionary's, whatever the order, threads and batches."""

from __future__ import annotations

import os
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import InputError
from gridcli.grid import keys as tile_keys
from gridcli.runtime.budget import MemoryBudget
from gridcli.runtime.spill import KeptFile, SpillFile
from gridcli.tiles import group as tile_group
from gridcli.tiles.merge import merge_runs
from gridcli.tiles.partitions import PartitionRun
from gridcli.tiles.table import TableSizes, TileTable


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
    table = TileTable(TableSizes(held_keys=4))
    append(table, np.array(keys, np.uint64), piece)
    expected = Counter(keys)
    found, finished = counted(table, least)
    assert found == {key: n for key, n in expected.items() if n >= least}
    assert finished.distinct == len(expected)
    assert finished.largest == max(expected.values(), default=0)


@given(st.lists(some_keys, min_size=1, max_size=4))
def test_combining_counts_equals_appending_the_points(parts):
    table = TileTable(TableSizes(held_keys=2))
    for part in parts:
        expected = Counter(part)
        table.combine(
            np.array(list(expected), np.uint64), np.array(list(expected.values()), np.int64)
        )
    assert counted(table)[0] == Counter(key for part in parts for key in part)


@pytest.mark.parametrize("held_keys", [1, 64, 4096])
def test_many_tiles_from_many_threads(held_keys):
    rng = np.random.default_rng(0)
    x, y = rng.integers(-700, 700, (2, 400_000))
    keys = tile_keys.pack(x, y)
    table = TileTable(TableSizes(held_keys, 1 << 14))
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
    table = TileTable(TableSizes(held_keys=16))
    for _ in range(turn - 1):
        table.appender()
    append(table, keys, 1 << 16)
    found = table.finish()
    expected_keys, expected_counts = np.unique(keys, return_counts=True)
    np.testing.assert_array_equal(found.keys, expected_keys)
    np.testing.assert_array_equal(found.counts, expected_counts)


class Budget:
    """A budget that grants some claims, and is short of memory now and then."""

    def __init__(self, grants=0, short_every=0):
        self.grants = grants
        self.short_every = short_every
        self.looks = 0
        self.claimed = 0
        self.room = 0

    def claim(self, n_bytes, *, force=False):
        if self.grants <= 0 and not force:
            return False
        self.grants -= 1
        self.claimed += n_bytes
        return True

    def release(self, n_bytes):
        self.claimed -= n_bytes

    @property
    def is_short(self):
        self.looks += 1
        return self.short_every > 0 and self.looks % self.short_every == 0


def drained(table, least=1, threads=1):
    stream = table.drain(least, threads=threads)
    found = {}
    for keys, counts in stream:
        assert np.all(np.diff(keys.astype(object)) > 0)
        assert not found or int(keys[0]) > max(found)
        found.update(zip(keys.tolist(), counts.tolist(), strict=True))
    return found, stream


@pytest.fixture
def tiny_tables(monkeypatch):
    monkeypatch.setattr(tile_group, "FIRST_CAPACITY", 5)
    monkeypatch.setattr(tile_group, "SURE_CAPACITY", 0)
    monkeypatch.setattr("gridcli.tiles.sharing.SMALL_GROUP_BYTES", 0)
    monkeypatch.setattr("gridcli.tiles.merge.MOST_ROWS", 50)
    monkeypatch.setattr("gridcli.tiles.merge.LEAST_BYTES", 0)
    monkeypatch.setattr("gridcli.tiles.regroup.LEAST_BYTES", 0)
    monkeypatch.setattr("gridcli.tiles.merge.FEWEST_RUNS", 4)
    monkeypatch.setattr("gridcli.tiles.merge.FEWEST_ROWS", 50)
    monkeypatch.setattr("gridcli.tiles.runs.spilled.BLOCK_ROWS", 9)


@pytest.mark.usefixtures("tiny_tables")
@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(1, 2000),
    st.sampled_from([1, 100, 10_000]),
    st.integers(0, 40),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([0, 10_000, 10**6, 10**9]),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_spilling_changes_nothing(seed, n, spread, grants, short_every, room, least, threads):
    keys = np.random.default_rng(seed).integers(0, spread, n).astype(np.uint64)
    budget = Budget(grants, short_every)
    budget.room = room
    with SpillFile() as spill:
        table = TileTable(TableSizes(3, 1 << 10), budget=budget, spill=spill)
        append(table, keys[: n // 2], 600)
        table.combine(*np.unique(keys[n // 2 :], return_counts=True))
        found, stream = drained(table, least, threads)
        assert spill.size > 0 or grants or room
    expected = Counter(keys.tolist())
    assert found == {key: count for key, count in expected.items() if count >= least}
    assert stream.distinct == len(expected)
    assert stream.largest == max(expected.values())
    assert budget.claimed == 0


def test_a_table_with_room_spills_nothing_and_gives_its_memory_back():
    with SpillFile() as spill:
        budget = Budget(grants=10**6)
        budget.room = 1 << 40
        table = TileTable(TableSizes(16, 1 << 12), budget=budget, spill=spill)
        keys = np.arange(300_000, dtype=np.uint64)
        append(table, keys, 4_000)
        assert budget.claimed > 16 * 300_000
        found, stream = drained(table)
        assert spill.size == 0
        assert budget.claimed == 0
    assert found == dict.fromkeys(range(300_000), 1)
    assert (stream.distinct, stream.largest) == (300_000, 1)


def test_a_budget_counts_claims_and_what_else_the_process_holds(monkeypatch):
    held = [100]
    monkeypatch.setattr("gridcli.runtime.budget.resident_bytes", lambda: held[0])
    budget = MemoryBudget(1_600)  # of which a sixteenth stays free
    assert budget.room == 1_400
    budget.expect(50)
    assert budget.room == 1_350
    assert budget.claim(1_000)
    assert not budget.claim(351)
    held[0] = 1_100  # what was claimed has been mapped
    assert budget.room == 350
    held[0] = 1_400
    assert budget.room == 100
    assert not budget.is_short
    held[0] = 1_501
    assert budget.is_short
    assert not budget.claim(1)
    assert budget.claim(1, force=True)
    budget.release(1_001)
    held[0] = 100
    for _ in range(300):
        budget.claim(0)
    assert budget.room > 1_300, "a peak fades, what is expected does not"
    assert budget.room <= 1_350


def test_what_a_kept_file_holds_is_added(tmp_path):
    path = tmp_path / "kept"
    with KeptFile(path) as spill:
        first = TileTable(budget=Budget(), spill=spill)
        first.combine(np.array([5, 1, 2**64 - 1], np.uint64), np.array([2, 7, 2**40]))
        first.spill()
        saved = [run.save() for run in first.spilled]
        size = spill.size
        spill.append(b"of a run that died")
        spill.sync()
    with KeptFile(path, size) as spill:
        runs = [PartitionRun.load(spill, extent) for extent in saved]
        table = TileTable(spill=spill, runs=runs)
        table.combine(np.array([5, 9], np.uint64), np.array([1, 1]))
        assert drained(table)[0] == {1: 7, 5: 3, 9: 1, 2**64 - 1: 2**40}


def test_corrupt_partitions_are_noticed():
    with SpillFile() as spill:
        table = TileTable(budget=Budget(), spill=spill)
        table.combine(np.arange(5_000, dtype=np.uint64), np.full(5_000, 300))
        table.spill()
        run = table.spilled[3]
        entries, starts = run.read(run.first + 2, run.first + 5)
        assert len(entries) == starts[-1] == run.starts[5] - run.starts[2]
        os.pwrite(spill._file.fileno(), b"\xff", run.counts.offset + int(run.starts[2]) * 2)
        with pytest.raises(InputError, match="corrupt"):
            run.read(run.first + 2, run.first + 5)


@pytest.mark.parametrize("room", [0, 1 << 40])
def test_a_closed_table_is_runs_to_be_merged(room):
    budget = Budget(grants=100)
    budget.room = room
    with SpillFile() as spill:
        table = TileTable(budget=budget, spill=spill)
        table.combine(np.array([5, 1, 5], np.uint64), np.array([2, 7, 1]))
        runs = table.close()
        ((keys, counts),) = merge_runs(runs)
    assert (keys.tolist(), counts.tolist()) == ([1, 5], [7, 3])


def test_the_buffers_follow_the_limit():
    assert TableSizes.within(1 << 40) == TableSizes()
    small = TableSizes.within(384 << 20)
    assert small.held_keys * 16 * 1024 <= 24 << 20
    assert small.list_keys < TableSizes().list_keys
