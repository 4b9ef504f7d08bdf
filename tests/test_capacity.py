"""What the machine and its control groups let this process use."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from gridcli.runtime import capacity
from gridcli.runtime.capacity import LEAST_LIMIT_BYTES, capacity_bytes, default_limit_bytes
from gridcli.runtime.threads import usable_cores

GIB = 1 << 30
HUGE = "9223372036854771712"


@pytest.fixture
def machine(monkeypatch):
    """A machine with 64 cores and 64 GiB of memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = {"SC_PAGE_SIZE": page, "SC_PHYS_PAGES": 64 * GIB // page}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: infinite)


def groups(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write a tree of control groups; return its mount and the process's membership."""
    mount, told = folder / "cgroup", folder / "membership"
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text + "\n")
    told.write_text(membership)
    return mount, told


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("", {}, 64),
        ("", {"cpu.max": "max 100000"}, 64),
        ("", {"cpu.max": "150000 100000"}, 2),
        ("", {"cpu.max": "10000 100000"}, 1),
        ("", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("", {"cpu.max": "nonsense"}, 64),
        ("", {"cpu.max": "1 0"}, 64),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, 4),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000"}, 2),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "500000", "cpu/a/cpu.cfs_period_us": "100000"},
            5,
        ),
    ],
)
def test_quotas_limit_the_cores(membership, files, cores, machine, tmp_path) -> None:
    assert usable_cores(*groups(tmp_path, membership, files)) == cores


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("", {}, 64 * GIB),
        ("nonsense\n", {"memory.max": "max"}, 64 * GIB),
        ("0::/\n", {"memory.max": str(2 * GIB)}, 2 * GIB),
        ("0::/a/b\n", {"a/memory.max": str(3 * GIB), "a/b/memory.max": "max"}, 3 * GIB),
        ("0::/a/b\n", {"a/memory.high": str(GIB), "a/b/memory.max": str(3 * GIB)}, GIB),
        ("0::/a/b\n", {"a/b/memory.max": str(GIB), "c/memory.max": "1"}, GIB),
        ("0::/a\n", {"unified/a/memory.max": str(GIB)}, GIB),
        ("0::/../other\n", {"memory.max": str(4 * GIB)}, 4 * GIB),
        ("0::/host/path/not/here\n", {"memory.max": str(4 * GIB)}, 4 * GIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": HUGE}, 64 * GIB),
        (
            "4:memory:/a/b\n",
            {
                "memory/memory.limit_in_bytes": HUGE,
                "memory/a/memory.limit_in_bytes": str(5 * GIB),
                "memory/a/b/memory.limit_in_bytes": str(6 * GIB),
            },
            5 * GIB,
        ),
        (
            "4:memory:/\n",
            {
                "memory/memory.limit_in_bytes": HUGE,
                "memory/memory.stat": f"cache 1\nhierarchical_memory_limit {7 * GIB}\nrss 2",
            },
            7 * GIB,
        ),
    ],
)
def test_the_least_limit_around_the_process_counts(
    membership, files, expected, machine, tmp_path
) -> None:
    assert capacity_bytes(*groups(tmp_path, membership, files)) == expected


def test_a_limit_on_address_space_counts(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8 * GIB, resource.RLIM_INFINITY))
    assert capacity_bytes(*groups(tmp_path, "", {})) == 8 * GIB


@pytest.mark.parametrize(
    ("capacity_gib", "expected"), [(64, 32 * GIB), (1, GIB // 2), (0, LEAST_LIMIT_BYTES)]
)
def test_the_default_is_half_of_it(capacity_gib, expected, monkeypatch) -> None:
    monkeypatch.setattr(capacity, "capacity_bytes", lambda: capacity_gib * GIB)
    assert default_limit_bytes() == expected
