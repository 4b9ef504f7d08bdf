"""What the fleet profile simulates: hub types, kinds of vehicles, roads, and the receiver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

METRES_PER_DEGREE = 6_371_008.8 * math.pi / 180
MAX_SIDE_M = 2_000_000.0


@dataclass(frozen=True)
class HubType:
    """Where and how vehicles stand at one type of hub.

    Standing places fill a rectangle beside the street, its length along the street. Sizes of
    single hubs vary around these (`FleetParameters.size_sigma`).

    Attributes
    ----------
    name : str
    share : float
        Of all hubs.
    dwell_s, dwell_sigma : float
        Median of a stay in seconds, and sigma of its logarithm.
    length_m, width_m : float
    setback_m : float
        From the middle of the street to the near side of the rectangle.
    bay_m : float
        Places are this far apart along the length; 0: anywhere.
    rows : int
        Rows of places across the width; 0: anywhere.
    heading_deg : float
        Of a standing vehicle, clockwise from the street's direction.
    headings : int
        Directions that occur, evenly spaced from `heading_deg`.
    heading_sigma_deg : float
    town_share : float
        Of the hubs of this type; the others lie anywhere.
    town_reach : float
        Spread of those around the middle of their town, relative to the town's radius.
    """

    name: str
    share: float
    dwell_s: float
    dwell_sigma: float
    length_m: float
    width_m: float
    setback_m: float
    bay_m: float = 0.0
    rows: int = 0
    heading_deg: float = 0.0
    headings: int = 1
    heading_sigma_deg: float = 4.0
    town_share: float = 0.6
    town_reach: float = 1.0


TRAFFIC_LIGHT = "traffic_light"
"""The one type that is met on the way: vehicles queue before a crossing."""

HUB_TYPES = (
    HubType("depot", 0.02, 1500, 0.5, 44, 30, 12, headings=4, heading_sigma_deg=12),
    HubType("warehouse", 0.04, 2700, 0.5, 48, 8, 30, bay_m=4, rows=1, heading_deg=90),
    HubType("delivery_stop", 0.46, 160, 0.6, 14, 3, 3, headings=2, heading_sigma_deg=8),
    HubType("bus_stop", 0.18, 24, 0.4, 14, 2, 3, rows=1, town_share=1.0, town_reach=0.3),
    HubType("fuel_station", 0.04, 290, 0.35, 18, 14, 10, bay_m=9, rows=2, headings=2),
    HubType(TRAFFIC_LIGHT, 0.10, 24, 0.5, 18, 6, 0, town_share=1.0, town_reach=0.4),
    HubType("parking", 0.14, 2400, 0.9, 36, 15, 6, bay_m=3, rows=2, heading_deg=90, headings=2),
    HubType("rest_area", 0.02, 2700, 0.2, 60, 14, 15, 6, 1, heading_deg=45, town_share=0.0),
)


@dataclass(frozen=True)
class VehicleKind:
    """How one kind of vehicle spends its days: home, errands in a shift, home.

    Attributes
    ----------
    name : str
    share : float
        Of all vehicles.
    home : str
        Type of the hub where it stands between shifts.
    errand : str
        Type of most hubs that it visits.
    pool : int
        Hubs of that type that it knows.
    stops : int
        Errands planned for a shift.
    order : {"tour", "line", "random"}
        Round the home by bearing; along a line, to and fro; or as drawn.
    detours : tuple of (str, float)
        Other types, with the probability that a leg goes to one of these instead.
    range_m : float
        Scale of the distance between the home and the hubs that it knows.
    start_h, start_sigma_h, shift_h : float
        Local time at which a shift starts, its spread, and the length of the shift.
    weekend : bool
        Whether it works on Saturday and Sunday.
    """

    name: str
    share: float
    home: str
    errand: str
    pool: int
    stops: int
    order: Literal["tour", "line", "random"]
    detours: tuple[tuple[str, float], ...]
    range_m: float
    start_h: float
    start_sigma_h: float
    shift_h: float
    weekend: bool


VEHICLE_KINDS = (
    VehicleKind(
        name="van",
        share=0.4,
        home="depot",
        errand="delivery_stop",
        pool=90,
        stops=36,
        order="tour",
        detours=(("parking", 0.03), ("fuel_station", 0.03), ("warehouse", 0.02)),
        range_m=4_000,
        start_h=8.0,
        start_sigma_h=0.6,
        shift_h=8.5,
        weekend=False,
    ),
    VehicleKind(
        name="bus",
        share=0.15,
        home="depot",
        errand="bus_stop",
        pool=26,
        stops=400,
        order="line",
        detours=(("fuel_station", 0.004),),
        range_m=2_000,
        start_h=5.5,
        start_sigma_h=0.8,
        shift_h=15.0,
        weekend=True,
    ),
    VehicleKind(
        name="truck",
        share=0.2,
        home="warehouse",
        errand="warehouse",
        pool=12,
        stops=6,
        order="random",
        detours=(("depot", 0.15), ("rest_area", 0.2), ("fuel_station", 0.08)),
        range_m=50_000,
        start_h=4.0,
        start_sigma_h=1.5,
        shift_h=11.0,
        weekend=False,
    ),
    VehicleKind(
        name="car",
        share=0.25,
        home="parking",
        errand="parking",
        pool=16,
        stops=7,
        order="random",
        detours=(("fuel_station", 0.07), ("delivery_stop", 0.1)),
        range_m=12_000,
        start_h=7.6,
        start_sigma_h=0.7,
        shift_h=11.0,
        weekend=True,
    ),
)


@dataclass(frozen=True)
class FleetParameters:
    """Everything that the fleet profile can vary.

    Attributes
    ----------
    latitude, longitude : float
        Middle of the country, in degrees.
    extent_m : float or None
        Side of the country; None: 11 km times the root of the number of vehicles.
    towns : int or None
        None: one for every 100 hubs.
    town_radius_m : float
        Of a town of average size; a town's area grows with its share of the hubs.
    popularity_alpha : float
        Exponent of the Pareto law of a hub's visits, and of a town's size.
    size_sigma : float
        Sigma of the logarithm of a hub's size relative to its type's.
    street_m : float
        Between parallel streets.
    artery, highway : int
        Every so many streets is an artery, or a highway.
    interval_s : float
        Between fixes, at least 1.
    parked_after_s, parked_interval_s : float
        A vehicle that has stood longer reports at the second interval.
    noise_m, noise_s : float
        Standard deviation of the position error on either axis, and its correlation time.
    first_day : str
        ISO date, a Monday.
    days : int
        Vehicles begin on one of so many days.
    """

    latitude: float = 51.0
    longitude: float = 10.0
    extent_m: float | None = None
    towns: int | None = None
    town_radius_m: float = 4_000.0
    popularity_alpha: float = 1.5
    size_sigma: float = 0.2
    street_m: float = 160.0
    artery: int = 3
    highway: int = 60
    interval_s: float = 5.0
    parked_after_s: float = 600.0
    parked_interval_s: float = 60.0
    noise_m: float = 4.0
    noise_s: float = 40.0
    first_day: str = "2024-03-04"
    days: int = 7
    hub_types: tuple[HubType, ...] = HUB_TYPES
    vehicle_kinds: tuple[VehicleKind, ...] = VEHICLE_KINDS

    def __post_init__(self) -> None:
        if self.interval_s < 1 or self.parked_interval_s < self.interval_s:
            raise ValueError("interval_s must be at least 1, parked_interval_s not below it")
        if self.highway % self.artery:
            raise ValueError("highway must be a multiple of artery")

    def side_m(self, vehicles: int) -> float:
        """Side of the country for a number of vehicles, in metres."""
        return self.extent_m or min(MAX_SIDE_M, 11_000.0 * math.sqrt(vehicles))
