"""What the user chose: the values of option bundles, checked against each other.

Each class gathers the options of one bundle of `gridcli.cli.options`; its fields are named like
the options. Combinations that make no sense are refused before anything is read or written.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridcli.cli.values import is_standard_stream
from gridcli.errors import UsageError
from gridcli.output.formats import check_format, format_of

if TYPE_CHECKING:
    from fractions import Fraction

    from gridcli.cli.values import BoundingBox
    from gridcli.grid.grid import Grid
    from gridcli.points.plan import ReadOptions
    from gridcli.raster.counting import MaxBad
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.workspace import Workspace

ROOM_TO_COMPILE_BYTES = 1 << 30
"""Limit below which a first run leaves compiling to another process."""
KERNELS = tuple(
    f"gridcli.{package}.kernels"
    for package in ("grid", "points", "tiles", "tiles.runs", "raster", "raster.outlines")
)


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

    def __post_init__(self) -> None:
        _refuse_half(self.lat, self.lon, "--lat", "--lon")
        _refuse_half(self.x, self.y, "--x", "--y")
        if self.planar and self.lat is not None:
            raise UsageError("--lat and --lon are geographic; with --planar use --x and --y.")
        if not self.planar and self.x is not None:
            raise UsageError("--x and --y need --planar; for geographic data use --lon and --lat.")

    def read_options(self, memory: MemoryChoice, *, keep_origin: bool = False) -> ReadOptions:
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
            temp_dir=Path(memory.temp_dir) if memory.temp_dir is not None else None,
            memory_bytes=memory.limit_bytes,
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
class CoarseningChoice:
    """How much coarser than those of a state tiles shall be."""

    prec: str | None
    coarsen: int | None
    adaptive: tuple[int, ...] | None
    without_rims: bool

    def __post_init__(self) -> None:
        options = ("prec", "coarsen", "adaptive")
        given = [f"--{name}" for name in options if getattr(self, name) is not None]
        if len(given) > 1:
            how_many = "both" if len(given) == 2 else "all"
            raise UsageError(f"{' and '.join(given)} {how_many} set the size of tiles; give one.")
        if self.without_rims and self.adaptive is None:
            raise UsageError("--without-rims needs --adaptive: hubs of one tile size have no rims.")

    def multiple(self, grid: Grid) -> int:
        """Return how many tiles of a state's grid are joined to one, on each axis.

        Raises
        ------
        UsageError
            Tiles of the grid cannot be joined to those asked for; the message names what can be.
        """
        from gridcli.grid.grid import Grid

        if self.prec is None:
            return 1 if self.coarsen is None else self.coarsen
        make = Grid.planar_prec if grid.planar else Grid.degrees
        multiple = grid.coarsening_to(make(self.prec))
        if multiple is None:
            raise UsageError(
                f"--prec {self.prec} cannot be had from the tiles of this state ({grid.name}), "
                f"which can only be joined, M by M. {_coarser_precisions(grid)}--coarsen M takes "
                "any whole number. Contract the points anew for other tiles."
            )
        return multiple


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

    def limit(self) -> MaxBad | None:
        """Return the limit on bad rows; None where there is none."""
        from gridcli.raster.counting import MaxBad

        if self.max_bad is None:
            return None
        if isinstance(self.max_bad, int):
            return MaxBad(rows=self.max_bad)
        return MaxBad(share=self.max_bad)


@dataclass(frozen=True)
class MemoryChoice:
    """How much memory to use, and where to put what does not fit."""

    max_memory: int | None
    temp_dir: str | None

    def __post_init__(self) -> None:
        from gridcli.runtime.capacity import LEAST_LIMIT_BYTES

        if self.max_memory is not None and self.max_memory < LEAST_LIMIT_BYTES:
            given = f"{self.max_memory:,} bytes"
            if self.max_memory >= 10**6:
                given = f"{self.max_memory // 10**6}M"
            raise UsageError(
                f"--max-memory: {given} are too little to work with; give at least "
                f"{-(-LEAST_LIMIT_BYTES // 10**6)}M ({LEAST_LIMIT_BYTES >> 20}MiB)."
            )
        if self.temp_dir is None:
            return
        if not Path(self.temp_dir).is_dir():
            raise UsageError(f"--temp-dir {self.temp_dir} is not a directory; make it first.")
        if not os.access(self.temp_dir, os.W_OK | os.X_OK):
            raise UsageError(f"--temp-dir {self.temp_dir} cannot be written; name another folder.")

    @functools.cached_property
    def limit_bytes(self) -> int:
        """The most memory that the process may hold, in bytes."""
        from gridcli.runtime.capacity import default_limit_bytes

        return self.max_memory if self.max_memory is not None else default_limit_bytes()


@dataclass(frozen=True)
class ResourceChoice(MemoryChoice):
    """How many threads to use, how much memory, and where to put what does not fit."""

    threads: int | None

    @functools.cached_property
    def n_threads(self) -> int:
        """The number of threads asked for, else of the cores this process may use."""
        from gridcli.runtime.threads import usable_cores

        return self.threads or usable_cores()

    def workspace(self) -> Workspace:
        """Return the workspace of a run; with little memory, its kernels are compiled first."""
        from gridcli.runtime.precompile import compile_apart
        from gridcli.runtime.workspace import Workspace

        if self.limit_bytes < ROOM_TO_COMPILE_BYTES:
            compile_apart(KERNELS)
        return Workspace(self.n_threads, self.limit_bytes, self.temp_dir)


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

    def layers(self) -> dict[str, str]:
        """Return the target of each layer asked for, the hubs first."""
        asked = {"hubs": self.output, "clusters": self.clusters, "tiles": self.tiles}
        return {layer: name for layer, name in asked.items() if name is not None}

    def check_suffixes(self) -> None:
        """Refuse what no coordinates could be written as: before it is known what they are."""
        self.formats(planar=self.crs is not None)

    def formats(self, *, planar: bool) -> dict[str, str]:
        """Return the format of each layer; `--format` is that of ``-`` if used, else of the hubs.

        Raises
        ------
        UsageError
            A suffix says nothing, or the format cannot hold the coordinates.
        """
        if self.crs is not None and not planar:
            raise UsageError("--crs needs --planar; geographic outputs are WGS84.")
        found = {}
        told = next(filter(is_standard_stream, self.layers().values()), self.output)
        for layer, name in self.layers().items():
            found[layer] = format_of(name, self.format if name == told else None)
            check_format(found[layer], planar=planar, crs=self.crs)
        return found


@dataclass(frozen=True)
class ScreenChoice:
    """What to show, and where."""

    progress: str | None
    progress_interval: float
    quiet: bool

    @property
    def is_talkative(self) -> bool:
        """Whether messages for people are wanted: not where standard error carries JSON lines."""
        return not self.quiet and self.progress != "json"

    def make_progress(self) -> Progress:
        """Return the progress display: a bar on a terminal, else lines, unless told."""
        import sys

        from gridcli.runtime.progress import Progress

        if self.quiet or sys.stderr is None:
            return Progress("none")
        mode: Any = self.progress or ("bar" if sys.stderr.isatty() else "plain")
        return Progress(mode, interval_s=self.progress_interval)


def _refuse_half(first: str | None, second: str | None, name: str, other: str) -> None:
    if (first is None) != (second is None):
        given, missing = (name, other) if second is None else (other, name)
        raise UsageError(f"{given} needs {missing}: give both columns, or neither.")


def _coarser_precisions(grid: Grid) -> str:
    """Say which precisions a grid can be coarsened to; empty where there is none."""
    from gridcli.grid.grid import MAX_EXACT_POWER, MAX_GEOGRAPHIC_PREC, MIN_GEOGRAPHIC_PREC, Grid

    coarsest = -MAX_EXACT_POWER if grid.planar else MIN_GEOGRAPHIC_PREC
    make = Grid.planar_prec if grid.planar else Grid.degrees
    finest = MAX_EXACT_POWER if grid.planar else MAX_GEOGRAPHIC_PREC
    for prec in range(finest, coarsest - 1, -1):
        if grid.coarsening_to(make(prec)) is not None:
            return f"It can give --prec {prec} and every whole number below it, to {coarsest}. "
    return ""
