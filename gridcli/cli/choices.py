"""What the user chose to read and to find: option bundles, checked against each other.

Each class gathers the options of one bundle of `gridcli.cli.options`; its fields are named like
the options. Combinations that make no sense are refused before anything is read or written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridcli.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from gridcli.cli.resources import MemoryChoice
    from gridcli.cli.values import BoundingBox
    from gridcli.grid.grid import Grid
    from gridcli.points.plan import ReadOptions
    from gridcli.raster.counting import MaxBad


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
        if self.tile_size is not None:
            return self._sized_grid(self.tile_size, planar=planar)
        if planar and self.prec is not None:
            return Grid.planar_prec(self.prec)
        if planar:
            raise UsageError(
                "--planar needs --tile-size (in the units of the coordinates) or --prec: only "
                "you know how large a tile should be."
            )
        return Grid.degrees(self.prec if self.prec is not None else "4")

    def _sized_grid(self, size: str, *, planar: bool) -> Grid:
        """Return the grid of `--tile-size`: metres on the earth, plain units in a plane."""
        from gridcli.grid.grid import Grid
        from gridcli.grid.sizes import decimal_of, metres_of

        metres = metres_of(size)
        if planar:
            if metres is not None:
                raise UsageError(
                    f"--tile-size {size} has a unit; with --planar it is a plain number, in the "
                    "units of the coordinates, whatever they are."
                )
            return Grid.planar_size(size)
        if metres is None:
            decimal_of(size, "--tile-size")
            raise UsageError(
                f"--tile-size {size} has no unit: for tiles of {size} metres write {size}m; tiles "
                "in degrees are set by --prec. Only with --planar it is a plain number."
            )
        return Grid.metres(metres)


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

    def check(self, *, refine: int | None) -> None:
        """Raise UsageError where a choice does not go with finer tiles for shapes."""
        if refine is not None and self.adaptive is not None:
            raise UsageError(
                "--refine does not go with --adaptive: the finest level has no finer tiles, and "
                "those of the others may belong to finer hubs. Leave one of them out."
            )

    def refined_multiple(self, grid: Grid, refine: int) -> int:
        """Return `multiple` for hubs whose shapes come from tiles of `refine` more places.

        Without a choice, it is what makes the tiles of a state's grid those finer ones.

        Raises
        ------
        UsageError
            Tiles of the grid are not fine enough; the message names what works.
        """
        from gridcli.raster.refine import subtiles_per_side

        per_side = subtiles_per_side(refine)
        if grid.rows_differ:
            raise UsageError(
                f"--refine {refine} joins tiles {per_side:,} by {per_side:,} to those of the hubs, "
                f"and tiles in metres ({grid.name}) cannot be joined. Contract the points with "
                "--prec for it."
            )
        finest = grid.coarsened(per_side)
        multiple = per_side if self.prec is None and self.coarsen is None else self.multiple(grid)
        if multiple % per_side:
            given = f"--coarsen {self.coarsen}" if self.prec is None else f"--prec {self.prec}"
            raise UsageError(
                f"--refine {refine} needs tiles {per_side:,} times smaller on a side than those "
                f"of the hubs, and with {given} this state ({grid.name}) does not have them. "
                f"Without {given} hubs are found on {finest.name}, the finest that works; "
                f"--coarsen takes multiples of {per_side:,}."
            )
        return multiple

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
        if multiple is None and grid.rows_differ:
            raise UsageError(
                f"--prec {self.prec} cannot be had from the tiles of this state ({grid.name}): "
                "tiles in metres cannot be joined. Contract the points anew for other tiles."
            )
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
class HubChoice(ClusterChoice):
    """What makes a hub, which tiles below tau count too, and what shows its shape."""

    window: str | None
    epsilon: int | None
    refine: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon is not None and self.epsilon >= self.tau:
            raise UsageError(
                f"--epsilon {self.epsilon} must be below --tau {self.tau}: it is how many points "
                "a tile beside significant ones may lack, and every tile has at least one."
            )

    def counted_grid(self, grid: Grid) -> Grid:
        """Return the grid to count points on, for hubs on another.

        Raises
        ------
        UsageError
            Shapes are to come from finer tiles, and there are none.
        """
        from gridcli.raster.refine import finer_grid

        return grid if self.refine is None else finer_grid(grid, self.refine)

    @property
    def is_relaxed(self) -> bool:
        """Whether tiles with fewer than tau points can count."""
        return self.window is not None or self.epsilon is not None


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
