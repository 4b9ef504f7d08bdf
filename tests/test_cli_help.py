"""Help, version and completion: true, quick, and with examples that run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import click
import pytest

from gridcli import __version__
from gridcli.cli.exits import run
from gridcli.cli.main import COMMANDS, cli
from gridcli.states.info import InputRecord
from tests.conftest import REPOSITORY, process_environment, run_process
from tests.state_examples import GRID, row_counts, write_state
from tests.tile_examples import tiles_of

HEAVY = {"numpy", "pyarrow", "numba", "rich", "tqdm", "llvmlite"}
SHOWN = "import sys; from gridcli.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_in_both_spellings(name, gridcli) -> None:
    words = [] if name is None else [name]
    long, short = gridcli(*words, "--help"), gridcli(*words, "-h")
    assert long.code == short.code == 0
    assert long.out == short.out
    assert "Example:" in long.out
    assert long.err == ""


@pytest.mark.parametrize("words", [["--help"], ["raster", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words) -> None:
    program = SHOWN + "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert HEAVY.isdisjoint(done.stderr.split())


def test_a_run_does_without_pandas(sample_csv, tmp_path) -> None:
    program = SHOWN + "assert not [n for n in sys.modules if n.startswith('pandas.')]"
    subprocess.run(
        [sys.executable, "-c", program, "raster", sample_csv, "-o", tmp_path / "hubs.parquet"],
        env=process_environment(),
        check=True,
        capture_output=True,
    )


def test_the_version_is_the_package_s(gridcli) -> None:
    assert gridcli("--version").out == f"gridcli, version {__version__}\n"


def test_without_a_command_the_help_is_shown_as_an_error(gridcli) -> None:
    outcome = gridcli()
    assert outcome.code == 2
    assert "Commands:" in outcome.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.opts


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell, gridcli) -> None:
    outcome = gridcli("completion", shell)
    assert outcome.code == 0
    assert "_GRIDCLI_COMPLETE" in outcome.out


def test_a_shell_gets_completions() -> None:
    variables = {
        "COMP_WORDS": "gridcli ras",
        "COMP_CWORD": "1",
        "_GRIDCLI_COMPLETE": "bash_complete",
    }
    outcome = run_process(env=process_environment(**variables))
    assert outcome.out == "plain,raster\n"


def write_window(folder) -> None:
    """The states of the example of `gridcli merge`: the window counts what the old state does."""
    tiles, inputs = tiles_of(GRID, {(1, 1): 3}), [InputRecord("/a.csv", 1, 1, "content")]
    for name in ("window", "old"):
        write_state(folder / f"{name}.parquet", tiles, inputs=inputs)
    write_state(folder / "new.parquet", tiles, row_counts(3))


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_the_example_runs(name, tmp_path, monkeypatch, capfd) -> None:
    """As a user types it, in a folder with the sample data as trips/."""
    monkeypatch.chdir(tmp_path)
    context = click.Context(cli, info_name="gridcli")
    command = cli if name is None else cli.get_command(context, name)
    assert command is not None
    example = re.search(r"Example:\n\s+(gridcli .*)", command.get_help(context))
    assert example is not None
    program, *words = shlex.split(example[1].split(">")[0])
    assert program == "gridcli"
    if name == "generate":
        words[words.index("--points") + 1] = "20k"
        words[words.index("--clusters") + 1] = "20"
    else:
        shutil.copytree(REPOSITORY / "sample_data" / "trips", "trips")
    if name == "merge":
        write_window(tmp_path)
    if name == "contract":
        shutil.move("trips", "day")
        shutil.copytree("day", words[1])
    if name in {"agglomerate", "sweep", "explain"}:
        assert run(cli, ["contract", "trips", "-o", words[1]]) == 0
    if name == "label":
        assert run(cli, ["raster", "trips", "-o", "hubs.csv", "--tiles", words[1]]) == 0
    if name == "diff":
        for part, tiles in enumerate(words[1:]):
            made = [
                "raster",
                f"trips/part-0000{part}.parquet",
                "-o",
                f"{part}.csv",
                "--tiles",
                tiles,
            ]
            assert run(cli, made) == 0
    assert run(cli, words) == 0, capfd.readouterr().err
    for option in ("-o", "--clusters", "--tiles"):
        if option in words and name != "generate":
            target = tmp_path / words[words.index(option) + 1]
            if target.suffix == ".parquet":
                assert target.read_bytes().endswith(b"PAR1")
                continue
            assert '"Feature"' in target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mrege", "No such command 'mrege'. Did you mean merge? Try 'gridcli --help'."),
        ("zzz", "No such command 'zzz'. Try 'gridcli --help'."),
    ],
)
def test_a_command_that_is_misspelled(gridcli, word, told) -> None:
    outcome = gridcli(word)
    assert outcome.code == 2
    assert outcome.err.rstrip().endswith(told)
