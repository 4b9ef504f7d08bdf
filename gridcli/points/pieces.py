"""Pieces of a file, read at places that the file itself names and that may be wrong."""

from __future__ import annotations

import os
from io import RawIOBase


class DamagedError(ValueError):
    """What is read is not what it should be, or ends too early."""


def read_piece(file: RawIOBase, offset: int, n_bytes: int) -> bytes:
    """Return some bytes of an unbuffered file.

    Raises
    ------
    DamagedError
        The piece lies outside of the file.
    """
    if not 0 <= offset <= offset + n_bytes <= os.fstat(file.fileno()).st_size:
        raise DamagedError("a place lies outside of the file")
    file.seek(offset)
    return file.read(n_bytes) or b""
