"""`gridcli contract`: states of points, appended to, replaced in part, resumed after anything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from gridcli.output.lock import writer_lock
from gridcli.states.checkpoint import Checkpoint
from gridcli.states.file import open_state
from tests.conftest import run_process, start_process


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_day(path: Path, seed: int, n: int = 300, *, bad: int = 2) -> str:
    """Points of one day around some places, and rows without a latitude."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    at = np.array([[11.9, 57.7], [12.5, 55.6]])[rng.integers(0, 2, n)] + rng.normal(0, 3e-4, (n, 2))
    rows = [f"{lat:.6f},{lon:.6f}" for lon, lat in at.tolist()]
    path.write_text("\n".join(["lat,lon", *rows, *[",1"] * bad]) + "\n", encoding="ascii")
    return str(path)


def names_here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def info(name: str):
    return open_state(name).info


def test_a_state_counts_all_tiles_and_says_where_they_come_from(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    outcome = gridcli(
        *("contract", day, "--prec", "3", "--bbox", "11,57,13,58", "-o", "s.parquet"),
        *("--summary", "summary.json", "--where", "lat is not null"),
    )
    assert outcome.code == 0, outcome.err
    found = info("s.parquet")
    assert found.grid.name == "g3"
    assert found.rules.columns == ("lon", "lat")
    assert found.rules.where == ("lat is not null",)
    assert found.rules.bbox == (11, 57, 13, 58)
    assert found.counts.read == 302
    assert found.counts.used == found.n_points < 302
    (record,) = found.inputs
    assert record.path == str(Path(day).resolve())
    assert record.size_bytes == Path(day).stat().st_size
    summary = json.loads(Path("summary.json").read_text())
    assert summary["command"] == "contract"
    assert summary["content_hash"] == found.content_hash
    assert summary["tiles"] == {"distinct": found.n_tiles, "largest_count": found.largest_count}
    assert summary["files"] == [
        {"layer": "state", "path": "s.parquet", "format": "parquet", "rows": found.n_tiles}
    ]


def test_a_state_beside_hubs_is_that_of_contract(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    assert gridcli("contract", day, "-o", "a.parquet").code == 0
    outcome = gridcli("raster", day, "-o", "hubs.csv", "--state", "b.parquet", "--tau", "2")
    assert outcome.code == 0, outcome.err
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    again = gridcli("agglomerate", "b.parquet", "-o", "again.csv", "--tau", "2")
    assert again.code == 0, again.err
    assert Path("hubs.csv").read_bytes() == Path("again.csv").read_bytes()


def test_appending_day_by_day_equals_contracting_all(gridcli, folder):
    days = [write_day(folder / "in" / f"day{i}.csv", i) for i in range(4)]
    for i in range(4):
        # Every night the whole folder is named; only what is new is read.
        outcome = gridcli("contract", *days[: i + 1], "--append", "-o", "year.parquet")
        assert outcome.code == 0, outcome.err
        if i > 1:
            assert f"{i} inputs are counted already" in outcome.err
    assert gridcli("contract", "in", "-o", "all.parquet").code == 0
    assert info("year.parquet").content_hash == info("all.parquet").content_hash
    assert info("year.parquet").inputs == info("all.parquet").inputs
    before = Path("year.parquet").read_bytes()
    outcome = gridcli("contract", "in", "--append", "-o", "year.parquet")
    assert outcome.code == 0
    assert "has counted all of the inputs already" in outcome.err
    assert Path("year.parquet").read_bytes() == before


def test_an_input_counts_once_under_any_name(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    assert gridcli("contract", day, "--append", "-o", "s.parquet").code == 0
    shutil.copy(day, "moved.csv")
    outcome = gridcli("contract", "moved.csv", "--append", "-o", "s.parquet")
    assert outcome.code == 0
    assert info("s.parquet").counts.read == 302


def test_a_changed_input_is_refused_until_its_former_content_is_taken_out(gridcli, folder):
    first, second = (write_day(folder / f"day{i}.csv", i) for i in (1, 2))
    assert gridcli("contract", first, second, "-o", "s.parquet").code == 0
    assert gridcli("contract", second, "-o", "second.parquet").code == 0
    write_day(folder / "day2.csv", 22)
    outcome = gridcli("contract", first, second, "--append", "-o", "s.parquet")
    assert outcome.code == 4
    outcome.assert_one_paragraph()
    assert "day2.csv has changed" in outcome.err
    assert "--replace" in outcome.err
    outcome = gridcli(
        *("contract", first, second, "--append", "--replace", "second.parquet", "-o", "s.parquet")
    )
    assert outcome.code == 0, outcome.err
    assert gridcli("contract", first, second, "-o", "expected.parquet").code == 0
    assert info("s.parquet").content_hash == info("expected.parquet").content_hash
    assert info("s.parquet").inputs == info("expected.parquet").inputs


def test_appending_needs_the_same_grid_and_rules(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    assert gridcli("contract", day, "-o", "s.parquet").code == 0
    before = Path("s.parquet").read_bytes()
    other = write_day(folder / "day2.csv", 2)
    for options, named in [
        (["--prec", "3"], "tiles of g3: add --prec 4, or write another state with -o."),
        (["--where", "lat < 90"], "--where"),
        (["--keep-null-island"], "--keep-null-island"),
    ]:
        outcome = gridcli("contract", other, *options, "--append", "-o", "s.parquet")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert named in outcome.err
    assert Path("s.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["-o", "-", "--append"], 2, "--append"),
        (["-o", "s.parquet", "--replace", "x.parquet"], 2, "--append"),
        (["-o", "s.parquet", "--append", "--replace", "x.parquet"], 2, "does not exist"),
        (["-o", "s.parquet", "--checkpoint", "a", "--resume", "b"], 2, "--resume"),
        (["-o", "s.parquet", "--checkpoint", "a", "--rejects", "r.csv"], 2, "--rejects"),
        (["-o", "s.parquet", "--resume", "nowhere"], 3, "nowhere does not exist"),
        (["-o", "s.parquet", "--resume", "."], 3, ". holds no checkpoint"),
        (["-o", "s.parquet", "--checkpoint", "there.parquet"], 5, "Name a folder that can be"),
        (["-o", "s.parquet", "--every", "soon"], 2, "5m"),
        (["-o", "s.parquet", "--every", "5m"], 2, "add --checkpoint DIR"),
        (["-o", "there.parquet", "--append", "--overwrite"], 2, "give one of them"),
        (["-o", "s.parquet", "--input-id", "x"], 2, "--input-id"),
        (["-o", "s.geojson"], 2, "parquet"),
        (["-o", "there.parquet"], 5, "--overwrite"),
        (["-o", "there.parquet", "--append"], 3, "there.parquet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_are_named(gridcli, folder, options, code, named):
    day = write_day(folder / "day1.csv", 1)
    Path("there.parquet").write_text("not a state")
    outcome = gridcli("contract", day, *options)
    assert outcome.code == code, outcome.err
    outcome.assert_one_paragraph()
    assert named in outcome.err
    assert not Path("s.parquet").exists()
    assert Path("there.parquet").read_text() == "not a state"


def test_a_stream_counts_once_by_its_id(folder):
    rows = b"lat,lon\n57.7,11.9\n57.7,11.9\n"
    for expected in (2, 2):
        outcome = run_process(
            *("contract", "-", "--input-id", "night 1", "--append", "-o", "s.parquet"),
            stdin=pipe_of(rows),
        )
        assert outcome.code == 0, outcome.err
        assert info("s.parquet").counts.read == expected
    outcome = run_process("contract", "-", "--append", "-o", "s.parquet", stdin=pipe_of(rows))
    assert outcome.code == 2
    assert "--input-id" in outcome.err
    outcome = run_process("contract", "-", "--checkpoint", "c", "-o", "t.parquet")
    assert outcome.code == 2
    assert "standard input" in outcome.err
    os.mkfifo("pipe.csv")
    process = start_process("contract", "pipe.csv", "--checkpoint", "c", "-o", "t.parquet")
    Path("pipe.csv").write_bytes(rows)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "pipe.csv" in err.decode()
    assert not Path("c").exists()


def pipe_of(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_two_writers_of_one_state(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    with writer_lock("s.parquet"):
        outcome = gridcli("contract", day, "--append", "-o", "s.parquet")
        assert outcome.code == 5
        outcome.assert_one_paragraph()
        assert gridcli("raster", day, "-o", "h.csv", "--state", "s.parquet").code == 5
    assert gridcli("contract", day, "--append", "-o", "s.parquet").code == 0
    assert names_here() == ["day1.csv", "s.parquet"]


def test_an_input_that_grows_while_it_is_read_is_refused(gridcli, folder, monkeypatch):
    day = write_day(folder / "day1.csv", 1)
    counted = "gridcli.states.build.count_points"
    from gridcli.raster.counting import count_points

    def growing(*args, **options):
        result = count_points(*args, **options)
        with Path(day).open("a") as file:
            file.write("1,1\n")
        return result

    monkeypatch.setattr(counted, growing)
    outcome = gridcli("contract", day, "-o", "s.parquet")
    assert outcome.code == 4
    outcome.assert_one_paragraph()
    assert "changed while it was read" in outcome.err
    assert not Path("s.parquet").exists()


def test_no_rows_make_an_empty_state(gridcli, folder):
    Path("empty.csv").write_text("lat,lon\n")
    outcome = gridcli("contract", "empty.csv", "-o", "s.parquet")
    assert outcome.code == 0
    assert "no rows" in outcome.err
    assert info("s.parquet").n_tiles == 0


# --- Checkpoints ---------------------------------------------------------------------------------


def test_a_checkpointed_run_leaves_only_its_state(gridcli, folder):
    for i in range(5):
        write_day(folder / "in" / f"day{i}.csv", i)
    outcome = gridcli("contract", "in", "-o", "s.parquet", "--checkpoint", "ck", "--every", "0")
    assert outcome.code == 0, outcome.err
    assert gridcli("contract", "in", "-o", "t.parquet").code == 0
    assert Path("s.parquet").read_bytes() == Path("t.parquet").read_bytes()
    assert not Path("ck").exists()


def kill_at_checkpoint(process: subprocess.Popen[bytes], record: Path, number: int) -> None:
    """Kill a run once its checkpoint has been replaced some times, unless it ends before."""
    seen: set[tuple[int, int]] = set()
    while process.poll() is None and len(seen) < number:
        try:
            status = record.stat()
        except FileNotFoundError:
            continue
        seen.add((status.st_ino, status.st_mtime_ns))
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_run_goes_on_where_it_was(folder, seed):
    rng = random.Random(seed)
    for i in range(40):
        write_day(folder / "in" / f"day{i:02}.csv", i, n=2_000)
    assert run_process("contract", "in", "-o", "expected.parquet").code == 0
    options = ["contract", "in", "-o", "s.parquet", "--every", "0", "--threads", "2"]
    process = start_process(*options, "--checkpoint", "ck")
    kill_at_checkpoint(process, Path("ck/checkpoint.json"), rng.randint(1, 8))
    for _ in range(3):
        if Path("s.parquet").exists():
            break
        process = start_process(*options, "--resume", "ck")
        kill_at_checkpoint(process, Path("ck/checkpoint.json"), rng.randint(2, 8))
    if not Path("s.parquet").exists():
        outcome = run_process(*options, "--resume", "ck")
        assert outcome.code == 0, outcome.err
        assert "counted already" in outcome.err
    assert Path("s.parquet").read_bytes() == Path("expected.parquet").read_bytes()
    assert names_here() == ["expected.parquet", "in", "s.parquet"]


@pytest.fixture
def interrupted(folder):
    """A checkpoint of a run that was killed, and the inputs; returns the run's arguments."""
    for i in range(6):
        write_day(folder / "in" / f"day{i}.csv", i)
    bad = folder / "in" / "day9.csv"
    bad.write_bytes(b"lat,lon\n1,\xff\n")
    outcome = run_process(
        *("contract", "in", "-o", "s.parquet", "--checkpoint", "ck", "--every", "0"),
        *("--max-bad", "12"),
    )
    assert outcome.code == 4, outcome.err  # too many bad rows: known at the end only
    assert not Path("s.parquet").exists()
    assert Path("ck/checkpoint.json").exists()
    return ["contract", "in", "-o", "s.parquet"]


def test_a_run_that_failed_can_be_resumed_with_other_limits(gridcli, interrupted):
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 0, outcome.err
    assert "6 inputs are counted already" in outcome.err
    assert info("s.parquet").counts.read == 6 * 302 + 1
    assert not Path("ck").exists()


def test_resuming_counts_copies_of_an_input_as_often(gridcli, folder):
    day = write_day(folder / "in" / "day0.csv", 1)
    shutil.copy(day, "in/day1.csv")
    shutil.copy(write_day(folder / "in" / "day2.csv", 2), "in/day3.csv")
    assert gridcli("contract", "in", "-o", "expected.parquet").code == 0
    options = ["contract", "in", "-o", "s.parquet"]
    with pytest.MonkeyPatch.context() as patch:

        def save_and_stop(self, *arguments):
            save(self, *arguments)
            signal.raise_signal(signal.SIGTERM)

        save = Checkpoint.save
        patch.setattr(Checkpoint, "save", save_and_stop)
        assert gridcli(*options, "--checkpoint", "ck", "--every", "0").code == 143
    outcome = gridcli(*options, "--resume", "ck")
    assert outcome.code == 0, outcome.err
    assert "1 input is counted already" in outcome.err
    assert Path("s.parquet").read_bytes() == Path("expected.parquet").read_bytes()


def test_a_night_without_new_inputs_is_no_error(gridcli, folder):
    write_day(folder / "in" / "day0.csv", 1)
    assert gridcli("contract", "in", "-o", "s.parquet").code == 0
    outcome = gridcli("contract", "in", "--append", "-o", "s.parquet", "--checkpoint", "ck")
    assert outcome.code == 0, outcome.err
    assert "nothing to add" in outcome.err
    assert names_here() == ["in", "s.parquet"]


def test_nothing_is_taken_out_without_anything_new(gridcli, folder):
    day = write_day(folder / "in" / "day0.csv", 1)
    assert gridcli("contract", day, "-o", "old.parquet").code == 0
    more = write_day(folder / "in" / "day1.csv", 2)
    assert gridcli("contract", "in", "-o", "s.parquet").code == 0
    before = Path("s.parquet").read_bytes()
    replace = ["--append", "--replace", "old.parquet", "-o", "s.parquet"]
    outcome = gridcli("contract", more, *replace)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "--subtract" in outcome.err
    assert Path("s.parquet").read_bytes() == before


def test_sorting_is_not_waited_for_when_a_run_is_stopped(gridcli, folder, monkeypatch):
    day = write_day(folder / "day0.csv", 1)
    gate = threading.Event()
    first = threading.Lock()
    late = []

    def extract(group, least):
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGTERM)
        if not gate.wait(timeout=20):
            late.append(group)

    monkeypatch.setattr("gridcli.tiles.group.Group.extract", extract)
    outcome = gridcli("contract", day, "-o", "s.parquet", "--max-memory", "1G")
    gate.set()
    assert outcome.code == 143
    assert not late
    assert names_here() == ["day0.csv"]


def test_another_scale_is_said_or_refused(gridcli, interrupted):
    outcome = gridcli(*interrupted, "--resume", "ck", "--scale", "1e-1")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "--scale 1/10" in outcome.err
    assert gridcli(*interrupted, "--resume", "ck").code == 0
    Path("in/scaled.csv").write_text("lat,lon\n577,119\n")
    outcome = gridcli("contract", "in/scaled.csv", "--append", "-o", "s.parquet", "--scale", "1e-1")
    assert outcome.code == 0, outcome.err
    assert "--scale 1/10, unlike none" in " ".join(outcome.err.split())


def test_a_checkpoint_is_not_begun_over_another(gridcli, interrupted):
    outcome = gridcli(*interrupted, "--checkpoint", "ck")
    assert outcome.code == 5
    outcome.assert_one_paragraph()
    assert "--resume ck" in outcome.err


def test_resuming_reads_the_same_columns(gridcli, interrupted):
    outcome = gridcli(*interrupted, "--resume", "ck", "--lat", "lon", "--lon", "lat")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "lon, lat" in outcome.err


def test_appending_replaces_the_state_alone(gridcli, folder):
    days = [write_day(folder / f"day{i}.csv", i) for i in range(3)]
    assert gridcli("contract", days[0], "-o", "s.parquet").code == 0
    assert gridcli("contract", days[0], "-o", "old.parquet").code == 0
    before = Path("s.parquet").read_bytes()
    Path("precious.json").write_text("precious")
    for option in (["--summary", "precious.json"], ["--rejects", "precious.json"]):
        outcome = gridcli("contract", days[1], "--append", "-o", "s.parquet", *option)
        assert outcome.code == 5
        assert "precious.json exists" in outcome.err
    write_day(folder / "day0.csv", 7)
    outcome = gridcli(
        *("contract", days[0], "--append", "--replace", "old.parquet", "-o", "s.parquet"),
        *("--summary", "old.parquet"),
    )
    assert outcome.code in {2, 5}
    assert Path("precious.json").read_text() == "precious"
    assert Path("s.parquet").read_bytes() == before


def test_a_night_without_anything_new_has_a_summary(gridcli, folder):
    day = write_day(folder / "day1.csv", 1)
    assert gridcli("contract", day, "-o", "s.parquet").code == 0
    outcome = gridcli("contract", day, "--append", "-o", "s.parquet", "--summary", "n.json")
    assert outcome.code == 0
    summary = json.loads(Path("n.json").read_text())
    assert summary["inputs"] == 0
    assert summary["content_hash"] == info("s.parquet").content_hash


def test_resuming_needs_the_same_run(gridcli, interrupted):
    outcome = gridcli(*interrupted, "--resume", "ck", "--prec", "3")
    assert outcome.code == 2
    assert "g3" in outcome.err
    Path("in/day3.csv").rename("elsewhere.csv")
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 2
    assert "day3.csv" in outcome.err
    Path("elsewhere.csv").rename("in/day3.csv")
    write_day(Path("in/day3.csv"), 33)
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 4
    assert "day3.csv has changed" in outcome.err


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda data: data[:-1], "checksum"),
        (lambda data: data.replace(b'"format_version":1', b'"format_version":9'), "checksum"),
        (lambda _: b"", "checksum"),
    ],
    ids=["truncated", "changed", "empty"],
)
def test_a_corrupt_record_is_refused(gridcli, interrupted, damage, named):
    record = Path("ck/checkpoint.json")
    record.write_bytes(damage(record.read_bytes()))
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert named in outcome.err


def test_corrupt_and_truncated_tiles_are_refused(gridcli, interrupted):
    tiles = Path("ck/checkpoint.tiles")
    data = bytearray(tiles.read_bytes())
    data[10] ^= 1
    tiles.write_bytes(data)
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 3
    assert "corrupt" in outcome.err
    tiles.write_bytes(data[: len(data) // 2])
    outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 3
    outcome.assert_one_paragraph()
    assert "truncated" in outcome.err


def test_a_checkpoint_in_use_is_locked(gridcli, interrupted):
    with writer_lock("ck/checkpoint.json"):
        outcome = gridcli(*interrupted, "--resume", "ck")
    assert outcome.code == 5
    outcome.assert_one_paragraph()
