"""The figures of docs/algorithms.md: small clouds of points, and what `gridcli raster` finds.

Usage: python -m benchmarks.figures [FOLDER]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.drawing import GREY, INK, PALETTE, Drawing, Frame, Place
from benchmarks.paper_table import gridcli
from gridcli.grid.ellipsoid import metres_per_radian

FOLDER = Path("docs/figures")
GAP, HEAD, FOOT = 12, 26, 24
LIGHT = "#dddddd"
TILES_PER_DEGREE = 10_000
ORIGIN = (119_700, 577_000)
"""The tile at precision 4 that the figures in units of tiles have at (0, 0)."""
NORTH, EAST = 60.0, 11.0

Floats = npt.NDArray[np.float64]
Ring = list[Place]


@dataclass(frozen=True)
class Shape:
    """A feature: its rings, in the units of a figure, and its properties."""

    rings: list[Ring]
    properties: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a run wrote: hubs, tiles that count, and the counts of all tiles by their indexes."""

    hubs: list[Shape]
    tiles: list[Shape]
    counts: dict[tuple[int, int], int]


Scale = Callable[[Place], Place]


def found(points: Floats, scale: Scale, *options: str | int) -> Found:
    """Run `gridcli raster`; longitudes and latitudes of the result become units of a figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lon, lat = points.T
        pq.write_table(pa.table({"lon": lon, "lat": lat}), folder / "points.parquet")
        gridcli(
            *("raster", folder / "points.parquet", "-q", *options),
            *("-o", folder / "hubs.geojson", "--tiles", folder / "tiles.geojson"),
            *("--state", folder / "state.parquet"),
        )
        state = pq.read_table(folder / "state.parquet")
        x, y, count = (state.column(name).to_pylist() for name in ("tile_x", "tile_y", "count"))
        return Found(
            _shapes(folder / "hubs.geojson", scale),
            _shapes(folder / "tiles.geojson", scale),
            dict(zip(zip(x, y, strict=True), count, strict=True)),
        )


def _shapes(path: Path, scale: Scale) -> list[Shape]:
    """Return the features of a GeoJSON file; a centroid is a shape without rings."""
    shapes = []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        kind, places = feature["geometry"]["type"], feature["geometry"]["coordinates"]
        polygons = {"Point": [], "Polygon": [places], "MultiPolygon": places}[kind]
        rings = [[scale((x, y)) for x, y in ring] for polygon in polygons for ring in polygon]
        shapes.append(Shape(rings, feature["properties"]))
    return shapes


def in_tiles(place: Place) -> Place:
    """Return degrees in tiles of precision 4 from `ORIGIN`."""
    return place[0] * TILES_PER_DEGREE - ORIGIN[0], place[1] * TILES_PER_DEGREE - ORIGIN[1]


def in_degrees(points: Floats) -> Floats:
    """Return the reverse of `in_tiles`."""
    return (points + ORIGIN) / TILES_PER_DEGREE


def cloud(seed: int, *centres: tuple[float, float, float, int]) -> Floats:
    """Return normally distributed points: x and y of a centre, spread, number of points."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal((x, y), spread, (n, 2)) for x, y, spread, n in centres])


def filled(counts: dict[tuple[int, int], int], seed: int = 1) -> Floats:
    """Return points at random places well inside tiles, so many in each."""
    random = np.random.default_rng(seed)
    tiles = np.repeat(np.array(list(counts)), list(counts.values()), axis=0)
    return tiles + random.uniform(0.15, 0.85, tiles.shape)


# --- Panels ---------------------------------------------------------------------------------------


def panels(
    titles: Sequence[str], box: tuple[float, float, float, float], width: int
) -> tuple[Drawing, list[Frame]]:
    """Return a drawing with panels side by side, each of the same part of the plane."""
    west, south, east, north = box
    height = round(width * (north - south) / (east - west))
    drawing = Drawing(GAP + (width + GAP) * len(titles), HEAD + height + FOOT)
    frames = []
    for at, title in enumerate(titles):
        frame = Frame(GAP + at * (width + GAP), HEAD, width, height, *box)
        drawing.words(frame.left + width / 2, HEAD - 9, title, size=13)
        frames.append(frame)
    return drawing, frames


def draw_grid(drawing: Drawing, frame: Frame) -> None:
    """Draw the edges of tiles of side 1."""
    columns = range(int(np.ceil(frame.west)), int(frame.east) + 1)
    rows = range(int(np.ceil(frame.south)), int(frame.north) + 1)
    drawing.lines(frame, [((x, frame.south), (x, frame.north)) for x in columns], LIGHT)
    drawing.lines(frame, [((frame.west, y), (frame.east, y)) for y in rows], LIGHT)


