"""The seal of a state file: a checksum of the Parquet footer, which cannot hold its own.

It stands between the last row group and the footer, where readers of Parquet do not look. So a
damaged footer is told before any decoder sees it; what the footer points to has digests in it.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from gridcli.errors import InputError

if TYPE_CHECKING:
    from typing import BinaryIO

    from gridcli.output.layer import Sink

MAGIC = b"PAR1"
MARK = b"gridcli footer sha256:"
SEAL_BYTES = len(MARK) + 32
TAIL_BYTES = 8
"""Length of the footer, 4 bytes little-endian, and the magic bytes."""


class SealingSink(io.RawIOBase):
    """Passes on what a writer of Parquet writes, and puts the seal before its footer.

    Parameters
    ----------
    sink : Sink
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink: Sink | None = sink
        self._footer: list[bytes] | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Pass the bytes on, or keep them while the footer is written."""
        if self._footer is not None:
            self._footer.append(bytes(data))
        elif self._sink is not None:
            try:
                self._sink.write(data)
            except BaseException:
                self.abandon()  # writers of Parquet go on writing as they are taken apart
                raise
        return len(memoryview(data).cast("B"))

    def begin_footer(self) -> None:
        """Take what comes next for the footer."""
        self._footer = []

    def end_footer(self) -> None:
        """Pass the seal and the footer on."""
        assert self._footer is not None  # noqa: S101
        footer, self._footer = b"".join(self._footer), None
        if self._sink is not None:
            self._sink.write(MARK + hashlib.sha256(footer).digest())
            self._sink.write(footer)

    def abandon(self) -> None:
        """Let all that is still written go nowhere."""
        self._sink = None


def check_seal(name: str, file: BinaryIO) -> bool:
    """Return whether a file has an intact seal; False where it is a Parquet file without one.

    Raises
    ------
    InputError
        The file is not Parquet, truncated or corrupt.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(len(MAGIC))
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    if head != MAGIC and not tail.endswith(MAGIC):
        raise InputError(
            f"{name}: not a state: it is no Parquet file. gridcli contract makes a state of points."
        )
    if head != MAGIC:
        raise InputError(f"{name}: corrupt at its beginning. Fetch or write it anew.")
    if size < len(MAGIC) + TAIL_BYTES or not tail.endswith(MAGIC):
        raise InputError(f"{name}: truncated: its end is missing. Fetch or write it anew.")
    footer_bytes = int.from_bytes(tail[:4], "little") + TAIL_BYTES
    begin = size - footer_bytes - SEAL_BYTES
    if begin + SEAL_BYTES < len(MAGIC):
        raise InputError(f"{name}: corrupt at its end. Fetch or write it anew.")
    file.seek(max(0, begin))
    seal = file.read(SEAL_BYTES)
    if begin < 0 or not seal.startswith(MARK):
        return False
    if hashlib.sha256(file.read(footer_bytes)).digest() != seal[len(MARK) :]:
        raise InputError(f"{name}: corrupt: wrong checksum of its footer. Fetch or write it anew.")
    return True
