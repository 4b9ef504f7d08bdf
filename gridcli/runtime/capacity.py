"""How much memory this process may use: the machine's, or less where something limits it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from gridcli.runtime.cgroups import MEMBERSHIP, MOUNT, group_folders, words

LEAST_LIMIT_BYTES = 384 << 20
"""Below this, the libraries alone leave no room to work."""

LIMIT_FILES = ("memory.max", "memory.high", "memory.limit_in_bytes")


def capacity_bytes(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> int:
    """Return how much memory this process may use, in bytes.

    The least of the machine's memory, the limits of the control groups around the process
    (version 2: ``memory.max``, and ``memory.high``, beyond which the kernel slows a process to a
    crawl; version 1: ``memory.limit_in_bytes``), and its limit on address space.

    Parameters
    ----------
    mount : Path
        Where control groups are mounted.
    membership : Path
        Which groups this process is in.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [machine, *_group_limits(mount, membership)]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def default_limit_bytes() -> int:
    """Return the memory limit of a run whose user named none: half of the capacity."""
    return max(capacity_bytes() // 2, LEAST_LIMIT_BYTES)


def _group_limits(mount: Path, membership: Path) -> Iterator[int]:
    """Yield the limits of all groups around the process; those that mean "none" are huge."""
    for folder in group_folders("memory", mount, membership):
        statistics = words(folder / "memory.stat")
        told = [
            *(words(folder / name) for name in LIMIT_FILES),
            # Version 1: what groups demand that lie outside of what this mount shows.
            [
                value
                for name, value in zip(statistics[::2], statistics[1::2], strict=False)
                if name == "hierarchical_memory_limit"
            ],
        ]
        for limit in told:
            if len(limit) == 1 and limit[0].isdecimal() and limit[0] != "0":
                yield int(limit[0])