def draw_tiles(drawing: Drawing, frame: Frame, tiles: Sequence[Shape]) -> None:
    """Draw tiles in the colour of their hub, those of none grey; added ones with dashes."""
    for tile in tiles:
        hub, kind = tile.properties["hub_id"], tile.properties["kind"]
        colour = GREY if hub is None else PALETTE[(int(hub) - 1) % len(PALETTE)]
        is_added = kind != "significant"
        drawing.outline(
            frame,
            tile.rings,
            fill=colour,
            stroke=colour,
            opacity=0.2 if is_added else 0.5,
            dashes="3 2" if is_added else "",
        )


def draw_counts(drawing: Drawing, frame: Frame, counts: dict[tuple[int, int], int]) -> None:
    """Write the number of points into each tile."""
    for (x, y), count in counts.items():
        place = (x - ORIGIN[0] + 0.5, y - ORIGIN[1] + 0.5)
        left, top = frame.pixel(place)
        drawing.words(left, top + 4, str(count), size=11)


def tell_hubs(drawing: Drawing, frame: Frame, result: Found) -> None:
    """Write below a panel how many hubs there are."""
    n, added = len(result.hubs), sum(t.properties["kind"] != "significant" for t in result.tiles)
    words = [f"{n or 'no'} hub{'' if n == 1 else 's'}"]
    if added:
        words.append(f"{added} tile{'' if added == 1 else 's'} added")
    foot = frame.top + frame.height + 16
    drawing.words(frame.left + frame.width / 2, foot, ", ".join(words), size=11)


# --- Figures --------------------------------------------------------------------------------------


def raster() -> Drawing:
    """Draw contraction and agglomeration."""
    points = cloud(
        2, (4.0, 7.0, 0.9, 90), (9.0, 3.5, 0.8, 70), (10.5, 9.5, 0.35, 14), (7.0, 6.0, 4.0, 60)
    )
    box = (0.0, 0.0, 13.0, 12.0)
    drawing, frames = panels(
        ("points on a grid", "contraction: counts, tau 4", "agglomeration: hubs, mu 4"), box, 300
    )
    inside = points[np.all((points > 0.02) & (points < np.array(box[2:]) - 0.02), axis=1)]
    result = found(in_degrees(inside), in_tiles, "--prec", 4, "--tau", 4, "--mu", 4)
    for at, frame in enumerate(frames):
        draw_grid(drawing, frame)
        if at == 1:
            for tile in result.tiles:
                drawing.outline(frame, tile.rings, fill=GREY, stroke=GREY, opacity=0.4)
            draw_counts(drawing, frame, result.counts)
        else:
            if at == 2:
                draw_tiles(drawing, frame, result.tiles)
            drawing.dots(frame, inside.tolist(), INK)
        drawing.box(frame)
    tell_hubs(drawing, frames[2], result)
    return drawing


def compared(
    points: Floats, box: tuple[float, float, float, float], *runs: tuple[str, tuple[str | int, ...]]
) -> Drawing:
    """Draw the tiles that several runs find, beside each other."""
    drawing, frames = panels([title for title, _ in runs], box, 300)
    for frame, (_, options) in zip(frames, runs, strict=True):
        result = found(in_degrees(points), in_tiles, "--prec", 4, *options)
        draw_grid(drawing, frame)
        draw_tiles(drawing, frame, result.tiles)
        drawing.dots(frame, points.tolist(), INK, size=3.0)
        drawing.box(frame)
        tell_hubs(drawing, frame, result)
    return drawing


def window() -> Drawing:
    """Draw four points around a corner (the paper's figure 4), and a hub with a thin edge."""
    corner = np.array([(1.8, 2.85), (2.15, 3.2), (1.85, 3.2), (2.2, 2.8)])
    dense = {(6, 2): 9, (7, 2): 7, (6, 3): 8, (7, 3): 5, (8, 3): 4, (8, 2): 2, (5, 3): 2}
    points = np.concatenate([corner, filled({**dense, (5, 2): 1, (8, 4): 1, (7, 4): 2})])
    options = ("--tau", 4, "--mu", 4)
    return compared(
        points,
        (0.0, 0.0, 10.0, 6.0),
        ("tau 4, mu 4", options),
        ("--window", (*options, "--window", "gaps")),
        ("--window all", (*options, "--window", "all")),
    )


def epsilon() -> Drawing:
    """Draw a tile with a point too few between two hubs, and another one on its own."""
    points = filled(
        {
            **dict.fromkeys([(1, 2), (1, 3), (4, 3), (6, 2)], 5),
            **dict.fromkeys([(2, 2), (2, 3), (5, 2), (5, 3), (6, 3)], 8),
            **dict.fromkeys([(3, 2), (8, 4)], 4),
        }
    )
    options = ("--tau", 5, "--mu", 4)
    return compared(
        points,
        (0.0, 0.0, 10.0, 6.0),
        ("tau 5, mu 4", options),
        ("--epsilon 1", (*options, "--epsilon", 1)),
    )


