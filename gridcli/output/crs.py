"""Coordinate reference systems of planar data, as GeoParquet wants them."""

from __future__ import annotations

from functools import cache
from typing import Any

from gridcli.errors import MissingExtraError, UsageError


@cache
def projjson(crs: str) -> dict[str, Any]:
    """Return the full definition of a reference system such as ``EPSG:3006``.

    GeoParquet holds a definition (PROJJSON), not a code, and readers build the reference system
    from it alone. Only PROJ's database knows the definitions; pyproj brings it.

    Raises
    ------
    UsageError
        The text names no reference system.
    MissingExtraError
        pyproj is not installed.
    """
    try:
        import pyproj
    except ImportError:
        raise MissingExtraError(
            f"Writing GeoParquet with --crs {crs} needs pyproj, which knows the definitions of "
            "reference systems: install it with pip install 'gridcli[crs]', or leave --crs out."
        ) from None
    try:
        definition: dict[str, Any] = pyproj.CRS.from_authority(*crs.split(":")).to_json_dict()
    except (pyproj.exceptions.CRSError, TypeError):
        raise UsageError(
            f"--crs {crs} is not a known reference system; write it as EPSG:3006."
        ) from None
    return definition
