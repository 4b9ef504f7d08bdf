"""Standard input and named pipes: seen before they are read, and spooled where readers seek."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from gridcli.errors import InputError, ResourceError, UsageError

if TYPE_CHECKING:
    from gridcli.points.plan import Input

STDIN = "-"
BUFFER_BYTES = 1 << 20


class Streams:
    """The inputs that can be read only once, each opened at most once.

    Parameters
    ----------
    stdin : buffered binary stream, optional
        Stands in for the process's standard input.
    """

    def __init__(self, stdin: io.BufferedIOBase | None = None) -> None:
        self._stdin = stdin
        self._heads: dict[str, bytes] = {}
        self._files: dict[str, io.BufferedIOBase] = {}

    def head(self, name: str, n_bytes: int) -> bytes:
        """Return the first bytes of a stream, which stay to be read (fewer where it ends)."""
        if name not in self._heads:
            self._heads[name] = self._open(name).read(n_bytes)
        return self._heads[name]

    def take(self, name: str) -> BinaryIO:
        """Return the whole stream, from its first byte."""
        file = self._open(name)
        raw = _Rejoined(self._heads.pop(name, b""), file)
        return cast("BinaryIO", io.BufferedReader(raw, BUFFER_BYTES))

    def close(self) -> None:
        """Close the named pipes; standard input belongs to the process."""
        for name, file in self._files.items():
            if name != STDIN:
                # The buffer's own close would wait for a thread that is blocked in a read.
                cast("io.BufferedReader", file).raw.close()
        self._files.clear()

    def _open(self, name: str) -> io.BufferedIOBase:
        if name in self._files:
            return self._files[name]
        if name != STDIN:
            try:
                self._files[name] = Path(name).open("rb")  # noqa: SIM115 - closed by close()
            except OSError as error:
                raise InputError(f"{name}: cannot be read: {error.strerror}.") from error
        elif self._stdin is not None:
            self._files[name] = self._stdin
        elif sys.stdin is None:
            raise InputError("standard input is closed, but - was given as an input.")
        else:
            self._files[name] = cast("io.BufferedIOBase", sys.stdin.buffer)
        return self._files[name]


class _Rejoined(io.RawIOBase):
    """Bytes that were read ahead, then the rest of the stream, which it does not close."""

    def __init__(self, head: bytes, rest: io.BufferedIOBase) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._head:
            return self._rest.readinto1(buffer)
        n = min(len(self._head), len(buffer))
        buffer[:n] = self._head[:n]
        self._head = self._head[n:]
        return n


class Spool:
    """A stream copied to a temporary file without a name, so that readers can seek in it.

    The file has no name from the start: nothing is left behind, whatever ends the process.

    Parameters
    ----------
    source : Input
        An input without a path.
    stream : binary stream
        Its bytes.
    temp_dir : Path or None
        Where the file lies; None: the system's choice.

    Raises
    ------
    UsageError
        The temporary directory cannot be written.
    ResourceError
        It is full.
    """

    def __init__(self, source: Input, stream: BinaryIO, temp_dir: Path | None) -> None:
        where = temp_dir or Path(tempfile.gettempdir())
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=where)  # noqa: SIM115
        except OSError as error:
            raise UsageError(
                f"{where}: the temporary directory cannot be written ({error.strerror}). "
                "Name another with --temp-dir."
            ) from error
        try:
            shutil.copyfileobj(stream, self._file, BUFFER_BYTES)
            self._file.flush()
        except OSError as error:
            self._file.close()
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise InputError(f"{source.name}: cannot be read: {error.strerror}.") from error
            raise ResourceError(
                f"{where}: no space left to keep a copy of {source.name}, which must be read "
                "out of order, or twice. Name a larger directory with --temp-dir, or give the "
                "file itself as the input."
            ) from error
        self.source = replace(
            source,
            path=Path(f"/dev/fd/{self._file.fileno()}"),
            size_bytes=os.fstat(self._file.fileno()).st_size,
        )
        """The same input with a path that can be opened while the spool is open."""

    def close(self) -> None:
        """Give the file's space back; safe to call twice."""
        self._file.close()
