"""A temporary file that takes what memory does not hold, and that dies with the process."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import ResourceError
from gridcli.runtime.closing import Closing

if TYPE_CHECKING:
    from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Extent:
    """Where some bytes stand in a `SpillFile`."""

    offset: int
    size: int


class SpillFile(Closing):
    """A file without a name: nothing is left of it, however the process ends.

    It is created at the first append, so a run that spills nothing needs no folder.

    Parameters
    ----------
    folder : str or None
        Where to put it; None: the system's folder for temporary files.

    Attributes
    ----------
    size : int
        Bytes appended so far.
    """

    advice = "Name another folder with --temp-dir."

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._file: Any = None
        self._lock = threading.Lock()
        self.size = 0

    @property
    def place(self) -> str:
        """The folder that the file stands in, for messages."""
        return self._folder if self._folder is not None else tempfile.gettempdir()

    def append(self, data: Any) -> Extent:
        """Append bytes. Thread-safe; threads write at the same time.

        Parameters
        ----------
        data : contiguous buffer, e.g. an ndarray

        Raises
        ------
        ResourceError
            The disk is full, or the folder cannot be written.
        """
        waiting = memoryview(data).cast("B")
        with self._lock:
            if self._file is None:
                self._file = self._create()
            extent = Extent(self.size, len(waiting))
            self.size += len(waiting)
        offset = extent.offset
        try:
            while len(waiting):
                n = os.pwrite(self._file.fileno(), waiting, offset)
                waiting, offset = waiting[n:], offset + n
        except OSError as error:
            raise self._failed(error) from error
        return extent

    def read(self, extent: Extent) -> npt.NDArray[np.uint8]:
        """Return appended bytes. Thread-safe."""
        data = np.empty(extent.size, np.uint8)
        view = memoryview(data.data)
        done = 0
        while done < extent.size:
            n = os.preadv(self._file.fileno(), [view[done:]], extent.offset + done)
            if n == 0:
                raise ResourceError(f"temporary data in {self.place} was cut short by something.")
            done += n
        return data

    def close(self) -> None:
        """Give the disk space back; safe to call twice."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> Any:
        return tempfile.TemporaryFile(buffering=0, dir=self._folder)

    def _create(self) -> Any:
        try:
            return self._open()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> ResourceError:
        if error.errno in FULL:
            return ResourceError(
                f"the disk of {self.place} is full: {self.size / 1e6:,.0f} MB of temporary data "
                f"did not fit. {self.advice}"
            )
        return ResourceError(
            f"temporary data cannot be written to {self.place}: {error.strerror}. {self.advice}"
        )


class KeptFile(SpillFile):
    """A spill file with a name, which outlives the process.

    Parameters
    ----------
    path : Path
    size : int
        Bytes of it that count, 0 for a new file; what a dead run wrote beyond them is cut off.
    """

    advice = "What it holds of earlier checkpoints is still good: make room, and resume."

    def __init__(self, path: Path, size: int = 0) -> None:
        super().__init__(str(path.parent))
        self._path = path
        self.size = size
        self._file = self._create()

    def sync(self) -> None:
        """Wait until all that was appended is on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _open(self) -> Any:
        file = self._path.open("r+b" if self.size else "w+b", buffering=0)
        file.truncate(self.size)
        return file
