"""Temporaries beside their targets: made, locked, put in place, and removed when stale.

The lock tells whether the run that made a temporary is alive. It is the kernel's, so it goes
with the process, even by SIGKILL; a process number in a file's name could be another's by then.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridcli.errors import OutputError
from gridcli.output.targets import Target, write_error

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_STEM = 180
"""Bytes of a target's name in a temporary's; file systems allow 255 in all."""


class OutputFile(io.RawIOBase):
    """An unbuffered binary file whose errors name the target.

    Unbuffered, so that a failed run leaves nothing to be flushed later. `write` writes all it is
    given. A broken pipe passes as BrokenPipeError.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        super().__init__()
        self.name = name
        self._descriptor = descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def write(self, data: Any) -> int:
        """Write all the bytes.

        Raises
        ------
        OutputError
            The disk is full, or whatever else the system says.
        """
        waiting = memoryview(data).cast("B")
        size = len(waiting)
        while len(waiting):
            try:
                waiting = waiting[os.write(self._descriptor, waiting) :]
            except BrokenPipeError:
                raise
            except OSError as error:
                raise write_error(self.name, error) from error
        return size

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise write_error(self.name, error) from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if not self.closed:
            super().close()
            with suppress(OSError):
                os.close(self._descriptor)


def open_directly(target: Target) -> OutputFile:
    """Open standard output, a descriptor, a FIFO or a device for writing.

    A FIFO waits here for its reader.
    """
    try:
        if target.descriptor is None:
            return OutputFile(target.name, os.open(str(target.path), os.O_WRONLY))
        if sys.stdout is not None:
            sys.stdout.flush()
        return OutputFile(target.name, os.dup(target.descriptor))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error(target.name, error) from error


class StagedFile:
    """A temporary that becomes its target when `publish` is called, or else is removed.

    Attributes
    ----------
    target : Target
    file : OutputFile
        Set by `open`.
    """

    file: OutputFile

    def __init__(self, target: Target) -> None:
        self.target = target
        self.place = Path(str(target.path))
        self._temporary: Path | None = None

    def open(self) -> None:
        """Create and lock the temporary, after removing those of dead runs.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        try:
            for stale in _temporaries_of(self.place):
                _remove_if_abandoned(stale)
            while not self._create():
                pass
        except OSError as error:
            raise write_error(self.target.name, error) from error

    def _create(self) -> bool:
        """Create and lock a temporary; False if another run took it for a stale one meanwhile."""
        ending = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._temporary = self.place.with_name(f"{hidden_stem(self.place)}{ending}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._temporary, flags, 0o666)
        self.file = OutputFile(self.target.name, descriptor)
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if self.target.mode is not None:
            with suppress(PermissionError):
                os.fchmod(descriptor, self.target.mode)
        return os.fstat(descriptor).st_nlink > 0

    def publish(self) -> None:
        """Put the temporary in its target's place; it is complete and synced."""
        if self._temporary is None:
            return
        try:
            self._temporary.replace(self.place)
        except OSError as error:
            raise write_error(self.target.name, error) from error
        self._temporary = None

    def discard(self) -> None:
        """Remove the temporary unless it has been published, and close the file."""
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()
            self._temporary = None
        if hasattr(self, "file"):
            self.file.close()


def sync_folder(folder: Path) -> None:
    """Wait until the renames in a folder are on the disk, where the file system can tell."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def refuse_newcomer(staged: StagedFile) -> None:
    """Raise if a file has appeared where there was none when the run began."""
    if staged.target.mode is None and os.path.lexists(staged.place):
        raise OutputError(
            f"{staged.target.name} was made by something else during this run; it stays as it is. "
            "Add --overwrite to replace it."
        )


def hidden_stem(place: Path) -> str:
    """Return how the names of the files that stand beside a target for a while begin."""
    name = place.name
    if len(os.fsencode(name)) > LONGEST_STEM:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.gridcli-"


def _temporaries_of(place: Path) -> Iterator[Path]:
    """Yield the temporaries of any run for a target."""
    pattern = re.compile(re.escape(hidden_stem(place)) + r"\d+-[0-9a-f]{8}\.tmp")
    with os.scandir(place.parent) as entries:
        names = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
    yield from (place.with_name(name) for name in names)


def _remove_if_abandoned(temporary: Path) -> None:
    """Remove a temporary whose run is dead: whose lock is free."""
    with suppress(OSError):
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(descriptor)
