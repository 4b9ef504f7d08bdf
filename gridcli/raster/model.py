"""Data between the stages of RASTER: components of tiles, and the hubs made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridcli.raster.labels import TileLabels, labelled_blocks
from gridcli.tiles.tiles import TileBlocks, Tiles

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Components:
    """Connected components of significant tiles (papers: RASTER, Algorithm 1, step 2).

    Attributes
    ----------
    label : ndarray of int32, shape (n_tiles,)
        Component of each tile; components are numbered by their smallest tile in (y, x) order,
        so the numbering does not depend on slices or threads.
    n_components : int
    """

    label: npt.NDArray[np.int32]
    n_components: int


@dataclass(frozen=True)
class HubShapes:
    """The tiles that outlines, areas and centroids of hubs come from.

    Attributes
    ----------
    tiles : TileBlocks
    labels : TileLabels
        What `labelled_blocks` tells of the tiles.
    n_tiles : ndarray of int64, shape (n_hubs,)
        How many of the tiles each hub has.
    """

    tiles: TileBlocks
    labels: TileLabels
    n_tiles: npt.NDArray[np.int64]

    def labelled_blocks(self) -> Iterator[tuple[Tiles, npt.NDArray[np.int32]]]:
        """Yield all tiles in ascending order, each with its hub; see `Hubs.labelled_blocks`."""
        return labelled_blocks(self.tiles, self.labels)


@dataclass(frozen=True)
class Hubs:
    """Hubs, one element each, ordered by `hub_id`; and the tiles that each consists of.

    Columns and their definitions: docs/contract.md, sections 3 and 4. For planar grids `lon`,
    `lat`, `radius_m`, `area_m2`, `west` … `north` hold x, y, radius, area, xmin … ymax in
    coordinate units.

    Attributes
    ----------
    tiles : TileBlocks
        All significant tiles (count >= tau), and those that count all the same (their `kind`);
        also those whose component is below mu.
    labels : TileLabels
        What `labelled_blocks` tells of the tiles.
    hub_id : ndarray of int64
        1-based rank by points, ties by smallest tile: always 1 … n.
    hub_key : list of str
        ``{grid.name}/{tile_x}/{tile_y}`` of the hub's smallest tile in (y, x) order.
    points, n_tiles, peak : ndarray of int64
    lon, lat, radius_m, area_m2, density, west, south, east, north : ndarray of float64
        west > east for a hub that crosses 180 degrees.
    absorbed : list of list of str, or None
        Keys of earlier hubs that each hub has taken in; None where nothing is known of earlier
        hubs.
    refined : HubShapes or None
        Finer tiles that show the hubs' shapes; None: `tiles` do.
    """

    tiles: TileBlocks
    labels: TileLabels
    hub_id: npt.NDArray[np.int64]
    hub_key: list[str]
    points: npt.NDArray[np.int64]
    n_tiles: npt.NDArray[np.int64]
    peak: npt.NDArray[np.int64]
    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]
    radius_m: npt.NDArray[np.float64]
    area_m2: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]
    west: npt.NDArray[np.float64]
    south: npt.NDArray[np.float64]
    east: npt.NDArray[np.float64]
    north: npt.NDArray[np.float64]
    absorbed: list[list[str]] | None = None
    refined: HubShapes | None = None

    def __len__(self) -> int:
        return len(self.hub_id)

    @property
    def shapes(self) -> HubShapes:
        """The tiles that outlines are traced from."""
        return self.refined or HubShapes(self.tiles, self.labels, self.n_tiles)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Hubs:
        """Return some of the hubs, ranked anew; the tiles of the others belong to none."""
        names = np.full(len(self) + 1, -1, np.int32)
        names[:-1][chosen] = np.arange(np.count_nonzero(chosen))
        columns: dict[str, Any] = {
            field.name: value[chosen]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        columns["hub_id"] = np.arange(1, len(columns["hub_id"]) + 1)
        absorbed, refined = self.absorbed, self.refined
        if refined is not None:
            labels, n_tiles = refined.labels.under(names), refined.n_tiles[chosen]
            refined = HubShapes(refined.tiles, labels, n_tiles)
        return replace(
            self,
            **columns,
            labels=self.labels.under(names),
            hub_key=list(compress(self.hub_key, chosen)),
            absorbed=None if absorbed is None else list(compress(absorbed, chosen)),
            refined=refined,
        )

    def labelled_blocks(self) -> Iterator[tuple[Tiles, npt.NDArray[np.int32]]]:
        """Yield all tiles in ascending order, in pieces of any size, none empty.

        Yields
        ------
        tiles : Tiles
        hub : ndarray of int32, shape (n,)
            0-based position in the hub arrays of the hub that each tile belongs to; -1: none.
        """
        return labelled_blocks(self.tiles, self.labels)
