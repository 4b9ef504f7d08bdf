"""Files written by ``--tiles``, read back: whose tile was which, in bounded memory.

The formats themselves are read in `gridcli.raster.tilesformats`; this module checks what they
hold, and knows what the file was made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.errors import InputError, UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.records import grid_of_name, grid_of_record
from gridcli.grid.validity import are_tiles
from gridcli.points.arrow import READ_ERRORS
from gridcli.raster.layers import FORMAT_VERSION
from gridcli.raster.levels import LEVEL_COLUMN
from gridcli.raster.tilesformats import COLUMNS, N_LABELS, SCHEMA, Contents, open_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HUB_COLUMN = "hub_key"
ID_COLUMN = "hub_id"


@dataclass(frozen=True)
class LabelledTiles:
    """Consecutive tiles, each with the hub that it belongs to.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n,)
        Strictly ascending (`gridcli.grid.keys`).
    count : ndarray of int64, shape (n,)
        At least 1.
    hub : ndarray of int32, shape (n,)
        Position of the tile's hub in a table of hubs; -1: in none.
    """

    keys: npt.NDArray[np.uint64]
    count: npt.NDArray[np.int64]
    hub: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_]) -> LabelledTiles:
        """Return some of the tiles."""
        return LabelledTiles(self.keys[rows], self.count[rows], self.hub[rows])


class TileKeys(Protocol):
    """How keys follow from a tile's indexes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the indexes: ``tile_x``, ``tile_y``, and further ones."""

    def keys(self, indexes: Sequence[Any]) -> npt.NDArray[np.uint64]:
        """Return keys, which sort as the tiles do."""

    def hold(self, grid: Grid, indexes: Sequence[Any]) -> bool:
        """Whether all tiles are of the grid."""


class PlaneKeys:
    """Keys of tiles of a plane (`gridcli.grid.keys`)."""

    names = COLUMNS[:2]

    def keys(self, indexes: Sequence[Any]) -> npt.NDArray[np.uint64]:
        """Return keys, which sort as the tiles do."""
        x, y = indexes
        return keys.pack(x, y)

    def hold(self, grid: Grid, indexes: Sequence[Any]) -> bool:
        """Whether all tiles are of the grid."""
        x, y = indexes
        return are_tiles(grid, x, y)


