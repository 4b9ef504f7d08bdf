"""Bundles of options that several commands share, each gathered into one object.

A bundle's decorator adds its options to a command, and hands their values to the command as one
frozen dataclass, whose fields are named like the options. Combinations that make no sense are
refused when the object is made: before anything is read or written.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridcli.cli.values import (
    BadLimit,
    BoundingBox,
    Box,
    Count,
    Crs,
    Lines,
    Names,
    Scale,
    is_standard_stream,
)
from gridcli.errors import UsageError
from gridcli.output.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from fractions import Fraction

    from gridcli.grid.grid import Grid
    from gridcli.points.plan import ReadOptions
    from gridcli.runtime.progress import Progress

T = TypeVar("T")
Command = TypeVar("Command", bound="Callable[..., Any]")

INPUT_FORMATS = ("csv", "parquet", "ipc", "ipc-stream")


@dataclass(frozen=True)
class InputChoice:
    """Which rows to read, from where, and by which columns."""

    inputs: tuple[str, ...]
    lat: str | None
    lon: str | None
    x: str | None
    y: str | None
    columns: tuple[str, ...] | None
    planar: bool
    scale: Fraction | None
    where: tuple[str, ...]
    input_format: str | None
    temp_dir: str | None

    def __post_init__(self) -> None:
        _refuse_half(self.lat, self.lon, "--lat", "--lon")
        _refuse_half(self.x, self.y, "--x", "--y")
        if self.planar and self.lat is not None:
            raise UsageError("--lat and --lon are geographic; with --planar use --x and --y.")
        if not self.planar and self.x is not None:
            raise UsageError("--x and --y need --planar; for geographic data use --lon and --lat.")
        if self.temp_dir is not None and not Path(self.temp_dir).is_dir():
            raise UsageError(f"--temp-dir {self.temp_dir} is not a directory; make it first.")

    def read_options(self, *, keep_origin: bool = False) -> ReadOptions:
        """Return what the readers need to know."""
        from gridcli.points.plan import ReadOptions

        return ReadOptions(
            x=self.x if self.planar else self.lon,
            y=self.y if self.planar else self.lat,
            planar=self.planar,
            columns=self.columns,
            scale=self.scale,
            where=self.where,
            input_format=self.input_format,  # type: ignore[arg-type]
            temp_dir=Path(self.temp_dir) if self.temp_dir is not None else None,
            keep_origin=keep_origin,
        )


@dataclass(frozen=True)
class PlaceChoice:
    """Which places count."""

    bbox: BoundingBox | None
    keep_null_island: bool

    def check(self, *, planar: bool) -> None:
        """Raise UsageError where a choice makes no sense for the coordinates."""
        if planar and self.keep_null_island:
            raise UsageError("--keep-null-island means nothing with --planar: no row is dropped.")
        if self.bbox is None:
            return
        west, south, east, north = self.bbox
        if planar and west > east:
            raise UsageError(f"--bbox: west {west:g} is greater than east {east:g}.")
        if not planar and not (
            -180 <= west <= 360 and -180 <= east <= 360 and south >= -90 and north <= 90
        ):
            raise UsageError(
                "--bbox is out of range: it is W,S,E,N in degrees, longitudes first; west may "
                "be greater than east for a box across 180 degrees."
            )


@dataclass(frozen=True)
class GridChoice:
    """How large tiles are."""

    prec: str | None
    tile_size: str | None

    def grid(self, *, planar: bool) -> Grid:
        """Return the grid, or refuse a combination that defines none."""
        from gridcli.grid.grid import Grid

        if self.prec is not None and self.tile_size is not None:
            raise UsageError("--prec and --tile-size both set the size of tiles; give one.")
        if planar and self.tile_size is not None:
            return Grid.planar_size(self.tile_size)
        if planar and self.prec is not None:
            return Grid.planar_prec(self.prec)
        if planar:
            raise UsageError(
                "--planar needs --tile-size (in the units of the coordinates) or --prec: only "
                "you know how large a tile should be."
            )
        if self.tile_size is not None:
            raise UsageError("--tile-size needs --planar; geographic tiles are set by --prec.")
        return Grid.degrees(self.prec if self.prec is not None else "4")


@dataclass(frozen=True)
class ClusterChoice:
    """What makes a hub: the parameters of RASTER."""

    tau: int
    mu: int
    delta: int
    metric: str

    def __post_init__(self) -> None:
        for option in ("tau", "mu", "delta"):
            if getattr(self, option) < 1:
                raise UsageError(f"--{option} must be at least 1.")


@dataclass(frozen=True)
class BadRowChoice:
    """What to do about bad rows: list them, and how many to bear."""

    rejects: str | None
    max_bad: Fraction | int | None


@dataclass(frozen=True)
class OutputChoice:
    """Which files to write."""

    output: str
    format: str | None
    tiles: str | None
    clusters: str | None
    geometry: str
    crs: str | None
    overwrite: bool

    def layers(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each layer asked for and its target, hubs last.

        The main output is written and renamed last, so that whoever waits for it finds the
        others complete.
        """
        if self.tiles is not None:
            yield "tiles", self.tiles
        if self.clusters is not None:
            yield "clusters", self.clusters
        yield "hubs", self.output


@dataclass(frozen=True)
class ScreenChoice:
    """What to show, and where."""

    progress: str | None
    progress_interval: float
    quiet: bool

    def make_progress(self) -> Progress:
        """Return the progress display: a bar on a terminal, else lines, unless told."""
        import sys

        from gridcli.runtime.progress import Progress

        if self.quiet or sys.stderr is None:
            return Progress("none")
        mode: Any = self.progress or ("bar" if sys.stderr.isatty() else "plain")
        return Progress(mode, interval_s=self.progress_interval)


def refuse_shared_targets(targets: dict[str, str | None]) -> None:
    """Raise UsageError where two options write to standard output or to the same file.

    Parameters
    ----------
    targets : dict
        What each option names, e.g. ``{"--output": "-", "--summary": None}``.
    """
    seen: dict[str, str] = {}
    for option, target in targets.items():
        if target is None:
            continue
        place = "-" if is_standard_stream(target) else str(Path(target).resolve())
        if place in seen:
            what = "standard output" if place == "-" else target
            raise UsageError(f"{seen[place]} and {option} both write to {what}; change one.")
        seen[place] = option


def _refuse_half(first: str | None, second: str | None, name: str, other: str) -> None:
    if (first is None) != (second is None):
        given, missing = (name, other) if second is None else (other, name)
        raise UsageError(f"{given} needs {missing}: give both columns, or neither.")


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
    click.option(
        "--temp-dir", metavar="DIR", help="Folder for temporary data; default: the system's."
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
    click.option("--tile-size", metavar="SIZE", help="Side of tiles, with --planar, in units."),
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
        help="Format of the hubs, where the suffix does not say.",
    ),
    click.option("--tiles", metavar="FILE", help="Also write the significant tiles."),
    click.option("--clusters", metavar="FILE", help="Also write the outlines of the hubs."),
    click.option(
        "--geometry",
        type=click.Choice(["point", "polygon"]),
        default="point",
        show_default=True,
        help="Geometry of the hubs: centroid or outline.",
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

summary_option = click.option(
    "--summary", metavar="FILE", help="Also write the summary, as JSON; - for standard output."
)

cluster_options = bundle(
    "clustering",
    ClusterChoice,
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
