"""How many cores this process may use: affinity, and the quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gridcli.runtime.cgroups import MEMBERSHIP, MOUNT, group_folders, words


def usable_cores(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> int:
    """Return the number of cores this process may use, at least 1.

    Containers limit processor time by a quota that `os.cpu_count` does not see; more threads
    than the quota pays for only wait.

    Parameters
    ----------
    mount : Path
        Where control groups are mounted.
    membership : Path
        Which groups this process is in.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = _quotas(mount, membership)
    return max(1, min([cores or 1, *map(round, quotas)]))


def _quotas(mount: Path, membership: Path) -> Iterator[float]:
    """Yield the cores granted by each group around the process that limits them.

    Version 2 says "max 100000" or "150000 100000"; in version 1 a quota of -1 is no limit.
    """
    for folder in group_folders("cpu", mount, membership):
        for told in (
            words(folder / "cpu.max"),
            words(folder / "cpu.cfs_quota_us") + words(folder / "cpu.cfs_period_us"),
        ):
            match told:
                case [quota, period] if quota.isdecimal() and period.isdecimal():
                    if int(quota) > 0 and int(period) > 0:
                        yield int(quota) / int(period)
