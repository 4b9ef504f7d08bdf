"""State files: what is written is read back, what is damaged is refused, sums are exact."""

from __future__ import annotations

import gc
import hashlib
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import DataError, InputError, OutputError, UsageError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.points.batch import RowCounts
from gridcli.points.plan import Input
from gridcli.points.unchanged import require_unchanged
from gridcli.states import info as state_info
from gridcli.states.compatible import combine, compare_rules
from gridcli.states.file import open_state
from gridcli.states.info import InputRecord, Rules, StateInfo
from gridcli.states.provenance import fingerprint, record_inputs, select_new
from gridcli.states.writer import ROW_GROUP_ROWS, StateWriter
from tests import naive
from tests.state_examples import (
    GRID,
    RULES,
    contents,
    many_tiles,
    row_counts,
    state_bytes,
    write_state,
)
from tests.tile_examples import tile_counts, tiles_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A state of three row groups, and its tiles."""
    tiles = many_tiles(2 * ROW_GROUP_ROWS + 1000)
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    return write_state(path, tiles, block=100_001), tiles


# --- Writing and reading ------------------------------------------------------------------------


@given(tile_counts(), st.integers(1, 50), st.integers(0, 9))
def test_what_is_written_is_read_back(tmp_path_factory, example, block, bad) -> None:
    grid, count = example
    tiles = tiles_of(grid, count)
    counts = row_counts(sum(count.values()), null=bad, filtered=2 * bad)
    counts.outside = bad
    inputs = (
        InputRecord("/data/a b.csv", 12, 34, "f" * 64),
        InputRecord("/data/\udcff.csv", 1, 2, "e" * 64),
        InputRecord("-", input_id="day 1"),
    )
    path = tmp_path_factory.mktemp("state") / "s.parquet"
    state = open_state(write_state(path, tiles, counts, inputs, block=block))
    assert contents(state) == count
    assert state.info == StateInfo(
        grid,
        RULES,
        counts,
        inputs,
        state.info.content_hash,
        len(count),
        sum(count.values()),
        max(count.values(), default=0),
    )
    assert len(state) == len(count)


def test_rows_stand_in_groups_of_one_size(large) -> None:
    path, tiles = large
    state = open_state(path)
    assert state.block_rows.tolist() == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 1000]
    read = [state.read(block) for block in (2, 0, 1)]
    keys = np.concatenate([read[i][0] for i in (1, 2, 0)])
    assert np.array_equal(keys, pack(tiles.x, tiles.y))
    assert np.array_equal(np.concatenate([read[i][1] for i in (1, 2, 0)]), tiles.count)
    assert state.first_keys.tolist() == [int(read[i][0][0]) for i in (1, 2, 0)]


def test_the_size_of_blocks_changes_nothing(large) -> None:
    path, tiles = large
    assert state_bytes(tiles, block=ROW_GROUP_ROWS // 3) == path.read_bytes()
    assert state_bytes(tiles, block=len(tiles)) == path.read_bytes()


def test_the_content_hash_is_as_defined(large, tmp_path) -> None:
    path, tiles = large
    state = open_state(path)
    assert state.info.content_hash == naive.content_hash(
        tiles.grid.describe(),
        state.info.counts.record(),
        zip(tiles.x.tolist(), tiles.y.tolist(), tiles.count.tolist(), strict=True),
    )


def test_the_content_hash_covers_tiles_grid_and_rows_and_nothing_else(tmp_path) -> None:
    def content(grid=GRID, tile=(3, 4), n=5, null=0, rules=RULES, inputs=()):
        path = tmp_path / "s.parquet"
        write_state(path, tiles_of(grid, {tile: n}), row_counts(n, null=null), inputs, rules)
        return open_state(path).info.content_hash

    same = content()
    assert content(rules=Rules(("x", "y"))) == same
    assert content(inputs=[InputRecord("-")]) == same
    different = [
        content(grid=Grid.degrees(3)),
        content(tile=(4, 3)),
        content(n=6),
        content(null=1),
    ]
    assert len({same, *different}) == 5


def test_writing_refuses_what_is_not_sorted() -> None:
    for keys, counts in [((5, 5), (1, 1)), ((5, 4), (1, 1)), ((4, 5), (1, 0))]:
        with StateWriter(io.BytesIO(), GRID, RULES) as writer:
            writer.write(np.array(keys, np.uint64), np.array(counts, np.int64))
            with pytest.raises(ValueError, match="ascending"):
                writer.finish(row_counts(sum(counts)), ())


def test_points_and_used_rows_must_agree() -> None:
    with StateWriter(io.BytesIO(), GRID, RULES) as writer:
        writer.write(np.array([7], np.uint64), np.array([2], np.int64))
        with pytest.raises(ValueError, match="3 rows were used, but 2 points"):
            writer.finish(row_counts(3), ())


@pytest.mark.parametrize("n_writes", [0, 1, 4, 7, 8])
def test_a_sink_that_fails_is_left_alone(n_writes) -> None:
    class Full(io.BytesIO):
        left = n_writes

        def write(self, data) -> int:
            self.left -= 1
            if self.left < 0:
                raise OutputError("the disk is full.")
            return super().write(data)

    def write_all() -> None:
        with StateWriter(sink, GRID, RULES) as writer:
            writer.write(pack(tiles.x, tiles.y), tiles.count)
            writer.finish(row_counts(int(tiles.count.sum())), ())

    tiles = many_tiles(1000)
    sink = Full()
    with pytest.raises(OutputError, match="the disk is full"):
        write_all()
    gc.collect()
    assert sink.left == -1


def test_other_readers_skip_row_groups(large) -> None:
    duckdb = pytest.importorskip("duckdb")
    path, tiles = large
    metadata = pq.ParquetFile(path).metadata
    for group in range(3):
        row_group = metadata.row_group(group)
        assert [each.column_index for each in row_group.sorting_columns] == [1, 0]
        statistics = [row_group.column(column).statistics for column in range(3)]
        assert all(each.has_min_max for each in statistics)
        assert statistics[1].min == tiles.y[group * ROW_GROUP_ROWS]
    box = (tiles.y >= 1000) & (tiles.y < 1010) & (tiles.x > 500)
    where = "tile_y >= 1000 and tile_y < 1010 and tile_x > 500"
    query = f"select sum(\"count\") from read_parquet('{path}') where {where}"
    assert duckdb.sql(query).fetchone() == (int(tiles.count[box].sum()),)


# --- Damage -------------------------------------------------------------------------------------


def refused(path: Path, data: bytes) -> str:
    """Check that a damaged state is refused as it is opened or read; return the words."""
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        for _ in open_state(path).blocks():
            pass
    text = str(caught.value)
    assert text.startswith(str(path))
    assert len(text) < 400
    return text


@given(st.data())
def test_any_changed_byte_is_noticed_or_changes_nothing(tmp_path_factory, data) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.parquet"
    tiles = many_tiles(300)
    changed = bytearray(state_bytes(tiles))
    footer = changed.index(b"gridcli footer sha256:")
    parts = [st.integers(0, footer - 1), st.integers(footer, len(changed) - 1)]
    place = data.draw(st.one_of(parts))
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        found = contents(open_state(path))
    except InputError:
        return
    # Statistics in the header of a page are the one thing that no checksum covers.
    assert 4 <= place < footer
    assert found == contents(tiles)


@given(st.data())
def test_any_missing_byte_is_noticed(tmp_path_factory, data) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.parquet"
    original = state_bytes(many_tiles(300))
    n = data.draw(st.integers(0, len(original) - 1))
    refused(path, original[:n])
    m = data.draw(st.integers(1, len(original) - n))
    refused(path, original[:n] + original[n + m :])


def test_blocks_are_verified_one_by_one(large, tmp_path) -> None:
    path, _ = large
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "d.parquet").write_bytes(damaged)
    state = open_state(tmp_path / "d.parquet")
    with pytest.raises(InputError, match="corrupt in row group 0"):
        state.read(0)
    assert len(state.read(1)[0]) == ROW_GROUP_ROWS


def test_a_state_replaced_while_it_is_read_is_noticed(large, tmp_path) -> None:
    path = tmp_path / "s.parquet"
    write_state(path, many_tiles(1000, seed=1))
    state = open_state(path)
    write_state(path, many_tiles(1000, seed=2))
    with pytest.raises(InputError, match="replaced while it was read"):
        state.read(0)
    path.unlink()
    with pytest.raises(InputError, match="replaced while it was read"):
        state.read(0)


def test_a_newer_format_names_the_version_it_needs(tmp_path, monkeypatch) -> None:
    path = tmp_path / "s.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(state_info, "FORMAT_VERSION", 2)
        patch.setattr(state_info, "__version__", "7.5.3")
        data = state_bytes(many_tiles(10))
    assert "format 2" in refused(path, data)
    assert "Use gridcli 7.5.3 or newer" in refused(path, data)


def test_what_is_no_state_is_named(tmp_path) -> None:
    path = tmp_path / "s.parquet"
    assert "no Parquet file" in refused(path, b"lat,lon\n1,2\n" * 20)
    assert "no Parquet file" in refused(path, b"")
    table = pa.table({"lat": [1.5], "lon": [2.5]})
    for columns, record, words in (
        (table, None, "an ordinary Parquet file"),
        (table.append_column("tile_x", [[1]]), {"tau": 5}, "significant tiles of a run"),
        (table.append_column("radius_m", [[1]]), {"tau": 5}, "the hubs of a run"),
        (table, {"tau": 5}, "holds no tile counts"),
        (table, [], "an ordinary Parquet file"),
    ):
        metadata = {} if record is None else {"gridcli": json.dumps(record)}
        sink = io.BytesIO()
        pq.write_table(columns.replace_schema_metadata(metadata), sink)
        text = refused(path, sink.getvalue())
        assert words in text
        assert "gridcli contract makes a state" in text


def test_a_state_rewritten_by_another_program_is_refused(tmp_path) -> None:
    path = write_state(tmp_path / "s.parquet", many_tiles(10))
    metadata = pq.ParquetFile(path).metadata.metadata
    sink = io.BytesIO()
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), sink)
    assert "rewritten by another program" in refused(path, sink.getvalue())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": {"name": "h7"}}, "the grid {'name': 'h7'} is unknown"),
        ({"rules": {}}, "incomplete"),
        ({"rows": None}, "incomplete"),
        ({"inputs": "!"}, "incomplete"),
        ({"format_version": "one"}, "names no format version"),
        ({"tiles": 9}, "contradicts its own record"),
        ({"points": 9}, "contradicts its own record"),
        ({"content_hash": "0" * 64}, "contradicts its own record"),
    ],
)
def test_a_record_that_another_program_made_is_checked(
    tmp_path, monkeypatch, change, words
) -> None:
    monkeypatch.setattr(
        "gridcli.states.writer.to_record", lambda info: {**state_info.to_record(info), **change}
    )
    assert words in refused(tmp_path / "s.parquet", state_bytes(many_tiles(10)))


def test_missing_files_and_folders(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_state(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="a folder"):
        open_state(tmp_path)


# --- Provenance ---------------------------------------------------------------------------------


def source(path: Path | None, name: str = "-") -> Input:
    return Input(name if path is None else str(path), path, None, "csv")


def test_a_fingerprint_is_of_content_alone(tmp_path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"lat,lon\n")
    b.write_bytes(b"lat,lon\n")
    assert fingerprint(a) == fingerprint(b) == hashlib.sha256(b"8\nlat,lon\n").hexdigest()
    b.write_bytes(b"lat,lom\n")
    assert fingerprint(a) != fingerprint(b)


def test_of_large_files_spread_pieces_are_hashed(tmp_path) -> None:
    path = tmp_path / "large"
    size, piece = 9_000_001, 65536
    data = np.random.default_rng(1).bytes(size)
    path.write_bytes(data)
    starts = [i * (size - piece) // 63 for i in range(64)]
    pieces = b"".join(data[start : start + piece] for start in starts)
    assert fingerprint(path) == hashlib.sha256(b"%d\n" % size + pieces).hexdigest()
    assert starts[-1] + piece == size


def test_inputs_are_recorded_with_their_real_path(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("lat,lon\n")
    (tmp_path / "link.csv").symlink_to("a.csv")
    (record,) = record_inputs([source(tmp_path / "link.csv")])
    assert record.path == str(tmp_path / "a.csv")
    assert record.size_bytes == 8
    assert record.mtime_ns == (tmp_path / "a.csv").stat().st_mtime_ns
    (stream,) = record_inputs([source(None)], input_id="monday")
    assert (stream.path, stream.fingerprint, stream.input_id) == ("-", None, "monday")
    with pytest.raises(UsageError, match="0 of the 1 inputs"):
        record_inputs([source(tmp_path / "a.csv")], input_id="monday")
    with pytest.raises(InputError, match="No such file"):
        record_inputs([source(tmp_path / "none.csv")])


def test_inputs_are_known_by_content_then_by_path() -> None:
    def file(path, content):
        return InputRecord(path, 1, 1, content)

    def stream(input_id):
        return InputRecord("-", input_id=input_id)

    recorded = [file("/a", "A"), file("/b", "B"), stream("monday"), stream(None)]
    cases = [
        (file("/a", "A"), "counted"),
        (file("/moved", "B"), "counted"),
        (file("/a", "C"), "changed"),
        (file("/c", "D"), "new"),
        (file("/copy of c", "D"), "counted"),
        (stream("monday"), "counted"),
        (stream("tuesday"), "new"),
        (stream(None), "new"),
    ]
    found = select_new(recorded, [case for case, _ in cases])
    for kind in ("new", "counted", "changed"):
        assert getattr(found, kind) == tuple(i for i, (_, k) in enumerate(cases) if k == kind)


def test_inputs_of_one_content_may_count_as_often_as_they_are_given() -> None:
    def file(path, content):
        return InputRecord(path, 1, 1, content)

    recorded = [file("/a", "A"), file("/b", "B")]
    given = [file("/copy", "A"), file("/a", "A"), file("/b", "C"), file("/c", "D"), file("/d", "D")]
    found = select_new(recorded, given, as_often=True)
    assert (found.counted, found.changed, found.new) == ((0,), (2,), (1, 3, 4))


def test_an_input_that_changes_while_it_is_hashed_is_noticed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("lat,lon\n")

    def hash_slowly(name):
        found = fingerprint(name)
        with path.open("a") as file:
            file.write("1,2\n")
        return found

    monkeypatch.setattr("gridcli.states.provenance.fingerprint", hash_slowly)
    records = record_inputs([source(path)])
    with pytest.raises(DataError, match="has changed while it was read"):
        require_unchanged([source(path)], [record.stamp for record in records])
    path.unlink()
    with pytest.raises(DataError, match="has changed while it was read"):
        require_unchanged([source(path)], [record.stamp for record in records])


# --- What goes together -------------------------------------------------------------------------


def info(*paths: str, grid=GRID, rules=RULES, counts=None) -> StateInfo:
    inputs = tuple(InputRecord(path, 1, 1, f"content of {path}") for path in paths)
    return StateInfo(grid, rules, counts or row_counts(10, null=3), inputs)


def named(*states: StateInfo) -> list[tuple[str, StateInfo]]:
    return [(f"s{i}.parquet", state) for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (info("/b", grid=Grid.degrees(3)), r"grid differs \(g4 and g3\)"),
        (info("/b", rules=Rules(("lon", "lat"))), r"--where differs \(speed < 5 and none\)"),
        (
            info("/b", rules=Rules(("lon", "lat"), RULES.where, (1, 2, 3, 4))),
            r"--bbox differs \(11.5, -57, 12.25, 58 and 1, 2, 3, 4\)",
        ),
        (
            info("/b", rules=Rules(("lon", "lat"), RULES.where, RULES.bbox, None, True)),
            r"--keep-null-island differs \(no and yes\)",
        ),
    ],
)
def test_states_of_other_grids_or_rows_do_not_go_together(other, words) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        combine(named(info("/a"), other))
    assert str(caught.value).startswith("s0.parquet and s1.parquet do not go together")
    with pytest.raises(UsageError, match=words):
        combine(named(info("/a")), [("old.parquet", other)])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            info("/b", grid=Grid.planar_size("2.5")),
            "s0.parquet is of grid g4, but this run would count tiles of t2.5: add --prec 4, or x.",
        ),
        (
            info("/b", rules=Rules(("lon", "lat"))),
            "--where speed < 5, but this run has --where none: give --where 'speed < 5', or x.",
        ),
        (
            info("/b", rules=Rules(("lon", "lat"), RULES.where)),
            "but this run has --bbox none: give --bbox=11.5,-57.0,12.25,58.0, or x.",
        ),
        (
            info("/b", rules=Rules(("lon", "lat"), RULES.where, RULES.bbox, None, True)),
            "but this run has --keep-null-island yes: leave out --keep-null-island, or x.",
        ),
    ],
)
def test_a_run_that_does_not_fit_is_told_how_it_would(other, words) -> None:
    with pytest.raises(UsageError) as caught:
        compare_rules(("s0.parquet", info("/a")), ("this run", other), otherwise="x")
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Grid.planar_prec(-1), "tiles of g4: add --planar --prec -1, or x."),
        (Grid.planar_size("25"), "tiles of g4: add --planar --tile-size 25, or x."),
        (Grid.degrees("3.5"), "tiles of g4: add --prec 3.5, or x."),
        (
            Grid.degrees(6).coarsened(20),
            "is of grid g5x2, but this run would count tiles of g4: x.",
        ),
    ],
)
def test_the_options_of_a_grid(grid, words) -> None:
    with pytest.raises(UsageError) as caught:
        compare_rules(("s.parquet", info("/a", grid=grid)), ("this run", info("/b")), otherwise="x")
    assert str(caught.value).endswith(words)


def test_other_columns_and_spellings_are_noted_at_most() -> None:
    rules = Rules(("x", "y"), (" speed  <5",), RULES.bbox, None)
    notes = combine(named(info("/a"), info("/b", rules=rules))).notes
    assert notes == (
        "s1.parquet: columns x, y, unlike lon, lat of s0.parquet",
        "s1.parquet: --scale none, unlike 1/10000000 of s0.parquet",
    )


def test_an_input_is_counted_once() -> None:
    states = named(info("/a", "/b"), info("/c", "/b"))
    with pytest.raises(UsageError, match=r"s0.parquet and s1.parquet both count /b, "):
        combine(states)
    together = combine(states, allow_overlap=True)
    assert [each.path for each in together.inputs] == ["/a", "/b", "/c", "/b"]
    less = combine(states, [("old", info("/b"))], allow_overlap=True)
    assert [each.path for each in less.inputs] == ["/a", "/c", "/b"]


def test_files_without_rows_are_nothing_to_count_twice() -> None:
    empty = info("/empty", counts=RowCounts())
    assert len(combine(named(empty, empty, info("/a"))).inputs) == 3


def test_rows_are_added_and_subtracted() -> None:
    states = named(info("/a"), info("/b", counts=row_counts(5, null=1, ragged=2)))
    together = combine(states)
    assert together.counts == row_counts(15, null=4, ragged=2)
    back = combine(states, [("old", states[1][1])])
    assert back.counts == row_counts(10, null=3)
    assert [each.path for each in back.inputs] == ["/a"]


def test_only_what_is_there_can_be_subtracted() -> None:
    states = named(info("/a", "/b"))
    with pytest.raises(UsageError, match=r"old cannot be subtracted: it counts /c, which"):
        combine(states, [("old", info("/c"))])
    with pytest.raises(UsageError, match="subtracted twice"):
        combine(states, [("old", info("/b")), ("copy", info("/b", counts=row_counts(0)))])
    unknown = StateInfo(GRID, RULES, row_counts(1), (InputRecord("-"),))
    with pytest.raises(UsageError, match="standard input, which nothing identifies"):
        combine(named(unknown), [("old", unknown)])
    more = info("/b", counts=row_counts(11, null=3))
    with pytest.raises(DataError, match="it counts 14 rows as read"):
        combine(named(info("/a", "/b", counts=row_counts(10))), [("old", more)])
