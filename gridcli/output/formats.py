"""Which format an output has, and the writer of each."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gridcli.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from gridcli.output.layer import Layer, Sink

SUFFIXES = {
    ".geojson": "geojson",
    ".json": "geojson",
    ".geojsonl": "geojsonl",
    ".ndjson": "geojsonl",
    ".geojsons": "geojsons",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
"""Names for ``--format``."""
WGS84_ONLY = ("geojson", "geojsonl", "geojsons")


def format_of(
    path: str, explicit: str | None = None, among: Collection[str] = FORMATS, or_else: str = ""
) -> str:
    """Return the format of an output: `explicit` if given, else what the path's suffix says.

    Messages list the formats that are `among` those, and say what there is `or_else`.

    Raises
    ------
    UsageError
        Standard output without a format, or an unknown suffix or format.
    """
    if explicit is not None:
        if explicit not in FORMATS:
            raise UsageError(f"--format {explicit} is unknown; use one of {', '.join(FORMATS)}.")
        return explicit
    if path == "-":
        raise UsageError(
            f"Standard output (-) has no suffix to tell its format; add --format with one of "
            f"{', '.join(among)}{or_else}."
        )
    suffix = PurePath(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(suffix for suffix, name in SUFFIXES.items() if name in among)
        raise UsageError(
            f"The suffix of {path} names no output format; use one of {known}, or add "
            f"--format{or_else}."
        )
    return SUFFIXES[suffix]


def check_format(name: str, *, planar: bool, crs: str | None = None) -> None:
    """Check, before anything is read, that a format can hold the coordinates.

    Raises
    ------
    UsageError
        GeoJSON for planar data, or an unknown reference system.
    MissingExtraError
        The definition of the reference system needs an optional package.
    """
    if planar and name in WGS84_ONLY:
        raise UsageError(
            f"Planar data cannot be written as {name}: GeoJSON is WGS84 longitude and latitude by "
            "definition. Use a .parquet, .csv or .arrow output."
        )
    if planar and crs and name == "parquet":
        from gridcli.output.crs import projjson

        projjson(crs)


def write_layer(layer: Layer, sink: Sink, name: str, *, threads: int = 1) -> None:
    """Write a layer in a format of `FORMATS`, batch by batch.

    Parameters
    ----------
    layer : Layer
    sink : binary file object
        Open for writing; stays open.
    name : str
        The format.
    threads : int
        Batches to turn into text at a time; the bytes do not depend on it.

    Raises
    ------
    UsageError
        The format cannot hold the layer: see `check_format`.
    ResourceError
        Some rows are larger than 2 GiB in this format, which Arrow's arrays do not hold.
    """
    check_format(name, planar=layer.planar, crs=layer.crs)
    import pyarrow as pa

    try:
        _write(layer, sink, name, threads)
    except pa.ArrowCapacityError as error:
        raise ResourceError(
            f"the {layer.name} need more than 2 GiB for a few rows as {name}: an outline has too "
            "many corners. Raise --tau, or take a coarser --prec."
        ) from error


def _write(layer: Layer, sink: Sink, name: str, threads: int) -> None:
    if name in WGS84_ONLY:
        from gridcli.output import geojson

        writers = {
            "geojson": geojson.write_geojson,
            "geojsonl": geojson.write_geojson_lines,
            "geojsons": geojson.write_geojson_sequence,
        }
        writers[name](layer, sink, threads)
    elif name == "parquet":
        from gridcli.output.geoparquet import write_geoparquet

        write_geoparquet(layer, sink)
    elif name == "csv":
        from gridcli.output.csv import write_csv

        write_csv(layer, sink, threads)
    else:
        from gridcli.output.arrow import write_arrow

        write_arrow(layer, sink)
