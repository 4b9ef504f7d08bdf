"""What to read from the inputs: the user's options, one input file, and its column plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gridcli.points.batch import Chunk

if TYPE_CHECKING:
    from gridcli.points.filters import RowFilter

Format = Literal["csv", "parquet", "ipc", "ipc-stream"]
Compression = Literal["gz", "zst", "bz2"]


@dataclass(frozen=True)
class ReadOptions:
    """The user's reading options, as the command line has them.

    Attributes
    ----------
    x, y : str or None
        Column names given with --lon/--lat, or --x/--y where planar.
    planar : bool
    columns : tuple of str or None
        Names for the columns of a CSV without header (--columns).
    scale : Fraction or None
        --scale: coordinates are integers (or decimals) times this.
    where : tuple of str
        --where expressions; all must hold.
    input_format : Format or None
        --input-format; None: by suffix, else by magic bytes.
    temp_dir : Path or None
        Where standard input is spooled when its format needs seeking.
    memory_bytes : int or None
        Limit on the memory of the whole process; None: no limit.
    extra_columns : tuple of str
        Columns to hand on in `PointBatch.table`; ("*",) for all.
    keep_origin : bool
        Whether `PointBatch.origin` is needed (--rejects).
    late_columns : bool
        Readers that can decode the extra columns apart hand them on in `PointBatch.later`.
    keep_streams : bool
        Standard input and named pipes are copied to `temp_dir` first, to be read again.
    """

    x: str | None = None
    y: str | None = None
    planar: bool = False
    columns: tuple[str, ...] | None = None
    scale: Fraction | None = None
    where: tuple[str, ...] = ()
    input_format: Format | None = None
    temp_dir: Path | None = None
    memory_bytes: int | None = None
    extra_columns: tuple[str, ...] = ()
    keep_origin: bool = False
    late_columns: bool = False
    keep_streams: bool = False


@dataclass(frozen=True)
class Input:
    """One file (or standard input) to read.

    Attributes
    ----------
    name : str
        As messages and rejects show it: the path as the user reached it, or "-".
    path : Path or None
        None for standard input that is read as a stream.
    size_bytes : int or None
        None where it cannot be known.
    format : Format
    compression : Compression or None
        Of a CSV file.
    partitions : dict of str to str
        Hive partition columns from the folders below the input directory.
    """

    name: str
    path: Path | None
    size_bytes: int | None
    format: Format
    compression: Compression | None = None
    partitions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnPlan:
    """Which columns of one input are read, and how they become coordinates.

    Either `x` and `y`, or `geometry`, is set; names are spelled as in the file.
    """

    x: str | None
    y: str | None
    geometry: str | None = None
    scale: Fraction | None = None
    row_filter: RowFilter | None = None
    extra: tuple[str, ...] = ()
    keep_origin: bool = False
    late: bool = False


class InputFile(Protocol):
    """An opened input: its columns are known, its rows are not read yet."""

    @property
    def schema(self) -> Any:
        """pyarrow.Schema of all columns (CSV: all strings; hive partitions appended)."""

    def chunks(self, plan: ColumnPlan, input_index: int) -> Iterator[Chunk]:
        """Yield the pieces of the input in order. Called once; used by one thread at a time."""

    def close(self) -> None:
        """Release file handles; safe to call twice and while chunks are unread."""
