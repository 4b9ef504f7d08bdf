"""States of tiles in three and four dimensions: written, added up, and made hubs of."""

from __future__ import annotations

import csv
import json
import shlex

import numpy as np
import pyarrow.parquet as pq
import pytest

from gridcli.dims.axes import number_axis, time_axis
from gridcli.dims.grid import DimsGrid
from gridcli.dims.syntax import options_of, parse_dims
from gridcli.errors import DataError, InputError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack
from gridcli.states.build import tiles_named
from gridcli.states.file import open_state
from gridcli.states.info import Rules, StateInfo
from gridcli.tiles.merge import TooFewPointsError
from tests import naive
from tests.test_cli_dims import YARD, yard_rows

FOUR = ("--dims", "lat,lon,hour(time),v", "--prec", "4,4,0,-1", "--range", "v=0:40")


@pytest.fixture
def days(tmp_path, monkeypatch):
    """The yard as the files a.csv and b.csv in the current folder, and as all.csv."""
    monkeypatch.chdir(tmp_path)
    rows = yard_rows()
    for name, part in (("a", rows[:150]), ("b", rows[150:]), ("all", rows)):
        with (tmp_path / f"{name}.csv").open("w", encoding="ascii", newline="") as file:
            csv.writer(file).writerows([("time", "lat", "lon", "v"), *part])
    return tmp_path


@pytest.mark.parametrize("dims", [YARD, FOUR])
def test_states_are_added_up_to_what_one_run_counts(gridcli, days, dims):
    def run(*arguments):
        outcome = gridcli(*arguments, "-q")
        assert outcome.code == 0, outcome.err

    run("contract", "a.csv", *dims, "-o", "a.parquet")
    run("contract", "b.csv", *dims, "-o", "b.parquet")
    run("merge", "a.parquet", "b.parquet", "-o", "merged.parquet")
    run("contract", "a.csv", *dims, "-o", "appended.parquet")
    run("contract", "a.csv", "b.csv", *dims, "--append", "-o", "appended.parquet")
    run("contract", "b.csv", "a.csv", *dims, "--checkpoint", "saved", "-o", "saved.parquet")
    more = ("-o", "r.geojson", "--tiles", "r.csv", "--state", "beside.parquet", "--tau", "2")
    run("raster", "a.csv", "b.csv", *dims, *more)
    names = ("merged", "appended", "saved", "beside")
    assert len({open_state(f"{name}.parquet").info.content_hash for name in names}) == 1
    run("agglomerate", "merged.parquet", "-o", "m.geojson", "--tiles", "m.csv", "--tau", "2")
    for suffix in ("geojson", "csv"):
        assert (days / f"m.{suffix}").read_bytes() == (days / f"r.{suffix}").read_bytes()
    run("merge", "merged.parquet", "--subtract", "b.parquet", "-o", "less.parquet")
    less, first = open_state("less.parquet").info, open_state("a.parquet").info
    assert less.content_hash == first.content_hash


def test_columns_and_content_hash_are_as_defined(gridcli, days):
    outcome = gridcli("contract", "all.csv", *FOUR, "-o", "s.parquet", "-q", "--summary", "-")
    assert outcome.code == 0, outcome.err
    state, table = open_state("s.parquet"), pq.read_table("s.parquet")
    assert table.column_names == ["tile_x", "tile_y", "tile_hour", "tile_v", "count"]
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert rows == sorted(rows, key=lambda row: (row[1], row[0], row[2], row[3]))
    assert state.info.dims is not None
    dims = state.info.dims.describe()
    assert json.loads(outcome.out)["dims"] == dims
    assert state.info.content_hash == naive.content_hash(
        state.grid.describe(), state.info.counts.record(), rows, dims
    )
    with pytest.raises(ValueError, match="no tiles of a plane"):
        next(state.blocks())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*YARD, "--tz", "Asia/Tokyo"], "--dims differs (hour(time)0 and hour(time,Asia%2FTokyo)0"),
        (FOUR, "--dims differs (hour(time)0 and hour(time)0 and v(0:40)-1)"),
        (["--prec", "4"], "--dims differs (hour(time)0 and none)"),
        (["--dims", "lat,lon,hour(time)", "--prec", "3,3,0"], "grid differs (g4 and g3)"),
    ],
)
def test_states_of_other_dimensions_do_not_go_together(gridcli, days, options, message):
    assert gridcli("contract", "a.csv", *YARD, "-o", "a.parquet", "-q").code == 0
    assert gridcli("contract", "b.csv", *options, "-o", "b.parquet", "-q").code == 0
    outcome = gridcli("merge", "a.parquet", "b.parquet", "-o", "m.parquet")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert message in outcome.err