def refine() -> Drawing:
    """Draw the outline of a hub from its tiles, and from tiles ten times as narrow."""
    random = np.random.default_rng(3)
    angle = random.uniform(0.0, 1.5 * np.pi, 2_500)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) * random.normal(2.4, 0.22, (2_500, 1))
    points = ring + np.array([4.5, 3.6])
    box = (1.0, 0.0, 8.0, 8.0)
    runs = {"--prec 4": (), "--prec 4 --refine 1": ("--refine", 1)}
    drawing, frames = panels(list(runs), box, 300)
    for frame, options in zip(frames, runs.values(), strict=True):
        settings = ("--prec", 4, "--tau", 40, "--mu", 4, "--geometry", "polygon")
        result = found(in_degrees(points), in_tiles, *settings, *options)
        draw_grid(drawing, frame)
        drawing.dots(frame, points.tolist(), GREY, size=1.5)
        for hub in result.hubs:
            drawing.outline(frame, hub.rings, fill=PALETTE[0], stroke=PALETTE[0], opacity=0.35)
        drawing.box(frame)
        area = sum(hub.properties["area_m2"] for hub in result.hubs)
        foot = frame.top + frame.height + 16
        drawing.words(frame.left + frame.width / 2, foot, f"area {area:,.0f} m2", size=11)
    return drawing


def in_metres(place: Place) -> Place:
    """Return degrees in metres east and north of a place at 60 degrees north."""
    east, north = (float(each[0]) for each in metres_per_radian(np.array([NORTH])))
    return float(np.radians(place[0] - EAST) * east), float(np.radians(place[1] - NORTH) * north)


def from_metres(points: Floats) -> Floats:
    """Return the reverse of `in_metres`."""
    east, north = (float(each[0]) for each in metres_per_radian(np.array([NORTH])))
    return np.array([EAST, NORTH]) + np.degrees(points / [east, north])


def metres() -> Drawing:
    """Draw a round yard at 60 degrees north, on tiles of degrees and on tiles of metres."""
    random = np.random.default_rng(4)
    angle, radius = random.uniform(0, 2 * np.pi, 1_200), 40 * np.sqrt(random.random(1_200))
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    runs = {"--prec 4: 5.6 m by 11.1 m": ("--prec", "4"), "--tile-size 11m": ("--tile-size", "11m")}
    drawing, frames = panels(list(runs), (-58.0, -52.0, 58.0, 52.0), 340)
    for frame, options in zip(frames, runs.values(), strict=True):
        result = found(from_metres(points), in_metres, *options, "--tau", 8, "--mu", 4)
        draw_tiles(drawing, frame, result.tiles)
        drawing.dots(frame, points.tolist(), INK, size=1.5)
        drawing.box(frame)
        n = sum(tile.properties["hub_id"] is not None for tile in result.tiles)
        foot = frame.top + frame.height + 16
        words = f"{n} tiles in {len(result.hubs)} hub, tau 8"
        drawing.words(frame.left + frame.width / 2, foot, words, size=11)
    return drawing


def shapes() -> Drawing:
    """Draw one hub as polygon, convex hull and ellipse."""
    points = cloud(5, (3.0, 3.0, 0.7, 160), (5.6, 4.2, 0.8, 160), (6.4, 7.0, 0.6, 100))
    kinds = ("polygon", "hull", "ellipse")
    drawing, frames = panels(
        [f"--geometry {kind}" for kind in kinds], (-0.5, -0.5, 10.5, 10.5), 300
    )
    for frame, kind in zip(frames, kinds, strict=True):
        settings = ("--prec", 4, "--tau", 5, "--mu", 4, "--geometry", kind)
        result = found(in_degrees(points), in_tiles, *settings)
        draw_tiles(drawing, frame, result.tiles)
        drawing.dots(frame, points.tolist(), INK, size=1.5)
        for hub in result.hubs:
            drawing.outline(frame, hub.rings, stroke=PALETTE[1], width=2.5)
        drawing.box(frame)
    return drawing


FIGURES = {
    "raster": raster,
    "window": window,
    "epsilon": epsilon,
    "refine": refine,
    "metres": metres,
    "shapes": shapes,
}


def main() -> None:
    """Draw all figures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, draw in FIGURES.items():
        draw().write(folder / f"{name}.svg")
        print(folder / f"{name}.svg", flush=True)


if __name__ == "__main__":
    main()
