"""Every exit code of the contract, through real processes; and what each error is turned into."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridcli import errors
from gridcli.cli.exits import explain
from gridcli.runtime.signals import Interrupted
from tests.conftest import process_environment, run_process, start_process

FULL = Path("/dev/full")


def test_0_done(sample_csv, tmp_path) -> None:
    outcome = run_process("raster", sample_csv, "-o", tmp_path / "hubs.geojson")
    assert outcome.code == 0, outcome.err
    assert [each.name for each in tmp_path.iterdir()] == ["hubs.geojson"]


def test_1_a_bug_shows_its_traceback(sample_csv, tmp_path) -> None:
    program = (
        "import gridcli.cli.inspect as broken, gridcli.__main__ as program\n"
        "def fail(*_): raise ZeroDivisionError('injected')\n"
        "broken._findings = fail\n"
        "program.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(sample_csv)],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError: injected" in done.stderr
    assert "this is a bug in gridcli" in done.stderr.splitlines()[-1]


def test_2_wrong_usage(tmp_path) -> None:
    outcome = run_process("raster", "a.csv", "-o", tmp_path / "a.csv", "--no-such-option")
    assert outcome.code == 2
    assert "--no-such-option" in outcome.err
    outcome.assert_one_paragraph()


def test_3_missing_input(tmp_path) -> None:
    outcome = run_process("raster", tmp_path / "none.csv", "-o", tmp_path / "hubs.csv")
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert list(tmp_path.iterdir()) == []


def test_4_bad_data(sample_csv, tmp_path) -> None:
    target = tmp_path / "hubs.csv"
    outcome = run_process("raster", sample_csv, "-o", target, "--max-bad", "2")
    assert outcome.code == 4, outcome.err
    assert "--max-bad 2" in outcome.err
    outcome.assert_one_paragraph()
    assert list(tmp_path.iterdir()) == []


def test_5_an_output_exists(sample_csv, tmp_path) -> None:
    target = tmp_path / "hubs.csv"
    target.write_text("precious")
    outcome = run_process("raster", sample_csv, "-o", target)
    assert outcome.code == 5
    assert "--overwrite" in outcome.err
    outcome.assert_one_paragraph()
    assert target.read_text() == "precious"


def test_5_standard_output_is_closed(sample_csv) -> None:
    command = f"{sys.executable} -m gridcli raster {sample_csv} -o - --format csv >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=process_environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk(sample_csv) -> None:
    with FULL.open("wb") as full:
        outcome = run_process("raster", sample_csv, "-o", "-", "--format", "csv", stdout=full)
    assert outcome.code == 5, outcome.err
    outcome.assert_one_paragraph()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("mode", ["bar", "json", "plain"])
def test_nobody_has_to_read_the_messages(mode, sample_csv, tmp_path) -> None:
    target = tmp_path / "hubs.csv"
    with FULL.open("wb") as full:
        outcome = run_process(
            *("raster", sample_csv, "-o", target, "--progress", mode, "--tau", "1000"),
            *("--progress-interval", "0.1"),
            stderr=full,
        )
    assert outcome.code == 0
    assert target.exists()


def test_6_the_temporary_disk_is_full(tmp_path) -> None:
    source = tmp_path / "in.parquet"
    values = np.random.default_rng(1).uniform(0, 50, 20_000)
    pq.write_table(pa.table({"lat": values, "lon": values}), source)
    target = tmp_path / "hubs.csv"
    with source.open("rb") as stream:
        outcome = run_process(
            *("raster", "-", "-o", target, "--temp-dir", tmp_path),
            stdin=stream,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        )
    assert outcome.code == 6, outcome.err
    assert "--temp-dir" in outcome.err
    outcome.assert_one_paragraph()
    assert list(tmp_path.iterdir()) == [source]


def test_7_an_optional_package_is_missing(sample_csv, tmp_path) -> None:
    program = "import sys; sys.modules['pyproj'] = None; import gridcli.__main__ as p; p.main()"
    target = tmp_path / "hubs.parquet"
    options = ["--planar", "--x", "lon", "--y", "lat", "--tile-size", "1", "--crs", "EPSG:3006"]
    done = subprocess.run(
        [sys.executable, "-c", program, "raster", sample_csv, "-o", target, *options],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert "pip install 'gridcli[crs]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_141_a_broken_pipe_is_quiet(tmp_path) -> None:
    many = tmp_path / "many.csv"
    lines = [
        f"{row / 100 + 0.005:.4f},{column / 100 + 0.005:.4f}"
        for row in range(100)
        for column in range(100)
    ]
    many.write_text("lat,lon\n" + "\n".join(lines) + "\n")
    arguments = ["raster", many, "--prec", "2", "--tau", "1", "--mu", "1", "--delta", "1"]
    arguments += ["-o", tmp_path / "hubs.csv", "--tiles", "-", "--format", "geojsonl"]
    process = start_process(*arguments, "-q")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors_shown = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert errors_shown == b""
    assert list(tmp_path.iterdir()) == [many]


EXPLAINED = [
    (errors.UsageError("x."), 2),
    (errors.InputError("x."), 3),
    (errors.DataError("x."), 4),
    (errors.OutputError("x."), 5),
    (errors.ResourceError("x."), 6),
    (errors.MissingExtraError("x."), 7),
    (click.UsageError("x."), 2),
    (click.BadParameter("x."), 2),
    (click.NoSuchOption("--x"), 2),
    (click.FileError("x", "y"), 2),
    (click.Abort(), 130),
    (KeyboardInterrupt(), 130),
    (Interrupted(1), 129),
    (Interrupted(2), 130),
    (Interrupted(15), 143),
    (BrokenPipeError(errno.EPIPE, "x"), 141),
    (MemoryError(), 6),
    (OSError(errno.ENOSPC, "x"), 5),
    (OSError(errno.EDQUOT, "x"), 5),
    (OSError(errno.EMFILE, "x"), 6),
    (OSError(errno.EROFS, "x", "/a/b"), 5),
    (OSError(errno.EIO, "x", "/a/b"), 3),
    (OSError("no number: a library's own"), 1),
    (ValueError("x"), 1),
    (AssertionError(), 1),
]


@pytest.mark.parametrize(("error", "code"), EXPLAINED, ids=repr)
def test_every_error_has_its_code(error, code) -> None:
    found, message = explain(error)
    assert found == code
    assert message.startswith("gridcli: ") or code == 141
    assert "\n" not in message


def test_a_paragraph_is_wrapped_on_a_terminal_only(monkeypatch) -> None:
    error = errors.UsageError("word " * 60 + "end.")
    assert "\n" not in explain(error)[1]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    lines = explain(error)[1].splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 60