@dataclass(frozen=True)
class TilesFile:
    """A file of significant tiles and the hubs that they belong to; use `open_tiles`.

    Attributes
    ----------
    path : str
    record : dict
        The ``gridcli`` record; empty where the format carries none (CSV, and a sequence of
        features without any).
    grid : Grid or None
        None where there is no record and no hub whose key would tell.
    tile_keys : TileKeys
    hub_keys : list of str
        Keys of the hubs met so far, in the order of their smallest tiles: complete when `blocks`
        has been walked.
    hub_ids : list of int
        The `hub_id` of each of them.
    """

    path: str
    record: dict[str, Any]
    grid: Grid | None
    tile_keys: TileKeys
    hub_keys: list[str] = field(repr=False)
    hub_ids: list[int] = field(repr=False)
    _contents: Contents = field(repr=False)
    _position: dict[str, int] = field(repr=False)

    def blocks(self) -> Iterator[LabelledTiles]:
        """Yield all tiles in ascending order, none of the pieces empty; can be walked again.

        Raises
        ------
        InputError
            The file is truncated or corrupt, or its tiles are not in order.
        """
        last = None
        row = 0
        for batch in _decoded(self.path, self._contents, self._schema):
            tiles = self._labelled(batch, row)
            row += len(tiles)
            if not len(tiles):
                continue
            if (last is not None and tiles.keys[0] <= last) or np.any(
                tiles.keys[1:] <= tiles.keys[:-1]
            ):
                raise InputError(
                    f"{self.path}: the tiles are not sorted by tile_y, then tile_x, or one is "
                    f"there twice (before row {row:,}): something else than gridcli has "
                    "rewritten the file. Use the original."
                )
            last = tiles.keys[-1]
            yield tiles

    @property
    def _schema(self) -> Any:
        """Of the columns that are read."""
        more = self.tile_keys.names[len(PlaneKeys.names) :]
        fields = list(SCHEMA)
        fields[2:2] = [pa.field(name, pa.int32()) for name in more]
        return pa.schema(fields)

    def _labelled(self, batch: Any, first_row: int) -> LabelledTiles:
        """Return the rows of a batch, checked."""
        *names, count_column = self._schema.names[:-N_LABELS]
        for name in (*names, count_column):
            if batch.column(name).null_count:
                raise InputError(f"{self.path}: {name} is empty in a row after {first_row:,}.")
        *indexes, count = (
            batch.column(name).to_numpy(zero_copy_only=False) for name in (*names, count_column)
        )
        if len(count) and count.min() < 1:
            raise InputError(f"{self.path}: a count after row {first_row:,} is below 1.")
        if self.grid is not None and not self.tile_keys.hold(self.grid, indexes):
            raise InputError(
                f"{self.path}: a tile after row {first_row:,} is none of the grid "
                f"{self.grid.name}: something else than gridcli has rewritten the file."
            )
        return LabelledTiles(self.tile_keys.keys(indexes), count, self._positions(batch))

    def _positions(self, batch: Any) -> npt.NDArray[np.int32]:
        """Return the position of each row's hub in `hub_keys`, adding new ones."""
        encoded = batch.column(HUB_COLUMN).dictionary_encode()
        n_keys = len(encoded.dictionary)
        indices = pc.fill_null(encoded.indices, n_keys).to_numpy(zero_copy_only=False)
        first_row = np.zeros(n_keys + 1, np.int64)
        first_row[indices[::-1]] = np.arange(len(indices))[::-1]
        hub_ids = batch.column(ID_COLUMN).take(pa.array(first_row[:n_keys])).to_pylist()
        table = []
        for key, hub_id in zip(encoded.dictionary.to_pylist(), hub_ids, strict=True):
            position = self._position.setdefault(key, len(self.hub_keys))
            if position == len(self.hub_keys):
                if hub_id is None:
                    raise InputError(f"{self.path}: the hub {key} has no hub_id. Write it anew.")
                self.hub_keys.append(key)
                self.hub_ids.append(hub_id)
            table.append(position)
        positions: npt.NDArray[np.int32] = np.array([*table, -1], np.int32)[indices]
        return positions


def open_tiles(path: str, further: Callable[[Grid, Any], TileKeys] | None = None) -> TilesFile:
    """Open a file of tiles in any format that `gridcli.output.formats` writes.

    Parameters
    ----------
    path : str
    further : callable, optional
        Given the grid and the record of further dimensions (``dims``), returns what makes keys;
        without it, tiles in more than two dimensions are refused.

    Raises
    ------
    UsageError
        The file is a state, or holds hubs or clusters, none of which tell whose each tile is.
    InputError
        The file is missing, no file of tiles, damaged, or made by a newer version.
    """
    _check_place(path)
    try:
        contents = open_contents(path)
    except READ_ERRORS as error:
        raise _broken(path, error) from error
    _check_columns(path, contents)
    grid = _grid_of_record(path, contents)
    record = contents.record or {}
    tile_keys: TileKeys = PlaneKeys()
    if further is not None and grid is not None and "dims" in record:
        tile_keys = further(grid, record["dims"])
    else:
        _refuse_dims(path, contents)
    if grid is None:
        grid = _grid_of_keys(path, contents)
    return TilesFile(path, record, grid, tile_keys, [], [], contents, {})


def _check_place(path: str) -> None:
    """Refuse what is no file that can be read more than once."""
    place = Path(path)
    if path == "-":
        raise UsageError("A file of tiles is read more than once: give a file, not - .")
    try:
        if place.is_dir():
            raise InputError(f"{path} is a folder; a file of tiles is wanted.")
        if place.exists() and not place.is_file():
            raise InputError(f"{path} is no regular file; write the tiles to one first.")
        place.open("rb").close()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be opened: {reason}.") from error


