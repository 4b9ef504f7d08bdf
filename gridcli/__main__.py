"""Entry point: ``gridcli`` and ``python -m gridcli``."""

from __future__ import annotations

import os
import sys


class WithoutPandas:
    """Lets `import pandas` fail in the program's own process.

    pyarrow imports pandas, where there is one, with the first array it makes: 0.3 s for nothing.
    """

    def find_spec(self, name: str, *_: object) -> None:
        """Find no module, and say of pandas that there is none."""
        if name == "pandas":
            raise ModuleNotFoundError("gridcli does without pandas", name=name)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.meta_path.insert(0, WithoutPandas())
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
