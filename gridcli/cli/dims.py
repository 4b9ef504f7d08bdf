"""What `--dims` makes of a command: its options, and what does not go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.layers import hub_layers
from gridcli.cli.options import bundle
from gridcli.cli.values import Lines
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridcli.cli.choices import GridChoice, HubChoice
    from gridcli.cli.targets import OutputChoice
    from gridcli.dims.grid import DimsGrid
    from gridcli.dims.hubs import DimsHubs
    from gridcli.grid.grid import Grid
    from gridcli.output.layer import Layer
    from gridcli.points.plan import ReadOptions
    from gridcli.points.reader import PointReader
    from gridcli.raster.model import Hubs

OUT_OF_PLACE = {
    "--window": "is defined for blocks of 2 x 2 tiles of a plane",
    "--epsilon": "is defined for the neighbours of tiles of a plane",
    "--refine": "makes tiles of a plane finer",
    "--keys-from": "finds names again by tiles of a plane",
    "--unique": "would have to say whether one coordinate at two times is one point",
    "--prec": "coarsens tiles of a plane",
    "--coarsen": "coarsens tiles of a plane",
    "--adaptive": "coarsens tiles of a plane",
}
"""Why options do not go with further dimensions."""


def refuse_out_of_place(given: Mapping[str, bool]) -> None:
    """Refuse options that mean nothing in more than two dimensions.

    Parameters
    ----------
    given : mapping
        Whether each option, named as in `OUT_OF_PLACE`, was given.
    """
    for option, is_given in given.items():
        if is_given:
            raise UsageError(
                f"{option} {OUT_OF_PLACE[option]}, so it does not go with further dimensions "
                "(--dims). Leave one of them out."
            )


@dataclass(frozen=True)
class DimsChoice:
    """Which dimensions tiles have, beside those of the plane."""

    dims: str | None
    tz: str | None
    range: tuple[str, ...]

    def __post_init__(self) -> None:
        for option in ("tz", "range"):
            if self.dims is None and getattr(self, option):
                raise UsageError(f"--{option} goes with --dims, which names the dimensions.")

    def grids(self, size: GridChoice, *, planar: bool) -> tuple[Grid, DimsGrid | None]:
        """Return the grid of the coordinates, and that in d dimensions where there are more.

        Raises
        ------
        UsageError
            The dimensions are not understood, or do not go together.
        """
        if self.dims is None:
            if size.prec is not None and "," in size.prec:
                raise UsageError(
                    f"--prec {size.prec} gives several precisions: name the dimensions that they "
                    "are of with --dims, or give one."
                )
            return size.grid(planar=planar), None

        from gridcli.dims.grid import DimsGrid
        from gridcli.dims.syntax import parse_dims

        if size.tile_size is not None:
            raise UsageError(
                "--tile-size is one side of tiles of a plane; with --dims, give --prec with a "
                "precision for each dimension."
            )
        prec, axes = parse_dims(self.dims, size.prec, self.tz, self.range, planar=planar)
        plane = replace(size, prec=prec).grid(planar=planar)
        return plane, DimsGrid(plane, axes) if axes else None


dims_options = bundle(
    "dimensions",
    DimsChoice,
    click.option(
        "--dims",
        metavar="DIM,DIM,...",
        help="Find hubs in 3 or 4 dimensions: lat,lon (x,y with --planar) and hour(COL), "
        "weekday(COL), where Monday is 0, or a column of numbers, e.g. "
        '"lat,lon,hour(time)" --prec 4,4,0 with a precision for each.',
    ),
    click.option(
        "--tz",
        metavar="ZONE|solar",
        help="With --dims: the clock of hour and weekday, e.g. Europe/Stockholm, or the sun's at "
        "each longitude. [default: UTC]",
    ),
    click.option(
        "--range",
        multiple=True,
        type=Lines(),
        metavar="COL=LEAST:LARGEST",
        help="With --dims: bounds of a column of numbers, e.g. speed=0:200; other rows are out of "
        "range. Repeatable.",
    ),
)


def reading_axes(options: ReadOptions, grid: DimsGrid | None) -> ReadOptions:
    """Return what the readers need to know, the columns of the axes too."""
    if grid is None:
        return options
    columns = dict.fromkeys(axis.column for axis in grid.axes)
    return replace(options, extra_columns=(*options.extra_columns, *columns))


def finder(grid: Grid, dims: DimsGrid | None) -> Callable[..., Any]:
    """Return `find_hubs`, or `find_hubs_in_dims` where there are more dimensions.

    To be called with the reader, and all that follows the grid.
    """
    from gridcli.dims.run import find_hubs_in_dims
    from gridcli.raster.run import find_hubs

    def find(reader: PointReader, *options: Any, **more: Any) -> Any:
        if dims is None:
            return find_hubs(reader, grid, *options, **more)
        return find_hubs_in_dims(reader, dims, *options, **more)

    return find


def dims_record(dims: DimsGrid | None) -> dict[str, Any]:
    """Return what records and summaries tell of further dimensions."""
    return {} if dims is None else {"dims": dims.describe()}


def layers_of(
    hubs: Hubs | DimsHubs,
    clustering: HubChoice,
    target: OutputChoice,
    *,
    memory_bytes: int | None = None,
) -> dict[str, Callable[[], Layer]]:
    """Return how to make each layer of hubs, in two dimensions or more; see `hub_layers`.

    Geometries are those of the plane.
    """
    from gridcli.dims.hubs import DimsHubs

    if not isinstance(hubs, DimsHubs):
        return hub_layers(hubs, clustering, target, memory_bytes=memory_bytes)

    from gridcli.dims.layers import dims_tiles_layer, with_axes
    from gridcli.raster.layers import gridcli_record

    grid = hubs.tiles.grid
    more = dims_record(grid)
    plane = hub_layers(hubs.plane, clustering, target, memory_bytes=memory_bytes, more=more)
    record = gridcli_record(grid.plane, **vars(clustering)) | more

    def told(name: str) -> Layer:
        return with_axes(plane[name](), hubs)

    return {
        "hubs": partial(told, "hubs"),
        "clusters": partial(told, "clusters"),
        "tiles": partial(dims_tiles_layer, hubs, record, crs=target.crs),
    }
