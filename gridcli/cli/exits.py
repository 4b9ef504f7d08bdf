"""Every way a command can end, as an exit code and one paragraph: the only place that decides.

The codes are those of docs/contract.md, section 5. Click's own defaults differ from them (it
ends with 1 on a broken pipe and on Ctrl-C), so its `main` is not used.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import TYPE_CHECKING

import click

from gridcli.cli.screen import PROGRAM, abandon, paragraph, write_error
from gridcli.errors import GridcliError
from gridcli.runtime.signals import Interrupted, handle_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

ARGUMENTS = "gridcli.arguments"
"""Key of the command line in the `meta` of Click's contexts."""

BUG = 1
WRONG_USAGE = 2
BAD_INPUT = 3
OUTPUT_FAILED = 5
OUT_OF_RESOURCES = 6
INTERRUPTED = 130
BROKEN_PIPE = 141

_RESOURCE_ERRORS = {
    errno.ENOMEM: "memory is exhausted",
    errno.EMFILE: "too many files are open (see ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
}
_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Met while writing what is no temporary: those have errors of their own."""


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run `command` and return its exit code; whatever went wrong has been said.

    Parameters
    ----------
    command : click.Command
        Its context's `obj` is the `StopFlag` that signals set.
    arguments : sequence of str
        The command line without the program's name.
    """
    try:
        with (
            handle_signals() as stop,
            command.make_context(PROGRAM, list(arguments), obj=stop) as context,
        ):
            context.meta[ARGUMENTS] = list(arguments)
            command.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:  # noqa: BLE001 - this is the one place that handles them all
        return _report(error)
    return 0


def _report(error: BaseException) -> int:
    """Say what went wrong, unless it is a broken pipe, and return the exit code."""
    code, message = explain(error)
    if code == BUG:
        write_error("".join(traceback.format_exception(error)))
    if message:
        write_error(message + "\n")
    if isinstance(error, OSError) and sys.stdout is not None:
        abandon(sys.stdout)  # what is still buffered for it cannot be written either
    return code


def explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code of an error and the paragraph to show, which may be empty."""
    match error:
        case Interrupted():
            return error.exit_code, paragraph(f"stopped by {error.name}.")
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED, paragraph("stopped by SIGINT.")
        case click.exceptions.NoArgsIsHelpError():
            return WRONG_USAGE, error.format_message()
        case click.UsageError():
            message = " ".join(error.format_message().split())
            return WRONG_USAGE, _error(f"{message} {_where_help_is(error)}")
        case click.ClickException():
            return WRONG_USAGE, _error(error.format_message())
        case GridcliError():
            return error.exit_code, _error(str(error))
        case BrokenPipeError():
            return BROKEN_PIPE, ""
        case MemoryError():
            return OUT_OF_RESOURCES, _error(
                "memory is exhausted. A coarser --prec needs fewer tiles, and fewer --threads "
                "need fewer buffers."
            )
        case OSError() if error.errno is not None:
            return _explain_os_error(error)
        case _:
            return BUG, _error(
                "this is a bug in gridcli: please report it with the lines above and the command."
            )


def _explain_os_error(error: OSError) -> tuple[int, str]:
    """Explain an error of the operating system that no reader or writer has explained."""
    where = f"{error.filename}: " if error.filename is not None else ""
    if error.errno in _RESOURCE_ERRORS:
        reason = _RESOURCE_ERRORS[error.errno]
        return OUT_OF_RESOURCES, _error(f"{where}{reason}. Fewer --threads need less.")
    if error.errno in _OUTPUT_ERRORS:
        return OUTPUT_FAILED, _error(f"{where}cannot be written: {error.strerror}.")
    return BAD_INPUT, _error(f"{where}{error.strerror}.")


def _error(message: str) -> str:
    return paragraph(message, "error")


def _where_help_is(error: click.UsageError) -> str:
    return f"Try '{error.ctx.command_path} --help'." if error.ctx is not None else ""
