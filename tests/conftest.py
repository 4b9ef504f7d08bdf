"""Fixtures of the whole suite: running the command line in this process or in its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from gridcli.cli.exits import run
from gridcli.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable

# The same cases in every run; no time limits, since kernels compile on first use.
settings.register_profile(
    "gridcli",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gridcli")

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def assert_one_paragraph(self) -> None:
        """Check that the error is one short paragraph and no traceback."""
        errors = [line for line in self.err.splitlines() if line.startswith("gridcli: error: ")]
        assert len(errors) == 1, self.err
        assert "Traceback" not in self.err
        assert len(errors[0]) < 700, self.err
        assert errors[0].rstrip().endswith((".", ")")) or "try: gridcli " in errors[0], self.err


@pytest.fixture
def gridcli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process: quick, and the same code as the program's."""

    def call(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code = run(cli, [str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def process_environment(**variables: str) -> dict[str, str]:
    """Environment of a child process: this one's, without the user's own settings of gridcli."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GRIDCLI_")}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "80", **variables}


def start_process(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    """Start the program in a process of its own, its output and errors captured."""
    settings: dict[str, object] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": process_environment(),
        **options,
    }
    command = [sys.executable, "-m", "gridcli", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, **settings)  # type: ignore[call-overload, no-any-return]


def run_process(*arguments: str | Path, **options: object) -> Outcome:
    """Run the program in a process of its own until it ends."""
    process = start_process(*arguments, **options)
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, (out or b"").decode(), (err or b"").decode())


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CSV of one hub (5 tiles of 8 points at prec 4), noise, and bad rows of each kind."""
    path = tmp_path_factory.mktemp("sample") / "points.csv"
    rows = ["id,lat,lon,speed"]
    for tile in range(5):
        rows += [f"{i},57.70005,{11.9 + tile / 1e4 + 0.00005:.5f},{i}" for i in range(8)]
    rows += [f"n{i},{50 + i / 10:.2f},{10 + i / 10:.2f},1" for i in range(20)]
    rows += ["b1,,11.9,1", "b2,north,11.9,1", "b3,95,11.9,1", "b4,0.0001,0.0001,1"]
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    return path
