"""Grids read back from their names and from the records in files."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from gridcli.errors import InputError, UsageError
from gridcli.grid.grid import DIGEST, REAL, Grid

SAME_SCALE = 1e-12
"""Relative difference of 10^P between two libraries of mathematics, P not an integer."""


def grid_of_record(record: Any) -> Grid:
    """Return the grid that `Grid.describe` made the record of.

    A real precision keeps the record's scale: other machines may compute 10^P otherwise.

    Raises
    ------
    InputError
        The record is of no grid that this version knows, or contradicts itself.
    """
    wrong = InputError(
        f"the grid {record!r} is unknown: the file is damaged, or was made by a newer version "
        "of gridcli."
    )
    if not isinstance(record, dict):
        raise wrong
    try:
        named = grid_of_name(str(record.get("name")))
        scale = float.fromhex(record["scale"])
    except (UsageError, KeyError, TypeError, ValueError, OverflowError):
        raise wrong from None
    if named.rule == REAL and math.isclose(scale, named.scale, rel_tol=SAME_SCALE):
        named = replace(named, scale=scale)
    told, known = {"multiple": 1, **record, "scale": scale.hex()}, named.describe()
    if told != known:
        if {**told, DIGEST: None} == {**known, DIGEST: None}:
            raise InputError(
                f"the rows of grid {named.name} have other numbers of columns here than where "
                "the file was made, so that its tiles lie elsewhere. Contract the points anew."
            )
        raise wrong
    return named


def grid_of_name(name: str) -> Grid:
    """Return the grid of a name: ``g4``, ``m25``, ``p2``, ``t25``, ``g4x2``.

    Raises
    ------
    UsageError
        There is no such grid.
    """
    kinds = {"g": Grid.degrees, "m": Grid.metres, "p": Grid.planar_prec, "t": Grid.planar_size}
    match = re.fullmatch(r"([gmpt])(-?[0-9]+(?:\.[0-9]+)?)(?:x([1-9][0-9]*))?", name, re.ASCII)
    if match is None:
        raise UsageError(f"{name!r} is no grid.")
    kind, size, multiple = match.groups()
    grid = kinds[kind](size).coarsened(int(multiple or 1))
    if grid.name != name:
        raise UsageError(f"{name!r} is no grid; {grid.name} is.")
    return grid
