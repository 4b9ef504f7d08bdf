"""Which columns hold the coordinates: found by name, or as the user says.

The rules are those of docs/contract.md, section 2: candidates are ranked by how plainly their
names speak, the best rank wins, and two pairs in it are an error rather than a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridcli.errors import UsageError
from gridcli.points import geometry
from gridcli.points.names import find, listed, require_unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridcli.points.plan import ReadOptions

_LATITUDE = ("latitude", "lat")
_LONGITUDE = ("longitude", "long", "lng", "lon")
_SHORT = (("lat",), ("lon", "lng", "long"))
_LONG = (("latitude", "lat"), ("longitude", "lon", "lng", "long"))
OWN_KEY = b"gridcli"
"""In the metadata of every Parquet and Arrow file that gridcli writes."""
TILE_COLUMNS = {"tile_x", "tile_y", "count"}
LABELS = {"hub_id", "hub_key"}
"""Columns of rows that gridcli has labelled."""

Pair = tuple[str, str]
"""Names of the x (longitude) and y (latitude) columns, as the file spells them."""


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that hold the coordinates: either `x` and `y`, or `geometry`.

    Attributes
    ----------
    x, y, geometry : str or None
        Names as the file spells them.
    planar : bool
    """

    x: str | None
    y: str | None
    geometry: str | None = None
    planar: bool = False

    @property
    def text(self) -> str:
        """What is read from where, in one line."""
        if self.geometry is not None:
            return f"reading points from the geometry column '{self.geometry}'"
        if self.planar:
            return f"reading x from '{self.x}', y from '{self.y}'"
        return f"reading latitude from '{self.y}', longitude from '{self.x}'"


def choose(schema: Any, options: ReadOptions, name: str) -> ColumnChoice:
    """Return the coordinate columns of one input.

    Parameters
    ----------
    schema : pyarrow.Schema
        All columns, with the metadata of the file.
    options : ReadOptions
        `x`, `y` and `planar` are used here.
    name : str
        The input, for messages.

    Raises
    ------
    UsageError
        No candidate, several in the best rank, a named column that is not there, or a chosen
        name that several columns bear.
    """
    names = list(schema.names)
    if options.x is not None or options.y is not None:
        choice = _named(names, options, name)
    else:
        choice = _detected(schema, names, options, name)
    for column in (choice.x, choice.y, choice.geometry):
        if column is not None:
            require_unique(names, column, name)
    return choice


def require_labels_in_all(first: tuple[str, Any], other: tuple[str, Any]) -> None:
    """Refuse labelled rows beside others: they are copies of rows, which would count twice.

    Parameters
    ----------
    first, other : tuple of str and pyarrow.Schema
        Name and columns of two inputs.

    Raises
    ------
    UsageError
        One of them holds labelled rows, and the other does not.
    """
    are_labelled = [set(schema.names) >= LABELS for _, schema in (first, other)]
    if are_labelled[0] == are_labelled[1]:
        return
    labelled, plain = (first[0], other[0]) if are_labelled[0] else (other[0], first[0])
    raise UsageError(
        f"{labelled} has the columns hub_id and hub_key of rows that gridcli has labelled, and "
        f"{plain} has not: rows that are in both would count twice. Leave {labelled} out, or move "
        "it elsewhere, or into a folder whose name begins with _, which is not read."
    )


def _option_names(options: ReadOptions) -> Pair:
    return ("--x", "--y") if options.planar else ("--lon", "--lat")


def _named(names: list[str], options: ReadOptions, name: str) -> ColumnChoice:
    x_option, y_option = _option_names(options)
    if options.x is None or options.y is None:
        given, missing = (y_option, x_option) if options.x is None else (x_option, y_option)
        raise UsageError(f"{given} is given without {missing}: name both columns.")
    x, y = find(names, options.x, name), find(names, options.y, name)
    if x == y:
        raise UsageError(f"{x_option} and {y_option} both name the column {x!r}.")
    return ColumnChoice(x, y, planar=options.planar)


