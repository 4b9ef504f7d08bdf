"""Whether files are still what they were: by size and time of change, without reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.points.plan import Input

Stamp = tuple[int, int]
"""Size in bytes, and time of change in nanoseconds."""


def stamps_of(inputs: Sequence[Input]) -> list[Stamp | None]:
    """Return the stamp of every input, None of a stream."""
    return [_stamp(source) for source in inputs]


def require_unchanged(inputs: Sequence[Input], stamps: Sequence[Stamp | None]) -> None:
    """Refuse inputs that are not what they were when their stamps were taken.

    Raises
    ------
    DataError
    """
    for source, stamp in zip(inputs, stamps, strict=True):
        if stamp is not None and _stamp(source) != stamp:
            raise DataError(
                f"{source.name} has changed while it was read, so the result would be of no one "
                "version of it. Nothing was written: run again once it is complete."
            )


def _stamp(source: Input) -> Stamp | None:
    if source.path is None:
        return None
    try:
        status = source.path.stat()
    except FileNotFoundError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
