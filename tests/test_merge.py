"""Merging and subtracting runs, in memory and spilled, against plain dictionaries."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import DataError, InputError, ResourceError
from gridcli.runtime.signals import Interrupted, StopFlag
from gridcli.runtime.spill import Extent, SpillFile
from gridcli.tiles import merge
from gridcli.tiles.merge import TooFewPointsError, merge_runs
from gridcli.tiles.runs import MemoryRun, spilled
from gridcli.tiles.runs.spilled import spill_run
from tests import naive

KEYS = st.one_of(st.integers(0, 60), st.integers(0, 2**64 - 1))
COUNTED = st.dictionaries(KEYS, st.one_of(st.integers(1, 5), st.integers(1, 2**40)), max_size=60)


def run_of(counted, rows_per_block=7):
    keys = np.array(sorted(counted), np.uint64)
    counts = np.array([counted[int(key)] for key in keys], np.int64)
    return MemoryRun(keys, counts, rows_per_block)


def collect(blocks):
    """The blocks as one dictionary; keys ascend over all of them."""
    found = [
        (key, n)
        for keys, counts in blocks
        for key, n in zip(keys.tolist(), counts.tolist(), strict=True)
    ]
    assert found == sorted(found)
    assert len({key for key, _ in found}) == len(found)
    return dict(found)


@pytest.fixture(scope="module")
def small_ranges():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "MOST_ROWS", 10)
        patch.setattr(merge, "LEAST_BYTES", 0)
        patch.setattr(merge, "FEWEST_ROWS", 10)
        patch.setattr(merge, "FEWEST_RUNS", 3)
        patch.setattr(spilled, "BLOCK_ROWS", 5)
        yield


@pytest.mark.usefixtures("small_ranges")
@settings(max_examples=60)
@given(st.lists(COUNTED, max_size=7), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_merging_adds_the_counts_of_every_key(runs, least, threads, spill):
    expected = naive.add_counts(runs, least)
    with SpillFile() as file:
        inputs = [run_of(run) for run in runs]
        if spill:
            inputs = [
                spill_run(file, [run.read(i) for i in range(len(run.block_rows))]) for run in inputs
            ]
        # So little memory that more than three runs are merged in passes.
        found = merge_runs(inputs, least=least, threads=threads, spill=file, memory_bytes=1)
        assert collect(found) == expected


@pytest.mark.usefixtures("small_ranges")
@settings(max_examples=60)
@given(st.lists(COUNTED, min_size=1, max_size=4), st.lists(COUNTED, max_size=3))
def test_subtracting_undoes_merging(kept, removed):
    everything = [run_of(run) for run in kept + removed]
    minus = [run_of(run) for run in removed]
    assert collect(merge_runs(everything, minus=minus)) == naive.add_counts(kept, 1)


@pytest.mark.parametrize(
    "minus", [{5: 3}, {6: 1}, {4: 1}, {1: 1, 9: 1}], ids=["more", "between", "before", "after"]
)
def test_no_count_falls_below_zero(minus):
    whole = run_of({5: 2, 7: 1, 1: 1})
    with pytest.raises(DataError, match="fewer than the"):
        list(merge_runs([whole], minus=[run_of(minus)]))


def test_the_tile_that_lacks_points_is_named():
    key = int(naive.pack_key(-3, 12))
    with pytest.raises(TooFewPointsError, match="holds 2 points, fewer than the 1,000") as caught:
        list(merge_runs([run_of({key: 2})], minus=[run_of({key: 1000})]))
    assert caught.value.key == key


def test_corrupt_temporary_data_is_noticed():
    with SpillFile() as file:
        run = spill_run(file, [run_of({1: 1, 2: 2**40, 2**50: 3}).read(0)])
        file.read(Extent(0, 1))
        cut = run.extents.copy()
        cut[0, 1] -= 1
        damaged = spilled.SpilledRun(file, run.first_keys, run.block_rows, cut)
        with pytest.raises(InputError, match="corrupt"):
            damaged.read(0)
        flipped = run.extents.copy()
        flipped[0, 2] ^= 1
        with pytest.raises(InputError, match="corrupt"):
            spilled.SpilledRun(file, run.first_keys, run.block_rows, flipped).read(0)
        longer = spilled.SpilledRun(file, run.first_keys, run.block_rows - 1, run.extents)
        with pytest.raises(InputError, match="corrupt"):
            longer.read(0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with (
        SpillFile(str(tmp_path / "nowhere")) as file,
        pytest.raises(ResourceError, match="nowhere"),
    ):
        file.append(b"abc")


def test_a_full_disk_is_told_with_what_to_do():
    with Path("/dev/full").open("wb", buffering=0) as full, SpillFile("/dev") as file:
        file._file = full
        with pytest.raises(ResourceError, match="--temp-dir"):
            file.append(b"abc")


def test_a_signal_ends_a_merge():
    stop = StopFlag()
    blocks = merge_runs([run_of(dict.fromkeys(range(1000), 1))], stop=stop)
    stop.set(15)
    with pytest.raises(Interrupted):
        list(blocks)


def test_a_merge_that_ends_early_reads_no_more(monkeypatch):
    is_ending = threading.Event()
    n_read = 0

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            is_ending.set()
            super().shutdown(wait=wait)

    class Broken(MemoryRun):
        def read(self, block):
            nonlocal n_read
            n_read += 1
            if n_read > 1:
                is_ending.wait(timeout=30)
            raise InputError("corrupt")

    monkeypatch.setattr(merge, "ThreadPoolExecutor", Pool)
    runs = [Broken(np.array([1], np.uint64), np.array([1])) for _ in range(100)]
    with pytest.raises(InputError):
        list(merge_runs(runs))
    assert n_read <= 2


@pytest.mark.parametrize("rows_per_block", [500, 4000])
def test_runs_of_the_same_places_are_cut_into_ranges_of_about_one_size(monkeypatch, rows_per_block):
    monkeypatch.setattr(merge, "FEWEST_ROWS", 1000)
    rng = np.random.default_rng(1)
    keys = [np.unique(rng.integers(1 << 50, 1 << 51, 2000, np.uint64)) for _ in range(30)]
    runs = [MemoryRun(each, np.ones(len(each), np.int64), rows_per_block) for each in keys]
    lengths = [len(block) for block, _ in merge_runs(runs, memory_bytes=0)]
    assert sum(lengths) == sum(map(len, keys))
    assert max(lengths) < 2000
