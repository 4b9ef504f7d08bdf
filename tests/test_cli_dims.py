"""`--dims` on the command line: a yard at night, every format, and what does not go together."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

YARD = ("--dims", "lat,lon,hour(time)", "--prec", "4,4,0")
FIRST = datetime(2024, 3, 4, tzinfo=UTC)


def yard_rows() -> list[tuple[str, float, float, float]]:
    """Rows of a yard: its west is busy from 22 to 4 o'clock, its east from 9 to 15."""
    random = Random(5)
    rows = []
    for hours, columns in ((range(22, 28), range(4)), (range(9, 15), range(3, 9))):
        for hour in hours:
            for column in columns:
                for _ in range(6):
                    at = FIRST + timedelta(
                        days=random.randrange(60), hours=hour, seconds=random.randrange(3600)
                    )
                    lon = round(11.90005 + column * 1e-4, 5)
                    rows.append((at.isoformat(), 57.70005, lon, random.choice([1.5, 12.0, 35.0])))
    random.shuffle(rows)
    return rows


@pytest.fixture
def yard(tmp_path, monkeypatch):
    """The yard as yard.csv and yard.parquet, in the current folder."""
    monkeypatch.chdir(tmp_path)
    text = io.StringIO()
    csv.writer(text).writerows([("time", "lat", "lon", "km/h"), *yard_rows()])
    (tmp_path / "yard.csv").write_text(text.getvalue(), encoding="ascii")
    table = pa.csv.read_csv("yard.csv")
    assert table.schema.field("time").type == pa.timestamp("s", "UTC")
    pq.write_table(table, "yard.parquet", row_group_size=50)
    return tmp_path


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_yard_at_night_is_another_hub_than_by_day(gridcli, yard):
    flat = gridcli("raster", "yard.csv", "-o", "-", "--format", "csv", "-q")
    assert [hub["points"] for hub in read_csv(flat.out)] == ["360"]
    outcome = gridcli("raster", "yard.csv", *YARD, "-o", "-", "--format", "csv", "-q")
    assert outcome.code == 0, outcome.err
    day, night = read_csv(outcome.out)
    assert (day["points"], day["tiles"], day["hour_from"], day["hour_to"]) == (
        "216",
        "36",
        "9",
        "15",
    )
    assert (night["points"], night["tiles"]) == ("144", "24")
    assert (night["hour_from"], night["hour_to"]) == ("22", "4")
    assert night["hub_key"] == "g4+hour(time)0/119000/577000/0"
    assert (night["west"], night["east"]) == ("11.9", "11.9004")
    assert float(night["area_m2"]) == pytest.approx(float(day["area_m2"]) * 4 / 6)


def test_all_layers_carry_the_dimensions(gridcli, yard):
    outcome = gridcli(
        *("raster", "yard.parquet", *YARD, "-o", "hubs.parquet", "--tiles", "tiles.parquet"),
        *("--clusters", "clusters.geojson", "--summary", "-", "-q", "--geometry", "hull"),
    )
    assert outcome.code == 0, outcome.err
    axis = {"name": "hour", "kind": "hour", "column": "time", "prec": "0", "tz": "UTC"}
    summary = json.loads(outcome.out)
    assert summary["dims"] == [axis]
    assert summary["tiles"] == {"distinct": 60, "significant": 60, "largest_count": 6}
    tiles = pq.read_table("tiles.parquet")
    assert tiles.column_names[:7] == [
        *("tile_x", "tile_y", "tile_hour", "count", "kind", "hub_id", "hub_key"),
    ]
    assert json.loads(tiles.schema.metadata[b"gridcli"])["dims"] == [axis]
    rows = tiles.select(["tile_y", "tile_x", "tile_hour"]).to_pylist()
    places = [tuple(row.values()) for row in rows]
    assert places == sorted(places)
    hubs = pq.read_table("hubs.parquet")
    assert hubs.schema.field("hour_from").type == pa.float64()
    clusters = json.loads((yard / "clusters.geojson").read_text())
    told = [feature["properties"] for feature in clusters["features"]]
    assert [hub["hour_to"] for hub in told] == [15, 4]
    corners = clusters["features"][1]["geometry"]["coordinates"][0][0]
    assert [11.9004, 57.7001] in corners


