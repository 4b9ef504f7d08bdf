"""Numbers and nested coordinates as text, whole columns at a time: for GeoJSON, WKT and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.output.layer import round_coordinates

if TYPE_CHECKING:
    from gridcli.output.layer import Geometry


@dataclass(frozen=True)
class Brackets:
    """How a format writes nested coordinates.

    Attributes
    ----------
    vertex : tuple of str
        Text before, between and after the two numbers of a vertex.
    nest : tuple of str
        Text before, between and after the members of a ring, a polygon or a multipolygon.
    """

    vertex: tuple[str, str, str]
    nest: tuple[str, str, str]


JSON_BRACKETS = Brackets(vertex=("[", ",", "]"), nest=("[", ",", "]"))
WKT_BRACKETS = Brackets(vertex=("", " ", ""), nest=("(", ", ", ")"))


def number_text(values: npt.NDArray[np.float64], *, repeated: bool) -> Any:
    """Return the shortest text that reads back as each float, as a pyarrow.StringArray.

    Parameters
    ----------
    values : ndarray of float64
        Finite numbers.
    repeated : bool
        Most values occur several times, as corners of tiles do: each is formatted once.
    """
    numbers = pa.array(values)
    if not repeated:
        return numbers.cast(pa.string())
    encoded = numbers.dictionary_encode()
    return encoded.dictionary.cast(pa.string()).take(encoded.indices)


def coordinates_text(geometry: Geometry, brackets: Brackets, decimals: int | None = None) -> Any:
    """Return the nested coordinates of each row as a pyarrow.StringArray.

    Parameters
    ----------
    geometry : Geometry
        n rows.
    brackets : Brackets
    decimals : int, optional
        Places to round to; None writes every double so that it reads back the same.

    Returns
    -------
    pyarrow.StringArray
        n texts, e.g. ``[[[0,0],[1,0],[1,1],[0,0]]]`` for a polygon with `JSON_BRACKETS`.
    """
    repeated = geometry.kind != "point"
    x, y = (
        number_text(round_coordinates(values, decimals), repeated=repeated)
        for values in (geometry.x, geometry.y)
    )
    before, between, after = brackets.vertex
    text = pc.binary_join_element_wise(before, x, between, y, after, "")
    before, between, after = brackets.nest
    for offsets in reversed(geometry.offsets):
        members = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), text)
        text = pc.binary_join_element_wise(before, pc.binary_join(members, between), after, "")
    return text
