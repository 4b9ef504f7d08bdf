"""Which inputs a state counts: recorded so that none is ever counted twice."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridcli.errors import InputError, UsageError
from gridcli.states.info import InputRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.points.plan import Input

WHOLE_BYTES = 4 << 20
"""Files up to this size are hashed whole."""
PIECES = 64
PIECE_BYTES = 64 << 10


def fingerprint(path: str | Path) -> str:
    """Return a hash that changes when the content of a file does.

    SHA-256, in hexadecimal, of the file's size in decimal digits, a line feed, and its content; of
    files larger than 4 MiB, 64 pieces of 64 KiB are hashed instead, which begin at the offsets
    ``i * (size - 65536) // 63``: spread evenly, the first and the last bytes among them. Hashing
    all of it would take as long as reading it once more. A change of a large file that keeps its
    size and touches no piece is not seen.

    Raises
    ------
    InputError
        The file is missing or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(b"%d\n" % size)
            if size <= WHOLE_BYTES:
                digest.update(file.read())
            else:
                for i in range(PIECES):
                    file.seek(i * (size - PIECE_BYTES) // (PIECES - 1))
                    digest.update(file.read(PIECE_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def record_inputs(
    inputs: Sequence[Input], *, input_id: str | None = None
) -> tuple[InputRecord, ...]:
    """Return the records of inputs that are about to be counted, in their order.

    Parameters
    ----------
    inputs : sequence of Input
    input_id : str, optional
        What to know the one input by that is a stream (--input-id).

    Raises
    ------
    InputError
        A file is missing or cannot be read.
    UsageError
        `input_id` is given, but not exactly one of the inputs is a stream.
    """
    n_streams = sum(source.path is None for source in inputs)
    if input_id is not None and n_streams != 1:
        raise UsageError(
            f"--input-id names the one input that is a stream, but {n_streams} of the "
            f"{len(inputs)} inputs are. Files are known by their content."
        )
    return tuple(_record(source, input_id) for source in inputs)


def _record(source: Input, input_id: str | None) -> InputRecord:
    if source.path is None:
        return InputRecord(source.name, input_id=input_id)
    real = os.path.realpath(source.path)
    try:
        status = Path(real).stat()  # first: what changes from here on is seen at the end
    except OSError as error:
        raise InputError(f"{real}: cannot be read: {error.strerror or error}.") from error
    return InputRecord(real, status.st_size, status.st_mtime_ns, fingerprint(real))


@dataclass(frozen=True)
class Comparison:
    """Given inputs, by what a state knows of them: positions among those given.

    Attributes
    ----------
    new : tuple of int
        Not counted yet.
    counted : tuple of int
        Counted already, or given a second time.
    changed : tuple of int
        Files that were counted with another content.
    """

    new: tuple[int, ...]
    counted: tuple[int, ...]
    changed: tuple[int, ...]


def select_new(
    recorded: Sequence[InputRecord], given: Sequence[InputRecord], *, as_often: bool = False
) -> Comparison:
    """Tell which of the given inputs a state has not counted.

    An input is the same whatever its path is; one without a fingerprint or id is always new.

    Parameters
    ----------
    recorded : sequence of InputRecord
        The inputs of the state.
    given : sequence of InputRecord
    as_often : bool
        An input that is given several times is new until the state has counted it as often.
    """
    identities = Counter(each.identity for each in recorded)
    paths = {each.path for each in recorded if each.fingerprint is not None}
    known = identities.copy()
    new, counted, changed = [], [], []
    for i, each in enumerate(given):
        if each.identity is not None and known[each.identity]:
            counted.append(i)
            known[each.identity] -= as_often
        elif each.fingerprint is not None and each.path in paths and not identities[each.identity]:
            changed.append(i)
        else:
            new.append(i)
            known[each.identity] += not as_often
    return Comparison(tuple(new), tuple(counted), tuple(changed))