def _check_columns(path: str, contents: Contents) -> None:
    """Refuse files that hold something else, saying what and how to make the right file."""
    names = contents.columns
    told = contents.record if isinstance(contents.record, dict) else {}
    if "levels" in told or LEVEL_COLUMN in (names or ()):
        raise UsageError(
            f"{path} holds tiles of several sizes (--adaptive), which are not the same places "
            "from one run to the next. Write the tiles of one size: without --adaptive."
        )
    if names is None:
        return
    if set(COLUMNS) <= set(names):
        if any(names.count(name) > 1 for name in COLUMNS):
            raise InputError(f"{path} has two columns of one name, which gridcli never writes.")
        return
    if set(COLUMNS[:3]) <= set(names) and HUB_COLUMN not in names:
        raise UsageError(
            f"{path} is a state: it counts points, and knows no hubs. gridcli agglomerate {path} "
            "-o hubs.geojson --tiles tiles.parquet makes a file of tiles of it."
        )
    if HUB_COLUMN in names and "count" not in names:
        raise UsageError(
            f"{path} holds hubs without their tiles, so it does not tell which hub was where. "
            "gridcli raster INPUTS -o hubs.geojson --tiles tiles.parquet writes a file that does."
        )
    raise InputError(
        f"{path} is no file of tiles: it has no columns {', '.join(COLUMNS)}. gridcli raster "
        "writes one with --tiles."
    )


def _refuse_dims(path: str, contents: Contents) -> None:
    """Refuse tiles that have more indexes than two."""
    more = (name for name in contents.columns or () if name.startswith("tile_"))
    if "dims" in (contents.record or ()) or not set(COLUMNS).issuperset(more):
        raise UsageError(
            f"{path} holds tiles in more than two dimensions (--dims), several over each place, "
            "where tiles of a plane are wanted: write them without --dims. gridcli label takes "
            "them, but not as CSV, which does not tell the dimensions."
        )


def _grid_of_record(path: str, contents: Contents) -> Grid | None:
    """Return the grid that the file's record names; None where its format has no record."""
    record = contents.record
    if record is None:
        if contents.needs_record:
            raise InputError(
                f"{path} has lost the record that gridcli puts into its files (grid and "
                "parameters): something else has rewritten it. Use the original."
            )
        return None
    version = record.get("format_version") if isinstance(record, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{path}: its gridcli record is damaged: it has no format_version.")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} was written by a newer gridcli (format {version}; this one reads up to "
            f"{FORMAT_VERSION}). Upgrade gridcli."
        )
    try:
        return grid_of_record(record.get("grid"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _grid_of_keys(path: str, contents: Contents) -> Grid | None:
    """Return the grid that the first hub's key names; None where there is no hub."""
    for batch in _decoded(path, contents, SCHEMA):
        hub_key = batch.column(HUB_COLUMN).drop_null()
        if len(hub_key):
            key = hub_key[0].as_py()
            try:
                return grid_of_name(key.partition("/")[0])
            except UsageError:
                raise InputError(f"{path}: {key!r} is no hub_key: it names no grid.") from None
    return None


def _decoded(path: str, contents: Contents, schema: Any) -> Iterator[Any]:
    """Yield the batches of a file, with a schema such as `SCHEMA`; explain what goes wrong."""
    batches = contents.batches(schema)
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)  # what a damaged file holds may be no text, or out of bounds
            columns = [pc.cast(batch.column(f.name), f.type) for f in schema]
        except READ_ERRORS as error:
            raise _broken(path, error) from error
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _broken(path: str, error: BaseException) -> InputError:
    """Return the error for a file that cannot be decoded."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
    return InputError(f"{path} is truncated or corrupt ({reason}). Write it anew.")
