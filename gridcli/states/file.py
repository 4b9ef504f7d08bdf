"""Reading a state file: what it says of itself at once, its tiles block by block, all verified."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from gridcli.dims.columns import TileColumns
from gridcli.errors import InputError
from gridcli.points.arrow import READ_ERRORS
from gridcli.states.content import DIGEST_BYTES, GROUP_ROWS, content_hash, rows_digests
from gridcli.states.info import KIND, StateInfo, check_version, decompress, from_record
from gridcli.states.seal import check_seal
from gridcli.states.writer import (
    DIGESTS_KEY,
    FIRST_KEYS_KEY,
    RECORD_KEY,
    ROW_GROUP_ROWS,
)
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.grid.grid import Grid

BLOCK_DIGEST_BYTES = ROW_GROUP_ROWS // GROUP_ROWS * DIGEST_BYTES


class StateFile:
    """The tiles of a state: a `SortedRun`, and `TileBlocks` of every tile with a point.

    Between reads no file is open and no tile in memory, so any number of states may be at hand.
    Use `open_state` to make one.

    Attributes
    ----------
    name : str
        As messages show it.
    path : Path
    info : StateInfo
    first_keys : ndarray of uint64, shape (n_blocks,)
    block_rows : ndarray of int64, shape (n_blocks,)
    """

    def __init__(
        self,
        name: str,
        path: Path,
        info: StateInfo,
        first_keys: npt.NDArray[np.uint64],
        digests: bytes,
        footer: Any,
    ) -> None:
        self.name = name
        self.path = path
        self.info = info
        self.first_keys = first_keys
        starts = np.arange(0, info.n_tiles, ROW_GROUP_ROWS)
        self.block_rows = np.minimum(ROW_GROUP_ROWS, info.n_tiles - starts)
        self._columns = TileColumns(info.dims)
        self._digests = digests
        self._footer = footer

    @property
    def grid(self) -> Grid:
        """The grid of all tiles."""
        return self.info.grid

    def __len__(self) -> int:
        return self.info.n_tiles

    def blocks(self) -> Iterator[Tiles]:
        """Yield all tiles of a plane in ascending order.

        Raises
        ------
        InputError
            As `read`.
        """
        if self.info.dims is not None:
            raise ValueError("tiles of more than two dimensions are no tiles of a plane")
        for block in range(len(self.first_keys)):
            (x, y), counts = self._read_columns(block)
            self._check(block, self._columns.keys([x, y]), counts)
            yield Tiles(self.grid, x, y, counts)

    def read(self, block: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return keys, strictly ascending, and counts of a block. Thread-safe.

        Raises
        ------
        InputError
            The block is corrupt, or the file has been replaced since it was opened.
        """
        indexes, counts = self._read_columns(block)
        keys = self._columns.keys(indexes)
        self._check(block, keys, counts)
        return keys, counts

    def _read_columns(
        self, block: int
    ) -> tuple[list[npt.NDArray[np.int32]], npt.NDArray[np.int64]]:
        """Return the indexes and the counts of a block, their digests verified."""
        try:
            with _parquet(self.path, self._footer) as file:
                table = file.read_row_group(block, use_threads=False)
        except READ_ERRORS as error:
            raise self._broken(block, _first_line(error)) from error
        *indexes, counts = (column.to_numpy() for column in table.columns)
        place = slice(block * BLOCK_DIGEST_BYTES, (block + 1) * BLOCK_DIGEST_BYTES)
        if rows_digests(indexes, counts) != self._digests[place]:
            raise self._broken(block, "wrong checksum")
        return indexes, counts

    def _check(
        self, block: int, keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]
    ) -> None:
        """Check what the digests of another program's state would not tell."""
        is_sorted = np.all(keys[1:] > keys[:-1]) and keys[0] == self.first_keys[block]
        if block + 1 < len(self.first_keys):
            is_sorted = is_sorted and keys[-1] < self.first_keys[block + 1]
        if len(keys) != self.block_rows[block] or not is_sorted or counts.min() < 1:
            raise self._broken(block, "its tiles are not sorted, or hold no points")

    def _broken(self, block: int, reason: str) -> InputError:
        return InputError(
            f"{self.name}: corrupt in row group {block}, or replaced while it was read ({reason}). "
            "Run again, or fetch or write the state anew."
        )


def open_state(path: str | Path, *, name: str | None = None) -> StateFile:
    """Open a state file, and verify all of it but the tiles, which are verified as they are read.

    Parameters
    ----------
    path : str or Path
    name : str, optional
        How messages name it.

    Raises
    ------
    InputError
        The file is missing, truncated, corrupt, of a newer version, or not a state at all.
    """
    name = str(path) if name is None else name
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_sealed = check_seal(name, file)
        with _parquet(path, None) as parquet:
            footer, columns = parquet.metadata, parquet.schema_arrow
    except FileNotFoundError:
        raise InputError(f"{name}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{name}: a folder, where a state file is expected.") from None
    except READ_ERRORS as error:
        raise InputError(
            f"{name}: cannot be read as a state ({_first_line(error)}). Fetch or write it anew."
        ) from error
    metadata = footer.metadata or {}
    record = _record(metadata)
    if record.get("kind") != KIND:
        raise InputError(f"{name}: not a state: {_what_else(columns.names, record)}")
    check_version(name, record)
    if not is_sealed:
        raise InputError(
            f"{name}: corrupt, or rewritten by another program: it lacks the checksum of its "
            "footer. Fetch or write it anew."
        )
    try:
        info = from_record(record)
        digests = decompress(metadata[DIGESTS_KEY.encode()])
        first_keys = np.frombuffer(decompress(metadata[FIRST_KEYS_KEY.encode()]), "<u8")
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (LookupError, TypeError, ValueError, zlib.error) as error:
        raise InputError(
            f"{name}: its record of itself is incomplete ({error!r}). Write the state anew."
        ) from error
    n_blocks = -(-info.n_tiles // ROW_GROUP_ROWS)
    if (
        [(f.name, f.type) for f in columns] != list(TileColumns(info.dims).types.items())
        or (footer.num_rows, footer.num_row_groups) != (info.n_tiles, n_blocks)
        or len(first_keys) != n_blocks
        or info.n_points != info.counts.points
        or content_hash(info, digests) != info.content_hash
    ):
        raise InputError(f"{name}: contradicts its own record. Write the state anew.")
    return StateFile(name, path, info, first_keys.astype(np.uint64), digests, footer)


def _parquet(path: Path, footer: Any) -> Any:
    # Buffered ranges would never be given back: see gridcli.points.parquet.
    return pq.ParquetFile(
        str(path), metadata=footer, pre_buffer=False, page_checksum_verification=True
    )


def _record(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the ``gridcli`` record of a Parquet file; empty where there is none."""
    try:
        record = json.loads(metadata.get(RECORD_KEY.encode(), b"{}"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _what_else(columns: list[str], record: dict[str, Any]) -> str:
    """Say what a Parquet file is that is no state, and what to do."""
    if record and "tile_x" in columns:
        what = "it holds the significant tiles of a run (--tiles), not all of its tiles."
    elif record and {"radius_m", "radius"} & set(columns):
        what = "it holds the hubs of a run."
    elif record:
        what = "it was written by gridcli, but holds no tile counts."
    else:
        what = "it is an ordinary Parquet file."
    return f"{what} gridcli contract makes a state of points."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
