"""Never half a file: targets are checked first, replaced together, and left alone on failure."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridcli.errors import OutputError, UsageError
from gridcli.output import staging
from gridcli.output.atomic import OutputSet
from gridcli.output.formats import FORMATS, write_layer
from tests.layer_examples import layer_of, point_layer, points


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def write(outputs: OutputSet, **texts: bytes) -> None:
    for name, text in texts.items():
        outputs[name].write(text)


def test_all_files_appear_at_the_commit() -> None:
    with OutputSet(["a", "b"]) as outputs:
        write(outputs, a=b"one", b=b"two")
        assert not {"a", "b"} & set(names())
        assert all(name.startswith(".") for name in names())
        outputs.commit()
        assert names() == ["a", "b"]
    assert names() == ["a", "b"]
    assert Path("a").read_bytes() == b"one"
    assert Path("b").read_bytes() == b"two"


def test_nothing_is_left_without_a_commit() -> None:
    with OutputSet(["a", "b"]) as outputs:
        write(outputs, a=b"one")
    assert names() == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failures_leave_targets_as_they_were(error: type[BaseException]) -> None:
    Path("a").write_text("old")

    def fail() -> None:
        with OutputSet(["a", "b"], overwrite=True) as outputs:
            write(outputs, a=b"new", b=b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert names() == ["a"]
    assert Path("a").read_text() == "old"


def test_the_primary_output_is_renamed_last(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    publish = staging.StagedFile.publish
    monkeypatch.setattr(
        staging.StagedFile,
        "publish",
        lambda staged: (order.append(staged.target.name), publish(staged)),
    )
    with OutputSet(["hubs", "tiles", "clusters"]) as outputs:
        outputs.commit()
    assert order == ["clusters", "tiles", "hubs"]


def test_every_file_is_synced_before_the_first_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    with OutputSet(["a", "b"], overwrite=True) as outputs:
        write(outputs, a=b"one", b=b"two")
        fsync = os.fsync
        calls: list[int] = []

        def second_fails(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError(errno.EIO, "Input/output error")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", second_fails)
        with pytest.raises(OutputError, match="Cannot write a: Input/output error"):
            outputs.commit()
        assert not {"a", "b"} & set(names())
    assert names() == []


def test_only_the_renames_are_held() -> None:
    seen = []

    @contextmanager
    def hold() -> Iterator[None]:
        seen.append(names())
        yield
        seen.append(names())

    with OutputSet(["a", "b"]) as outputs:
        outputs.commit(hold)
    assert len(seen[0]) == 2
    assert all(name.endswith(".tmp") for name in seen[0])
    assert seen[1] == ["a", "b"]


def test_an_existing_target_needs_overwrite() -> None:
    Path("a").write_text("old")
    with pytest.raises(OutputError, match="a exists already; add --overwrite"):
        OutputSet(["a"])
    with OutputSet(["a"], overwrite=True) as outputs:
        write(outputs, a=b"new")
        assert Path("a").read_text() == "old"
        outputs.commit()
    assert Path("a").read_text() == "new"


def test_a_target_that_appears_meanwhile_is_kept() -> None:
    with OutputSet(["a", "b"]) as outputs:
        write(outputs, a=b"new", b=b"new")
        Path("a").write_text("another's")
        with pytest.raises(OutputError, match="something else"):
            outputs.commit()
    assert names() == ["a"]
    assert Path("a").read_text() == "another's"


def test_a_target_that_appears_meanwhile_is_replaced_where_that_was_asked_for() -> None:
    with OutputSet(["a"], overwrite=True) as outputs:
        write(outputs, a=b"new")
        Path("a").write_text("another's")
        outputs.commit()
    assert Path("a").read_text() == "new"


def test_some_outputs_can_be_published_alone() -> None:
    with OutputSet(["a", "b"]) as outputs:
        write(outputs, a=b"new", b=b"bad rows")
        outputs.commit(only=["b"])
    assert names() == ["b"]


@pytest.mark.parametrize("name", ["folder", "folder/", "missing/"])
def test_a_folder_is_no_target(name: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        OutputSet([name], overwrite=True)


def test_the_folder_must_exist() -> None:
    with pytest.raises(OutputError, match="does not exist; create it"):
        OutputSet(["missing/a"])
    Path("file").write_text("")
    with pytest.raises(OutputError, match="file/a"):
        OutputSet(["file/a"])


def test_a_write_protected_file_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a").write_text("old")
    Path("a").chmod(0o400)
    # root may write to it all the same
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (mode & os.W_OK and path.endswith("a"))
    )
    with pytest.raises(OutputError, match="write-protected"):
        OutputSet(["a"], overwrite=True)


def test_a_failure_to_create_removes_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    create = staging.StagedFile._create

    def refuse_b(staged: staging.StagedFile) -> bool:
        if staged.target.name == "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return create(staged)

    monkeypatch.setattr(staging.StagedFile, "_create", refuse_b)
    with (
        pytest.raises(OutputError, match="Cannot write b: permission denied"),
        OutputSet(["a", "b"]),
    ):
        pass
    assert names() == []


@pytest.mark.parametrize("pair", [["a", "a"], ["a", "./a"], ["a", "link"], ["pipe", "./pipe"]])
def test_one_target_twice_is_refused(pair: list[str]) -> None:
    Path("link").symlink_to("a")
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="Two outputs go to one file"):
        OutputSet(pair)


@pytest.mark.parametrize("pair", [["-", "-"], ["-", "/dev/stdout"], ["-", "/dev/fd/1"]])
def test_two_uses_of_standard_output_are_refused(pair: list[str]) -> None:
    with pytest.raises(UsageError, match="standard output"):
        OutputSet(pair)


def test_an_input_is_no_output() -> None:
    Path("points.csv").write_text("lat,lon\n")
    Path("same.csv").hardlink_to("points.csv")
    for name in ("points.csv", "./points.csv", "same.csv"):
        with pytest.raises(UsageError, match="input of this run"):
            OutputSet([name], overwrite=True, inputs=[Path("gone"), Path("points.csv")])
    OutputSet(["other.csv"], inputs=[Path("points.csv")])


def test_a_symbolic_link_stays_and_its_file_is_replaced() -> None:
    Path("data").mkdir()
    Path("data/real").write_text("old")
    Path("a").symlink_to("data/real")
    Path("b").symlink_to("data/new")
    with OutputSet(["a", "b"], overwrite=True) as outputs:
        write(outputs, a=b"new", b=b"first")
        outputs.commit()
    assert Path("a").is_symlink()
    assert Path("data/real").read_text() == "new"
    assert Path("data/new").read_text() == "first"
    assert {path.name for path in Path("data").iterdir()} == {"new", "real"}


def test_permissions_follow_the_umask_or_the_file_before() -> None:
    Path("b").write_text("old")
    Path("b").chmod(0o604)
    before = os.umask(0o027)
    try:
        with OutputSet(["a", "b"], overwrite=True) as outputs:
            outputs.commit()
    finally:
        os.umask(before)
    assert Path("a").stat().st_mode & 0o777 == 0o640
    assert Path("b").stat().st_mode & 0o777 == 0o604


KILLED = """
import os, signal, sys
from gridcli.output.atomic import OutputSet
with OutputSet(["a", "b"]) as outputs:
    outputs["a"].write(b"half")
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
"""


def test_the_next_run_removes_what_a_killed_one_left() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", KILLED, "SIGKILL"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = names()
    assert len(left) == 2
    with OutputSet(["b"]):
        assert [name for name in names() if name in left] == [n for n in left if n[1] == "a"]
    with OutputSet(["a"]) as outputs:
        outputs.commit()
    assert names() == ["a"]


def test_temporaries_of_live_runs_and_other_files_are_kept() -> None:
    others = [
        ".a.gridcli-1-notours.tmp",
        ".a.gridcli-1-0123abcd.tmp.bak",
        ".aa.gridcli-1-0123abcd.tmp",
    ]
    for name in others:
        Path(name).write_text("")
    with OutputSet(["a"]) as first:
        write(first, a=b"first")
        with OutputSet(["a"]) as second:
            assert len(names()) == len(others) + 2
            write(second, a=b"second")
            second.commit()
        Path("a").unlink()
        first.commit()
    assert Path("a").read_bytes() == b"first"
    assert set(names()) == {"a", *others}


def test_a_temporary_lost_to_a_sweep_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may see a temporary between its creation and its lock, and take it for stale."""
    flock = staging.fcntl.flock
    swept = []

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(names())
            Path(swept[0]).unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(staging.fcntl, "flock", sweep_first)
    with OutputSet(["a"]) as outputs:
        write(outputs, a=b"complete")
        outputs.commit()
    assert len(swept) == 1
    assert Path("a").read_bytes() == b"complete"
    assert names() == ["a"]


