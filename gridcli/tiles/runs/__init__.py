"""Runs: counted tile keys in ascending order, read block by block."""

from gridcli.tiles.runs.run import MemoryRun, SortedRun

__all__ = ["MemoryRun", "SortedRun"]
