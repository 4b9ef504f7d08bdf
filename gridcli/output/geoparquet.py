"""GeoParquet 1.1: WKB geometry, a bbox covering column, and the ``geo`` metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gridcli.output.crs import projjson
from gridcli.output.geojson import TYPE_NAMES
from gridcli.output.rowgroups import ROW_GROUP_ROWS, row_groups
from gridcli.output.wkb import encode_wkb

if TYPE_CHECKING:
    from gridcli.output.layer import Geometry, Layer, LayerBatch, Sink

VERSION = "1.1.0"
BOUNDS = ("xmin", "ymin", "xmax", "ymax")
BBOX_TYPE = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in BOUNDS])


def write_geoparquet(layer: Layer, sink: Sink) -> None:
    """Write the layer; the ``gridcli`` record stands in the footer's key-value metadata."""
    schema = layer.schema.append(pa.field("geometry", pa.binary(), nullable=False)).append(
        pa.field("bbox", BBOX_TYPE, nullable=False)
    )
    text_columns = [field.name for field in layer.schema if pa.types.is_string(field.type)]
    bounds: list[npt.NDArray[np.float64]] = []

    def geometry_columns(batch: LayerBatch) -> list[Any]:
        boxes = row_bounds(batch.geometry)
        if len(batch.geometry):
            bounds.append(np.concatenate([boxes[:2].min(axis=1), boxes[2:].max(axis=1)]))
        arrays = [pa.array(edge) for edge in boxes]
        return [encode_wkb(batch.geometry), pa.StructArray.from_arrays(arrays, type=BBOX_TYPE)]

    # Without a stored Arrow schema, which would hide the footer's keys from readers of schemas.
    with pq.ParquetWriter(
        sink, schema, compression="zstd", use_dictionary=text_columns, store_schema=False
    ) as writer:
        for rows in row_groups(layer, schema, geometry_columns):
            writer.write_batch(rows, row_group_size=ROW_GROUP_ROWS)
        writer.add_key_value_metadata(
            {
                "geo": json.dumps(_geo_metadata(layer, bounds)),
                "gridcli": json.dumps(layer.record, ensure_ascii=False),
            }
        )


def row_bounds(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return xmin, ymin, xmax, ymax of each row: shape (4, n)."""
    if geometry.kind == "point" or not len(geometry):
        return np.stack([geometry.x, geometry.y, geometry.x, geometry.y])
    first = np.arange(len(geometry))
    for offsets in geometry.offsets:
        first = offsets[first]
    return np.stack(
        [
            reduce.reduceat(values, first)
            for reduce in (np.minimum, np.maximum)
            for values in (geometry.x, geometry.y)
        ]
    )


def _geo_metadata(layer: Layer, bounds: list[npt.NDArray[np.float64]]) -> dict[str, Any]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [TYPE_NAMES[layer.geometry_kind]] if bounds else [],
        "covering": {"bbox": {name: ["bbox", name] for name in BOUNDS}},
    }
    if layer.geometry_kind != "point":
        column["orientation"] = "counterclockwise"
    if layer.planar:
        # Absent would mean WGS84 longitude and latitude; null is the format's word for unknown.
        column["crs"] = projjson(layer.crs) if layer.crs else None
    if bounds:
        edges = np.stack(bounds)
        column["bbox"] = [*edges[:, :2].min(axis=0).tolist(), *edges[:, 2:].max(axis=0).tolist()]
    return {"version": VERSION, "primary_column": "geometry", "columns": {"geometry": column}}
