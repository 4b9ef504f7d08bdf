"""Drawings as small SVG files: panels of dots, rectangles, outlines and words, in whole pixels.

The files are the same, byte for byte, wherever they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

PALETTE = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"),
    *("#ee7733", "#009988", "#994455", "#6699cc", "#997700", "#332288"),
)
"""Colours of hubs, by rank; after the last one they begin again. After Paul Tol's schemes."""
GREY = "#aaaaaa"
INK = "#333333"

Place = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A part of a drawing with coordinates of its own, y upwards.

    Attributes
    ----------
    left, top, width, height : float
        Where it lies, in pixels.
    west, south, east, north : float
        The coordinates of its sides.
    """

    left: float
    top: float
    width: float
    height: float
    west: float
    south: float
    east: float
    north: float

    def pixel(self, place: Place) -> Place:
        """Return where a place lies in the drawing."""
        x, y = place
        across = (x - self.west) / (self.east - self.west)
        up = (y - self.south) / (self.north - self.south)
        return self.left + across * self.width, self.top + (1 - up) * self.height


@dataclass
class Drawing:
    """An SVG file in the making; what comes later lies above."""

    width: int
    height: int
    _parts: list[str] = field(default_factory=list)

    def box(self, frame: Frame) -> None:
        """Draw the border of a frame."""
        self._parts.append(
            f'<rect x="{_short(frame.left)}" y="{_short(frame.top)}" width="{_short(frame.width)}" '
            f'height="{_short(frame.height)}" fill="none" stroke="{GREY}"/>'
        )

    def dots(self, frame: Frame, places: Iterable[Place], colour: str, size: float = 2.0) -> None:
        """Draw places as dots; those of one pixel are one."""
        pixels = sorted({tuple(map(round, frame.pixel(place))) for place in places})
        path: list[str] = []
        x = y = 0
        for to_x, to_y in pixels:
            path.append(f"m{to_x - x} {to_y - y}h0" if path else f"M{to_x} {to_y}h0")
            x, y = to_x, to_y
        self._parts.append(
            f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="{_short(size)}" '
            'stroke-linecap="round" fill="none"/>'
        )

    def outline(
        self,
        frame: Frame,
        rings: Iterable[Sequence[Place]],
        *,
        fill: str = "none",
        stroke: str = INK,
        width: float = 1.0,
        opacity: float = 1.0,
        dashes: str = "",
    ) -> None:
        """Draw closed rings as one shape; the inner ones of rings within others are holes."""
        path = "".join(
            "M" + "L".join(" ".join(map(_short, frame.pixel(place))) for place in ring) + "Z"
            for ring in rings
        )
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<path d="{path}" fill="{fill}" fill-opacity="{_short(opacity)}" '
            f'fill-rule="evenodd" stroke="{stroke}" stroke-width="{_short(width)}"{dashed}/>'
        )

    def lines(self, frame: Frame, ends: Iterable[tuple[Place, Place]], colour: str) -> None:
        """Draw thin straight lines."""
        path = "".join(
            "M" + "L".join(" ".join(map(_short, frame.pixel(place))) for place in line)
            for line in ends
        )
        self._parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="0.5" fill="none"/>')

    def words(
        self, x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle"
    ) -> None:
        """Write a line of text; its foot is at y."""
        self._parts.append(
            f'<text x="{_short(x)}" y="{_short(y)}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{INK}">{escape(text)}</text>'
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="sans-serif">'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([head, ground, *self._parts, "</svg>", ""]), encoding="utf-8")


def _short(number: float) -> str:
    """Return a number with at most one decimal."""
    return f"{number:.1f}".removesuffix(".0")
