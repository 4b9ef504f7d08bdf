"""The command that the user may have meant, as text to copy."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gridcli.cli.screen import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLACED_WITH_VALUE = ("--lat", "--lon", "--x", "--y", "--scale")
REPLACED_FLAGS = ("--planar", "--keep-null-island")
NOT_PLANAR = ("--prec", "--tile-size")
ASK_TILE_SIZE = "--tile-size SIZE"


def corrected_command(arguments: Sequence[str], suggestion: str) -> str:
    """Return the user's command with the options on columns replaced by others.

    Parameters
    ----------
    arguments : sequence of str
        The command line as it was given, without the program's name.
    suggestion : str
        Options quoted for a shell, of `gridcli.points.diagnose.suggest`. For planar data the
        user's precision in degrees means nothing, so a tile size is asked for.
    """
    is_planar = "--planar" in suggestion.split()
    with_value = REPLACED_WITH_VALUE + (NOT_PLANAR if is_planar else ())
    command, *kept = without_options(arguments, with_value, REPLACED_FLAGS)
    asked = [ASK_TILE_SIZE] if is_planar else []
    return " ".join([PROGRAM, command, suggestion, *asked, shlex.join(kept)])


def without_options(
    arguments: Sequence[str], with_value: Sequence[str], flags: Sequence[str]
) -> list[str]:
    """Return the arguments without some options, each given as ``--name value`` or otherwise."""
    kept: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            kept += [argument, *remaining]
        elif argument in with_value:
            next(remaining, None)
        elif argument.split("=", 1)[0] not in with_value and argument not in flags:
            kept.append(argument)
    return kept
