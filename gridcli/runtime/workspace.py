"""What one run may use: threads, memory, and disk for what memory does not hold."""

from __future__ import annotations

from gridcli.runtime.budget import MemoryBudget
from gridcli.runtime.capacity import default_limit_bytes
from gridcli.runtime.closing import Closing
from gridcli.runtime.spill import SpillFile
from gridcli.runtime.threads import usable_cores


class Workspace(Closing):
    """Threads, memory and temporary disk of a run.

    Parameters
    ----------
    threads : int
        0: all cores that this process may use.
    limit_bytes : int or None
        Largest resident size of the process; None: half of what the machine has.
    temp_dir : str or None
        Folder for temporary data; None: the system's.

    Attributes
    ----------
    threads : int
    budget : MemoryBudget
    spill : SpillFile
        Takes no disk until something is spilled.
    """

    def __init__(
        self,
        threads: int = 0,
        limit_bytes: int | None = None,
        temp_dir: str | None = None,
    ) -> None:
        self.threads = threads or usable_cores()
        limit = default_limit_bytes() if limit_bytes is None else limit_bytes
        self.budget = MemoryBudget(limit)
        self.spill = SpillFile(temp_dir)

    def close(self) -> None:
        """Give the disk space back; safe to call twice."""
        self.spill.close()
