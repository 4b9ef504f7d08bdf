"""Bundles of options that several commands share, each gathered into one object.

A bundle's decorator adds its options to a command, and hands their values to the command as one
object of `choices`, `resources` or `targets`.
"""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridcli.cli.choices import (
    BadRowChoice,
    ClusterChoice,
    CoarseningChoice,
    GridChoice,
    HubChoice,
    InputChoice,
    PlaceChoice,
)
from gridcli.cli.resources import MemoryChoice, ResourceChoice
from gridcli.cli.targets import OutputChoice, ScreenChoice
from gridcli.cli.values import (
    BadLimit,
    Box,
    Count,
    Counts,
    Crs,
    Lines,
    MissingPoints,
    Names,
    Scale,
    Size,
    Window,
)
from gridcli.output.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

MOST_REFINED = 3
"""Largest `--refine`: a tile has a million subtiles."""

INPUT_FORMATS = ("csv", "parquet", "ipc", "ipc-stream")


def bundle(
    keyword: str, kind: type[Any], *options: Callable[[Any], Any]
) -> Callable[[Command], Command]:
    """Return a decorator that adds `options`, gathered into `kind`, as argument `keyword`."""
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(**values: Any) -> Any:
            own = {name: values.pop(name) for name in names}
            return command(**values, **{keyword: kind(**own)})

        decorated: Any = gathered
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


input_options = bundle(
    "source",
    InputChoice,
    click.argument("inputs", nargs=-1, required=True, metavar="INPUTS..."),
    click.option("--lat", metavar="COL", help="Column of latitudes, in degrees."),
    click.option("--lon", metavar="COL", help="Column of longitudes, in degrees."),
    click.option("--x", metavar="COL", help="Column of x, with --planar."),
    click.option("--y", metavar="COL", help="Column of y, with --planar."),
    click.option(
        "--columns", type=Names(), help="Names of the columns of a CSV file without a header."
    ),
    click.option(
        "--planar", is_flag=True, help="Coordinates are x and y of a plane: no range, no wrap."
    ),
    click.option("--scale", type=Scale(), help="Coordinates are integers times this, e.g. 1e-7."),
    click.option(
        "--where",
        multiple=True,
        type=Lines(),
        metavar="EXPR",
        help='Keep rows with e.g. "speed < 5", "type in (\'bus\', \'tram\')", "id is not '
        'null". Repeatable: all must hold.',
    ),
    click.option(
        "--input-format",
        type=click.Choice(INPUT_FORMATS),
        help="Format of all inputs; by default told from suffix or content.",
    ),
)

place_options = bundle(
    "places",
    PlaceChoice,
    click.option("--bbox", type=Box(), help="Keep rows in a box; may cross 180 degrees."),
    click.option(
        "--keep-null-island", is_flag=True, help="Keep rows within 0.001 degrees of (0, 0)."
    ),
)

grid_options = bundle(
    "size",
    GridChoice,
    click.option(
        "--prec",
        metavar="P",
        help="Tiles of 10^-P degrees (or units, with --planar); may be 3.5. [default: 4, "
        "about 11 m]",
    ),
    click.option(
        "--tile-size",
        metavar="SIZE",
        help="Side of square tiles, e.g. 25m or 0.5km; with --planar a plain number of units.",
    ),
)

coarsening_options = bundle(
    "coarsening",
    CoarseningChoice,
    click.option(
        "--prec",
        metavar="P",
        help="Join tiles to those of this precision, at most the state's. [default: the state's]",
    ),
    click.option("--coarsen", type=Count(), metavar="M", help="Join M by M tiles to one."),
    click.option(
        "--adaptive",
        type=Counts(),
        metavar="M,M,...",
        help="Find hubs tile size by tile size, each a multiple of the one before, e.g. 1,2,10: "
        "the tiles of hubs are taken away, all others are joined to the next size. What is left "
        "around a hub can be one of the next size: the column rim_of names the hub inside.",
    ),
    click.option(
        "--without-rims",
        is_flag=True,
        help="With --adaptive: leave out hubs that only surround or adjoin those of smaller tiles.",
    ),
)

