"""`gridcli explain`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys

import pytest

from gridcli.output.formats import write_layer
from gridcli.raster.layers import gridcli_record, tiles_layer
from tests.naming_examples import hubs_of
from tests.state_examples import GRID, write_state
from tests.tile_examples import tiles_of

COUNTS = {(0, 0): 9, (1, 0): 6, (2, 0): 5, (2, 1): 7, (3, 1): 2, (9, 9): 8, (10, 9): 1}
IN_HUB = "0.00005,0.00005"
ALONE = "0.00091,0.00091"


@pytest.fixture(autouse=True)
def sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_state(tmp_path / "day.parquet", tiles_of(GRID, COUNTS))
    hubs = hubs_of({tile: n for tile, n in COUNTS.items() if n >= 5}, mu=4)
    layer = tiles_layer(hubs, gridcli_record(GRID, 5, 4, 1, "chebyshev"))
    for form in ("parquet", "geojson", "csv"):
        with (tmp_path / f"tiles.{form}").open("wb") as sink:
            write_layer(layer, sink, form)
    return tmp_path


def explained(gridcli, *words: str) -> dict:
    outcome = gridcli("explain", *words, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


TEXT = """\
0.00005,0.00005 lies in tile 0,0 of grid g4 (latitude 0 to 0.0001, longitude 0 to 0.0001). It is \
in hub g4/0/0. Its tile holds 9 points, and is significant: tau asks for 5. It belongs to 4 tiles \
with 27 points in all that hang together, enough for a hub, which needs 4 tiles (mu). 1 of the \
tiles around it is significant (delta 1, chebyshev).

Points in the tiles around, north at the top; [ ] the place's own, ( ) below tau 5:
(0)  (0)  (0)
(0)  [9]   6
(0)  (0)  (0)

to change the answer  now  would have to be
tau                   5    6 or more
mu                    4    5 or more
tiles                 g4   g4x2 (--coarsen 2)

A state can tell of coarser tiles only. For finer ones, contract the points again with a larger \
--prec.

This state counts only the points of --where "speed < 5" --bbox 11.5,-57,12.25,58.
"""


def test_a_place_in_a_hub(gridcli) -> None:
    outcome = gridcli("explain", "day.parquet", "--at", IN_HUB)
    assert (outcome.code, outcome.out, outcome.err) == (0, TEXT, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("day.parquet", "--at", ALONE),
            ["in no hub", "holds 8 points", "1 tile with 8 points in all", "while a hub needs 4",
             "None around it is significant",
             "no tau does it: fewer than 4 tiles with any points", "1 or less"],
        ),
        (
            ("day.parquet", "--at", "0.00015,0.00035"),
            ["holds 2 points, and a significant tile needs at least 5 (tau)", "[(2)]",
             "2 or less", "no mu does it"],
        ),
        (
            ("day.parquet", "--at", "50,11.9", "--metric", "manhattan"),
            ["holds no point", "no tau does it: a tile without points", "still in none"],
        ),
        (
            ("tiles.parquet", "--at", "0.00015,0.00035"),
            ["fewer than 5 points", "[(<5)]", "not known from a file of tiles", "A state can"],
        ),
        (("tiles.parquet", "--at", IN_HUB), ["in hub g4/0/0", "6 or more", "5 or more"]),
        (("tiles.geojson", "--at", IN_HUB), ["in hub g4/0/0", "6 or more"]),
        (("tiles.csv", "--at", IN_HUB, "--tau", "5", "--mu", "4"), ["in hub g4/0/0"]),
        (("d?y.parquet", "--at", IN_HUB), ["in hub g4/0/0"]),
        (("day.parquet", "--at", "-33.9,18.4"), ["-33.9,18.4 lies in tile 184000,-339000"]),
    ],
)  # fmt: skip
def test_other_places(gridcli, words, told) -> None:
    outcome = gridcli("explain", *words)
    assert (outcome.code, outcome.err) == (0, "")
    for text in told:
        assert text in outcome.out


def test_json(gridcli) -> None:
    record = explained(gridcli, "day.parquet", "--at", "0.00015,0.00025", "--tau", "6")
    assert record["source"] == {"kind": "state", "path": "day.parquet"}
    assert record["at"] == {"lat": 0.00015, "lon": 0.00025}
    assert (record["grid"], record["tau"], record["mu"]) == ("g4", 6, 4)
    assert record["tile"] == {
        "tile_x": 2,
        "tile_y": 1,
        "count": 7,
        "kind": "significant",
        "west": 0.0002,
        "south": 0.0001,
        "east": 0.0003,
        "north": 0.0002,
    }
    assert (record["in_hub"], record["hub_key"]) == (False, None)
    assert record["component"] == {"tiles": 3, "points": 22}
    assert record["significant_neighbours"] == 1
    assert {"tile_x": 1, "tile_y": 0, "count": 6} in record["neighbours"]
    assert len(record["neighbours"]) == 9
    assert record["changes"] == {
        "tau": {"value": 5, "known": True},
        "mu": {"value": 3, "known": True},
        "coarsen": {"value": None, "known": False, "grid": None, "tried": [2, 5, 10, 20, 50, 100]},
    }
    assert len(record["notes"]) == 2


HUB = """\
Hub g4/0/0 has 3 tiles with 22 points in all (tau 6, mu 1). Its fullest, with 9 points, is tile \
0,0 of grid g4 (latitude 0 to 0.0001, longitude 0 to 0.0001). The weakest that holds it \
together is tile 1,0 of grid g4 (latitude 0 to 0.0001, longitude 0.0001 to 0.0002), with 6 points.