@pytest.mark.parametrize("tz", ["UTC", "Europe/Stockholm", "solar"])
def test_clocks_shift_the_hours(gridcli, yard, tz):
    outcome = gridcli(
        "raster", "yard.csv", *YARD, "--tz", tz, "--tau", "1", "-o", "-", "--format", "csv", "-q"
    )
    hubs = read_csv(outcome.out)
    # Summer time begins within the two months; by the sun it is 48 minutes later than UTC.
    spans = {
        "UTC": [("9", "15"), ("22", "4")],
        "Europe/Stockholm": [("10", "17"), ("23", "6")],
        "solar": [("9", "16"), ("22", "5")],
    }
    assert [(hub["hour_from"], hub["hour_to"]) for hub in hubs] == spans[tz]


def test_four_dimensions(gridcli, yard):
    outcome = gridcli(
        *("raster", "yard.parquet", "--dims", 'lat,"KM/H",lon,hour(time)', "--prec", "4,-1,4,0"),
        *("--range", '"km/h"=0:35', "-o", "-", "--format", "csv", "-q", "--tau", "1", "--mu", "9"),
    )
    assert outcome.code == 0, outcome.err
    hubs = read_csv(outcome.out)
    assert {(hub["KM/H_from"], hub["KM/H_to"]) for hub in hubs} == {("0", "20"), ("30", "40")}
    assert sum(int(hub["points"]) for hub in hubs) == 360
    assert hubs[0]["hub_key"].startswith("g4+KM%2FH(0:35)-1+hour(time)0/")


def test_planar_dimensions(gridcli, yard):
    rows = "".join(f"{10 * i + 1},5,2024-01-0{day}\n" * 5 for i in range(4) for day in (6, 7, 8))
    (yard / "plane.csv").write_text(f"x,y,date\n{rows}", encoding="ascii")
    outcome = gridcli(
        *("raster", "plane.csv", "--planar", "--dims", "x,y,weekday(date)", "--prec", "-1,-1,0"),
        *("-o", "-", "--format", "csv", "-q"),
    )
    assert outcome.code == 0, outcome.err
    (hub,) = read_csv(outcome.out)
    assert (hub["points"], hub["weekday_from"], hub["weekday_to"]) == ("60", "5", "1")
    assert (hub["hub_key"], hub["xmax"]) == ("p-1+weekday(date)0/0/0/0", "40")


def test_two_dimensions_are_those_of_any_run(gridcli, yard):
    for name, options in (("a", ["--dims", "lon,lat", "--prec", "4,4"]), ("b", ["--prec", "4"])):
        assert gridcli("raster", "yard.csv", *options, "-o", f"{name}.geojson", "-q").code == 0
    assert (yard / "a.geojson").read_bytes() == (yard / "b.geojson").read_bytes()


def test_neither_format_nor_order_nor_threads_nor_memory_matter(gridcli, yard):
    rows = sorted(yard_rows())
    halves = {"one.csv": rows[:77], "two.csv": rows[77:]}
    for name, part in halves.items():
        with (yard / name).open("w", encoding="ascii", newline="") as file:
            csv.writer(file).writerows([("time", "lat", "lon", "km/h"), *part])
    dims = ("--dims", "lat,lon,weekday(time),hour(time)", "--prec", "4,4,0,0", "--tau", "1")
    found = set()
    for inputs, options in (
        (["yard.csv"], []),
        (["yard.parquet"], ["--threads", "1"]),
        (["two.csv", "one.csv"], ["--threads", "3", "--max-memory", "384MiB"]),
    ):
        outcome = gridcli(
            *("raster", *inputs, *dims, *options, "-o", "hubs.geojson", "--tiles", "tiles.csv"),
            *("-q", "--overwrite"),
        )
        assert outcome.code == 0, outcome.err
        found.add((yard / "hubs.geojson").read_bytes() + (yard / "tiles.csv").read_bytes())
    assert len(found) == 1


