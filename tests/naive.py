"""Oracles: the algorithms of gridcli in the plainest Python that can be written.

Every kernel is compared with a function here. Nothing here is fast, vectorised or clever.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gridcli.grid.grid import MULTIPLY, Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


# --- Projection ---------------------------------------------------------------------------------


def floor_tile(value: float, prec: int) -> int:
    """Tile of a coordinate at an integer precision, by its shortest decimal digits."""
    return math.floor(Decimal(repr(value)) * Decimal(10) ** prec)


def largest_tile(value: float, edge: Callable[[int], float], guess: int) -> int:
    """Largest k with edge(k) <= value, found by walking from a guess."""
    k = guess
    while edge(k + 1) <= value:
        k += 1
    while edge(k) > value:
        k -= 1
    return k


def project(lon: float, lat: float, prec: str, *, island: float = 0.001) -> tuple[int, int] | str:
    """Tile (x, y) of a geographic point, or the reason why it has none."""
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return "not_a_number"
    if not (-180 <= lon <= 360 and -90 <= lat <= 90):
        return "out_of_range"
    wrapped = lon - 360 if lon >= 180 else lon
    if abs(wrapped) <= island and abs(lat) <= island:
        return "null_island"
    if Decimal(prec) == int(Decimal(prec)):
        p = int(Decimal(prec))
        turn = 360 * Decimal(10) ** p
        x = floor_tile(lon, p)
        if x >= turn / 2:
            x -= int(turn)
        return x, min(floor_tile(lat, p), int(90 * Decimal(10) ** p) - 1)
    scale = 10.0 ** float(prec)
    return math.floor(wrapped * scale), min(math.floor(lat * scale), math.ceil(90 * scale) - 1)


# --- Agglomeration and hubs ---------------------------------------------------------------------


def agglomerate(
    tiles: set[tuple[int, int]], delta: int, metric: str, columns: int
) -> list[set[tuple[int, int]]]:
    """Components of (x, y) tiles, depth first (RASTER, Algorithm 1); ordered by smallest tile.

    `columns` around the earth, 0 for a plane.
    """

    remaining = set(tiles)
    components = []
    while remaining:
        stack = [remaining.pop()]
        component = set(stack)
        while stack:
            tile = stack.pop()
            reached = {
                other for other in remaining if _distance(tile, other, metric, columns) <= delta
            }
            remaining -= reached
            component |= reached
            stack += reached
        components.append(component)
    return sorted(components, key=lambda component: _smallest(component)[::-1])


def _distance(a: tuple[int, int], b: tuple[int, int], metric: str, columns: int) -> int:
    dx = abs(a[0] - b[0])
    dy = abs(a[1] - b[1])
    if columns:
        dx = min(dx, columns - dx)
    return max(dx, dy) if metric == "chebyshev" else dx + dy


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
    return 360 / _side(grid)


def _side(grid: Grid) -> Fraction:
    """Side of a tile in degrees or units."""
    base = Fraction(grid.scale) if grid.rule == MULTIPLY else 1 / Fraction(grid.scale)
    return grid.multiple * base


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
    side = _side(grid)
    west, east = (max(Fraction(-180), min(Fraction(180), k * side)) for k in (tile[0], tile[0] + 1))
    south, north = (max(Fraction(-90), min(Fraction(90), k * side)) for k in (tile[1], tile[1] + 1))
    return box_area(west, south, east, north)


def box_area(west: Fraction, south: Fraction, east: Fraction, north: Fraction) -> float:
    """Square metres between two meridians and two parallels on WGS84."""
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
    sine = _sine(latitude)
    inverse = ((1 + e * sine) / (1 - e * sine)).ln() / 2  # atanh(e sin(latitude))
    return b * b / 2 * (sine / (1 - e2 * sine * sine) + inverse / e)


def _sine(angle: Decimal) -> Decimal:
    sine, term, power = Decimal(0), angle, 1
    while abs(term) > Decimal("1e-58"):
        sine += term
        term *= -angle * angle / ((power + 1) * (power + 2))
        power += 2
    return sine


# --- Grids of tiles in metres -------------------------------------------------------------------


@dataclass(frozen=True)
class MetreGrid:
    """Rows of tiles that are nearly square: the columns of each, from the equator to a pole."""

    columns: tuple[int, ...]

    @staticmethod
    def of_side(side: Fraction) -> MetreGrid:
        """The grid of a side in metres, in 40 digits."""
        quarter = Fraction("10001965.7293127")
        rows = _nearest_division(quarter, side)
        with localcontext(prec=40):
            return MetreGrid(tuple(MetreGrid._columns(r, rows, side) for r in range(rows)))

    @staticmethod
    def _columns(row: int, rows: int, side: Fraction) -> int:
        sine = _sine(_radians(Fraction(90 * (2 * row + 1), 2 * rows)))
        flattening = 1 / Decimal("298.257223563")
        e2 = flattening * (2 - flattening)
        radius = 6378137 * ((1 - sine * sine) / (1 - e2 * sine * sine)).sqrt()
        return _nearest_division(Fraction(2 * _radians(Fraction(180)) * radius), side)

    def n(self, row: int) -> int:
        """Columns of a row; those of the south mirror those of the north."""
        return self.columns[row if row >= 0 else -1 - row]

    @property
    def rows(self) -> int:
        """Rows from the equator to a pole."""
        return len(self.columns)

    def project(self, lon: float, lat: float, *, island: float = 0.001) -> tuple[int, int] | str:
        """Tile of a point, or the reason why it has none."""
        reason = project(lon, lat, "0", island=island)
        if isinstance(reason, str):
            return reason

        def edge_y(k: int) -> float:
            return float(Fraction(90 * k, self.rows))

        y = largest_tile(lat, edge_y, math.floor(Fraction(lat) * self.rows / 90))
        y = min(y, self.rows - 1)
        n = self.n(y)

        def edge_x(k: int) -> float:
            return float(Fraction(360 * k - 180 * n, n))

        x = largest_tile(lon, edge_x, math.floor((Fraction(lon) + 180) * n / 360))
        return x % n, y

    def ring(self, tile: tuple[int, int]) -> tuple[Fraction, Fraction]:
        """Where a tile begins and ends, in parts of the way around the earth from -180 degrees."""
        n = self.n(tile[1])
        return Fraction(tile[0], n), Fraction(tile[0] + 1, n)

    def neighbours(self, tile: tuple[int, int], metric: str) -> set[tuple[int, int]]:
        """All tiles next to one: in its row, and in adjacent rows where longitudes meet."""
        x, y = tile
        n = self.n(y)
        found = {((x - 1) % n, y), ((x + 1) % n, y)}
        west, east = self.ring(tile)
        for row in (y - 1, y + 1):
            if not -self.rows <= row < self.rows:
                continue
            m = self.n(row)
            for other in {k % m for k in range(int(west * m) - 2, int(east * m) + 3)}:
                other_west, other_east = self.ring((other, row))
                if metric == "manhattan":
                    meets = other_west < east and west < other_east
                else:  # also around the earth, where 1 is 0
                    meets = any(
                        other_west <= east + turn and west + turn <= other_east
                        for turn in (-1, 0, 1)
                    )
                if meets:
                    found.add((other, row))
        return found - {tile}

    def reached(self, tile: tuple[int, int], hops: int, metric: str) -> set[tuple[int, int]]:
        """All tiles within some hops, breadth first."""
        found = last = {tile}
        for _ in range(hops):
            last = {near for each in last for near in self.neighbours(each, metric)} - found
            found = found | last
        return found

    def agglomerate(
        self, tiles: set[tuple[int, int]], delta: int, metric: str
    ) -> list[set[tuple[int, int]]]:
        """Components, ordered by smallest tile."""
        remaining = set(tiles)
        components = []
        while remaining:
            stack = [remaining.pop()]
            component = set(stack)
            while stack:
                near = self.reached(stack.pop(), delta, metric) & remaining
                remaining -= near
                component |= near
                stack += near
            components.append(component)
        return sorted(components, key=lambda component: _smallest(component)[::-1])


@dataclass
class MetreHub:
    """What `metre_hubs` returns, in degrees, exactly."""

    tiles: set[tuple[int, int]]
    smallest: tuple[int, int]
    points: int
    peak: int
    west: Fraction
    east: Fraction
    lon: Fraction
    lat: Fraction
    variance_lon: Fraction
    variance_lat: Fraction
    area: float


def metre_hubs(
    grid: MetreGrid,
    components: list[set[tuple[int, int]]],
    count: dict[tuple[int, int], int],
    mu: int,
) -> list[MetreHub]:
    """Hubs in order; a hub begins east of its widest empty range of longitudes."""
    found = []
    for tiles in components:
        if len(tiles) < mu:
            continue
        start, end = _widest_gap(sorted(grid.ring(tile) for tile in tiles))
        points = sum(count[tile] for tile in tiles)
        middle = {}
        for tile in tiles:
            west, east = grid.ring(tile)
            turns = (west + east) / 2 + (1 if west < start else 0)
            middle[tile] = 360 * turns - 180, Fraction(90 * (2 * tile[1] + 1), 2 * grid.rows)
        lon, lat = (
            sum((count[tile] * middle[tile][axis] for tile in tiles), Fraction()) / points
            for axis in (0, 1)
        )
        spread = [
            sum(count[tile] * (middle[tile][axis] - mean) ** 2 for tile in tiles) / points
            for axis, mean in enumerate((lon, lat))
        ]
        areas = (
            box_area(
                *(Fraction(0), Fraction(90 * y, grid.rows)),
                *(Fraction(360, grid.n(y)), Fraction(90 * (y + 1), grid.rows)),
            )
            for _, y in tiles
        )
        found.append(
            MetreHub(
                tiles=tiles,
                smallest=_smallest(tiles),
                points=points,
                peak=max(count[tile] for tile in tiles),
                west=360 * start - 180,
                east=360 * end - 180,
                lon=lon,
                lat=lat,
                variance_lon=spread[0],
                variance_lat=spread[1],
                area=math.fsum(areas),
            )
        )
    return sorted(found, key=lambda hub: (-hub.points, hub.smallest[1], hub.smallest[0]))


def _widest_gap(rings: list[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    """Where what tiles cover begins, east of the widest gap, and where it ends."""

    def mark(edge: Fraction) -> int:
        return math.floor(float(edge) * 2**52)

    gaps = []
    reach = rings[0][1]
    for west, east in rings[1:]:
        if west > reach:
            gaps.append((mark(west) - mark(reach), 0, -west, west, reach))
        reach = max(reach, east)
    first = rings[0][0]
    gaps.append((mark(first) + 2**52 - mark(reach), 1, -first, first, reach))  # that at 180 degrees
    return max(gaps)[3:]


def _nearest_division(length: Fraction, side: Fraction) -> int:
    """In how many parts to divide a length to make them nearest to a side."""
    fewer = max(1, math.floor(length / side))
    return min((fewer, fewer + 1), key=lambda n: abs(length / n - side))


# --- Runs: counts of keys -----------------------------------------------------------------------


def pack_key(tile_x: int, tile_y: int) -> int:
    """The key of a tile: row, then column, each moved up so that it is not negative."""
    return (tile_y + 2**31) * 2**32 + tile_x + 2**31


def add_counts(runs: Iterable[dict[int, int]], least: int) -> dict[int, int]:
    """The sum of every key's counts over all runs, where it is at least `least`."""
    total: dict[int, int] = {}
    for run in runs:
        for key, count in run.items():
            total[key] = total.get(key, 0) + count
    return {key: count for key, count in total.items() if count >= least}


