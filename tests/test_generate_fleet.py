"""The fleet profile: rows as promised, and vehicles, roads and hubs as their parameters say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from gridcli.errors import UsageError
from gridcli.synth import kernels
from gridcli.synth.fleet import FleetData
from gridcli.synth.itinerary import Itinerary
from gridcli.synth.parameters import (
    HUB_TYPES,
    METRES_PER_DEGREE,
    TRAFFIC_LIGHT,
    FleetParameters,
)
from gridcli.synth.tape import Tape


def whole(data):
    return pa.concat_tables(data.part(0, 1))


@pytest.fixture(scope="module")
def fleet():
    data = FleetData(points=60_000, hubs=120, vehicles=12, seed=7)
    return data, whole(data), data.truth()


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