output_options = bundle(
    "target",
    OutputChoice,
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="File of hubs: .geojson .geojsonl .geojsons .parquet .csv .arrow, or - for "
        "standard output.",
    ),
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="Format of standard output, or else of the hubs, where no suffix says it.",
    ),
    click.option(
        "--tiles",
        metavar="FILE",
        help="Also write the tiles that can be part of hubs.",
    ),
    click.option("--clusters", metavar="FILE", help="Also write the outlines of the hubs."),
    click.option(
        "--geometry",
        type=click.Choice(["point", "polygon", "hull", "ellipse"]),
        default="point",
        show_default=True,
        help="Geometry of the hubs: centroid, outline of the tiles, their convex hull, or the "
        "smallest ellipse around them (with columns of its axes).",
    ),
    click.option("--crs", type=Crs(), help="Coordinate system of the outputs, with --planar."),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
)

screen_options = bundle(
    "screen",
    ScreenChoice,
    click.option(
        "--progress",
        type=click.Choice(["bar", "plain", "json", "none"]),
        help="By default a bar on a terminal, else plain lines.",
    ),
    click.option(
        "--progress-interval",
        type=click.FloatRange(min=0.1),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="Time between two lines of progress.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; warnings stay."),
)

keys_from_option = click.option(
    "--keys-from",
    metavar="OLD_TILES",
    help="Give hubs the hub_key that they have in this file, which --tiles wrote.",
)

input_id_option = click.option(
    "--input-id", metavar="ID", help="What to know standard input by, so that it counts once."
)

summary_option = click.option(
    "--summary", metavar="FILE", help="Also write the summary, as JSON; - for standard output."
)

_CLUSTER_OPTIONS = (
    click.option(
        "--tau",
        type=Count(),
        default=5,
        show_default=True,
        help="A tile is significant from this many points.",
    ),
    click.option(
        "--mu",
        type=Count(),
        default=4,
        show_default=True,
        help="A hub has at least this many tiles.",
    ),
    click.option(
        "--delta",
        type=Count(),
        default=1,
        show_default=True,
        help="Tiles up to this far apart belong together.",
    ),
    click.option(
        "--metric",
        type=click.Choice(["chebyshev", "manhattan"]),
        default="chebyshev",
        show_default=True,
        help="Distance between tiles: 8 or 4 neighbours.",
    ),
)

cluster_options = bundle("clustering", ClusterChoice, *_CLUSTER_OPTIONS)

hub_options = bundle(
    "clustering",
    HubChoice,
    *_CLUSTER_OPTIONS,
    click.option(
        "--window",
        type=Window(),
        is_flag=False,
        flag_value="gaps",
        help="Also take the tiles of 2 x 2 blocks that hold --tau points together: where no tile "
        "of them is significant by itself (gaps, if no value is given), or all such blocks. This "
        "lowers the bar: with --mu 4 every such block is a hub. Raise --tau or --mu with it, and "
        'give standing points only: --where "speed < 3".',
    ),
    click.option(
        "--epsilon",
        type=MissingPoints(),
        metavar="E",
        help="Also take tiles that lack at most E points and have two significant neighbours.",
    ),
    click.option(
        "--refine",
        type=click.IntRange(1, MOST_REFINED),
        metavar="K",
        help="Take outlines, areas and centroids of hubs from tiles of K more decimal places.",
    ),
)

bad_row_options = bundle(
    "bad_rows",
    BadRowChoice,
    click.option(
        "--rejects", metavar="FILE", help="Write the bad rows, with their reason, as CSV."
    ),
    click.option("--max-bad", type=BadLimit(), help="Fail (exit 4) beyond this many bad rows."),
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worker threads. [default: the cores this process may use]",
)

_MEMORY_OPTIONS = (
    click.option(
        "--max-memory",
        type=Size(),
        help="Most memory to hold, e.g. 2GiB or 500M; at least 384MiB. [default: half of what "
        "this process may use]",
    ),
    click.option(
        "--temp-dir",
        metavar="DIR",
        help="Folder for temporary data; what memory does not hold goes there. [default: the "
        "system's]",
    ),
)

memory_options = bundle("memory", MemoryChoice, *_MEMORY_OPTIONS)

resource_options = bundle("resources", ResourceChoice, threads_option, *_MEMORY_OPTIONS)
