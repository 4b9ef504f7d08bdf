"""What a state file says of itself: its grid, which rows it counts, and where they come from."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from gridcli import __version__
from gridcli.dims.axes import Axis
from gridcli.dims.grid import DimsGrid
from gridcli.errors import InputError
from gridcli.grid.grid import Grid
from gridcli.grid.records import grid_of_record
from gridcli.points.batch import Reason, RowCounts
from gridcli.raster.unique.rule import UniqueRule
from gridcli.states.content import canonical_json

if TYPE_CHECKING:
    from gridcli.points.unchanged import Stamp

KIND = "state"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class InputRecord:
    """One input that a state counts.

    Attributes
    ----------
    path : str
        The real path, or ``-`` for standard input.
    size_bytes, mtime_ns : int or None
        None for a stream.
    fingerprint : str or None
        Of the content (`gridcli.states.provenance.fingerprint`); None for a stream.
    input_id : str or None
        What the user called a stream by (--input-id).
    """

    path: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    fingerprint: str | None = None
    input_id: str | None = None

    @property
    def identity(self) -> str | None:
        """What two records of the same input share; None where nothing identifies the input."""
        if self.fingerprint is not None:
            return f"content {self.fingerprint}"
        return None if self.input_id is None else f"id {self.input_id}"

    @property
    def stamp(self) -> Stamp | None:
        """What the file is known by while it is read (`gridcli.points.unchanged`)."""
        if self.size_bytes is None or self.mtime_ns is None:
            return None
        return self.size_bytes, self.mtime_ns

    @property
    def shown(self) -> str:
        """The input as messages name it."""
        if self.path != "-":
            return self.path
        return "standard input" if self.input_id is None else f"standard input '{self.input_id}'"


@dataclass(frozen=True)
class Rules:
    """Which rows of the inputs are points: the population rules of a state.

    Attributes
    ----------
    columns : tuple of str
        The columns of x and y (longitude and latitude), or the one of a point geometry; those of
        the first input.
    where : tuple of str
        All --where expressions.
    bbox : tuple of float or None
        West, south, east, north.
    scale : Fraction or None
        --scale.
    keep_null_island : bool
    unique : UniqueRule or None
        --unique: each distinct coordinate counts once for each run that added to the state.
    axes : tuple of Axis
        --dims: what tells tiles over one place apart; none in two dimensions.
    """

    columns: tuple[str, ...]
    where: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    scale: Fraction | None = None
    keep_null_island: bool = False
    unique: UniqueRule | None = None
    axes: tuple[Axis, ...] = ()


@dataclass(frozen=True)
class StateInfo:
    """Everything that a state file holds besides its tiles.

    Attributes
    ----------
    grid : Grid
    rules : Rules
    counts : RowCounts
        Rows read, and what became of them.
    inputs : tuple of InputRecord
        In the order in which they were counted; one counted twice stands here twice.
    content_hash : str
        See `gridcli.states.content`.
    n_tiles, n_points, largest_count : int
        Tiles with at least one point, the points in them, and those of the fullest.
    """

    grid: Grid
    rules: Rules
    counts: RowCounts = field(default_factory=RowCounts)
    inputs: tuple[InputRecord, ...] = ()
    content_hash: str = ""
    n_tiles: int = 0
    n_points: int = 0
    largest_count: int = 0

    @property
    def dims(self) -> DimsGrid | None:
        """The grid in d dimensions; None where there are two."""
        return DimsGrid(self.grid, self.rules.axes) if self.rules.axes else None


def to_record(info: StateInfo) -> dict[str, Any]:
    """Return the information as a JSON-ready record; the list of inputs is compressed."""
    rules = asdict(info.rules)
    rules["scale"] = None if info.rules.scale is None else str(info.rules.scale)
    del rules["axes"]
    rules["dims"] = [axis.describe() for axis in info.rules.axes]
    return {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "written_by": __version__,
        "grid": info.grid.describe(),
        "rules": rules,
        "rows": info.counts.record(),
        "rows_outside": info.counts.outside,
        "content_hash": info.content_hash,
        "tiles": info.n_tiles,
        "points": info.n_points,
        "largest_count": info.largest_count,
        "n_inputs": len(info.inputs),
        "inputs": compress(canonical_json([asdict(each) for each in info.inputs]).encode("ascii")),
    }


def from_record(record: dict[str, Any]) -> StateInfo:
    """Return the information that `to_record` made the record of.

    Raises
    ------
    LookupError, TypeError, ValueError, zlib.error
        The record is not one that this version writes.
    """
    rules, rows = dict(record["rules"]), record["rows"]
    scale, bbox = rules.pop("scale"), rules.pop("bbox")
    inputs = json.loads(decompress(record["inputs"]))
    grid = grid_of_record(record["grid"])
    dims = rules.get("dims")
    return StateInfo(
        grid=grid,
        rules=Rules(
            columns=tuple(rules["columns"]),
            where=tuple(rules["where"]),
            bbox=None if bbox is None else (bbox[0], bbox[1], bbox[2], bbox[3]),
            scale=None if scale is None else Fraction(scale),
            keep_null_island=bool(rules["keep_null_island"]),
            unique=None if rules["unique"] is None else UniqueRule(**rules["unique"]),
            axes=DimsGrid.from_description(grid, dims).axes if dims else (),
        ),
        counts=RowCounts(
            read=int(rows["read"]),
            used=int(rows["used"]),
            outside=int(record["rows_outside"]),
            reasons={reason: int(rows[reason.label]) for reason in Reason},
            repeated=int(rows["repeated"]) if "repeated" in rows else None,
        ),
        inputs=tuple(InputRecord(**each) for each in inputs),
        content_hash=str(record["content_hash"]),
        n_tiles=int(record["tiles"]),
        n_points=int(record["points"]),
        largest_count=int(record["largest_count"]),
    )


def check_version(name: str, record: dict[str, Any]) -> None:
    """Refuse a record of a newer format.

    Raises
    ------
    InputError
    """
    version = record.get("format_version")
    if not isinstance(version, int):
        raise InputError(f"{name}: its record names no format version; write the state anew.")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{name}: this state is of format {version}, which gridcli {__version__} does not "
            f"know (it reads up to {FORMAT_VERSION}). Use gridcli {record.get('written_by')} or "
            "newer, which wrote it."
        )


def compress(data: bytes) -> str:
    """Return bytes as text for JSON: deflated, in base 64."""
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def decompress(text: str | bytes) -> bytes:
    """Return the bytes that `compress` was given."""
    return zlib.decompress(base64.b64decode(text, validate=True))
