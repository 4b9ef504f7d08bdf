"""What commands say on standard error, in one voice."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

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
    text = prefix + message.strip()
    if sys.stderr is None or not sys.stderr.isatty():
        return text
    width = min(shutil.get_terminal_size().columns, WIDEST)
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )


def say(message: str, kind: str | None = None) -> None:
    """Print a message on standard error."""
    if sys.stderr is not None:
        click.echo(paragraph(message, kind), err=True)


def warn(message: str) -> None:
    """Print a warning on standard error; `--quiet` does not hide it."""
    say(message, "warning")
