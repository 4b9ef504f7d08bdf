"""Profile ``paper``: the point clouds of the RASTER paper's experiments (section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.synth.parts import BLOCK_ROWS
from gridcli.synth.permutation import Permutation

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SPREAD = 0.001
"""Half the side of a cluster, in degrees."""
MIN_SEPARATION = 0.005
"""Centres of small sets differ by at least this in longitude *and* in latitude (degrees)."""
MAX_SEPARATED_CLUSTERS = 10_000
"""Up to here centres are placed at random; beyond, on multiples of 0.1 degree."""
LATTICE_PER_DEGREE = 10
LATTICE_LON = 180 * LATTICE_PER_DEGREE - 1
LATTICE_LAT = 90 * LATTICE_PER_DEGREE - 1
MAX_CLUSTERS = (2 * LATTICE_LON + 1) * (2 * LATTICE_LAT + 1) - 1

# First word of every random stream, so that no two draws share one.
CENTRE_STREAM, ORDER_STREAM, OFFSET_STREAM = range(3)


@dataclass(frozen=True)
class PaperData:
    """Clusters of equal size around random centres, no noise, shuffled as a whole.

    Each point draws z ~ U(0, 0.001) and e ~ U(0, z), and lies at its centre plus U(-e, e) in
    either coordinate, in degrees. Nothing lies at a pole, across longitude 180 or at (0, 0).

    Attributes
    ----------
    points, clusters : int
        Sizes of two clusters differ by one point at most.
    seed : int

    Raises
    ------
    UsageError
        More clusters than points, or than the canvas holds.
    """

    points: int
    clusters: int
    seed: int
    # Random doubles do not compress; snappy keeps such pages nearly as they are.
    compression: str = "snappy"

    def __post_init__(self) -> None:
        if self.clusters > MAX_CLUSTERS:
            raise UsageError(
                f"--clusters {self.clusters} is more than the canvas holds at 0.1 degree between "
                f"centres: {MAX_CLUSTERS} is the most."
            )

    @property
    def max_parts(self) -> int:
        """As many as points."""
        return self.points

    @property
    def schema(self) -> Any:
        """Columns ``lon, lat`` (double, degrees)."""
        import pyarrow as pa

        return pa.schema([pa.field("lon", pa.float64()), pa.field("lat", pa.float64())])

    @cached_property
    def centres(self) -> npt.NDArray[np.float64]:
        """Longitude and latitude of every centre, shape (clusters, 2), float64 degrees."""
        rng = _stream(self.seed, CENTRE_STREAM)
        if self.clusters <= MAX_SEPARATED_CLUSTERS:
            return separated_centres(self.clusters, rng)
        return lattice_centres(self.clusters, rng)

    @cached_property
    def _order(self) -> Permutation:
        return Permutation.random(self.points, _stream(self.seed, ORDER_STREAM))

    def part(self, index: int, parts: int) -> Iterator[Any]:
        """Yield the rows of part `index` of `parts`; every part holds points of all clusters."""
        import pyarrow as pa

        row = self.points * index // parts
        stop = self.points * (index + 1) // parts
        while row < stop:
            block = row // BLOCK_ROWS
            first = block * BLOCK_ROWS
            end = min(first + BLOCK_ROWS, stop)
            lon, lat = self._block(block)
            yield pa.table(
                [lon[row - first : end - first], lat[row - first : end - first]],
                schema=self.schema,
            )
            row = end

    def _block(self, block: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Longitudes and latitudes of rows block * BLOCK_ROWS and following."""
        first = block * BLOCK_ROWS
        rows = np.arange(first, min(first + BLOCK_ROWS, self.points), dtype=np.uint64)
        cluster = (self._order(rows) % np.uint64(self.clusters)).astype(np.int64)
        rng = _stream(self.seed, OFFSET_STREAM, block)
        reach = MAX_SPREAD * rng.random(len(rows))
        reach *= rng.random(len(rows))
        lon, lat = (
            self.centres[cluster, axis] + reach * (2.0 * rng.random(len(rows)) - 1.0)
            for axis in (0, 1)
        )
        return lon, lat

    def truth(self) -> Any:
        """Return columns ``cluster, lon, lat, points, spread_deg``, one row a cluster."""
        import pyarrow as pa

        cluster = np.arange(self.clusters, dtype=np.int64)
        return pa.table(
            {
                "cluster": cluster,
                "lon": self.centres[:, 0],
                "lat": self.centres[:, 1],
                "points": (self.points - 1 - cluster) // self.clusters + 1,
                "spread_deg": np.full(self.clusters, MAX_SPREAD),
            }
        )


def separated_centres(clusters: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return random centres, no two within `MIN_SEPARATION` on either axis.

    Parameters
    ----------
    clusters : int
        At most `MAX_SEPARATED_CLUSTERS`. (Random placement on 180 degrees of latitude jams near
        0.7476 * 180 / 0.005 = 26 900 centres: Rényi's parking constant.)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (clusters, 2), float64
        Longitude and latitude in degrees.
    """
    # A cell as wide as the separation holds one centre at most, so that only the cell of a
    # candidate and the two beside it need a look.
    taken: tuple[dict[int, float], dict[int, float]] = ({}, {})
    centres: list[tuple[float, float]] = []
    edge = np.array([180.0, 90.0]) - MAX_SPREAD
    while len(centres) < clusters:
        for lon, lat in (edge * (2.0 * rng.random((clusters, 2)) - 1.0)).tolist():
            at_null_island = max(abs(lon), abs(lat)) < 3 * MAX_SPREAD
            if at_null_island or _is_taken(taken[0], lon) or _is_taken(taken[1], lat):
                continue
            taken[0][int(lon // MIN_SEPARATION)] = lon
            taken[1][int(lat // MIN_SEPARATION)] = lat
            centres.append((lon, lat))
            if len(centres) == clusters:
                break
    return np.array(centres)


def _is_taken(taken: dict[int, float], value: float) -> bool:
    cell = int(value // MIN_SEPARATION)
    return any(
        abs(taken[near] - value) < MIN_SEPARATION
        for near in (cell - 1, cell, cell + 1)
        if near in taken
    )


def lattice_centres(clusters: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return distinct random centres on multiples of 0.1 degree, shape (clusters, 2), float64.

    So do those of the paper's own large sets; a centre is then a corner of four tiles at any
    integer precision, which is why precision 3 does so well there.
    """
    columns = 2 * LATTICE_LON + 1
    null_island = LATTICE_LAT * columns + LATTICE_LON
    cell = rng.choice(MAX_CLUSTERS, size=clusters, replace=False)
    cell += cell >= null_island
    row, column = np.divmod(cell, columns)
    return np.column_stack([column - LATTICE_LON, row - LATTICE_LAT]) / LATTICE_PER_DEGREE


def _stream(seed: int, *words: int) -> np.random.Generator:
    """Random numbers of one purpose and block, the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *words))))
