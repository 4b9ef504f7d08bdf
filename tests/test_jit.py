"""Kernels: compiled once, kept on disk, called with checked arrays."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

from gridcli.cli.resources import KERNELS
from gridcli.runtime import jit
from gridcli.runtime.jitcache import KernelCache
from gridcli.runtime.precompile import _kernels, compile_ahead, compile_apart
from tests.conftest import REPOSITORY


@jit.part
def _twice(value):
    return 2 * value


@jit.kernel("int64[:,:], float64[:], int64, float64 -> int64, int64")
def summary(table, values, start, factor):
    """Sum and size of a table, and scaled values in place."""
    total = 0
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            total += _twice(table[i, j])
    for i in range(start, values.shape[0]):
        values[i] *= factor
    return total, table.shape[1]


@jit.kernel("int64[:]")
def allocating(values):
    """Break the rule that kernels do not allocate."""
    values[0] = np.zeros(values[0]).shape[0]


@jit.kernel("int64[:] -> int64")
def raising(values):
    """Break the rule that kernels do not raise."""
    if values[0] > 3:
        raise ValueError
    return values[0]


def test_a_kernel_computes_what_its_function_does():
    table = np.arange(12).reshape(3, 4)
    values, expected = np.ones(5), np.ones(5)
    assert summary(table, values, 2, 1.5) == summary.py_func(table, expected, 2, 1.5) == (132, 4)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (np.zeros((2, 2), np.int32), np.zeros(3)),
        (np.zeros(4, np.int64), np.zeros(3)),
        (np.zeros((4, 4), np.int64)[:, ::2], np.zeros(3)),
        (np.zeros((2, 2), np.int64), np.zeros(6)[::2]),
    ],
)
def test_arrays_of_another_type_or_layout_are_refused(table, values):
    with pytest.raises(TypeError, match="contiguous"):
        summary(table, values, 0, 1.0)


def test_a_kernel_that_allocates_is_found_out():
    with pytest.raises(TypingError, match=r"np\.zeros"):
        allocating(np.ones(1, np.int64))


def test_a_kernel_that_raises_is_found_out():
    assert raising(np.array([3])) == 3
    with pytest.raises(RuntimeError, match="raising raised"):
        raising(np.array([4]))


OF_PARTS = """
from gridcli.runtime.jit import part
SCALE = {scale}
@part
def _scaled(value):
    return SCALE * value
@part
def scaled(value):
    return _scaled(value)
"""
OF_KERNELS = """
from gridcli.runtime.jit import kernel
from jit_parts import scaled
SCALE = 7
@kernel("int64[:] -> int64")
def both(values):
    return scaled(values[0]) + SCALE
"""


def test_parts_of_other_modules_keep_the_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("gridcli.runtime.jitcache._folder", lambda package: tmp_path)
    (tmp_path / "jit_kernels.py").write_text(OF_KERNELS, encoding="utf-8")
    for scale in (3, 4000):  # the second must not find what was kept of the first
        (tmp_path / "jit_parts.py").write_text(OF_PARTS.format(scale=scale), encoding="utf-8")
        for name in ("jit_parts", "jit_kernels"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        both = importlib.import_module("jit_kernels").both
        assert both(np.array([2])) == 2 * scale + 7


def test_machine_code_is_kept_and_damage_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("gridcli.runtime.jitcache._folder", lambda package: tmp_path)
    cache = KernelCache(summary.py_func, summary.signature, [__file__])
    assert cache.read() is None
    cache.write(b"code")
    assert cache.read() == b"code"
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert cache.read() is None
    assert KernelCache(summary.py_func, "other", [__file__]).read() is None


def test_a_warm_run_does_not_import_numba():
    code = (
        "import sys, numpy as np\n"
        "from gridcli.tiles.table import TileTable\n"
        "table = TileTable()\n"
        "table.combine(np.array([5], np.uint64), np.array([2]))\n"
        "print(table.finish().counts, 'numba' in sys.modules)\n"
    )
    for _ in range(2):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    assert out == "[2] False\n"


def test_nothing_breaks_where_no_folder_can_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    code = (
        "import numpy as np\n"
        "from gridcli.tiles import kernels\n"
        "print(kernels.combine_keys(np.array([1], np.uint64), 1,\n"
        "  np.zeros((4096, 2), np.uint64), np.zeros((1, 2), np.uint64)))\n"
    )
    environment = {**os.environ, "GRIDCLI_CACHE_DIR": str(blocker / "below")}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    ).stdout
    assert out == "0\n"
    assert not Path(blocker / "below").exists()


def test_kernels_are_compiled_ahead_by_another_process(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(os, "posix_spawn", lambda *a, **_: started.append(a[1]))
    monkeypatch.setattr("gridcli.runtime.jitcache._folder", lambda package: tmp_path)
    for kernel in _kernels(["gridcli.points.kernels"]):
        monkeypatch.delitem(vars(kernel), "_cache", raising=False)
    compile_ahead(["gridcli.points.kernels"])
    (command,) = started
    environment = {**os.environ, "GRIDCLI_CACHE_DIR": str(tmp_path)}
    subprocess.run(command, env=environment, check=True)
    assert all(kernel.is_kept for kernel in _kernels(["gridcli.points.kernels"]))
    compile_ahead(["gridcli.points.kernels"])
    assert len(started) == 1


def test_kernels_compiled_apart_are_there_when_it_returns(tmp_path, monkeypatch):
    name = "gridcli.tiles.runs.kernels:coarsen_keys"
    monkeypatch.setenv("GRIDCLI_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("gridcli.runtime.jitcache._folder", lambda package: tmp_path)
    (kernel,) = _kernels([name])
    monkeypatch.delitem(vars(kernel), "_cache", raising=False)
    assert not kernel.is_kept
    compile_apart([name])
    assert kernel.is_kept


def test_every_module_of_kernels_that_runs_need_is_known():
    modules = {
        ".".join(path.with_suffix("").relative_to(REPOSITORY).parts)
        for path in (REPOSITORY / "gridcli").rglob("kernels.py")
    }
    assert set(KERNELS) == modules - {"gridcli.synth.kernels"}
