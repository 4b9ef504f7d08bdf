"""Entry point: ``gridcli`` and ``python -m gridcli``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from gridcli.cli.exits import run
        from gridcli.cli.main import cli

        if "_GRIDCLI_COMPLETE" in os.environ:  # a shell asks for completions
            cli.main(prog_name="gridcli")
        code = run(cli, sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    if code == 0:
        sys.exit(0)
    # A thread that is blocked in a read cannot be waited for, and Python would wait.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                continue
    os._exit(code)


if __name__ == "__main__":
    main()
