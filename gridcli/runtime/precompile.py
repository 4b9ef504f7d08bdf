"""Compiling the kernels of a later stage beside the run's first stage, on a first run.

Compiling holds Python's lock, so threads cannot share it; another process can. It keeps each
kernel's machine code on disk, where the run finds it when it comes to that stage. A run that comes
earlier compiles for itself: nothing waits, and nothing depends on this.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from gridcli.runtime.jit import Kernel


def compile_ahead(modules: Sequence[str]) -> None:
    """Start compiling the kernels of some modules if they are not kept yet.

    Parameters
    ----------
    modules : sequence of str
        Dotted names, the one that is needed first in front.
    """
    if not any(kernel.can_be_kept and not kernel.is_kept for kernel in _kernels(modules)):
        return
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    command = [sys.executable, "-m", __name__, *modules]
    with contextlib.suppress(OSError):  # where no process can be started, the run compiles alone
        os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet)


def _kernels(modules: Sequence[str]) -> Iterator[Kernel]:
    for module in modules:
        for value in vars(import_module(module)).values():
            if isinstance(value, Kernel):
                yield value


def _main(modules: Sequence[str]) -> None:
    """Compile what is missing, as long as the process that asked for it lives."""
    parent = os.getppid()
    for kernel in _kernels(modules):
        if os.getppid() != parent:
            return
        kernel.keep()


if __name__ == "__main__":
    _main(sys.argv[1:])
