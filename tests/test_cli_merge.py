"""`gridcli merge`: sums and differences of states, exact, and refused where they mean nothing."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.cli.exits import run
from gridcli.cli.main import cli
from gridcli.errors import OutputError
from gridcli.grid.grid import Grid
from gridcli.output.lock import writer_lock
from gridcli.states.file import open_state
from gridcli.states.info import InputRecord, Rules
from tests.conftest import run_process
from tests.state_examples import GRID, contents, many_tiles, row_counts, write_state
from tests.tile_examples import tiles_of

RULES = Rules(("lon", "lat"))
Counts = dict[tuple[int, int], int]


def day(path: Path, count: Counts, *, null: int = 1, rules: Rules = RULES, grid=GRID) -> str:
    """The state of one input, called like the state."""
    counts = row_counts(sum(count.values()), null=null)
    inputs = [InputRecord(f"/data/{path.stem}.csv", 1, 1, f"content of {path.stem}")]
    write_state(path, tiles_of(grid, count), counts, inputs, rules)
    return str(path)


def merged(*arguments: str) -> str:
    """Merge into a new state; return its content hash."""
    assert run(cli, ["merge", "-q", "--threads", "1", *arguments]) == 0
    return open_state(arguments[arguments.index("-o") + 1]).info.content_hash


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def days(folder):
    """Three days whose tiles overlap in part."""
    return [
        day(folder / "a.parquet", {(1, 1): 5, (2, 1): 1, (-3, 7): 2}),
        day(folder / "b.parquet", {(2, 1): 4, (9, -9): 1}, null=0),
        day(folder / "c.parquet", {(1, 1): 1}),
    ]


# --- Laws ---------------------------------------------------------------------------------------

places = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
counts_of_days = st.lists(
    st.dictionaries(places, st.integers(1, 9), max_size=20), min_size=3, max_size=5
)


@given(counts_of_days, st.data())
def test_merging_equals_contracting_everything_at_once(tmp_path_factory, counts, data) -> None:
    here = tmp_path_factory.mktemp("laws")
    names = [day(here / f"d{i}.parquet", count) for i, count in enumerate(counts)]
    total: Counter[tuple[int, int]] = Counter()
    for count in counts:
        total.update(count)
    together = tiles_of(GRID, total)
    whole = write_state(
        here / "whole.parquet", together, row_counts(total.total(), null=len(counts))
    )
    expected = open_state(whole).info.content_hash
    out = str(here / "out.parquet")

    shuffled = data.draw(st.permutations(names))
    assert merged(*shuffled, "-o", out) == expected
    assert contents(open_state(out)) == total

    cut = data.draw(st.integers(1, len(names) - 1))
    left, right = str(here / "left.parquet"), str(here / "right.parquet")
    merged(*shuffled[:cut], "-o", left)
    merged(*shuffled[cut:], "-o", right)
    assert merged(left, right, "-o", out, "--overwrite") == expected

    less = [argument for name in shuffled[cut:] for argument in ("--subtract", name)]
    back = merged(out, *less, "-o", str(here / "back.parquet"))
    assert back == open_state(left).info.content_hash
    assert {each.path for each in open_state(here / "back.parquet").info.inputs} == {
        each.path for each in open_state(left).info.inputs
    }


def test_a_window_that_slides_equals_merging_its_days(folder) -> None:
    length, n_days = 28, 40
    names = [
        day(folder / f"{i:02}.parquet", {(i % 7, 0): 1 + i, (i, 5): 2, (0, 0): 1})
        for i in range(n_days)
    ]
    window = str(folder / "window.parquet")
    merged(*names[:length], "-o", window)
    for i in range(length, n_days):
        recipe = [window, names[i], "--subtract", names[i - length], "-o", window, "--overwrite"]
        slid = merged(*recipe)
    assert slid == merged(*names[n_days - length :], "-o", str(folder / "days.parquet"))
    assert [each.path for each in open_state(window).info.inputs] == [
        f"/data/{i}.csv" for i in range(n_days - length, n_days)
    ]


def test_states_of_many_row_groups(folder) -> None:
    a, b = many_tiles(200_000, seed=1), many_tiles(150_000, seed=2)
    write_state(folder / "a.parquet", a, block=10**6, rules=RULES)
    write_state(folder / "b.parquet", b, block=10**6, rules=RULES)
    merged("a.parquet", "b.parquet", "-o", "ab.parquet")
    merged("b.parquet", "a.parquet", "-o", "ba.parquet", "--threads", "3", "--max-memory", "384MiB")
    assert (folder / "ab.parquet").read_bytes() == (folder / "ba.parquet").read_bytes()
    total = Counter(contents(a))
    total.update(contents(b))
    assert contents(open_state("ab.parquet")) == total


# --- The command --------------------------------------------------------------------------------


def test_what_the_result_and_the_summary_say(gridcli, days, folder) -> None:
    outcome = gridcli("merge", *days, "-o", "all.parquet", "--summary", "s.json", "--threads", "1")
    assert outcome.code == 0, outcome.err
    state = open_state("all.parquet")
    assert contents(state) == {(1, 1): 6, (2, 1): 5, (-3, 7): 2, (9, -9): 1}
    summary = json.loads((folder / "s.json").read_text())
    assert summary["command"] == "merge"
    assert (summary["states"], summary["subtracted"], summary["inputs"]) == (3, 0, 3)
    assert summary["rows"]["used"] == 14
    assert summary["rows"]["null"] == 2
    assert summary["rows"]["read"] == 16
    assert summary["tiles"] == {"distinct": 4, "largest_count": 6}
    assert summary["content_hash"] == state.info.content_hash
    assert summary["files"] == [
        {"layer": "state", "path": "all.parquet", "format": "parquet", "rows": 4}
    ]
    text = " ".join(outcome.err.split())
    assert "rows read 16 used 14 null 2 tiles 4" in text
    assert "state all.parquet (4 rows)" in text
    assert not list(folder.glob(".*"))


def test_states_are_found_like_any_input(gridcli, days, folder) -> None:
    (folder / "list.txt").write_text("a.parquet\nb.parquet\nc.parquet\n")
    (folder / "sub").mkdir()
    expected = merged(*days, "-o", "sub/all.parquet")
    assert merged("*.parquet", "a.parquet", "-o", "sub/1.parquet") == expected
    assert merged("@list.txt", "-o", "sub/2.parquet") == expected
    (folder / "sub" / "1.parquet").unlink()
    (folder / "sub" / "2.parquet").unlink()
    assert merged("sub", "-o", "3.parquet") == expected


def test_states_through_pipes(days, folder) -> None:
    with (folder / "a.parquet").open("rb") as piped:
        outcome = run_process("merge", "-", "b.parquet", "-o", "ab.parquet", "-q", stdin=piped)
    assert (outcome.code, outcome.err) == (0, "")
    assert merged("a.parquet", "b.parquet", "-o", "2.parquet") == merged(
        "ab.parquet", "-o", "3.parquet"
    )
    with (folder / "out.parquet").open("wb") as target:
        outcome = run_process("merge", "a.parquet", "b.parquet", "-o", "-", stdout=target)
    assert outcome.code == 0, outcome.err
    assert (folder / "out.parquet").read_bytes() == (folder / "2.parquet").read_bytes()


def test_a_reader_that_leaves_early_ends_the_run_quietly(folder) -> None:
    write_state(folder / "large.parquet", many_tiles(200_000), block=10**6, rules=RULES)
    read, write = os.pipe()
    os.close(read)
    try:
        outcome = run_process("merge", "large.parquet", "-o", "-", "-q", stdout=write)
    finally:
        os.close(write)
    assert (outcome.code, outcome.err) == (141, "")


def test_everything_can_be_taken_out(gridcli, days) -> None:
    outcome = gridcli("merge", "a.parquet", "--subtract", "a.parquet", "-o", "none.parquet", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    state = open_state("none.parquet")
    assert (len(state), state.info.counts.read, state.info.inputs) == (0, 0, ())


def test_expressions_in_the_environment_subtract_too(gridcli, days, monkeypatch) -> None:
    monkeypatch.setenv("GRIDCLI_MERGE_SUBTRACT", "a.parquet\nb.parquet\n")
    assert merged(*days, "-o", "out.parquet") == open_state("c.parquet").info.content_hash


def test_differences_that_do_not_hinder_are_said(gridcli, days, folder) -> None:
    for i in range(7):
        day(folder / f"x{i}.parquet", {(0, 0): 1}, rules=Rules(("x", "y")))
    outcome = gridcli("merge", "a.parquet", "x*.parquet", "-o", "out.parquet", "-q")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        (
            "gridcli: warning: x0.parquet: columns x, y, unlike lon, lat of a.parquet "
            "(6 more such differences)."
        )
    ]


# --- Refusals -----------------------------------------------------------------------------------


def fails(outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    outcome.assert_one_paragraph()
    for word in words:
        assert word in outcome.err, outcome.err
    assert not Path("out.parquet").exists()
    assert not list(Path().glob(".*"))


def test_wrong_usage_is_exit_2(gridcli, days, folder) -> None:
    out = ("-o", "out.parquet")
    day(folder / "g3.parquet", {(1, 1): 1}, grid=Grid.degrees(3))
    fails(gridcli("merge", "a.parquet", "g3.parquet", *out), 2, "grid differs (g4 and g3)")
    subtract = ("--subtract", "c.parquet")
    fails(gridcli("merge", "a.parquet", *subtract, *out), 2, "c.parquet cannot be subtracted")
    (folder / "copy.parquet").write_bytes((folder / "a.parquet").read_bytes())
    fails(gridcli("merge", "a.parquet", "copy.parquet", *out), 2, "/data/a.csv", "--allow-overlap")
    fails(gridcli("merge", "a.parquet", "-o", "out.csv"), 2, "suffix .parquet")
    merged("a.parquet", "copy.parquet", "--allow-overlap", "-o", "twice.parquet")
    assert contents(open_state("twice.parquet"))[1, 1] == 10


def test_what_is_no_state_is_exit_3(gridcli, days, folder, sample_csv) -> None:
    out = ("-o", "out.parquet")
    fails(gridcli("merge", "a.parquet", sample_csv, *out), 3, "not a state")
    fails(gridcli("merge", "a.parquet", "none.parquet", *out), 3, "no such file")
    assert gridcli("raster", sample_csv, "-o", "h.csv", "--tiles", "t.parquet", "-q").code == 0
    fails(gridcli("merge", "t.parquet", *out), 3, "significant tiles of a run")
    data = bytearray((folder / "a.parquet").read_bytes())
    data[60] ^= 255
    (folder / "bad.parquet").write_bytes(data)
    fails(gridcli("merge", "bad.parquet", *out), 3, "bad.parquet: corrupt in row group 0")
    fails(gridcli("merge", "b.parquet", "--subtract", "bad.parquet", *out), 2, "/data/a.csv")


def test_counts_below_0_are_exit_4(gridcli, folder) -> None:
    """Possible where the input is the same but was contracted with other rows in it."""
    day(folder / "a.parquet", {(1, 1): 5, (2, 2): 5})
    (folder / "other").mkdir()
    day(folder / "other" / "a.parquet", {(1, 1): 6})
    fails(
        gridcli("merge", "a.parquet", "--subtract", "other/a.parquet", "-o", "out.parquet"),
        4,
        "tile (1, 1)",
    )
    day(folder / "other" / "a.parquet", {(1, 1): 5}, null=2)
    fails(
        gridcli("merge", "a.parquet", "--subtract", "other/a.parquet", "-o", "out.parquet"),
        4,
        "it counts 2 rows as null",
    )


def test_existing_outputs_are_exit_5(gridcli, days, folder) -> None:
    before = (folder / "b.parquet").read_bytes()
    outcome = gridcli("merge", "a.parquet", "-o", "b.parquet")
    fails(outcome, 5, "add --overwrite")
    bad = gridcli("merge", "b.parquet", "b.csv", "-o", "b.parquet", "--overwrite")
    fails(bad, 3)
    assert (folder / "b.parquet").read_bytes() == before


# --- Two writers --------------------------------------------------------------------------------


def test_the_second_writer_of_a_state_is_exit_5(gridcli, days, folder) -> None:
    with writer_lock("out.parquet"):
        outcome = gridcli("merge", "a.parquet", "-o", "out.parquet")
        assert outcome.code == 5
        assert "being written by another run" in outcome.err
        (folder / "link.parquet").symlink_to("out.parquet")
        with pytest.raises(OutputError), writer_lock("link.parquet"):
            pass
        assert gridcli("merge", "a.parquet", "-o", "other.parquet", "-q").code == 0
    assert gridcli("merge", "a.parquet", "-o", "out.parquet", "-q").code == 0
    assert not list(folder.glob(".*"))


def test_a_lock_left_by_a_dead_run_hinders_nobody(folder) -> None:
    (folder / ".out.parquet.gridcli-lock").touch()
    with writer_lock("out.parquet"), pytest.raises(OutputError), writer_lock("out.parquet"):
        pass
    assert not list(folder.glob(".*"))


def test_a_lock_that_its_holder_removes_meanwhile_is_made_anew(folder, monkeypatch) -> None:
    """The holder removes the file between another run's opening and locking it."""
    import fcntl

    place = folder / ".out.parquet.gridcli-lock"
    place.touch()
    real, removed = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not removed:
            place.unlink()
            removed.append(place)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with writer_lock("out.parquet"):
        assert place.exists()
        with pytest.raises(OutputError), writer_lock("out.parquet"):
            pass


def test_devices_and_streams_are_not_locked(folder) -> None:
    for name in ("/dev/null", "-"):
        with writer_lock(name), writer_lock(name):
            pass
    with pytest.raises(OutputError, match="does not exist"), writer_lock("none/out.parquet"):
        pass


def test_an_interrupted_merge_leaves_everything_as_it_was(gridcli, days, folder) -> None:
    before = (folder / "a.parquet").read_bytes()

    def stop_at_once(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridcli.tiles.merge.merge_runs", stop_at_once)
        outcome = gridcli("merge", *days, "-o", "a.parquet", "--overwrite")
    assert outcome.code == 143
    assert (folder / "a.parquet").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_the_summary_replaces_no_state(gridcli, days, folder) -> None:
    before = (folder / days[0]).read_bytes()
    outcome = gridcli("merge", *days, "-o", "x.parquet", "--summary", days[0], "--overwrite")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert (folder / days[0]).read_bytes() == before
