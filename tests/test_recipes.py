"""The cron recipe of docs/states.md, run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gridcli.states.file import open_state
from tests.conftest import REPOSITORY, process_environment

PAGE = (REPOSITORY / "docs" / "states.md").read_text(encoding="utf-8")


def recipe(title: str) -> list[str]:
    """The shell blocks of a section."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """Run lines of a shell in a folder where `gridcli` is this program."""
    program = tmp_path / "bin" / "gridcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gridcli "$@"\n')
    program.chmod(0o755)
    environment = process_environment()
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"

    def run(lines: str, **variables: str) -> int:
        return subprocess.run(
            ["bash", "-c", lines],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            check=False,
        ).returncode

    return run


def write_day(folder: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.array([11.9, 57.7]) + rng.normal(0, 2e-4, (400, 2))
    day = folder / "trips" / name
    day.mkdir(parents=True)
    lines = [f"{lat:.6f},{lon:.6f}" for lon, lat in at.tolist()]
    (day / "fixes.csv").write_text("\n".join(["lat,lon", *lines]) + "\n")


def test_the_sliding_window_of_the_documentation(shell, tmp_path):
    nightly, beginning, anew = recipe("The last 28 days, every night")
    contract, _ = nightly.split("\n", 1)
    days = [f"2026-11-{day:02}" for day in range(1, 7)]
    (tmp_path / "days").mkdir()
    for i, day in enumerate(days):
        write_day(tmp_path, day, i)
    for day in days[:3]:
        assert shell(contract.removesuffix("&&"), new=day) == 0
    assert shell(beginning) == 0
    for new, old in zip(days[3:], days, strict=False):
        assert shell(nightly, new=new, old=old) == 0
    wanted = " ".join(f"days/{day}.state.parquet" for day in days[3:])
    assert shell(f"gridcli merge {wanted} -o expected.parquet") == 0
    found, expected = (
        open_state(tmp_path / name).info.content_hash
        for name in ("window.state.parquet", "expected.parquet")
    )
    assert found == expected
    # A night that runs twice does no harm: the window has counted the day already.
    before = (tmp_path / "window.state.parquet").read_bytes()
    assert shell(nightly, new=days[5], old=days[2]) == 2
    assert (tmp_path / "window.state.parquet").read_bytes() == before
    assert shell(anew.replace("28", "3")) == 0
    assert open_state(tmp_path / "window.state.parquet").info.content_hash == expected


def test_the_state_that_only_grows(shell, tmp_path):
    (line,) = recipe("One state that only grows")
    for i in range(3):
        write_day(tmp_path, f"day{i}", i)
        assert shell(line) == 0
    info = open_state(tmp_path / "year.state.parquet").info
    assert info.counts.read == 1_200
    assert len(info.inputs) == 3
