"""Compiling the kernels of a later stage beside the run's first stage, on a first run.

Compiling holds Python's lock, so threads cannot share it; another process can. It keeps each
kernel's machine code on disk, where the run finds it when it comes to that stage. A run that comes
earlier compiles for itself: nothing waits, and nothing depends on this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from gridcli.runtime.jit import Kernel


def compile_ahead(names: Sequence[str]) -> None:
    """Start compiling some kernels if they are not kept yet.

    Parameters
    ----------
    names : sequence of str
        ``module`` for all kernels of a module, ``module:kernel`` for one. They are compiled in
        this order: best is what takes long and is needed late, so that the run and this process
        seldom compile the same.
    """
    _start(names)


def compile_apart(names: Sequence[str]) -> None:
    """Compile what is not kept yet in another process, and wait for it.

    The compiler takes some 110 MB, which a run with little memory cannot spare.
    """
    child = _start(names)
    if child is not None:
        os.waitpid(child, 0)


def _start(names: Sequence[str]) -> int | None:
    """Start a process that compiles; None where there is nothing to do, or no way to do it."""
    if not any(kernel.can_be_kept and not kernel.is_kept for kernel in _kernels(names)):
        return None
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    command = [sys.executable, "-m", __name__, *names]
    try:
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet)
    except OSError:  # the run compiles for itself
        return None


def _kernels(names: Sequence[str]) -> Iterator[Kernel]:
    for name in names:
        module, _, only = name.partition(":")
        for key, value in vars(import_module(module)).items():
            if isinstance(value, Kernel) and only in {"", key}:
                yield value


def _main(names: Sequence[str]) -> None:
    """Compile what is missing, as long as the process that asked for it lives."""
    parent = os.getppid()
    for kernel in _kernels(names):
        if os.getppid() != parent:
            return
        kernel.keep()


if __name__ == "__main__":
    _main(sys.argv[1:])