def test_rows_without_a_bin_are_bad_for_a_reason(gridcli, yard):
    (yard / "bad.csv").write_text(
        "lat,lon,when,speed\n"
        "57,12,2024-01-01,5\n"
        "57,12,,5\n"
        "57,12,1700000000,5\n"
        "57,12,2024-01-01,201\n"
        "57,12,2024-01-01,fast\n"
        "99,12,,fast\n",
        encoding="ascii",
    )
    outcome = gridcli(
        *("raster", "bad.csv", "--dims", "lat,lon,hour(when),speed", "--prec", "4,4,0,-1"),
        *("--range", "speed=0:200", "--rejects", "rejects.csv", "-o", "hubs.csv", "-q"),
        *("--summary", "-"),
    )
    rows = json.loads(outcome.out)["rows"]
    assert (rows["used"], rows["null"], rows["not_a_number"], rows["out_of_range"]) == (1, 1, 2, 2)
    rejected = read_csv((yard / "rejects.csv").read_text())
    assert [(row["row"], row["reason"]) for row in rejected] == [
        ("2", "null"),
        ("3", "not_a_number"),
        ("4", "out_of_range"),
        ("5", "not_a_number"),
        ("6", "out_of_range"),
    ]


def test_when_no_row_has_a_bin_it_is_said_of_the_bins(gridcli, yard):
    (yard / "epoch.csv").write_text("lat,lon,t\n57,12,1700000000\n", encoding="ascii")
    outcome = gridcli(
        *("raster", "epoch.csv", "--dims", "lat,lon,hour(t)", "--prec", "4,4,0", "-o", "h.csv")
    )
    assert outcome.code == 4
    outcome.assert_one_paragraph()
    assert "none of these rows has a value of hour(t)0" in outcome.err
    assert "try: gridcli" not in outcome.err


def test_columns_of_other_types_are_refused(gridcli, yard):
    pq.write_table(pa.table({"lat": [57.0], "lon": [12.0], "t": [1_700_000_000]}), "t.parquet")
    base = ("raster", "t.parquet", "-o", "h.csv", "--prec", "4,4,0", "--dims")
    outcome = gridcli(*base, "lat,lon,hour(t)")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "the column 't' has type int64: a number says neither its unit" in outcome.err
    outcome = gridcli(*base, "lat,lon,hour(when)")
    assert outcome.code == 2
    assert "no column 'when'" in outcome.err
    outcome = gridcli("raster", "yard.parquet", *base[2:], "lat,lon,time", "--range", "time=0:9")
    assert outcome.code == 2
    assert "hour(time) or weekday(time)" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keys-from", "old.parquet"], "--keys-from finds names again by tiles of a plane"),
        (["--window"], "--window is defined for blocks of 2 x 2"),
        (["--epsilon", "2"], "--epsilon is defined for"),
        (["--unique"], "--unique would have to say"),
        (["--tile-size", "25"], "--tile-size is one side of tiles"),
        (["--range", "speed=0:9"], "--range speed=...: --dims"),
    ],
)
def test_what_does_not_go_with_dimensions(gridcli, yard, options, message):
    outcome = gridcli("raster", "no-such-file", *YARD, "-o", "h.csv", *options)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert message in outcome.err


@pytest.mark.parametrize(
    "options", [["--tz", "UTC"], ["--range", "speed=0:9"], ["--prec", "4,4,0"]]
)
def test_clock_ranges_and_precisions_need_dimensions(gridcli, yard, options):
    outcome = gridcli("raster", "yard.csv", "-o", "h.csv", *options)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "with --dims" in outcome.err


