"""Oracles: the algorithms of gridcli in the plainest Python that can be written.

Every kernel is compared with a function here. Nothing here is fast, vectorised or clever.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from gridcli.grid.grid import MULTIPLY, Grid

if TYPE_CHECKING:
    from collections.abc import Iterable


# --- Agglomeration and hubs ---------------------------------------------------------------------


def agglomerate(
    tiles: set[tuple[int, int]], delta: int, metric: str, columns: int
) -> list[set[tuple[int, int]]]:
    """Components of (x, y) tiles, depth first (RASTER, Algorithm 1); ordered by smallest tile.

    `columns` around the earth, 0 for a plane.
    """

    def are_neighbours(a: tuple[int, int], b: tuple[int, int]) -> bool:
        dx = abs(a[0] - b[0])
        dy = abs(a[1] - b[1])
        if columns:
            dx = min(dx, columns - dx)
        return (max(dx, dy) if metric == "chebyshev" else dx + dy) <= delta

    remaining = set(tiles)
    components = []
    while remaining:
        stack = [remaining.pop()]
        component = set(stack)
        while stack:
            tile = stack.pop()
            reached = {other for other in remaining if are_neighbours(tile, other)}
            remaining -= reached
            component |= reached
            stack += reached
        components.append(component)
    return sorted(components, key=lambda component: _smallest(component)[::-1])


def _smallest(component: Iterable[tuple[int, int]]) -> tuple[int, int]:
    return min(component, key=lambda tile: (tile[1], tile[0]))


@dataclass
class Hub:
    """What `hubs` returns; coordinates and edges in tile units, exactly."""

    tiles: set[tuple[int, int]]
    smallest: tuple[int, int]
    points: int
    peak: int
    columns: list[int]
    """Columns from west to east; beyond the last one, they go on at its index + 1."""
    x: Fraction
    y: Fraction
    variance_x: Fraction
    variance_y: Fraction


def hubs(
    components: list[set[tuple[int, int]]],
    count: dict[tuple[int, int], int],
    mu: int,
    grid: Grid,
) -> list[Hub]:
    """Hubs in order; a hub's columns begin east of its widest empty range."""
    found = []
    for tiles in components:
        if len(tiles) < mu:
            continue
        columns = _from_west_to_east({x for x, _ in tiles}, grid)
        circle = 0 if grid.planar else _circle(grid)
        place = {x: x + (circle if x < columns[0] else 0) for x in columns}
        smallest = _smallest(tiles)
        points = sum(count[tile] for tile in tiles)
        half = Fraction(1, 2)
        x = sum((count[t] * (place[t[0]] + half) for t in tiles), Fraction()) / points
        y = sum((count[t] * (t[1] + half) for t in tiles), Fraction()) / points
        spread_x = sum((count[t] * (place[t[0]] + half - x) ** 2 for t in tiles), Fraction())
        spread_y = sum((count[t] * (t[1] + half - y) ** 2 for t in tiles), Fraction())
        found.append(
            Hub(
                tiles=tiles,
                smallest=smallest,
                points=points,
                peak=max(count[tile] for tile in tiles),
                columns=columns,
                x=x,
                y=y,
                variance_x=spread_x / points,
                variance_y=spread_y / points,
            )
        )
    return sorted(found, key=lambda hub: (-hub.points, hub.smallest[1], hub.smallest[0]))


def _circle(grid: Grid) -> Fraction:
    """Tiles around the earth, a fraction where columns are partial."""
    return 360 / Fraction(grid.scale) if grid.rule == MULTIPLY else 360 * Fraction(grid.scale)


def _from_west_to_east(columns: set[int], grid: Grid) -> list[int]:
    ordered = sorted(columns)
    if grid.planar:
        return ordered
    gaps = [(ordered[0] + grid.columns - ordered[-1], 1, 0)]  # the one at 180 degrees wins ties
    gaps += [(ordered[i] - ordered[i - 1], 0, -i) for i in range(1, len(ordered))]
    start = -max(gaps)[2]
    return ordered[start:] + ordered[:start]


def tile_area(grid: Grid, tile: tuple[int, int]) -> float:
    """Square metres of a tile on WGS84: the closed form, its difference taken in 60 digits."""
    side = Fraction(grid.scale) if grid.rule == MULTIPLY else 1 / Fraction(grid.scale)
    west, east = (max(Fraction(-180), min(Fraction(180), k * side)) for k in (tile[0], tile[0] + 1))
    south, north = (max(Fraction(-90), min(Fraction(90), k * side)) for k in (tile[1], tile[1] + 1))
    with localcontext(prec=60):
        zone = _area_from_equator(_radians(north)) - _area_from_equator(_radians(south))
        return float(zone * _radians(east - west))


def _radians(degrees: Fraction) -> Decimal:
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    return pi * degrees.numerator / degrees.denominator / 180


def _area_from_equator(latitude: Decimal) -> Decimal:
    """Square metres per radian of longitude."""
    flattening = 1 / Decimal("298.257223563")
    e2 = flattening * (2 - flattening)
    e = e2.sqrt()
    b = Decimal(6378137) * (1 - flattening)
    sine, term, power = Decimal(0), latitude, 1
    while abs(term) > Decimal("1e-58"):
        sine += term
        term *= -latitude * latitude / ((power + 1) * (power + 2))
        power += 2
    inverse = ((1 + e * sine) / (1 - e * sine)).ln() / 2  # atanh(e sin(latitude))
    return b * b / 2 * (sine / (1 - e2 * sine * sine) + inverse / e)
