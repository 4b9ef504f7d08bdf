"""One writer at a time: a lock on an output that is read, added to, and replaced.

The lock is the kernel's, on a file beside the target, for the target itself is replaced while it
is held. It goes with the process, even by SIGKILL: a file that is left over locks nobody out.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gridcli.errors import OutputError
from gridcli.output.staging import hidden_stem
from gridcli.output.targets import check_targets, write_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def writer_lock(name: str) -> Iterator[None]:
    """Be the only run that writes an output, from before it is read until it is replaced.

    Standard output, FIFOs and devices are not locked: nothing is read from them before.

    Parameters
    ----------
    name : str
        The output, as the user wrote it.

    Raises
    ------
    OutputError
        Another run is writing it, or its folder cannot be written.
    """
    (target,) = check_targets([name], overwrite=True)
    if target.path is None or target.is_device:
        yield
        return
    place = target.path.with_name(f"{hidden_stem(target.path)}lock")
    try:
        while (descriptor := _lock(place)) is None:
            pass
    except BlockingIOError:
        raise OutputError(
            f"{name} is being written by another run; wait until it has ended."
        ) from None
    except OSError as error:
        raise write_error(name, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink()
        os.close(descriptor)


def _lock(place: Path) -> int | None:
    """Create and lock a file; None if another run removed it meanwhile, when it was done."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with _unless_no_locks():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same_file(descriptor, place):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def _unless_no_locks() -> Iterator[None]:
    """Go on without a lock on network file systems that have none."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        return


def _is_same_file(descriptor: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except FileNotFoundError:
        return False