@pytest.mark.parametrize("suffix", ["parquet", "csv", "geojson", "geojsonl", "arrow"])
def test_tiles_of_dimensions_name_no_hubs_of_a_plane(gridcli, yard, suffix):
    for tau in ("5", "999"):
        made = gridcli(
            *("raster", "yard.csv", *YARD, "--tau", tau, "-o", "h.csv", "--overwrite", "-q"),
            *("--tiles", f"old.{suffix}"),
        )
        assert made.code == 0, made.err
        if tau == "999" and suffix == "geojsonl":
            return  # no feature, and so no record
        outcome = gridcli("raster", "yard.csv", "-o", "x.csv", "--keys-from", f"old.{suffix}")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert "more than two dimensions (--dims)" in outcome.err


def test_rows_are_told_the_hub_of_their_place_and_hour(gridcli, yard):
    outcome = gridcli(
        *("raster", "yard.parquet", *YARD, "-o", "hubs.csv", "-q", "--points", "rows.parquet")
    )
    assert outcome.code == 0, outcome.err
    rows = pq.read_table("rows.parquet").to_pylist()
    assert len(rows) == 360
    for row in rows:
        assert row["hub_id"] == (1 if 9 <= row["time"].hour < 15 else 2)
        assert row["hub_key"].startswith("g4+hour(time)0/")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "geojson"])
def test_rows_are_labelled_by_a_file_of_tiles(gridcli, yard, suffix):
    tiles = f"tiles.{suffix}"
    made = gridcli(
        *("raster", "yard.csv", *YARD, "--tz", "Asia/Tokyo", "--tau", "1", "-o", "hubs.csv", "-q"),
        *("--tiles", tiles, "--points", "rows.csv"),
    )
    assert made.code == 0, made.err
    outcome = gridcli("label", tiles, "yard.csv", "-o", "labelled.csv", "-q")
    assert outcome.code == 0, outcome.err
    assert (yard / "labelled.csv").read_bytes() == (yard / "rows.csv").read_bytes()
    outcome = gridcli("label", tiles, "yard.csv", "--where", "lat > 60", "-o", "none.csv", "-q")
    assert outcome.code == 0, outcome.err


def test_what_labels_no_rows_in_dimensions(gridcli, yard):
    made = gridcli("raster", "yard.csv", *YARD, "-o", "h.csv", "--tiles", "tiles.csv", "-q")
    assert made.code == 0, made.err
    outcome = gridcli("label", "tiles.csv", "yard.csv", "-o", "labelled.csv")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "not as CSV" in outcome.err
    table = pq.read_table(yard / "yard.parquet")
    pq.write_table(table.rename_columns(["when", "lat", "lon", "v"]), "other.parquet")
    for suffix in ("parquet", "geojsonl"):
        tiles = f"tiles.{suffix}"
        assert gridcli("raster", "yard.csv", *YARD, "-o", "-", "--format", "csv", "--tiles", tiles)
        outcome = gridcli("label", tiles, "other.parquet", "-o", "labelled.csv")
        assert outcome.code == 2
        outcome.assert_one_paragraph()
        assert "no column 'time'" in outcome.err


def test_tiles_whose_bins_are_changed_are_found_out(gridcli, yard):
    made = gridcli("raster", "yard.csv", *YARD, "-o", "h.csv", "--tiles", "tiles.parquet", "-q")
    assert made.code == 0, made.err
    table = pq.read_table("tiles.parquet")
    hours = pa.array([24] * len(table), pa.int32())
    changed = table.set_column(2, table.schema.field("tile_hour"), hours)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), "changed.parquet")
    outcome = gridcli("label", "changed.parquet", "yard.csv", "-o", "labelled.csv")
    assert outcome.code == 3
    outcome.assert_one_paragraph()


@pytest.mark.parametrize(
    "command", [["diff", "old.parquet", "old.parquet"], ["explain", "old.parquet", "--at", "57,12"]]
)
def test_commands_for_tiles_of_a_plane_say_so(gridcli, yard, command):
    made = gridcli("raster", "yard.csv", *YARD, "-o", "h.csv", "--tiles", "old.parquet", "-q")
    assert made.code == 0, made.err
    outcome = gridcli(*command)
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "more than two dimensions (--dims)" in outcome.err
