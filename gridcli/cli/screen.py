"""What commands say on standard error, in one voice."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "gridcli"
WIDEST = 100


def paragraph(message: str, kind: str | None = None) -> str:
    """Return a message as the user sees it: wrapped on a terminal, else one line.

    A line of a log stays one line, so that `grep` shows all of it.

    Parameters
    ----------
    message : str
        One paragraph; line breaks in it are kept.
    kind : str, optional
        "error" or "warning".
    """
    prefix = f"{PROGRAM}: {kind}: " if kind else f"{PROGRAM}: "
    return wrapped(prefix + message.strip(), sys.stderr, indent="  ")


def wrapped(text: str, stream: IO[str] | None, *, indent: str = "") -> str:
    """Return text broken between words where its stream is a terminal, else as it is.

    Parameters
    ----------
    text : str
        Line breaks in it are kept.
    stream : text stream or None
        Where it will be printed.
    indent : str
        What begins each further line.
    """
    if stream is None or not stream.isatty():
        return text
    width = min(shutil.get_terminal_size().columns, WIDEST)
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )


def say(message: str, kind: str | None = None) -> None:
    """Print a message on standard error."""
    write_error(paragraph(message, kind) + "\n")


def warn(message: str) -> None:
    """Print a warning on standard error; `--quiet` does not hide it."""
    say(message, "warning")


def warn_of_some(notes: Sequence[str], what: str) -> None:
    """Print notes as warnings, one of each kind: an example, and how many more there are of what.

    Notes are ``NAME: KIND ...``; a kind is one word.
    """
    kinds: dict[str, list[str]] = {}
    for note in notes:
        kind = note.partition(": ")[2].partition(" ")[0]
        kinds.setdefault(kind, []).append(note)
    for first, *others in kinds.values():
        warn(f"{first}{f' ({len(others):,} more {what})' if others else ''}.")


def write_error(text: str) -> None:
    """Write to standard error, if anybody listens: a run does not fail for want of a listener."""
    if sys.stderr is None:
        return
    try:
        click.echo(text, err=True, nl=False)
    except OSError:
        abandon(sys.stderr)


def abandon(stream: IO[str]) -> None:
    """Let all that is written to a stream that has failed go nowhere, also when Python exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
