"""The `gridcli` command: a group whose commands are imported when they are asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from gridcli import __version__

COMMANDS = {
    "raster": "gridcli.cli.raster",
    "agglomerate": "gridcli.cli.agglomerate",
    "contract": "gridcli.cli.contract",
    "merge": "gridcli.cli.merge",
    "sweep": "gridcli.cli.sweep",
    "label": "gridcli.cli.label",
    "diff": "gridcli.cli.diff",
    "explain": "gridcli.cli.explain",
    "inspect": "gridcli.cli.inspect",
    "generate": "gridcli.cli.generate",
    "completion": "gridcli.cli.completion",
}
"""Module of each command; the command is the module's attribute of the same name."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order of the documentation."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: Any = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101
        _name_variables(command, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; where there is none of that name, name one that is spelled alike."""
        similar = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and similar and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{args[0]}'. Did you mean {similar[0]}?")
        return super().resolve_command(ctx, args)


def _name_variables(command: click.Command, name: str) -> None:
    """Let each option be given as ``GRIDCLI_<COMMAND>_<OPTION>``, by its name on the command line.

    Click's own way goes by the names of the function's parameters, which may differ.
    """
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            option = max(parameter.opts, key=len).lstrip("-")
            parameter.envvar = f"GRIDCLI_{name}_{option}".replace("-", "_").upper()


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="gridcli")
def cli() -> None:
    """Find hubs in huge GPS files with RASTER clustering.

    Every option can also be given as an environment variable, e.g. GRIDCLI_RASTER_TAU=10;
    repeatable ones hold one value a line.

    \b
    Example:
      gridcli raster trips/ -o hubs.geojson
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
