"""`gridcli inspect`, and the findings behind it."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.grid.grid import Grid
from gridcli.points.batch import PointBatch, Reason
from gridcli.points.density import DecimalsSample, DensitySample, suggest_prec
from gridcli.points.survey import Survey, classify, time_column
from tests.state_examples import write_state
from tests.tile_examples import tiles_of


def test_findings_as_json(gridcli, sample_csv) -> None:
    outcome = gridcli("inspect", sample_csv, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["inputs"] == [
        {
            "name": str(sample_csv),
            "format": "csv",
            "compression": None,
            "size_bytes": sample_csv.stat().st_size,
            "rows": 64,
        }
    ]
    assert found["columns"] == {"x": "lon", "y": "lat", "geometry": None}
    assert found["rows"] == {
        "read": 64,
        "used": 60,
        "filtered": 0,
        "ragged": 0,
        "null": 1,
        "not_a_number": 1,
        "out_of_range": 1,
        "null_island": 1,
    }
    assert found["bounds"] == [10.0, 50.0, 11.90045, 57.70005]
    assert found["decimals"] == 5
    assert found["suggested"]["prec"] == 4
    assert found["complete"] is True
    assert found["time"] is None


def test_findings_as_text(gridcli, sample_csv) -> None:
    outcome = gridcli("inspect", sample_csv)
    assert outcome.code == 0
    text = " ".join(outcome.out.split())
    assert "rows read 64 used 60 null 1 not a number 1 out of range 1 null island 1" in text
    assert "--prec 4: the finest at which 67% of the points" in text
    assert "id string, lat string, lon string, speed string" in text
    assert all(line == line.rstrip() for line in outcome.out.splitlines())


def test_reading_stops_after_the_rows_asked_for(gridcli, tmp_path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("lat,lon\n1,2\n3,4\n")
    found = json.loads(gridcli("inspect", tmp_path, "--rows", "2", "--json").out)
    assert found["rows"]["read"] == 2
    assert found["complete"] is False
    assert [each["rows"] for each in found["inputs"]] == [2, 0, 0]


def test_the_schema_is_shown_where_no_column_can_be_chosen(gridcli, tmp_path) -> None:
    pq.write_table(pa.table({"from": [1.5], "to": ["x"]}), tmp_path / "in.parquet")
    outcome = gridcli("inspect", tmp_path, "--json")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "no columns found that hold latitude and longitude" in outcome.err
    found = json.loads(outcome.out)
    assert found["schema"] == [
        {"name": "from", "type": "double"},
        {"name": "to", "type": "string"},
    ]
    assert "schema from double, to string" in " ".join(gridcli("inspect", tmp_path).out.split())


@pytest.mark.parametrize("command", [["inspect"], ["raster", "-o", "h.csv"]])
def test_a_state_is_told_from_points(gridcli, tmp_path, command) -> None:
    write_state(tmp_path / "s.parquet", tiles_of(Grid.degrees(4), {(0, 0): 9}))
    outcome = gridcli(*command, tmp_path / "s.parquet")
    assert outcome.code == 2
    outcome.assert_one_paragraph()
    assert "s.parquet is a state: it counts the points of tiles" in outcome.err


def test_the_span_of_time_is_found_across_inputs(gridcli, tmp_path) -> None:
    times = np.array(["2024-01-02T03:04:05", "2024-03-01", "2023-12-31"], "datetime64[us]")
    for i, time in enumerate(times):
        table = pa.table({"lat": [1.0], "lon": [2.0], "when": [time]})
        pq.write_table(table, tmp_path / f"{i}.parquet")
    found = json.loads(gridcli("inspect", tmp_path, "--json").out)
    assert found["time"] == {
        "column": "when",
        "first": "2023-12-31T00:00:00",
        "last": "2024-03-01T00:00:00",
    }
    pq.write_table(pa.table({"lat": [1.0], "lon": [2.0]}), tmp_path / "9.parquet")
    without = json.loads(gridcli("inspect", tmp_path, "--json").out)
    assert without["time"] is None
    assert without["rows"]["read"] == 4


def test_the_time_column_goes_by_type_then_by_name() -> None:
    stamp = pa.timestamp("us")
    assert time_column(pa.schema([("time", pa.string()), ("b", stamp)])) == "b"
    assert time_column(pa.schema([("a", pa.string()), ("Time", pa.string())])) == "Time"
    assert time_column(pa.schema([("a", pa.string())])) is None


def test_rows_are_classified_like_the_contract_says() -> None:
    x = np.array([1.0, np.nan, np.inf, 361, -180, 360, 0.0005, 0.0, 5.0, 5.0])
    y = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0005, 0.0005, np.nan, 90.0, -90.5])
    known = np.zeros(10, np.uint8)
    known[0] = Reason.NULL
    got = [int(r) for r in classify(x, y, known, planar=False)]
    assert got == [3, 4, 4, 5, 0, 6, 6, 4, 0, 5]
    assert [int(r) for r in classify(x, y, None, planar=True)] == [0, 4, 4, 0, 0, 0, 0, 4, 0, 0]


def test_scaled_integers_are_surveyed_in_degrees() -> None:
    survey = Survey()
    unit = Fraction(1, 10**7)
    survey.add(PointBatch(np.array([119_000_000, 10]), np.array([577_000_001, 10]), unit=unit))
    assert survey.bounds == (11.9, 57.7000001, 11.9, 57.7000001)
    assert survey.counts.reasons[Reason.NULL_ISLAND] == 1
    assert survey.decimals == 7


def test_without_rows_nothing_is_suggested() -> None:
    survey = Survey()
    survey.add(PointBatch(np.empty(0), np.empty(0)))
    assert survey.bounds is None
    assert survey.suggestion is None
    assert survey.decimals is None


@pytest.mark.parametrize("decimals", range(9))
def test_decimals_are_those_of_the_text(decimals) -> None:
    random = np.random.default_rng(decimals)
    sample = DecimalsSample()
    sample.add(np.array([float(f"{v:.{decimals}f}") for v in random.uniform(-180, 180, 2000)]))
    assert sample.decimals == decimals


def test_doubles_with_all_digits_have_no_decimals() -> None:
    sample = DecimalsSample()
    sample.add(np.random.default_rng(1).uniform(-180, 180, 2000))
    assert sample.decimals is None


def brute_share(lon, lat, prec: int) -> float:
    keys = list(
        zip(np.floor(lon * 10**prec).tolist(), np.floor(lat * 10**prec).tolist(), strict=True)
    )
    return sum(keys.count(key) >= 5 for key in keys) / len(keys)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 5))
def test_shares_are_counted_over_batches(seed, n, n_batches) -> None:
    random = np.random.default_rng(seed)
    lon = np.round(random.uniform(11, 11.002, n), 5) + 3e-6
    lat = np.round(random.uniform(57, 57.002, n), 5) + 3e-6
    density = DensitySample(max_tiles=64 if seed % 2 else 1 << 20)
    for part in range(n_batches):
        density.add(lon[part::n_batches], lat[part::n_batches])
    if density.precisions == range(4, -1, -1):
        for prec in (4, 3, 2):
            assert density.share(prec) == pytest.approx(brute_share(lon, lat, prec))


def test_the_sample_does_not_depend_on_the_order() -> None:
    random = np.random.default_rng(7)
    lon, lat = random.uniform(-180, 360, 50_000), random.uniform(-90, 90, 50_000)
    forward, backward = DensitySample(max_tiles=1000), DensitySample(max_tiles=1000)
    forward.add(lon, lat)
    for part in np.array_split(np.arange(50_000)[::-1], 7):
        backward.add(lon[part], lat[part])
    assert forward.precisions == range(4, 1, -1)
    assert [forward.share(p, 2) for p in (4, 3, 2)] == [backward.share(p, 2) for p in (4, 3, 2)]
    assert 0 < len(forward._keys) <= 1000
    assert np.array_equal(forward._keys, backward._keys)


def test_the_suggestion_respects_density_and_decimals() -> None:
    dense = DensitySample()
    dense.add(np.full(100, 11.90001), np.full(100, 57.70001))
    assert suggest_prec(dense, 6).prec == 4
    assert suggest_prec(dense, 3).prec == 3
    sparse = DensitySample()
    sparse.add(np.linspace(10, 11, 100), np.full(100, 57.5))
    assert suggest_prec(sparse, 6).prec == 1
