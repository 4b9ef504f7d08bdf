"""Where a vehicle of the fleet profile goes next, and how long it stays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridcli.synth.parameters import FleetParameters, VehicleKind
    from gridcli.synth.places import Country

NORMAL = NormalDist()
DAY_S = 86_400.0
DETOUR_POOL = 6
"""Hubs of each detour type that a vehicle knows."""
HOME_STAY_S = 900.0
"""The shortest stay at home between two shifts."""


class Stop(NamedTuple):
    """A hub to go to: stay for `stay_s` seconds, and until `leave_s` if that is later."""

    hub: int
    stay_s: float
    leave_s: float


@dataclass
class Itinerary:
    """The days of one vehicle.

    Attributes
    ----------
    parameters : FleetParameters
    country : Country
    kind : VehicleKind
    rng : numpy.random.Generator
    home : int
        Index of the hub where it stands between shifts.
    errands : ndarray of int64
        Hubs of the kind's errand type that it knows, in the order of a tour or line.
    detours : list of (float, ndarray of int64)
        Probability, and the hubs that it knows, of each detour type.
    start_s : float
        When its first shift starts, in local seconds since the first day.
    """

    parameters: FleetParameters
    country: Country
    kind: VehicleKind
    rng: np.random.Generator
    home: int
    errands: npt.NDArray[np.int64]
    detours: list[tuple[float, npt.NDArray[np.int64]]]
    start_s: float
    _todo: list[int] = field(default_factory=list)
    _end_s: float = 0.0

    @classmethod
    def of_vehicle(
        cls,
        parameters: FleetParameters,
        country: Country,
        kind: VehicleKind,
        rng: np.random.Generator,
    ) -> Itinerary:
        """Draw the home of a vehicle, the hubs that it knows, and its first shift."""
        homes = _of_type(parameters, country, kind.home)
        weight = country.popularity[homes]
        home = int(rng.choice(homes, p=weight / weight.sum()))

        def known(name: str, size: int) -> npt.NDArray[np.int64]:
            hubs = _of_type(parameters, country, name)
            offset = country.middle[hubs] - country.middle[home]
            distance = np.hypot(offset[:, 0], offset[:, 1])
            # The largest of log weight + Gumbel noise: a weighted draw without replacement.
            score = np.log(country.popularity[hubs]) - distance / kind.range_m
            score += rng.gumbel(size=len(hubs))
            score[hubs == home] = -np.inf
            size = min(size, max(1, len(hubs) - 1))
            return hubs[np.argpartition(-score, size - 1)[:size]]

        errands = known(kind.errand, kind.pool)
        offset = country.middle[errands] - country.middle[home]
        if kind.order == "tour":
            rank = np.arctan2(offset[:, 1], offset[:, 0])
        else:
            bearing = rng.uniform(0, 2 * np.pi)
            rank = offset @ [np.cos(bearing), np.sin(bearing)]
        itinerary = cls(
            parameters=parameters,
            country=country,
            kind=kind,
            rng=rng,
            home=home,
            errands=errands[np.argsort(rank, kind="stable")],
            detours=[(chance, known(name, DETOUR_POOL)) for name, chance in kind.detours],
            start_s=0.0,
        )
        itinerary._plan_shift(int(rng.integers(parameters.days)))
        return itinerary

    def next_stop(self, time_s: float) -> Stop:
        """Return where to go at `time_s`: the next errand, a detour, or home after the shift."""
        if not self._todo or time_s > self._end_s:
            self._plan_shift(int(time_s // DAY_S) + 1)
            return Stop(self.home, HOME_STAY_S, self.start_s)
        hub = self._todo[-1]
        chance = self.rng.random()
        for share, hubs in self.detours:
            if chance < share:
                hub = int(hubs[self.rng.integers(len(hubs))])
                break
            chance -= share
        else:
            self._todo.pop()
        hub_type = self.parameters.hub_types[self.country.kind[hub]]
        stay = hub_type.dwell_s * math.exp(hub_type.dwell_sigma * self.rng.standard_normal())
        return Stop(hub, stay, 0.0)

    def _plan_shift(self, day: int) -> None:
        """Set start, end and errands of the next shift, on `day` (0: a Monday) or later."""
        while day % 7 >= 5 and not self.kind.weekend:
            day += 1
        hour = self.kind.start_h + self.kind.start_sigma_h * self.rng.standard_normal()
        self.start_s = day * DAY_S + hour * 3600.0
        self._end_s = self.start_s + self.kind.shift_h * 3600.0
        if self.kind.order == "line":
            there_and_back = np.concatenate([self.errands, self.errands[-2:0:-1]])
            todo = np.resize(there_and_back, self.kind.stops)
        else:
            weight = self.country.popularity[self.errands]
            size = min(self.kind.stops, len(self.errands))
            drawn = self.rng.choice(len(self.errands), size, replace=False, p=weight / weight.sum())
            todo = self.errands[np.sort(drawn) if self.kind.order == "tour" else drawn]
        self._todo = [int(hub) for hub in todo[::-1]]

    def standing_place(self, hub: int) -> npt.NDArray[np.float64]:
        """Return x, y (m) and heading (degrees) of a random place at a hub, shape (3,)."""
        hub_type = self.parameters.hub_types[self.country.kind[hub]]
        length, width = self.country.size[hub].tolist()
        along, across, side, turn = self.rng.random(4).tolist()
        along = length * (along - 0.5)
        if hub_type.bay_m > 0:
            along = hub_type.bay_m * round(along / hub_type.bay_m)
        if hub_type.rows > 0:
            across = (math.floor(across * hub_type.rows) + 0.5) / hub_type.rows
        across = width * (across - 0.5)
        axis = float(self.country.axis[hub])
        east, north = math.cos(axis), math.sin(axis)
        x, y = self.country.middle[hub].tolist()
        heading = 90.0 - math.degrees(axis) + hub_type.heading_deg
        heading += 360.0 / hub_type.headings * math.floor(side * hub_type.headings)
        heading += hub_type.heading_sigma_deg * NORMAL.inv_cdf(max(turn, 1e-12))
        return np.array(
            [x + along * east - across * north, y + along * north + across * east, heading]
        )


def _of_type(parameters: FleetParameters, country: Country, name: str) -> npt.NDArray[np.int64]:
    index = [t.name for t in parameters.hub_types].index(name)
    return np.flatnonzero(country.kind == index)
