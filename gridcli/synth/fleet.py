"""Profile ``fleet``: vehicles that drive along roads and stand at hubs of known types."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.synth import kernels
from gridcli.synth.itinerary import HOME_STAY_S, Itinerary
from gridcli.synth.parameters import TRAFFIC_LIGHT, FleetParameters
from gridcli.synth.parts import BLOCK_ROWS
from gridcli.synth.places import build_country, node_key, to_degrees
from gridcli.synth.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterator

    Floats = npt.NDArray[np.float64]

# First word of every random stream, so that no two draws share one.
COUNTRY_STREAM, VEHICLE_STREAM = 10, 11
SLACK_ROWS = 1 << 16


class FleetData:
    """Fixes of a fleet: vehicle after vehicle, each in the order of time.

    Parameters
    ----------
    points, hubs, vehicles : int
        Each vehicle gets its equal share of the points, however many days that takes.
    seed : int
    parameters : FleetParameters, optional

    Raises
    ------
    UsageError
        Too few hubs or vehicles for every type to occur, or too many hubs for the country.
    """

    compression = "zstd"

    def __init__(
        self,
        points: int,
        hubs: int,
        vehicles: int,
        seed: int,
        parameters: FleetParameters | None = None,
    ) -> None:
        self.points = points
        self.max_parts = vehicles
        self.vehicles = vehicles
        self.seed = seed
        self.parameters = parameters or FleetParameters()
        rng = self._stream(COUNTRY_STREAM)
        self.side_m = self.parameters.side_m(vehicles)
        self.country = build_country(self.parameters, hubs, self.side_m, rng)
        shares = np.cumsum([kind.share for kind in self.parameters.vehicle_kinds])
        evenly = np.arange(0.5, vehicles) / vehicles
        self._kind_of = rng.permutation(np.searchsorted(shares / shares[-1], evenly))
        self._hub_points = np.zeros(hubs, dtype=np.int64)
        self._hub_visits = np.zeros(hubs, dtype=np.int64)
        self._lock = threading.Lock()

    @property
    def schema(self) -> Any:
        """Columns ``vehicle_id, time, lat, lon, speed_kmh, heading_deg``."""
        import pyarrow as pa

        return pa.schema(
            [
                pa.field("vehicle_id", pa.int32()),
                pa.field("time", pa.timestamp("ms", tz="UTC")),
                pa.field("lat", pa.float64()),
                pa.field("lon", pa.float64()),
                pa.field("speed_kmh", pa.float32()),
                pa.field("heading_deg", pa.float32()),
            ]
        )

    def part(self, index: int, parts: int) -> Iterator[Any]:
        """Yield the rows of part `index` of `parts`: those of some vehicles, whole."""
        tape = Tape(BLOCK_ROWS + SLACK_ROWS)
        route = self._empty_route()
        for vehicle in range(self.vehicles * index // parts, self.vehicles * (index + 1) // parts):
            for _ in self._live(vehicle, tape, route):
                if tape.rows >= BLOCK_ROWS:
                    yield self._take(tape)
        if tape.rows:
            yield self._take(tape)

    def _live(self, vehicle: int, tape: Tape, route: Floats) -> Iterator[None]:
        """Write all fixes of a vehicle to the tape; yield after every move."""
        rng = self._stream(VEHICLE_STREAM, vehicle)
        kind = self.parameters.vehicle_kinds[self._kind_of[vehicle]]
        days = Itinerary.of_vehicle(self.parameters, self.country, kind, rng)
        before, after = (self.points * (vehicle + k) // self.vehicles for k in (0, 1))
        tape.begin_vehicle(
            vehicle + 1, after - before, days.start_s - HOME_STAY_S + rng.random(), rng
        )
        hub, stay_s = days.home, HOME_STAY_S
        place = days.standing_place(hub)
        while True:
            self._stand(tape, place, stay_s, hub)
            yield
            if not tape.left:
                return
            stop = days.next_stop(tape.clock[kernels.CLOCK_TIME])
            target = days.standing_place(stop.hub)
            self._drive(tape, route, hub, place, stop.hub, target)
            yield
            if not tape.left:
                return
            hub, place = stop.hub, target
            stay_s = max(stop.stay_s, stop.leave_s - tape.clock[kernels.CLOCK_TIME])

    def _stand(self, tape: Tape, place: Floats, stay_s: float, hub: int) -> None:
        def move(fixes: Floats, at: int, limit: int) -> Any:
            return kernels.stand(
                fixes, at, limit, self._receiver, tape.clock, tape.rng, place, stay_s, hub
            )

        tape.write(move)

    def _drive(
        self, tape: Tape, route: Floats, hub: int, place: Floats, to: int, target: Floats
    ) -> None:
        country = self.country
        places = np.concatenate([place[:2], country.access[hub], country.access[to], target[:2]])
        n = kernels.find_route(
            route,
            places.reshape(4, 2),
            country.node[[hub, to]],
            *self._roads,
            tape.rng,
        )

        def move(fixes: Floats, at: int, limit: int) -> Any:
            return kernels.drive(fixes, at, limit, self._receiver, tape.clock, tape.rng, route, n)

        tape.write(move)

    def _take(self, tape: Tape) -> Any:
        """Empty the tape into a table, and count what hubs got."""
        import pyarrow as pa

        vehicle, fixes = tape.take()
        hub = fixes[kernels.FIX_HUB].astype(np.int64)
        at_hub = hub >= 0
        arrives = at_hub.copy()
        arrives[1:] &= (hub[1:] != hub[:-1]) | (vehicle[1:] != vehicle[:-1])
        with self._lock:
            self._hub_points += np.bincount(hub[at_hub], minlength=len(self._hub_points))
            self._hub_visits += np.bincount(hub[arrives], minlength=len(self._hub_visits))
        # The clock runs on local (solar) time from the first day on.
        epoch_ms = np.datetime64(self.parameters.first_day, "ms").astype(np.int64)
        epoch_ms -= round(self.parameters.longitude * 240_000)
        time = (fixes[kernels.FIX_TIME_MS].astype(np.int64) + epoch_ms).view("datetime64[ms]")
        columns = [
            *(vehicle, time, fixes[kernels.FIX_LAT], fixes[kernels.FIX_LON]),
            fixes[kernels.FIX_SPEED_KMH].astype(np.float32),
            fixes[kernels.FIX_HEADING].astype(np.float32),
        ]
        return pa.table(columns, schema=self.schema)

    def truth(self) -> Any:
        """Return columns ``hub, type, lon, lat, radius_m, visits, points``, one row a hub.

        `radius_m` is the root mean square distance of a hub's standing places from its middle,
        without the receivers' error; `points` and `visits` count the fixes of vehicles that
        stood there, and their stays.
        """
        import pyarrow as pa

        country = self.country
        lon, lat = to_degrees(country.middle, self.parameters.latitude, self.parameters.longitude)
        return pa.table(
            {
                "hub": np.arange(len(country.kind), dtype=np.int64),
                "type": [self.parameters.hub_types[kind].name for kind in country.kind],
                "lon": lon,
                "lat": lat,
                "radius_m": country.radius_m,
                "visits": self._hub_visits,
                "points": self._hub_points,
            }
        )

    @cached_property
    def _receiver(self) -> Floats:
        p = self.parameters
        return np.array(
            [
                *(p.interval_s, p.parked_after_s, p.parked_interval_s),
                *(p.noise_m, p.noise_s, p.latitude, p.longitude),
            ]
        )

    @cached_property
    def _roads(self) -> tuple[Floats, Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Arguments `roads`, `waves`, `light_key` and `light_hub` of `kernels.find_route`."""
        p = self.parameters
        light = next(t for t in p.hub_types if t.name == TRAFFIC_LIGHT)
        hubs = np.flatnonzero(self.country.kind == p.hub_types.index(light))
        keys = node_key(self.country.node[hubs])
        order = np.argsort(keys)
        roads = np.array(
            [p.street_m, p.artery, p.highway, light.dwell_s, light.dwell_sigma], dtype=np.float64
        )
        return roads, self.country.waves, keys[order], hubs[order]

    def _empty_route(self) -> Floats:
        streets = 2 * (self.side_m / self.parameters.street_m + 3 * self.parameters.highway)
        return np.empty((kernels.ROUTE_ROWS, 2 * int(streets) + 64))

    def _stream(self, *words: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, *words))))
