"""How many cores this process may use: affinity, and the quota of its control group."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cores(cgroup_root: Path = _CGROUP_ROOT) -> int:
    """Return the number of cores this process may use, at least 1.

    Containers limit processor time by a quota that `os.cpu_count` does not see; more threads
    than the quota pays for only wait.

    Parameters
    ----------
    cgroup_root : Path
        Where control groups are mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota_v2(cgroup_root) or _quota_v1(cgroup_root)
    allowed = cores or 1
    return max(1, min(allowed, round(quota))) if quota else max(1, allowed)


def _quota_v2(root: Path) -> float | None:
    """Cores granted by ``cpu.max`` (control groups version 2): "max 100000" or "150000 100000"."""
    match _words(root / "cpu.max"):
        case [quota, period] if quota != "max":
            return _ratio(quota, period)
    return None


def _quota_v1(root: Path) -> float | None:
    """Cores granted by version 1, where a quota of -1 means no limit."""
    match (
        _words(root / "cpu" / "cpu.cfs_quota_us"),
        _words(root / "cpu" / "cpu.cfs_period_us"),
    ):
        case ([quota], [period]):
            return _ratio(quota, period)
    return None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _ratio(quota: str, period: str) -> float | None:
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
