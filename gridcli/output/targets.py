"""Where outputs go: each target checked before anything is read."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridcli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

STANDARD_STREAMS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")


@dataclass(frozen=True)
class Target:
    """One output of a run.

    Attributes
    ----------
    name : str
        As the user wrote it; ``-`` is standard output.
    path : Path or None
        Where the bytes end up, symbolic links followed; None for a file descriptor.
    descriptor : int or None
        Standard output, or a descriptor that the shell opened (``>(gzip > hubs.gz)``).
    is_device : bool
        A FIFO or device: written directly, for nothing can replace it.
    mode : int or None
        Permissions of the file that is replaced, None where there is none.
    """

    name: str
    path: Path | None = None
    descriptor: int | None = None
    is_device: bool = False
    mode: int | None = None

    @property
    def is_staged(self) -> bool:
        """Whether the output is a file that replaces its target when complete."""
        return self.path is not None and not self.is_device


def check_targets(
    names: Sequence[str],
    *,
    overwrite: bool = False,
    replaceable: Collection[str] = (),
    inputs: Iterable[Path] = (),
) -> list[Target]:
    """Return the targets of a run, or raise before any work is done.

    Parameters
    ----------
    names : sequence of str
        Paths; ``-`` for standard output.
    overwrite : bool
        Existing files may be replaced.
    replaceable : collection of str
        Names that may be replaced in any case.
    inputs : iterable of Path
        Files that the run reads.

    Raises
    ------
    UsageError
        Two outputs have one target, or an output is an input.
    OutputError
        A target exists, is a folder, or cannot be written.
    """
    targets = [_resolve(name) for name in names]
    _refuse_twins(targets)
    _refuse_inputs(targets, inputs)
    for target in targets:
        if target.mode is None:
            continue
        if not overwrite and target.name not in replaceable:
            raise OutputError(f"{target.name} exists already; add --overwrite to replace it.")
        if not os.access(str(target.path), os.W_OK):
            raise OutputError(f"{target.name} is write-protected; write to another file.")
    return targets


def _resolve(name: str) -> Target:
    """Find out what a name stands for."""
    descriptor = STANDARD_STREAMS.get(name)
    if match := DESCRIPTOR.fullmatch(name):
        descriptor = int(match[1])
    if descriptor is not None:
        try:
            os.fstat(descriptor)
        except OSError:
            what = "standard output" if descriptor == 1 else name
            raise OutputError(f"Cannot write to {what}: it is closed.") from None
        return Target(name, descriptor=descriptor)

    path = Path(os.path.realpath(name))
    try:
        status = path.stat()
    except FileNotFoundError:
        if name.endswith(os.sep):
            raise OutputError(f"{name} is a folder; add the name of a file.") from None
        if not path.parent.is_dir():
            raise OutputError(
                f"Cannot write {name}: the folder {path.parent} does not exist; create it first."
            ) from None
        return Target(name, path)
    except OSError as error:
        raise write_error(name, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{name} is a folder; add the name of a file.")
    if stat.S_ISREG(status.st_mode):
        return Target(name, path, mode=stat.S_IMODE(status.st_mode))
    if stat.S_ISSOCK(status.st_mode):
        raise OutputError(f"{name} is a socket, which cannot be written like a file.")
    return Target(name, path, is_device=True)


def _refuse_twins(targets: list[Target]) -> None:
    names: dict[Path | int | None, str] = {}
    for target in targets:
        if target.path is not None and target.path.is_char_device():
            continue  # /dev/null takes any number of outputs
        key = target.descriptor if target.path is None else target.path
        if key in names:
            if key == STANDARD_STREAMS["-"]:
                raise UsageError("Two outputs go to standard output; give one of them a file.")
            raise UsageError(
                f"Two outputs go to one file ({names[key]} and {target.name}); give each its own."
            )
        names[key] = target.name


def _refuse_inputs(targets: list[Target], inputs: Iterable[Path]) -> None:
    existing = {
        (status.st_dev, status.st_ino): target.name
        for target in targets
        if target.mode is not None and (status := Path(str(target.path)).stat())
    }
    if not existing:
        return
    for path in inputs:
        try:
            status = path.stat()
        except OSError:
            continue  # whoever opens it says so
        name = existing.get((status.st_dev, status.st_ino))
        if name is not None:
            raise UsageError(f"{name} is an input of this run; write the output to another file.")


def write_error(name: str, error: OSError) -> OutputError:
    """Return the error for a target that the system refuses to write."""
    what = "standard output" if name == "-" else name
    return OutputError(f"Cannot write {what}: {_reason(error)}.")


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "no space left on its disk; free some, or write to another disk"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "permission denied; write to a folder that is yours"
    return error.strerror or str(error)
