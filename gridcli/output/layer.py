"""A layer: rows with a geometry, streamed in batches to any output format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

GeometryKind = Literal["point", "polygon", "multipolygon"]

COORDINATE_DECIMALS = 7
"""Places of a coordinate in GeoJSON: about one centimetre (docs/contract.md, section 4)."""


class Sink(Protocol):
    """What a layer is written to: a binary file, or `gridcli.output.staging.OutputFile`."""

    def write(self, data: Any, /) -> int | None:
        """Write all the bytes."""


@dataclass(frozen=True)
class Geometry:
    """Geometries of consecutive rows, laid out as in GeoArrow: coordinates and nested offsets.

    Attributes
    ----------
    kind : {"point", "polygon", "multipolygon"}
    x, y : ndarray of float64
        All vertices. Rings are closed (first vertex repeated); exteriors run counter-clockwise,
        holes clockwise. Geographic coordinates lie within [-180, 180] and [-90, 90]; whatever
        crosses 180 degrees has been cut there already.
    offsets : tuple of ndarray of int64
        Outermost first; each has one element more than the things it delimits. Empty for
        points; (polygon → rings, ring → vertices) for polygons; (row → polygons,
        polygon → rings, ring → vertices) for multipolygons.
    """

    kind: GeometryKind
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    offsets: tuple[npt.NDArray[np.int64], ...] = ()

    def __len__(self) -> int:
        return len(self.offsets[0]) - 1 if self.offsets else len(self.x)

    def take(self, rows: npt.NDArray[np.int64]) -> Geometry:
        """Return the geometries of some rows, in their order."""
        chosen, offsets = rows, []
        for starts in self.offsets:
            lengths = np.diff(starts)[chosen]
            ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            chosen = np.repeat(starts[chosen] - ends[:-1], lengths) + np.arange(ends[-1])
            offsets.append(ends)
        return Geometry(self.kind, self.x[chosen], self.y[chosen], tuple(offsets))


def round_coordinates(
    values: npt.NDArray[np.float64], decimals: int | None
) -> npt.NDArray[np.float64]:
    """Return the values rounded to `decimals` places (None: as they are), -0 as 0.

    The result of rounding is the double nearest to a decimal number, so its shortest text has no
    more than `decimals` places while the value stays below 2^53 / 10^decimals.
    """
    rounded = values if decimals is None else np.round(values, decimals)
    return rounded + 0.0


def join_geometries(parts: Sequence[Geometry]) -> Geometry:
    """Return the rows of several geometries of one kind, at least one, as one."""
    offsets = []
    for of_parts in zip(*(part.offsets for part in parts), strict=True):
        before = np.cumsum([0] + [starts[-1] for starts in of_parts])
        shifted = [starts[1:] + n for starts, n in zip(of_parts, before, strict=False)]
        offsets.append(np.concatenate([before[:1], *shifted]).astype(np.int64))
    x, y = (np.concatenate([getattr(part, axis) for part in parts]) for axis in "xy")
    return Geometry(parts[0].kind, x, y, tuple(offsets))


@dataclass(frozen=True)
class LayerBatch:
    """Attributes and geometry of some consecutive rows of a layer."""

    table: Any
    """pyarrow.RecordBatch with the layer's schema."""
    geometry: Geometry


@dataclass(frozen=True)
class Layer:
    """What one output file holds.

    Attributes
    ----------
    name : str
        "hubs", "clusters" or "tiles".
    schema : pyarrow.Schema
        Attribute columns, without the geometry.
    geometry_kind : {"point", "polygon", "multipolygon"}
    rows : int
    batches : callable
        Returns a fresh iterator of `LayerBatch`, some ten thousand rows each, each time it is
        called.
    planar : bool
        Coordinates are not WGS84 longitude and latitude.
    crs : str or None
        ``EPSG:n`` for planar data where the user said so. WGS84 (OGC:CRS84) where not planar.
    record : dict
        The ``gridcli`` record that every file carries (JSON-ready).
    """

    name: str
    schema: Any
    geometry_kind: GeometryKind
    rows: int
    batches: Callable[[], Iterator[LayerBatch]]
    planar: bool = False
    crs: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
