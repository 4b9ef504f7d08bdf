"""Write docs/commands.md from the commands' own help: `make docs`."""

from __future__ import annotations

from pathlib import Path

import click

from gridcli.cli.main import cli

TARGET = Path(__file__).with_name("commands.md")
WIDTH = 90


def page() -> str:
    """Return the page: one section per command, its help as the program prints it."""
    parts = ["# Commands\n\nWritten by `make docs` from `--help`; edit the help texts instead.\n"]
    settings = {**cli.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(cli, info_name="gridcli", **settings)
    parts.append(_section("gridcli", cli.get_help(context)))
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        parts.append(_section(f"gridcli {name}", command.get_help(inner)))
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
