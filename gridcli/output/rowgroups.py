"""Layers as tables with a WKB column, in groups of rows that do not depend on batch sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridcli.output.layer import Layer, LayerBatch

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 16 << 20
"""Geometry in a group, at most, but for its last row: groups are made in memory."""


def row_groups(
    layer: Layer, schema: Any, columns: Callable[[LayerBatch], list[Any]]
) -> Iterator[Any]:
    """Yield the layer as pyarrow.RecordBatches that end where the rows say.

    A group ends with its `ROW_GROUP_ROWS`-th row, or the row in which its geometries reach
    `ROW_GROUP_BYTES`.

    Parameters
    ----------
    layer : Layer
    schema : pyarrow.Schema
        The attribute columns, then those of `columns`.
    columns : callable
        Returns what a batch adds to its attributes: the geometry as WKB, then other columns.
    """
    waiting: list[Any] = []
    rows = size = 0
    for batch in layer.batches():
        geometry, *others = columns(batch)
        arrays = [*batch.table.columns, geometry, *others]
        table = pa.RecordBatch.from_arrays(arrays, schema=schema)
        ends: npt.NDArray[np.int64] = np.cumsum(pc.binary_length(geometry), dtype=np.int64)
        begin = before = 0
        while begin < len(table):
            filled = int(np.searchsorted(ends, before + ROW_GROUP_BYTES - size)) + 1
            stop = min(begin + ROW_GROUP_ROWS - rows, filled, len(table))
            waiting.append(table.slice(begin, stop - begin))
            rows += stop - begin
            size += int(ends[stop - 1]) - before
            begin, before = stop, int(ends[stop - 1])
            if rows == ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
                yield pa.concat_batches(waiting)
                waiting, rows, size = [], 0, 0
    if rows:
        yield pa.concat_batches(waiting)
