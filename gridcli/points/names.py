"""Columns by name: found without case, never guessed, listed in messages."""

from __future__ import annotations

from collections.abc import Sequence

from gridcli.errors import UsageError

_MAX_LISTED = 40


def find(names: Sequence[str], wanted: str, name: str) -> str:
    """Return the column called `wanted`: spelled so, else the only one when case is ignored.

    Raises
    ------
    UsageError
        There is none, or there are several that differ in case.
    """
    if wanted in names:
        return wanted
    folded = [column for column in names if column.casefold() == wanted.casefold()]
    if not folded:
        raise UsageError(f"{name}: no column {wanted!r}. Its columns: {listed(names)}.")
    if len(set(folded)) > 1:
        raise UsageError(
            f"{name}: {wanted!r} may be any of {listed(folded)}; spell it as the file does."
        )
    return folded[0]


def require_unique(names: Sequence[str], column: str, name: str) -> None:
    """Raise UsageError where several columns are called `column`."""
    if list(names).count(column) > 1:
        raise UsageError(
            f"{name}: {list(names).count(column)} columns are called {column!r}, so it is not "
            "clear which to read. Rename one, or name other columns."
        )


def listed(names: Sequence[str]) -> str:
    """Return column names for a message, cut short where there are very many."""
    shown = ", ".join(str(name) for name in names[:_MAX_LISTED])
    left = len(names) - _MAX_LISTED
    return f"{shown} and {left} more" if left > 0 else shown or "none"
