"""Synthetic data: what the two profiles promise, and how they are written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import OutputError, UsageError
from gridcli.synth import kernels, parts, write
from gridcli.synth.fleet import FleetData
from gridcli.synth.itinerary import Itinerary
from gridcli.synth.paper import LATTICE_LAT, LATTICE_LON, PaperData, lattice_centres
from gridcli.synth.parameters import (
    HUB_TYPES,
    METRES_PER_DEGREE,
    TRAFFIC_LIGHT,
    FleetParameters,
)
from gridcli.synth.permutation import Permutation
from gridcli.synth.tape import Tape
from gridcli.synth.write import generate

REPOSITORY = Path(__file__).resolve().parent.parent
BOTH = pytest.mark.parametrize("profile", ["paper", "fleet"])


def rows(folder):
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*")))


def truth(folder):
    return pq.read_table(folder / write.TRUTH_FILE)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(data):
    return pa.concat_tables(data.part(0, 1))


@pytest.fixture(scope="module")
def fleet():
    data = FleetData(points=60_000, hubs=120, vehicles=12, seed=7)
    return data, whole(data), data.truth()


# The paper's profile


@given(size=st.integers(1, 5000), seed=st.integers(0, 99))
def test_permutation_is_a_bijection(size, seed):
    permutation = Permutation.random(size, np.random.default_rng(seed))
    image = permutation(np.arange(size, dtype=np.uint64))
    assert np.array_equal(np.sort(image), np.arange(size))


def test_paper_points_lie_around_their_centres():
    data = PaperData(points=25_130, clusters=50, seed=3)
    table, answer = whole(data), data.truth()
    centres = np.column_stack([answer["lon"], answer["lat"]])
    points = np.column_stack([table["lon"], table["lat"]])
    distance = np.abs(points[:, None, :] - centres[None]).max(axis=2)
    nearest = distance.argmin(axis=1)
    assert distance.min(axis=1).max() <= 0.001
    assert np.array_equal(np.bincount(nearest, minlength=50), answer["points"].to_numpy())
    assert set(answer["points"].to_pylist()) == {502, 503}
    # Shuffled as a whole: consecutive points are of one cluster as often as chance has it.
    assert np.mean(nearest[1:] == nearest[:-1]) < 0.04
    assert len(set(nearest[:500])) == 50


def test_paper_offsets_have_the_moments_of_the_papers_law():
    data = PaperData(points=200_000, clusters=1, seed=5)
    table = whole(data)
    dx, dy = (
        (table[name].to_numpy() - data.truth()[name][0].as_py()) / 0.001 for name in ("lon", "lat")
    )
    # z ~ U(0, 1), e ~ U(0, z), d ~ U(-e, e): E|d| = 1/8, E d^2 = 1/27; e is shared by the axes,
    # so E|dx dy| = E e^2 / 4 = 1/36, which independent axes would not have (1/64).
    assert np.abs(dx).mean() == pytest.approx(1 / 8, rel=0.02)
    assert np.abs(dy).mean() == pytest.approx(1 / 8, rel=0.02)
    assert (dx**2).mean() == pytest.approx(1 / 27, rel=0.03)
    assert np.abs(dx * dy).mean() == pytest.approx(1 / 36, rel=0.03)
    assert abs(dx.mean()) < 0.005
    assert abs((dx * dy).mean()) < 0.001


@pytest.mark.parametrize("clusters", [1, 2, 700, 10_000])
def test_centres_of_small_sets_keep_apart_on_both_axes(clusters):
    centres = PaperData(points=clusters, clusters=clusters, seed=1).centres
    assert centres.shape == (clusters, 2)
    for axis, bound in ((0, 180), (1, 90)):
        assert np.all(np.diff(np.sort(centres[:, axis])) >= 0.005)
        assert np.abs(centres[:, axis]).max() <= bound - 0.001


def test_centres_of_large_sets_are_distinct_multiples_of_a_tenth():
    data = PaperData(points=20_000, clusters=10_001, seed=1)
    tenths = data.centres * 10
    assert np.array_equal(tenths, np.rint(tenths))
    assert len(np.unique(tenths, axis=0)) == 10_001
    assert not np.any(np.all(tenths == 0, axis=1))


def test_lattice_leaves_out_null_island_alone():
    every = lattice_centres((2 * LATTICE_LON + 1) * (2 * LATTICE_LAT + 1) - 1, _FirstCells())
    assert not np.any(np.all(every == 0, axis=1))
    assert len(np.unique(every[:, 0] * 10_000 + every[:, 1])) == len(every)
    assert np.abs(every).max(axis=0).tolist() == [179.9, 89.9]


class _FirstCells:
    def choice(self, _total, size, replace):
        assert not replace
        return np.arange(size)


def test_too_many_clusters_are_refused():
    with pytest.raises(UsageError, match="--clusters 7000000 is more"):
        PaperData(points=7_000_000, clusters=7_000_000, seed=1)


# The fleet


def test_fleet_rows_come_vehicle_by_vehicle_in_time_order(fleet):
    _, table, _ = fleet
    vehicle, time = table["vehicle_id"].to_numpy(), table["time"].to_numpy()
    assert np.bincount(vehicle)[1:].tolist() == [5_000] * 12
    assert np.all(np.diff(vehicle) >= 0)
    same = np.diff(vehicle) == 0
    gap_ms = np.diff(time).astype("timedelta64[ms]").astype(int)[same]
    assert gap_ms.min() >= 5_000
    assert np.median(gap_ms) == 5_000
    assert table.schema.field("time").type == pa.timestamp("ms", tz="UTC")


def test_fleet_coordinates_have_six_decimals(fleet):
    _, table, _ = fleet
    for name in ("lat", "lon"):
        values = table[name].to_numpy()
        assert np.array_equal(values, [float(f"{v:.6f}") for v in values])


def test_vehicles_move_as_fast_as_they_say(fleet):
    _, table, _ = fleet
    lat, lon = table["lat"].to_numpy(), table["lon"].to_numpy()
    speed = table["speed_kmh"].to_numpy()
    east = np.diff(lon) * np.cos(np.radians(lat[1:])) * METRES_PER_DEGREE
    north = np.diff(lat) * METRES_PER_DEGREE
    seconds = np.diff(table["time"].to_numpy()).astype("timedelta64[ms]").astype(int) / 1000
    steady = (np.diff(table["vehicle_id"].to_numpy()) == 0) & (seconds < 7)
    moved = np.hypot(east, north)[steady]
    assert speed.max() < 120
    assert moved.max() < 120 / 3.6 * 7
    cruising = (speed[1:][steady] > 40) & (speed[:-1][steady] > 40)
    reported = (speed[1:] + speed[:-1])[steady][cruising] / 2 / 3.6 * seconds[steady][cruising]
    assert np.median(moved[cruising] / reported) == pytest.approx(1, abs=0.05)
    heading = table["heading_deg"].to_numpy()
    assert heading.min() >= 0
    assert heading.max() < 360
    bearing = np.degrees(np.arctan2(east, north))[steady][cruising]
    off = np.abs((bearing - heading[1:][steady][cruising] + 180) % 360 - 180)
    assert np.median(off) < 5


def test_truth_counts_the_fixes_of_standing_vehicles(fleet):
    _, table, answer = fleet
    points, visits = answer["points"].to_numpy(), answer["visits"].to_numpy()
    assert set(answer["type"].to_pylist()) == {t.name for t in HUB_TYPES}
    standing = table.filter(pa.compute.less(table["speed_kmh"], 2.6))
    assert points.sum() == pytest.approx(standing.num_rows, rel=0.02)
    assert np.array_equal(points > 0, visits > 0)
    for hub in np.argsort(points)[-20:]:
        lon, lat = answer["lon"][hub].as_py(), answer["lat"][hub].as_py()
        north = (standing["lat"].to_numpy() - lat) * METRES_PER_DEGREE
        east = (standing["lon"].to_numpy() - lon) * METRES_PER_DEGREE * np.cos(np.radians(lat))
        near = np.hypot(east, north) < 2.5 * answer["radius_m"][hub].as_py() + 20
        assert near.sum() == pytest.approx(points[hub], rel=0.05)


def test_stays_differ_by_type_as_their_laws_say():
    data = FleetData(points=150_000, hubs=200, vehicles=30, seed=2)
    whole(data)
    answer = data.truth().to_pydict()
    stay = {
        t.name: sum(p for p, k in zip(answer["points"], answer["type"], strict=True) if k == t.name)
        / sum(v for v, k in zip(answer["visits"], answer["type"], strict=True) if k == t.name)
        for t in HUB_TYPES
    }
    short = max(stay["bus_stop"], stay[TRAFFIC_LIGHT])
    assert short < 10 < stay["delivery_stop"] < stay["fuel_station"] < stay["parking"]


def test_shifts_keep_to_their_hours_and_weekends():
    parameters = FleetParameters(days=1)
    data = FleetData(1000, 100, 4, seed=1, parameters=parameters)
    for kind in parameters.vehicle_kinds:
        days = Itinerary.of_vehicle(parameters, data.country, kind, np.random.default_rng(1))
        starts = [days.start_s]
        while len(starts) < 20:
            stop = days.next_stop(starts[-1] + kind.shift_h * 3600 + 1e5 * (len(starts) % 2))
            assert stop.hub == days.home or stop.leave_s == 0
            if stop.leave_s:
                starts.append(stop.leave_s)
        day, second = np.divmod(np.array(starts), 86_400)
        assert np.mean(second / 3600) == pytest.approx(kind.start_h, abs=1)
        assert (np.max(day % 7) >= 5) == kind.weekend


def test_routes_are_connected_streets_that_a_vehicle_can_drive():
    data = FleetData(1000, 300, 30, seed=4)
    country, p = data.country, data.parameters
    route = data._empty_route()
    rng = np.array([5], dtype=np.uint64)
    for hub, to in [(0, 1), (5, 299), (17, 100), (250, 3)]:
        ends = [country.middle[hub], country.access[hub], country.access[to], country.middle[to]]
        n = kernels.find_route(route, np.array(ends), country.node[[hub, to]], *data._roads, rng)
        x, y, cap, _, wait, _ = route[:, :n]
        length = np.hypot(np.diff(x), np.diff(y))
        assert (x[0], y[0], x[-1], y[-1]) == (*ends[0], *ends[-1])
        assert length.max() < 2 * p.street_m
        assert cap[0] == cap[-1] == 0
        assert np.all(cap[wait > 0] == 0)
        assert np.all(cap[:-1] ** 2 <= cap[1:] ** 2 + 2 * kernels.BRAKING * length + 1e-9)
        detour = length.sum() / (np.abs(x[-1] - x[0]) + np.abs(y[-1] - y[0]) + 4_000)
        assert detour < 4


def test_tape_of_any_length_gives_the_same_fixes(monkeypatch):
    expected = whole(FleetData(3000, 40, 3, seed=1))
    monkeypatch.setattr("gridcli.synth.fleet.BLOCK_ROWS", 1)
    monkeypatch.setattr("gridcli.synth.fleet.SLACK_ROWS", 1)
    assert whole(FleetData(3000, 40, 3, seed=1)).equals(expected)


def test_tape_holds_no_more_fixes_than_a_vehicle_may_write():
    tape = Tape(4)
    tape.begin_vehicle(9, 10, 0.0, np.random.default_rng(1))
    receiver = np.array([5.0, 600.0, 60.0, 4.0, 40.0, 51.0, 10.0])
    tape.write(
        lambda fixes, at, limit: kernels.stand(
            fixes, at, limit, receiver, tape.clock, tape.rng, np.zeros(3), 500.0, 3
        )
    )
    vehicle, fixes = tape.take()
    assert vehicle.tolist() == [9] * 10
    assert fixes[kernels.FIX_TIME_MS].tolist() == [5000.0 * i for i in range(10)]
    assert set(fixes[kernels.FIX_HUB]) == {3}
    assert tape.left == 0


def test_parameters_move_the_country_and_the_noise():
    parameters = FleetParameters(latitude=-33.0, longitude=150.0, noise_m=0.001, interval_s=10.0)
    data = FleetData(2000, 40, 2, seed=1, parameters=parameters)
    table = whole(data)
    assert abs(table["lat"].to_numpy() + 33).max() < 0.5
    gaps = np.diff(table["time"].to_numpy()).astype("timedelta64[ms]").astype(int)
    assert np.median(gaps) == 10_000
    with pytest.raises(ValueError, match="interval_s"):
        FleetParameters(interval_s=0.5)
    with pytest.raises(ValueError, match="multiple of artery"):
        FleetParameters(artery=7)


@pytest.mark.parametrize(
    ("hubs", "vehicles", "message"), [(7, 4, "8 or more"), (40_000, 1, "does not fit")]
)
def test_hubs_must_fit_the_country(hubs, vehicles, message):
    with pytest.raises(UsageError, match=message):
        FleetData(50_000, hubs, vehicles, seed=1)


# Writing


@BOTH
def test_same_bytes_for_any_threads_and_same_rows_for_any_files(tmp_path, profile, monkeypatch):
    monkeypatch.setattr("gridcli.synth.paper.BLOCK_ROWS", 1000)
    settings = {"points": 5000, "clusters": 20, "seed": 3}
    one = generate(tmp_path / "one", profile, **settings, files=3, threads=1)
    generate(tmp_path / "two", profile, **settings, files=3, threads=3)
    generate(tmp_path / "three", profile, **settings, files=1)
    generate(tmp_path / "other", profile, **{**settings, "seed": 4})
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert rows(tmp_path / "one").equals(rows(tmp_path / "three"))
    assert truth(tmp_path / "one").equals(truth(tmp_path / "three"))
    assert not rows(tmp_path / "one").equals(rows(tmp_path / "other"))
    assert [path.name for path in one.files] == [f"part-0000{i}.parquet" for i in range(3)]
    assert one.points == rows(tmp_path / "one").num_rows == 5000


@BOTH
@pytest.mark.parametrize("file_format", ["csv", "csv.gz"])
def test_csv_holds_the_same_rows(tmp_path, profile, file_format):
    settings = {"points": 3000, "clusters": 10, "files": 2}
    generate(tmp_path / "parquet", profile, **settings)
    done = generate(tmp_path / "csv", profile, **settings, file_format=file_format)
    expected = rows(tmp_path / "parquet")
    read = pa.concat_tables(pyarrow.csv.read_csv(path) for path in done.files)
    assert read.column_names == expected.column_names
    for name in ("lon", "lat"):
        assert read[name].to_pylist() == expected[name].to_pylist()


@BOTH
def test_truth_is_no_input(tmp_path, profile, gridcli):
    folder, hubs = tmp_path / "trips", tmp_path / "hubs.csv"
    settings = ["--points", "2k", "--clusters", "10", "-q"]
    assert gridcli("generate", "-o", folder, "--profile", profile, *settings).code == 0
    outcome = gridcli("raster", folder, "-o", hubs)
    assert outcome.code == 0
    assert "2,000" in next(line for line in outcome.err.splitlines() if "rows read" in line)


def test_a_folder_in_use_needs_overwrite_and_keeps_foreign_files(tmp_path):
    settings = {"points": 100, "clusters": 2}
    generate(tmp_path / "d", **settings, files=3)
    with pytest.raises(OutputError, match=r"not empty.*--overwrite"):
        generate(tmp_path / "d", **settings)
    generate(tmp_path / "d", **settings, files=1, overwrite=True)
    assert sorted(digests(tmp_path / "d")) == ["_truth/truth.parquet", "part-00000.parquet"]
    (tmp_path / "d" / "notes.txt").write_text("mine", encoding="ascii")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        generate(tmp_path / "d", **settings, overwrite=True)
    with pytest.raises(OutputError, match="not a folder"):
        generate(tmp_path / "d" / "notes.txt", **settings, overwrite=True)
    with pytest.raises(OutputError, match="Cannot write"):
        generate(tmp_path / "d" / "notes.txt" / "below", **settings)
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "empty"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_run_leaves_the_folder_as_it_was(tmp_path, monkeypatch, error):
    generate(tmp_path / "d", points=100, clusters=2)
    before = digests(tmp_path)

    def fail(self, index, parts):
        yield from part(self, index, parts)
        raise error

    part = PaperData.part
    monkeypatch.setattr(PaperData, "part", fail)
    with pytest.raises((OutputError, KeyboardInterrupt), match=r"No space left|^$"):
        generate(tmp_path / "d", points=1000, clusters=2, files=4, overwrite=True, threads=2)
    assert digests(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".d.partial").mkdir()
    (tmp_path / ".d.partial" / "part-00000.parquet").write_bytes(b"half")
    generate(tmp_path / "d", points=100, clusters=2)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_progress_counts_every_row(tmp_path):
    seen = []
    generate(tmp_path / "d", points=1000, clusters=2, files=3, progress=seen.append)
    assert sum(seen) == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--points", "10.5"], "not a whole number"),
        (["--points", "0"], "--points must be at least 1"),
        (["--points", "10", "--clusters", "11"], "between 1 and --points"),
        (["--points", "10", "--files", "11"], "--files 11 must be between 1 and 10"),
        (["--points", "10", "--vehicles", "2"], "--profile fleet"),
        (
            ["--points", "9", "--clusters", "9", "--profile", "fleet", "--vehicles", "10"],
            "vehicles",
        ),
        (["--points", "9", "--profile", "boats"], "boats"),
    ],
)
def test_wrong_usage(tmp_path, gridcli, options, message):
    outcome = gridcli("generate", "-o", tmp_path / "d", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "d").exists()


def test_summary_says_what_was_written(tmp_path, gridcli):
    outcome = gridcli("generate", "-o", tmp_path / "d", "--points", "1k", "--clusters", "4")
    assert outcome.code == 0
    assert "1,000 of 4 clusters" in outcome.err
    assert gridcli("generate", "-o", tmp_path / "d", "--points", "1k").code == 5
    quiet = gridcli("generate", "-o", tmp_path / "d", "--points", "1k", "--overwrite", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


# The sample data


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("trips", {"points": 60_000, "clusters": 150, "vehicles": 20, "files": 2}),
        (
            "trips-csv",
            {"points": 15_000, "clusters": 40, "vehicles": 6, "seed": 2, "file_format": "csv.gz"},
        ),
    ],
)
def test_sample_data_is_what_its_readme_says(tmp_path, name, settings):
    generate(tmp_path / name, "fleet", **settings)
    sample = REPOSITORY / "sample_data" / name
    assert sorted(digests(sample)) == sorted(digests(tmp_path / name))
    assert (
        truth(sample)
        .drop(["lon", "lat", "radius_m"])
        .equals(truth(tmp_path / name).drop(["lon", "lat", "radius_m"]))
    )
    for path in sorted(sample.glob("part-*")):
        read = pq.read_table if path.suffix == ".parquet" else pyarrow.csv.read_csv
        old, new = read(path), read(tmp_path / name / path.name)
        for column in ("vehicle_id", "time"):
            assert old[column].equals(new[column])
        # Sines and logarithms of another C library may differ in the last digit.
        for column in ("lat", "lon"):
            assert np.allclose(old[column], new[column], rtol=0, atol=1.5e-6)


def test_blocks_bound_the_memory():
    data = PaperData(points=3 * parts.BLOCK_ROWS, clusters=10, seed=1)
    assert max(table.num_rows for table in data.part(0, 1)) == parts.BLOCK_ROWS
