"""The fleet's country: a road network without a map of it, and the hubs along its streets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.synth.kernels import NODE_KEY
from gridcli.synth.parameters import METRES_PER_DEGREE, TRAFFIC_LIGHT

if TYPE_CHECKING:
    from gridcli.synth.parameters import FleetParameters

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

WAVELENGTHS_M = (60_000.0, 23_000.0, 9_000.0, 3_100.0, 1_300.0)
STEEPNESS = 0.14
"""Amplitude of each wave is its wavelength times this over 2 pi: slopes sum to less than 1."""


@dataclass(frozen=True)
class Country:
    """Streets, and hubs beside them, on a plane of metres east and north of the middle.

    Streets are the lines of an integer lattice, bent by a few waves: node (i, j) lies at
    ``street_m * (i, j)`` plus the waves there. So a network of any size needs no memory, and
    every road on it is a curve that all vehicles share.

    Attributes
    ----------
    waves : ndarray, shape (n_waves, 5)
        Wave numbers in x and y (1/m), phase, amplitudes in x and y (m).
    kind : ndarray of int64, shape (n_hubs,)
        Index into the parameters' `hub_types`.
    node : ndarray of int64, shape (n_hubs, 2)
        Lattice node at which the hub's street begins (a traffic light: its crossing).
    access, middle : ndarray of float64, shape (n_hubs, 2)
        Where vehicles leave the street, and the middle of the standing places, in metres.
    axis : ndarray of float64, shape (n_hubs,)
        Direction of the street, radians counter-clockwise from east.
    size : ndarray of float64, shape (n_hubs, 2)
        Length along the street and width, in metres.
    popularity : ndarray of float64, shape (n_hubs,)
        Relative number of visits.
    """

    waves: Floats
    kind: Integers
    node: Integers
    access: Floats
    middle: Floats
    axis: Floats
    size: Floats
    popularity: Floats

    @property
    def radius_m(self) -> Floats:
        """Root mean square distance of the standing places from their middle, shape (n_hubs,)."""
        radius: Floats = np.sqrt((self.size**2).sum(axis=1) / 12)
        return radius


def build_country(
    parameters: FleetParameters, hubs: int, side_m: float, rng: np.random.Generator
) -> Country:
    """Lay out roads and hubs.

    Raises
    ------
    UsageError
        Fewer hubs than types, or more than there are streets to put them on.
    """
    waves = _waves(rng)
    kind = np.repeat(
        np.arange(len(parameters.hub_types)),
        split([t.share for t in parameters.hub_types], hubs, "--clusters"),
    )
    node, along_y = _sites(parameters, kind, side_m, rng)
    begin = bend(node * parameters.street_m, waves)
    step = np.where(along_y[:, None], [0, 1], [1, 0])
    street = bend((node + step) * parameters.street_m, waves) - begin
    axis = np.arctan2(street[:, 1], street[:, 0])

    types = [parameters.hub_types[k] for k in kind]
    size = np.array([(t.length_m, t.width_m) for t in types], dtype=np.float64)
    size *= np.exp(parameters.size_sigma * rng.standard_normal((hubs, 1)))
    is_light = np.array([t.name == TRAFFIC_LIGHT for t in types])
    fraction = np.where(is_light, 0.0, rng.uniform(0.4, 0.6, hubs))
    access = begin + fraction[:, None] * street
    setback = np.array([t.setback_m for t in types]) + size[:, 1] / 2
    # To the right of the street's direction, or to the left.
    across = np.column_stack([np.sin(axis), -np.cos(axis)]) * rng.choice([-1, 1], (hubs, 1))
    middle = access + np.where(is_light, 0.0, setback)[:, None] * across
    popularity = 1 + rng.pareto(parameters.popularity_alpha, hubs)
    return Country(waves, kind, node, access, middle, axis, size, popularity)


def split(shares: list[float], total: int, option: str) -> Integers:
    """Split a number by shares, at least 1 each, shape (len(shares),).

    Raises
    ------
    UsageError
        `total` is below the number of shares; `option` names it.
    """
    if total < len(shares):
        raise UsageError(
            f"{option} {total} is too small for the fleet profile, which has {len(shares)} types; "
            f"use {len(shares)} or more."
        )
    edges = np.cumsum(np.array(shares) / sum(shares)) * (total - len(shares))
    whole = np.rint(edges).astype(np.int64)
    whole[1:] -= whole[:-1].copy()
    return whole + 1


def bend(flat: npt.NDArray[Any], waves: Floats) -> Floats:
    """Return where points of the unbent plane lie, shape (n, 2), metres."""
    bent = flat.astype(np.float64)
    for kx, ky, phase, amplitude_x, amplitude_y in waves:
        swing = np.sin(kx * flat[:, 0] + ky * flat[:, 1] + phase)
        bent += swing[:, None] * (amplitude_x, amplitude_y)
    return bent


def to_degrees(plane: Floats, latitude: float, longitude: float) -> tuple[Floats, Floats]:
    """Return longitude and latitude of points on the plane whose origin is given."""
    lat = latitude + plane[:, 1] / METRES_PER_DEGREE
    lon = longitude + plane[:, 0] / (METRES_PER_DEGREE * np.cos(np.radians(lat)))
    return lon, lat


def _waves(rng: np.random.Generator) -> Floats:
    length = np.array(WAVELENGTHS_M)
    direction, phase, swing = rng.uniform(0, 2 * np.pi, (3, len(length)))
    number = 2 * np.pi / length
    amplitude = STEEPNESS / number
    return np.column_stack(
        [
            *(number * np.cos(direction), number * np.sin(direction), phase),
            *(amplitude * np.cos(swing), amplitude * np.sin(swing)),
        ]
    )


def _sites(
    parameters: FleetParameters, kind: Integers, side_m: float, rng: np.random.Generator
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Node and direction of the street of each hub; no two hubs share them."""
    reach = side_m / 2 / parameters.street_m
    towns = parameters.towns or max(1, len(kind) // 100)
    centre = rng.uniform(-reach, reach, (towns, 2))
    weight = 1 + rng.pareto(parameters.popularity_alpha, towns)
    weight /= weight.sum()
    radius = parameters.town_radius_m / parameters.street_m * np.sqrt(weight * towns)

    town_share = np.array([t.town_share for t in parameters.hub_types])[kind]
    town_reach = np.array([t.town_reach for t in parameters.hub_types])[kind]
    light = next(i for i, t in enumerate(parameters.hub_types) if t.name == TRAFFIC_LIGHT)
    node = np.zeros((len(kind), 2), dtype=np.int64)
    along_y = np.zeros(len(kind), dtype=bool)
    missing = np.arange(len(kind))
    for _ in range(64):
        n = len(missing)
        town = rng.choice(towns, n, p=weight)
        spread = radius[town] * town_reach[missing]
        near_town = centre[town] + spread[:, None] * rng.standard_normal((n, 2))
        anywhere = rng.uniform(-reach, reach, (n, 2))
        in_town = rng.random(n) < town_share[missing]
        site = np.rint(np.where(in_town[:, None], near_town, anywhere)).astype(np.int64)
        node[missing] = np.clip(site, -int(reach) - 1, int(reach) + 1)
        along_y[missing] = rng.random(n) < 0.5
        # Traffic lights stand where an artery crosses a street.
        crossing = missing[kind[missing] == light]
        rounded = np.rint(node[crossing] / parameters.artery).astype(np.int64) * parameters.artery
        on_column = along_y[crossing, None] == [False, True]
        node[crossing] = np.where(on_column, rounded, node[crossing])
        street = node_key(node) * 2 + along_y
        _, kept = np.unique(np.where(kind == light, -1 - node_key(node), street), return_index=True)
        missing = np.setdiff1d(np.arange(len(kind)), kept)
        if not len(missing):
            return node, along_y
    raise UsageError(
        f"--clusters {len(kind)} does not fit on the streets of {side_m / 1000:.0f} km by "
        f"{side_m / 1000:.0f} km; use fewer clusters or more vehicles."
    )


def node_key(node: Integers) -> Integers:
    """Return one int64 for each lattice node, shape (n,), from shape (n, 2)."""
    key: Integers = node[:, 0] * NODE_KEY + node[:, 1]
    return key