def test_appending_says_which_dimensions_are_missing(gridcli, days):
    assert gridcli("contract", "a.csv", *FOUR, "-o", "s.parquet", "-q").code == 0
    outcome = gridcli("contract", "b.csv", "--append", "-o", "s.parquet")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    advice = outcome.err.split("give ")[1].split(", or write")[0]
    assert shlex.split(advice) == [*FOUR[:1], "lat,lon,hour(time),v", *FOUR[2:]]


@pytest.mark.parametrize("planar", [False, True])
def test_options_of_a_grid_mean_that_grid(planar):
    plane = Grid.planar_prec(-1) if planar else Grid.degrees("3.5")
    odd = number_axis('a "b", (c)', "0.5", "-3", "1e2")
    grid = DimsGrid(plane, (time_axis("weekday", "x", "0", "solar"), odd))
    words = shlex.split(options_of(grid))
    found = dict(zip(words[::2], words[1::2], strict=True))
    prec, axes = parse_dims(
        found["--dims"], found["--prec"], found["--tz"], [found["--range"]], planar=planar
    )
    assert f"{'p' if planar else 'g'}{prec}" == plane.name
    assert axes == grid.axes


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sweep", "s.parquet"], "gridcli sweep looks at tiles of a plane"),
        (["explain", "s.parquet", "--at", "57.7,11.9"], "gridcli explain looks at tiles"),
        (["agglomerate", "s.parquet", "-o", "h.csv", "--coarsen", "2"], "--coarsen coarsens tiles"),
        (["agglomerate", "s.parquet", "-o", "h.csv", "--prec", "3"], "--prec coarsens tiles"),
        (["agglomerate", "s.parquet", "-o", "h.csv", "--adaptive", "1,2"], "--adaptive coarsens"),
        (["agglomerate", "s.parquet", "-o", "h.csv", "--keys-from", "x"], "--keys-from finds"),
        (["agglomerate", "s.parquet", "-o", "h.csv", "--window"], "--window is defined"),
        (["contract", "a.csv", *YARD, "-o", "t.parquet", "--unique"], "--unique would have to"),
    ],
)
def test_what_a_state_of_more_dimensions_is_not_for(gridcli, days, command, message):
    assert gridcli("contract", "a.csv", *YARD, "-o", "s.parquet", "-q").code == 0
    outcome = gridcli(*command)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert message in outcome.err


def test_a_state_whose_zone_is_unknown_here_is_told(gridcli, days, monkeypatch):
    dims = (*YARD, "--tz", "Asia/Tokyo")
    assert gridcli("contract", "a.csv", *dims, "-o", "s.parquet", "-q").code == 0
    monkeypatch.setattr("gridcli.dims.zones.ZoneInfo", _no_zone)
    with pytest.raises(InputError, match=r"s\.parquet: .*names a time zone that this system lacks"):
        open_state("s.parquet")


def _no_zone(name: str) -> None:
    raise OSError(name)


def test_too_many_tiles_for_the_memory_are_told_with_numbers(gridcli, days, monkeypatch):
    assert gridcli("contract", "all.csv", *YARD, "-o", "s.parquet", "-q").code == 0
    monkeypatch.setattr("gridcli.dims.run.BYTES_PER_TILE", 10**9)
    outcome = gridcli("agglomerate", "s.parquet", "-o", "h.csv", "--max-memory", "1G")
    assert outcome.code == 6
    outcome.assert_one_paragraph()
    assert "60 significant tiles in 3 dimensions" in outcome.err


def test_the_tile_that_lacks_points_is_named_with_its_bins():
    grid = DimsGrid(Grid.degrees(4), (time_axis("hour", "time", "0", "UTC"),))
    key = grid.keys(pack(np.array([119000]), np.array([577000])), [np.array([23])])
    with (
        pytest.raises(DataError, match=r"tile \(119000, 577000, 23\) holds 1 points, fewer than"),
        tiles_named(StateInfo(grid.plane, Rules((), axes=grid.axes))),
    ):
        raise TooFewPointsError(key[0], 1, 2)
