"""Labels of tiles: a number for every tile of a `TileBlocks`, in memory or in a spill file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.runtime.spill import Extent, SpillFile
    from gridcli.tiles.tiles import TileBlocks, Tiles

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TileLabels:
    """A label for every tile, in the order of the tiles; can be walked more than once.

    Attributes
    ----------
    pieces : sequence of ndarray of int32, or of Extent
        The labels in memory, or where they stand in `spill`; in pieces of any size.
    spill : SpillFile or None
        Needed for extents only.
    renamed : ndarray of int32 or None
        What each label reads as; its last element is what -1 reads as. None: as it is.
    """

    pieces: Sequence[Int32s | Extent]
    spill: SpillFile | None = None
    renamed: Int32s | None = None

    def blocks(self) -> Iterator[Int32s]:
        """Yield all labels, in pieces of any size."""
        for piece in self.pieces:
            labels = piece if isinstance(piece, np.ndarray) else self._read(piece)
            yield labels if self.renamed is None else self.renamed[labels]

    def under(self, names: Int32s) -> TileLabels:
        """Return the labels under new names; the last is that of -1."""
        renamed = names if self.renamed is None else names[self.renamed]
        return replace(self, renamed=renamed)

    def _read(self, extent: Extent) -> Int32s:
        if self.spill is None:
            raise ValueError("labels in a spill file cannot be read without it")
        return self.spill.read(extent).view(np.int32)


class LabelWriter:
    """Collects labels: one piece stays in memory, several go to the spill file if there is one.

    Parameters
    ----------
    spill : SpillFile or None
        None: everything stays in memory, 4 bytes a tile.
    """

    def __init__(self, spill: SpillFile | None) -> None:
        self._spill = spill
        self._pieces: list[Int32s | Extent] = []

    def add(self, labels: Int32s) -> None:
        """Append the labels of the tiles that follow."""
        if self._spill is not None and self._pieces:
            first = self._pieces[0]
            if isinstance(first, np.ndarray):
                self._pieces[0] = self._spill.append(first)
            self._pieces.append(self._spill.append(labels))
        else:
            self._pieces.append(labels)

    def finish(self, renamed: Int32s) -> TileLabels:
        """Return the labels under new names; see `TileLabels`."""
        if len(self._pieces) == 1 and isinstance(self._pieces[0], np.ndarray):
            return TileLabels([renamed[self._pieces[0]]])
        return TileLabels(self._pieces, self._spill, renamed)


def labelled_blocks(tiles: TileBlocks, labels: TileLabels) -> Iterator[tuple[Tiles, Int32s]]:
    """Yield all tiles in ascending order with their labels, in pieces of any size."""
    waiting = labels.blocks()
    current = np.empty(0, np.int32)
    for block in tiles.blocks():
        done = 0
        while done < len(block):
            if not len(current):
                current = next(waiting)
            n = min(len(block) - done, len(current))
            yield block.piece(done, done + n), current[:n]
            current = current[n:]
            done += n
