"""What the user allows a run to use: threads, memory, and a place for temporary data."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridcli.cli.values import ByteCount
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from gridcli.runtime.workspace import Workspace

ROOM_TO_COMPILE_BYTES = 1 << 30
"""Limit below which a first run leaves compiling to another process."""
KERNELS = tuple(
    f"gridcli.{package}.kernels"
    for package in (
        "grid",
        "grid.rows",
        "points",
        "tiles",
        "tiles.runs",
        "raster",
        "raster.hops",
        "raster.outlines",
        "raster.outlines.stretches",
        "raster.enclosing",
        "raster.relax",
        "raster.unique",
        "labelling",
        "dims",
    )
)


@dataclass(frozen=True)
class MemoryChoice:
    """How much memory to use, and where to put what does not fit."""

    max_memory: int | None
    temp_dir: str | None

    def __post_init__(self) -> None:
        from gridcli.runtime.capacity import LEAST_LIMIT_BYTES

        if self.max_memory is not None and self.max_memory < LEAST_LIMIT_BYTES:
            given = f"{self.max_memory:,} bytes"
            if isinstance(self.max_memory, ByteCount) and not self.max_memory.typed.isdigit():
                given = self.max_memory.typed
            raise UsageError(
                f"--max-memory: {given} are too little to work with; give at least "
                f"{-(-LEAST_LIMIT_BYTES // 10**6)}M ({LEAST_LIMIT_BYTES >> 20}MiB)."
            )
        if self.temp_dir is None:
            return
        if not Path(self.temp_dir).is_dir():
            raise UsageError(f"--temp-dir {self.temp_dir} is not a directory; make it first.")
        if not os.access(self.temp_dir, os.W_OK | os.X_OK):
            raise UsageError(f"--temp-dir {self.temp_dir} cannot be written; name another folder.")

    @functools.cached_property
    def limit_bytes(self) -> int:
        """The most memory that the process may hold, in bytes."""
        from gridcli.runtime.capacity import default_limit_bytes

        return self.max_memory if self.max_memory is not None else default_limit_bytes()


@dataclass(frozen=True)
class ResourceChoice(MemoryChoice):
    """How many threads to use, how much memory, and where to put what does not fit."""

    threads: int | None

    @functools.cached_property
    def n_threads(self) -> int:
        """The number of threads asked for, else of the cores this process may use."""
        from gridcli.runtime.threads import usable_cores

        return self.threads or usable_cores()

    def workspace(self) -> Workspace:
        """Return the workspace of a run; with little memory, its kernels are compiled first."""
        from gridcli.runtime.precompile import compile_apart
        from gridcli.runtime.workspace import Workspace

        if self.limit_bytes < ROOM_TO_COMPILE_BYTES:
            compile_apart(KERNELS)
        return Workspace(self.n_threads, self.limit_bytes, self.temp_dir)