def test_the_longest_names_work() -> None:
    name = "ä" * 127 + "x"
    with OutputSet([name]) as outputs:
        write(outputs, **{name: b"text"})
        outputs.commit()
    assert Path(name).read_bytes() == b"text"


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_an_output_error_in_every_format(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_some = os.write
    left = 500

    def fill(descriptor: int, data: Any) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = min(left, len(data))
        left -= size
        return write_some(descriptor, data[:size])

    with OutputSet(["a"]) as outputs, monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(OutputError, match="Cannot write a: no space left"):
            write_layer(point_layer(100, 50), outputs["a"], name)
    assert names() == []


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_to_an_output_file(name: str) -> None:
    with OutputSet(["a"]) as outputs:
        write_layer(layer_of(points()), outputs["a"], name)
        outputs.commit()
    assert Path("a").stat().st_size > 300


def test_a_fifo_is_written_directly() -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    with OutputSet(["pipe"]) as outputs:
        write(outputs, pipe=b"through")
        outputs.commit()
    reader.join()
    assert read == [b"through"]
    assert names() == ["pipe"]


def test_devices_are_written_directly() -> None:
    with OutputSet(["/dev/null", "/dev/full", "/dev/null"]) as outputs:
        outputs["/dev/null"].write(b"gone")
        with pytest.raises(OutputError, match="Cannot write /dev/full: no space left"):
            outputs["/dev/full"].write(b"too much")
        outputs.commit()


def test_descriptors_of_the_shell_are_written_directly() -> None:
    reader, writer = os.pipe()
    with OutputSet([f"/dev/fd/{writer}"]) as outputs:
        outputs[f"/dev/fd/{writer}"].write(b"through")
    os.close(writer)
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    with pytest.raises(OutputError, match="closed"):
        OutputSet([f"/dev/fd/{writer}"])


def test_standard_output_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.write("before\n")
    with OutputSet(["-", "a"]) as outputs:
        outputs["-"].write(b"data\n")
        outputs.commit()
    sys.stdout.write("after\n")
    assert capfd.readouterr().out == "before\ndata\nafter\n"
    assert names() == ["a"]


def test_a_broken_pipe_is_not_an_output_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with OutputSet([f"/dev/fd/{writer}"]) as outputs, pytest.raises(BrokenPipeError):
        outputs[f"/dev/fd/{writer}"].write(b"nobody reads")
    os.close(writer)


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_pipe_passes_through_every_format(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with OutputSet([f"/dev/fd/{writer}"]) as outputs, pytest.raises(BrokenPipeError):
        write_layer(point_layer(1_000, 1_000), outputs[f"/dev/fd/{writer}"], name)
    os.close(writer)