# --- Coarsening ---------------------------------------------------------------------------------


def coarsened(count: dict[tuple[int, int], int], m: int) -> dict[tuple[int, int], int]:
    """Counts of the tiles whose indexes are floor-divided by m."""
    sums: dict[tuple[int, int], int] = {}
    for (x, y), n in count.items():
        sums[x // m, y // m] = sums.get((x // m, y // m), 0) + n
    return sums


def adaptive(
    count: dict[tuple[int, int], int],
    coarsenings: list[int],
    tau: int,
    mu: int,
    columns: Callable[[int], int],
    delta: int = 1,
    metric: str = "chebyshev",
) -> list[tuple[dict[tuple[int, int], int], list[set[tuple[int, int]]]]]:
    """For each level, what finer ones have left, and its hubs.

    `columns(m)`: columns around the earth of the grid coarsened by m.
    """
    left, before, levels = count, 1, []
    for m in coarsenings:
        left = coarsened(left, m // before)
        significant = {tile for tile, n in left.items() if n >= tau}
        components = agglomerate(significant, delta, metric, columns(m))
        found = [component for component in components if len(component) >= mu]
        levels.append((left, found))
        left = {tile: n for tile, n in left.items() if not any(tile in hub for hub in found)}
        before = m
    return levels


def rims(
    levels: list[tuple[dict[tuple[int, int], int], list[set[tuple[int, int]]]]],
    coarsenings: list[int],
    columns: Callable[[int], int],
    delta: int,
    metric: str,
) -> list[list[tuple[int, int] | None]]:
    """For each hub of each level of `adaptive` what it is a rim of: level and index, or None."""

    def rank(place: tuple[int, int]) -> tuple[int, int, int, int]:
        left, hubs_of_level = levels[place[0]]
        hub = hubs_of_level[place[1]]
        x, y = _smallest(hub)
        return place[0], -sum(left[tile] for tile in hub), y, x

    found: list[list[tuple[int, int] | None]] = []
    for level, (_, hubs_of_level) in enumerate(levels):
        m = coarsenings[level]
        found.append([])
        for hub in hubs_of_level:
            points: dict[tuple[int, int], int] = {}
            for finer in range(level):
                ratio = m // coarsenings[finer]
                for i, core in enumerate(levels[finer][1]):
                    place = found[finer][i] or (finer, i)
                    for tile in core:
                        above = tile[0] // ratio, tile[1] // ratio
                        if any(_distance(above, own, metric, columns(m)) <= delta for own in hub):
                            points[place] = points.get(place, 0) + levels[finer][0][tile]
            best = min(points, key=lambda place: (-points[place], rank(place)), default=None)
            found[-1].append(best)
    return found


# --- Explaining a place -------------------------------------------------------------------------


def is_in_hub(
    count: dict[tuple[int, int], int],
    tile: tuple[int, int],
    tau: int,
    mu: int,
    delta: int,
    metric: str,
    columns: int,
) -> bool:
    """Whether a tile belongs to a component of at least mu tiles of at least tau points."""
    significant = {other for other, n in count.items() if n >= tau}
    components = agglomerate(significant, delta, metric, columns)
    return any(tile in component and len(component) >= mu for component in components)


def nearest_change(answers: dict[int, bool], now: int) -> int | None:
    """The value nearest to `now` whose answer is another one; None where there is none."""
    others = [value for value, answer in answers.items() if answer != answers[now]]
    return min(others, key=lambda value: abs(value - now), default=None)


# --- Reading: numbers and CSV -------------------------------------------------------------------


def read_number(cell: str | None) -> tuple[str, float]:
    """Kind ("null", "text" or "number") and value of a cell."""
    text = (cell or "").strip(" \t\n\r\v\f")
    if text.lower() in {"", "null", "na"}:
        return "null", math.nan
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return "text", math.nan
    value = float(text)
    return ("number", value) if math.isfinite(value) else ("text", math.nan)


def read_integer(cell: str | None) -> tuple[str, int]:
    """Kind and value of a cell that must be an integer of 64 bits."""
    kind, value = read_number(cell)
    if kind != "number":
        return kind, 0
    if abs(value) > 1e20 or abs(value) < 1e-300:
        return ("number", 0) if Decimal((cell or "").strip()) == 0 else ("text", 0)
    exact = Fraction((cell or "").strip())
    if exact.denominator == 1 and -(2**63) <= exact < 2**63:
        return "number", int(exact)
    return "text", 0


@dataclass(frozen=True)
class CsvRecord:
    """A record of CSV: its first line (from 1), its text without line end, its cells."""

    line: int
    text: str
    cells: list[str]


def csv_records(text: str, delimiter: str) -> list[CsvRecord]:
    """Every record of CSV text that is not an empty line, as Python's csv module reads them."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    records = []
    line = 1
    for cells in csv.reader(lines(), delimiter=delimiter):
        record = "".join(taken)
        # A line end within a quote that is never closed belongs to the record.
        if len(list(csv.reader(io.StringIO(record + "x", newline=""), delimiter=delimiter))) > 1:
            record = re.sub("(\r\n|\n|\r)$", "", record)
        if cells:
            records.append(CsvRecord(line, record, cells))
        line += len(taken)
        taken.clear()
    return records


# --- States -------------------------------------------------------------------------------------


def content_hash(
    grid: dict[str, object],
    rows: dict[str, int],
    tiles: Iterable[tuple[int, ...]],
    dims: object = None,
) -> str:
    """Content hash of a state: of the description of its grid and further dimensions, its rows,
    and its tiles: x, y, the other indexes, and the count."""
    ordered = sorted(tiles, key=lambda tile: (tile[1], tile[0], *tile[2:]))
    digests = b""
    for start in range(0, len(ordered), 65536):
        group = ordered[start : start + 65536]
        digest = hashlib.sha256()
        for column in range(len(group[0])):
            width = 8 if column == len(group[0]) - 1 else 4
            for tile in group:
                digest.update(tile[column].to_bytes(width, "little", signed=True))
        digests += digest.digest()
    told = {"grid": grid, "rows": rows} | ({} if dims is None else {"dims": dims})
    header = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"gridcli state 1\n{header}\n".encode() + digests).hexdigest()


# --- Names over time ----------------------------------------------------------------------------


def shared_points(
    old: Iterable[tuple[int, int, int, str | None]],
    new: Iterable[tuple[int, int, int, str | None]],
) -> dict[tuple[str, str], int]:
    """Points that each pair of an old and a new hub shares; tiles are (x, y, count, hub)."""
    was = {(x, y): (count, hub) for x, y, count, hub in old}
    shared: dict[tuple[str, str], int] = {}
    for x, y, count, hub in new:
        before, owner = was.get((x, y), (0, None))
        if owner is not None and hub is not None:
            shared[owner, hub] = shared.get((owner, hub), 0) + min(before, count)
    return shared


def taken_over_keys(
    old: list[tuple[int, int, int, str | None]],
    new: list[tuple[int, int, int, str | None]],
    ranked: list[str],
) -> tuple[list[str], list[list[str]]]:
    """Keys of new hubs, and what each absorbed; `ranked`: their own keys by hub_id."""
    first_rows = {}
    for row, (_, _, _, hub) in enumerate(old):
        if hub is not None:
            first_rows.setdefault(hub, row)
    shared = shared_points(old, new)
    order = sorted(shared, key=lambda p: (-shared[p], ranked.index(p[1]), first_rows[p[0]]))
    owner_of: dict[str, str] = {}
    for owner, hub in order:
        if owner not in owner_of.values() and hub not in owner_of:
            owner_of[hub] = owner
    names = []
    for hub in ranked:
        name, n = owner_of.get(hub, hub), 1
        while hub not in owner_of and name in first_rows:
            n += 1
            name = f"{hub}~{n}"
        names.append(name)
    absorbed: list[list[str]] = [[] for _ in ranked]
    for owner in first_rows:
        if owner not in owner_of.values():
            partners = [pair for pair in order if pair[0] == owner]
            if partners:
                absorbed[ranked.index(partners[0][1])].append(owner)
    for hub, owners in zip(ranked, absorbed, strict=True):
        owners.sort(key=lambda owner: order.index((owner, hub)))
    return names, absorbed


# --- Relaxation -----------------------------------------------------------------------------------


def relaxed(
    count: dict[tuple[int, int], int], tau: int, window: str | None, epsilon: int, grid: Grid
) -> dict[tuple[int, int], str]:
    """The kind of every tile that counts (docs/contract.md, section 3)."""
    significant = {tile for tile, n in count.items() if n >= tau}
    kinds = dict.fromkeys(significant, "significant")
    if grid.rows_differ:
        return kinds | _relaxed_metres(count, tau, window, epsilon, grid, significant)

    def around(x: int) -> int:
        return x if grid.planar else (x - grid.first_column) % grid.columns + grid.first_column

    if window is not None:
        for x, y in count:
            for west, south in ((x - 1, y - 1), (x - 1, y), (x, y - 1), (x, y)):
                if not grid.planar and not grid.first_row <= south < grid.last_row:
                    continue
                rows, columns = (south, south + 1), (around(west), around(west + 1))
                block = {(column, row) for column in columns for row in rows}
                is_wanted = window == "all" or not block & significant
                if is_wanted and sum(count.get(tile, 0) for tile in block) >= tau:
                    for tile in (tile for tile in block if tile in count):
                        kinds.setdefault(tile, "window")
    for (x, y), n in count.items():
        steps = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]
        near = {(around(x + dx), y + dy) for dx, dy in steps} & significant
        if tau - epsilon <= n < tau and len(near) >= 2:
            kinds.setdefault((x, y), "epsilon")
    return kinds


# --- Enclosing shapes -----------------------------------------------------------------------------


def least_ellipse_area(points: Iterable[tuple[float, float]], steps: int = 4_000) -> float:
    """Return an area that no ellipse around the points undercuts, and the smallest nearly has.

    Whatever the weights of points, the ellipse of their scatter, twice as large in squared units,
    has at most the area of the smallest one around them (duality). Weights are multiplied by how
    far out their points lie until they hardly change (Titterington, Estimation of correlation
    coefficients by ellipsoidal trimming, 1978).
    """
    points = list(points)
    weight = [1 / len(points)] * len(points)
    determinant = 0.0
    for _ in range(steps):
        x0 = sum(w * x for w, (x, _) in zip(weight, points, strict=True))
        y0 = sum(w * y for w, (_, y) in zip(weight, points, strict=True))
        away = [(x - x0, y - y0) for x, y in points]
        xx = sum(w * x * x for w, (x, _) in zip(weight, away, strict=True))
        xy = sum(w * x * y for w, (x, y) in zip(weight, away, strict=True))
        yy = sum(w * y * y for w, (_, y) in zip(weight, away, strict=True))
        determinant = xx * yy - xy * xy
        distance = [(yy * x * x - 2 * xy * x * y + xx * y * y) / determinant for x, y in away]
        if max(distance) < 2.0001:
            break
        weight = [w * (1 + d) / 3 for w, d in zip(weight, distance, strict=True)]
    return 2 * math.pi * math.sqrt(determinant)


# --- Distinct coordinates -------------------------------------------------------------------------


def unique_count(
    rows: Iterable[tuple[float, float, object]], prec: str
) -> tuple[dict[tuple[int, int], int], int]:
    """Distinct (longitude, latitude, vehicle) of each tile, and how many rows repeat one."""
    seen: set[tuple[tuple[int, int], float, float, object]] = set()
    used = 0
    for lon, lat, vehicle in rows:
        tile = project(lon, lat, prec)
        if not isinstance(tile, str):
            used += 1
            seen.add((tile, lon - 360 if lon >= 180 else lon, lat, vehicle))
    return Counter(tile for tile, *_ in seen), used - len(seen)


# --- Further dimensions -------------------------------------------------------------------------


def clock_bin(micros: int, kind: str, prec: int, tz: str, lon: float) -> int:
    """Bin of the hour or the weekday that a clock shows at an instant (since 1970, UTC)."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    if tz == "solar":
        wrapped = lon - 360 if lon >= 180 else lon
        instant += timedelta(milliseconds=round(wrapped * 240_000))
    elif tz != "UTC":
        instant = instant.astimezone(ZoneInfo(tz))
    hours = Fraction(instant.microsecond, 10**6) + instant.second + 60 * instant.minute
    hours = hours / 3600 + instant.hour
    units = hours if kind == "hour" else instant.weekday() + hours / 24
    return math.floor(units * 10**prec)


def number_bin(value: float, prec: int, low: float, high: float) -> int | str:
    """Bin of a number within bounds, the upper one in the last bin; or why it has none."""
    if not math.isfinite(value):
        return "not_a_number"
    if not low <= value <= high:
        return "out_of_range"
    k = floor_tile(value, prec)
    return k - 1 if value == high and k > floor_tile(low, prec) and k == _exact(high, prec) else k


def _exact(value: float, prec: int) -> Fraction:
    return Fraction(Decimal(repr(value))) * Fraction(10) ** prec


def dims_components(
    tiles: set[tuple[int, ...]], delta: int, metric: str, periods: tuple[int, ...]
) -> list[set[tuple[int, ...]]]:
    """Components of tiles in d dimensions, ordered by smallest tile.

    `periods`: after how many tiles each dimension begins again, 0 for never.
    """
    remaining = set(tiles)
    components = []
    while remaining:
        stack = [remaining.pop()]
        component = set(stack)
        while stack:
            tile = stack.pop()
            reached = {
                other for other in remaining if dims_distance(tile, other, metric, periods) <= delta
            }
            remaining -= reached
            component |= reached
            stack += reached
        components.append(component)
    return sorted(components, key=min)


def dims_distance(
    a: tuple[int, ...], b: tuple[int, ...], metric: str, periods: tuple[int, ...]
) -> int:
    steps = []
    for i, j, period in zip(a, b, periods, strict=True):
        step = abs(i - j)
        steps.append(min(step, period - step) if period else step)
    return max(steps) if metric == "chebyshev" else sum(steps)


def span(bins: set[int], period: int) -> tuple[int, int]:
    """First and last bin of a hub; around a circle, all others lie in its widest empty range."""
    ordered = sorted(bins)
    if not period:
        return ordered[0], ordered[-1]
    gaps = [(ordered[0] + period - ordered[-1], 1, 0)]  # the one at the end wins ties
    gaps += [(ordered[i] - ordered[i - 1], 0, -i) for i in range(1, len(ordered))]
    start = -max(gaps)[2]
    return ordered[start], ordered[start - 1]


def _relaxed_metres(
    count: dict[tuple[int, int], int],
    tau: int,
    window: str | None,
    epsilon: int,
    grid: Grid,
    significant: set[tuple[int, int]],
) -> dict[tuple[int, int], str]:
    """The tiles that are added where rows have different columns; longitudes in turns, exactly."""
    columns = {y: int(grid.columns_of([y])[0]) for _, y in count}
    sides = {(x, y): (Fraction(x, columns[y]), Fraction(x + 1, columns[y])) for x, y in count}
    kinds = {}
    for side in sorted({edge for edges in sides.values() for edge in edges}):
        for south in {row + step for row in columns for step in (-1, 0)}:
            if not grid.first_row <= south < grid.last_row:
                continue
            # A corner is one only where a border of one of its two rows is.
            rows = [y for y in (south, south + 1) if y in columns]
            if all((side * columns[y]).denominator != 1 for y in rows):
                continue
            block = {
                (x, y)
                for (x, y), (west, east) in sides.items()
                if y in rows and any(west <= side + turn <= east for turn in (-1, 0, 1))
            }
            is_wanted = window == "all" or (window == "gaps" and not block & significant)
            if is_wanted and sum(count[tile] for tile in block) >= tau:
                kinds |= dict.fromkeys(block - significant, "window")
    for tile, n in count.items():
        near = {
            other
            for other in significant - {tile}
            if abs(other[1] - tile[1]) <= 1
            and any(
                sides[other][0] + turn <= sides[tile][1]
                and sides[tile][0] <= sides[other][1] + turn
                for turn in (-1, 0, 1)
            )
        }
        if tau - epsilon <= n < tau and len(near) >= 2:
            kinds.setdefault(tile, "epsilon")
    return kinds


def refined(
    count: dict[tuple[int, int], int],
    hubs_of_tiles: list[set[tuple[int, int]]],
    m: int,
    least: int,
) -> list[set[tuple[int, int]]]:
    """The subtiles that show each hub, m by m to a tile: those that count, or else all."""
    shown = []
    for hub in hubs_of_tiles:
        inside = {(x, y) for x, y in count if (x // m, y // m) in hub}
        shown.append({tile for tile in inside if count[tile] >= least} or inside)
    return shown


# --- Labelled rows -----------------------------------------------------------------------------


def labelled(
    points: Iterable[tuple[float | str | None, float | str | None]],
    prec: str,
    hub_of_tile: dict[tuple[int, int], int],
    *,
    keep_noise: bool = False,
) -> list[tuple[int, int | None, str | None]]:
    """Row, hub and reason of each (longitude, latitude) that is written."""
    found = []
    for row, point in enumerate(points):
        tile: tuple[int, int] | str
        if None in point:
            tile = "null"
        elif any(isinstance(value, str) for value in point):
            tile = "not_a_number"
        else:
            lon, lat = point
            assert isinstance(lon, float)
            assert isinstance(lat, float)
            tile = project(lon, lat, prec)
        hub = None if isinstance(tile, str) else hub_of_tile.get(tile)
        if hub is not None or keep_noise:
            found.append((row, hub, tile if isinstance(tile, str) else None))
    return found
