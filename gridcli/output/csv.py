"""CSV with the geometry as well-known text in the last column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gridcli.output.ahead import encode_ahead
from gridcli.output.text import WKT_BRACKETS, coordinates_text

if TYPE_CHECKING:
    from gridcli.output.layer import Geometry, Layer, LayerBatch, Sink

WKT_NAMES = {"point": "POINT", "polygon": "POLYGON", "multipolygon": "MULTIPOLYGON"}


def write_csv(layer: Layer, sink: Sink, threads: int = 1) -> None:
    """Write the layer as pyarrow.csv does: header, text in quotes, null as an empty cell.

    A CSV file has no place for the ``gridcli`` record.
    """
    schema = layer.schema.append(pa.field("geometry", pa.string()))

    def encode(batch: LayerBatch) -> Any:
        columns = [_finite(column) for column in batch.table.columns]
        columns.append(encode_wkt(batch.geometry))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    with pyarrow.csv.CSVWriter(sink, schema) as writer:
        for rows in encode_ahead(layer.batches(), encode, threads):
            writer.write_batch(rows)


def encode_wkt(geometry: Geometry) -> Any:
    """Return the geometries as well-known text: a pyarrow.StringArray."""
    before, after = (" (", ")") if geometry.kind == "point" else (" ", "")
    return pc.binary_join_element_wise(
        WKT_NAMES[geometry.kind] + before, coordinates_text(geometry, WKT_BRACKETS), after, ""
    )


def _finite(column: Any) -> Any:
    """Return the column with NaN and infinity as null."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
