"""`gridcli completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click

from gridcli.cli.screen import PROGRAM

COMPLETION_VARIABLE = "_GRIDCLI_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    \b
    Example:
      gridcli completion bash > ~/.local/share/bash-completion/completions/gridcli
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"click cannot complete in {shell}.", context)
    click.echo(script(context.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE).source())
