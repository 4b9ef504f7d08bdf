"""Layers as tables with a WKB column, in groups of rows that do not depend on batch sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridcli.output.layer import Layer, LayerBatch

ROW_GROUP_ROWS = 65_536


def row_groups(
    layer: Layer, schema: Any, columns: Callable[[LayerBatch], list[Any]]
) -> Iterator[Any]:
    """Yield the layer as pyarrow.RecordBatches of `ROW_GROUP_ROWS` rows, the last one smaller.

    Parameters
    ----------
    layer : Layer
    schema : pyarrow.Schema
        The attribute columns, then those of `columns`.
    columns : callable
        Returns what a batch adds to its attributes, e.g. the encoded geometry.
    """
    waiting: list[Any] = []
    rows = 0
    for batch in layer.batches():
        arrays = [*batch.table.columns, *columns(batch)]
        waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        rows += len(batch.geometry)
        while rows >= ROW_GROUP_ROWS:
            joined = pa.concat_batches(waiting)
            yield joined.slice(0, ROW_GROUP_ROWS)
            waiting = [joined.slice(ROW_GROUP_ROWS)]
            rows -= ROW_GROUP_ROWS
    if rows:
        yield pa.concat_batches(waiting)
