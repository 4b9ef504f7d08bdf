"""A layer: rows with a geometry, streamed in batches to any output format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

GeometryKind = Literal["point", "polygon", "multipolygon"]


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
