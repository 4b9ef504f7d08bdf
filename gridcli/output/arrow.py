"""Arrow IPC file with a geoarrow.wkb column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from gridcli.output.rowgroups import row_groups
from gridcli.output.wkb import encode_wkb

if TYPE_CHECKING:
    from gridcli.output.layer import Layer, Sink


def write_arrow(layer: Layer, sink: Sink) -> None:
    """Write the layer; the ``gridcli`` record stands in the schema's metadata."""
    geometry = pa.field("geometry", pa.binary(), nullable=False).with_metadata(
        {
            "ARROW:extension:name": "geoarrow.wkb",
            "ARROW:extension:metadata": json.dumps(_crs_metadata(layer)),
        }
    )
    schema = layer.schema.append(geometry).with_metadata(
        {"gridcli": json.dumps(layer.record, ensure_ascii=False)}
    )
    with pa.ipc.new_file(sink, schema) as writer:
        for rows in row_groups(layer, schema, lambda batch: [encode_wkb(batch.geometry)]):
            writer.write_batch(rows)


def _crs_metadata(layer: Layer) -> dict[str, str]:
    """Return GeoArrow's reference to the coordinate system; empty where it is unknown."""
    crs = layer.crs if layer.planar else "OGC:CRS84"
    return {"crs": crs, "crs_type": "authority_code"} if crs else {}