what would change           from
it is 2 hubs                tau 7 on
nothing of it is a hub      tau 10 on
it has too few tiles        mu 4 on
it is one with another hub  no tau does it
it is one with hub g4/9/9   delta 8 on

This state counts only the points of --where "speed < 5" --bbox 11.5,-57,12.25,58.
"""


def test_a_hub(gridcli) -> None:
    words = ("explain", "day.parquet", "--hub", "g4/0/0")
    record = explained(gridcli, *words[1:], "--mu", "1", "--metric", "manhattan")
    assert record["hub_key"] == "g4/0/0"
    assert (record["tiles"], record["points"], record["fullest"]["count"]) == (4, 27, 9)
    assert record["changes"]["splits"]["tau"] == 6
    assert record["changes"]["splits"]["hubs"] == 2
    assert record["changes"]["splits"]["weakest"]["tile_x"] == 2
    assert record["changes"]["gone"] == {"tau": {"value": 10, "known": True}, "mu": 5}
    assert record["changes"]["joins"]["tau"] == {"value": None, "known": True, "hub_key": None}
    told = gridcli(*words, "--mu", "1", "--metric", "manhattan").out
    assert "The weakest that holds it together is tile 2,0" in told
    assert "it is 2 hubs                tau 6 on" in told
    assert "no delta up to 11 does it" in told


def test_a_hub_and_the_next_one(gridcli) -> None:
    outcome = gridcli("explain", "day.parquet", "--hub", "g4/0/0", "--tau", "6", "--mu", "1")
    assert (outcome.code, outcome.out, outcome.err) == (0, HUB, "")
    told = gridcli("explain", "tiles.geojson", "--hub", "g4/0/0").out
    assert "4 tiles with 27 points" in told
    assert gridcli("explain", "tiles.geojson", "--hub", "1").out == told
    assert "A state can" in told


def test_prose_is_broken_between_words(gridcli, monkeypatch) -> None:
    words = ("explain", "tiles.geojson", "--hub", "g4/0/0")
    whole = gridcli(*words).out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = gridcli(*words).out.split("\n\n")
    for paragraph, line in (
        (shown[0], whole.split("\n\n")[0]),
        (shown[-1], whole.split("\n\n")[-1]),
    ):
        assert " ".join(paragraph.split()) == line.strip()
        assert max(map(len, paragraph.splitlines())) <= 60


def test_a_plane(gridcli, sources) -> None:
    rows = "".join(f"{319_010 + 25 * i},6400010\n" * 5 for i in range(4))
    (sources / "plane.csv").write_text("x,y\n" + rows)
    made = ("--planar", "--tile-size", "25", "-q", "-o", "plane.parquet")
    assert gridcli("contract", "plane.csv", *made).code == 0
    record = explained(gridcli, "plane.parquet", "--at", "319000,6400000")
    assert record["at"] == {"x": 319_000, "y": 6_400_000}
    assert record["hub_key"] == "t25/12760/256000"
    assert [record["tile"][side] for side in ("xmin", "ymin", "xmax", "ymax")] == [
        *(319_000, 6_400_000, 319_025, 6_400_025)
    ]
    assert "a smaller --tile-size" in record["notes"][0]
    assert "x 319000 to 319025" in gridcli("explain", "plane.parquet", "--at", "319000,6400000").out


def test_distances_beyond_one(gridcli) -> None:
    words = ("day.parquet", "--at", IN_HUB, "--delta", "20", "--metric", "manhattan")
    record = explained(gridcli, *words)
    assert record["component"] == {"tiles": 5, "points": 35}
    assert len(record["neighbours"]) == 61  # those up to 5 away are listed
    rows = gridcli("explain", *words).out.splitlines()
    (own,) = [row for row in rows if "[9]" in row]
    assert own.split() == ["(0)"] * 5 + ["[9]", "6", "5", "(0)", "(0)", "(0)"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("day.parquet", "--at", "57.7"), 2, "is not two numbers LAT,LON"),
        (("day.parquet", "--at", "57.7,east"), 2, "is not two numbers LAT,LON"),
        (("day.parquet", "--at", "57.7,nan"), 2, "is not two numbers LAT,LON"),
        (("day.parquet", "--at", "11.9,957.7"), 2, "no place on earth"),
        (("day.parquet", "--at", "111.9,57.7"), 2, "If the longitude came first: --at 57.7,111.9."),
        (("day.parquet", "--at", "150.123456789,9"), 2, "came first: --at 9,150.123456789."),
        (("day.parquet", "--hub", "17"), 2, "a hub_key such as g4/"),
        (("tiles.parquet", "--hub", "17"), 2, "such as g4/0/0, or a hub_id is wanted"),
        (("day.parquet",), 2, "one of --at LAT,LON and --hub KEY"),
        (("day.parquet", "--at", IN_HUB, "--hub", "g4/0/0"), 2, "one of --at LAT,LON"),
        (("day.parquet", "--hub", "g4/1/0"), 2, "belongs to hub g4/0/0"),
        (("tiles.parquet", "--hub", "g4/1/0"), 2, "holds no hub of this key"),
        (("day.parquet", "--at", IN_HUB, "--mu", "0"), 2, "--mu must be at least 1"),
        (("day.parquet", "--at", IN_HUB, "--delta", "1001"), 2, "up to 1,000"),
        (("tiles.parquet", "--at", IN_HUB, "--tau", "6"), 2, "was made with --tau 5"),
        (("tiles.csv", "--at", IN_HUB), 2, "give --tau and --mu"),
        (("missing.parquet", "--at", IN_HUB), 3, "missing.parquet"),
        ((".", "--at", IN_HUB), 3, "is a folder"),
    ],
)
def test_what_is_refused(gridcli, words, code, told) -> None:
    outcome = gridcli("explain", *words)
    assert outcome.code == code
    assert told in outcome.err
    outcome.assert_one_paragraph()


def test_the_parameters_of_the_file_may_be_repeated(gridcli) -> None:
    record = explained(gridcli, "tiles.parquet", "--at", IN_HUB, "--tau", "5", "--delta", "1")
    assert record["tau"] == 5


def test_hubs_are_no_source(gridcli, sources) -> None:
    assert gridcli("agglomerate", "day.parquet", "-o", "hubs.parquet", "-q").code == 0
    outcome = gridcli("explain", "hubs.parquet", "--at", IN_HUB)
    assert outcome.code == 2
    assert "--tiles tiles.parquet writes a file that does" in outcome.err
    (sources / "empty.csv").write_text('"tile_x","tile_y","count","kind","hub_id","hub_key"\n')
    outcome = gridcli("explain", "empty.csv", "--at", IN_HUB)
    assert outcome.code == 2
    assert "nothing that tells its grid" in outcome.err


def test_tiles_of_more_than_two_dimensions_are_no_source(gridcli, sample_csv) -> None:
    dims = ("--dims", "lat,lon,speed", "--range", "speed=0:100", "--prec", "4,4,0", "-q")
    assert gridcli("contract", sample_csv, *dims, "-o", "dims.parquet").code == 0
    outcome = gridcli("explain", "dims.parquet", "--at", IN_HUB)
    assert outcome.code == 2
    assert "gridcli explain looks at tiles of a plane" in outcome.err


def test_tiles_that_a_window_added(gridcli) -> None:
    made = ("--tau", "7", "--mu", "2", "--window", "-o", "hubs.csv", "--tiles", "window.parquet")
    assert gridcli("agglomerate", "day.parquet", *made, "-q").code == 0
    outcome = gridcli("explain", "window.parquet", "--at", "0.00095,0.00105")
    assert (outcome.code, outcome.err) == (0, "")
    assert "holds fewer than 7 points" in outcome.out
    assert "made with --window gaps" in outcome.out
