"""What the user wants written and shown: targets, their formats, and the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridcli.cli.values import is_standard_stream
from gridcli.errors import UsageError
from gridcli.output.formats import check_format, format_of

if TYPE_CHECKING:
    from gridcli.runtime.progress import Progress


@dataclass(frozen=True)
class OutputChoice:
    """Which files to write."""

    output: str
    format: str | None
    tiles: str | None
    clusters: str | None
    geometry: str
    crs: str | None
    overwrite: bool

    def layers(self) -> dict[str, str]:
        """Return the target of each layer asked for, the hubs first."""
        asked = {"hubs": self.output, "clusters": self.clusters, "tiles": self.tiles}
        return {layer: name for layer, name in asked.items() if name is not None}

    def check_suffixes(self) -> None:
        """Refuse what no coordinates could be written as: before it is known what they are."""
        self.formats(planar=self.crs is not None)

    def formats(self, *, planar: bool) -> dict[str, str]:
        """Return the format of each layer; `--format` is that of ``-`` if used, else of the hubs.

        Raises
        ------
        UsageError
            A suffix says nothing, or the format cannot hold the coordinates.
        """
        if self.crs is not None and not planar:
            raise UsageError("--crs needs --planar; geographic outputs are WGS84.")
        found = {}
        told = next(filter(is_standard_stream, self.layers().values()), self.output)
        for layer, name in self.layers().items():
            found[layer] = format_of(name, self.format if name == told else None)
            check_format(found[layer], planar=planar, crs=self.crs)
        return found


@dataclass(frozen=True)
class ScreenChoice:
    """What to show, and where."""

    progress: str | None
    progress_interval: float
    quiet: bool

    @property
    def is_talkative(self) -> bool:
        """Whether messages for people are wanted: not where standard error carries JSON lines."""
        return not self.quiet and self.progress != "json"

    def make_progress(self) -> Progress:
        """Return the progress display: a bar on a terminal, else lines, unless told."""
        import sys

        from gridcli.runtime.progress import Progress

        if self.quiet or sys.stderr is None:
            return Progress("none")
        mode: Any = self.progress or ("bar" if sys.stderr.isatty() else "plain")
        return Progress(mode, interval_s=self.progress_interval)
