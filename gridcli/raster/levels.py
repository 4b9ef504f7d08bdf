"""Layers of several levels as one: their rows in one order, each with the level it is of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.output.layer import Layer, LayerBatch, join_geometries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Int64s = npt.NDArray[np.int64]
LEVEL_COLUMN = "coarsen"
RIM_COLUMN = "rim_of"


def stacked_layer(layers: Sequence[Layer], coarsenings: Sequence[int]) -> Layer:
    """Return the rows of one layer after those of another, with the column ``coarsen``.

    Parameters
    ----------
    layers : sequence of Layer
        Of one name and schema, from the finest level to the coarsest.
    coarsenings : sequence of int
    """

    def batches() -> Iterator[LayerBatch]:
        for layer, coarsen in zip(layers, coarsenings, strict=True):
            for batch in layer.batches():
                yield LayerBatch(_with_level(batch.table, coarsen), batch.geometry)

    return _joined(layers, batches)


def ranked_layer(
    layers: Sequence[Layer],
    coarsenings: Sequence[int],
    ranks: Sequence[Int64s],
    rim_of: Sequence[Sequence[str | None]],
) -> Layer:
    """Return the rows of several layers by rank, with the columns ``coarsen`` and ``rim_of``.

    Parameters
    ----------
    layers : sequence of Layer
        Of one name and schema.
    coarsenings : sequence of int
    ranks : sequence of ndarray of int64
        For each layer the rank of every row, ascending; no two are equal.
    rim_of : sequence of sequence of str or None
        For each layer what every row is a rim of.
    """
    levels = list(zip(layers, coarsenings, ranks, rim_of, strict=True))

    def batches() -> Iterator[LayerBatch]:
        sources = [_Source(*of_level) for of_level in levels]
        while waiting := [source for source in sources if source.fill()]:
            # Up to here every source can give its rows from the batch that it is at.
            cut = min(source.last_rank for source in waiting)
            yield _merge([part for source in waiting if (part := source.take(cut))])

    return _joined(layers, batches, with_rims=True)


class _Source:
    """How far one layer has been read, batch by batch."""

    def __init__(
        self, layer: Layer, coarsen: int, ranks: Int64s, rim_of: Sequence[str | None]
    ) -> None:
        self._batches = layer.batches()
        self._coarsen = coarsen
        self._ranks = ranks
        self._rim_of = rim_of
        self._batch: LayerBatch | None = None
        self._begin = 0  # row of the layer at which the batch begins
        self._done = 0  # rows of the batch that have been taken

    def fill(self) -> bool:
        """Go on to the next batch where this one is used up; return whether there is any row."""
        while self._batch is None or self._done == len(self._batch.table):
            if self._batch is not None:
                self._begin += len(self._batch.table)
            self._batch = next(self._batches, None)
            self._done = 0
            if self._batch is None:
                return False
        return True

    @property
    def last_rank(self) -> int:
        """Rank of the last row of the batch."""
        return int(self._of_batch[-1])

    def take(self, cut: int) -> tuple[LayerBatch, Int64s] | None:
        """Return the rows up to a rank, and their ranks; None where there are none."""
        import pyarrow as pa

        ranks, done = self._of_batch, self._done
        end = int(np.searchsorted(ranks, cut, side="right"))
        if self._batch is None or end == done:
            return None
        self._done = end
        table = _with_level(self._batch.table.slice(done, end - done), self._coarsen)
        rim_of = self._rim_of[self._begin + done : self._begin + end]
        table = table.append_column(RIM_COLUMN, pa.array(rim_of, pa.string()))
        geometry = self._batch.geometry.take(np.arange(done, end))
        return LayerBatch(table, geometry), ranks[done:end]

    @property
    def _of_batch(self) -> Int64s:
        n = 0 if self._batch is None else len(self._batch.table)
        return self._ranks[self._begin : self._begin + n]


def _merge(parts: list[tuple[LayerBatch, Int64s]]) -> LayerBatch:
    """Return the rows of all parts in the order of their ranks."""
    import pyarrow as pa

    order = np.argsort(np.concatenate([ranks for _, ranks in parts]))
    table = pa.Table.from_batches([batch.table for batch, _ in parts]).take(order)
    (merged,) = table.combine_chunks().to_batches()
    geometry = join_geometries([batch.geometry for batch, _ in parts])
    return LayerBatch(merged, geometry.take(order))


def _joined(layers: Sequence[Layer], batches: Any, *, with_rims: bool = False) -> Layer:
    """Return a layer like the first, with all rows and the columns of levels."""
    import pyarrow as pa

    first = layers[0]
    schema = first.schema.append(pa.field(LEVEL_COLUMN, pa.int64()))
    if with_rims:
        schema = schema.append(pa.field(RIM_COLUMN, pa.string()))
    return replace(first, schema=schema, rows=sum(layer.rows for layer in layers), batches=batches)


def _with_level(table: Any, coarsen: int) -> Any:
    """Return a batch with the column ``coarsen``."""
    import pyarrow as pa

    return table.append_column(LEVEL_COLUMN, pa.array(np.full(len(table), coarsen)))