def _detected(schema: Any, names: list[str], options: ReadOptions, name: str) -> ColumnChoice:
    for candidates in _ranks(schema, names, options.planar):
        if len(candidates) > 1:
            _refuse_ambiguous(candidates, options, name)
        if candidates:
            found = candidates[0]
            if isinstance(found, str):
                _refuse_own(schema, names, name)  # tiles and outlines are geometries too
                return ColumnChoice(None, None, found, options.planar)
            return ColumnChoice(*found, planar=options.planar)
    _refuse_own(schema, names, name)
    x_option, y_option = _option_names(options)
    kind = "x and y" if options.planar else "latitude and longitude"
    planar = "" if options.planar else ", or those of a plane with --planar, --x and --y"
    raise UsageError(
        f"{name}: no columns found that hold {kind}. Its columns: {listed(names)}. Name them "
        f"with {y_option} and {x_option}{planar}."
    )


def _refuse_own(schema: Any, names: list[str], name: str) -> None:
    """Refuse a file that gridcli itself wrote, which its metadata tell, as what it is."""
    if OWN_KEY not in (schema.metadata or {}):
        return
    if set(names) >= TILE_COLUMNS and "hub_key" in names:
        what = (
            "is a file of tiles that gridcli wrote (--tiles), not of points. gridcli diff compares "
            "two such files, and --keys-from takes hub keys from one."
        )
    elif set(names) >= TILE_COLUMNS:
        what = (
            "is a state: it counts the points of tiles, and holds none. gridcli agglomerate finds "
            "its hubs, and gridcli merge adds it to other states."
        )
    elif "hub_key" in names:
        what = "holds hubs that gridcli found, not points. Give the points themselves."
    else:
        return
    raise UsageError(f"{name} {what}")


def _refuse_ambiguous(candidates: Sequence[Pair | str], options: ReadOptions, name: str) -> None:
    x_option, y_option = _option_names(options)
    shown = "; ".join(
        f"geometry {c!r}" if isinstance(c, str) else f"{y_option} {c[1]} {x_option} {c[0]}"
        for c in candidates
    )
    raise UsageError(
        f"{name}: several columns may hold the coordinates: {shown}. "
        f"Say which with {y_option} and {x_option}."
    )


def _ranks(schema: Any, names: list[str], planar: bool) -> Iterator[Sequence[Pair | str]]:
    """Yield the candidates of each rank, best rank first."""
    by_fold: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        by_fold.setdefault(name.casefold().strip(), []).append(name)
    if planar:
        yield _pairs(by_fold, ("y",), ("x",))
        yield geometry.point_columns(schema)
    yield _pairs(by_fold, *_SHORT)
    yield _pairs(by_fold, *_LONG)
    yield _affixed_pairs(names)
    if not planar:
        yield geometry.point_columns(schema)
        yield _pairs(by_fold, ("y",), ("x",))


def _pairs(
    by_fold: dict[str, list[str]], y_names: Sequence[str], x_names: Sequence[str]
) -> list[Pair]:
    return [
        (x, y)
        for y_name in y_names
        for y in by_fold.get(y_name, ())
        for x_name in x_names
        for x in by_fold.get(x_name, ())
    ]


def _affixed_pairs(names: list[str]) -> list[Pair]:
    """Return pairs such as (pickup_lon, pickup_lat): the same name but for latitude/longitude."""
    latitudes, longitudes = _stems(names, _LATITUDE), _stems(names, _LONGITUDE)
    found = {
        (x, y): None
        for y, y_stems in latitudes.items()
        for x, x_stems in longitudes.items()
        if x != y and not y_stems.isdisjoint(x_stems)
    }
    return list(found)


def _stems(names: list[str], words: Sequence[str]) -> dict[str, set[Pair]]:
    """Return what stands before and after any of `words` in each name that holds one."""
    stems: dict[str, set[Pair]] = {}
    for name in names:
        folded = name.casefold()
        for word in words:
            for match in re.finditer(word, folded):
                stems.setdefault(name, set()).add((folded[: match.start()], folded[match.end() :]))
    return stems
