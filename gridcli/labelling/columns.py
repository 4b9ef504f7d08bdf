"""The columns of labelled rows: those of all inputs by name, found out before a row is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.errors import DataError, UsageError
from gridcli.labelling.plain import as_plain, plain_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HUB_COLUMNS = ("hub_id", "hub_key")
REASON_COLUMN = "reason"
GEO_KEY = b"geo"
FIELD_ID_KEY = b"PARQUET:field_id"
"""Numbers of columns within one file; those of several files clash."""
_DECIMAL128_DIGITS = 38
_FLOAT_DIGITS = {16: 11, 32: 24, 64: 53}
"""Bits of the significand of a float, by its width: larger integers are rounded."""


@dataclass(frozen=True)
class RowColumns:
    """The columns of all inputs: each name once, in the order of first appearance.

    Attributes
    ----------
    schema : pyarrow.Schema
        Without those that labelling adds.
    geo : str or None
        The ``geo`` metadata of GeoParquet, where it is true of rows of all inputs together.
    """

    schema: Any
    geo: str | None

    def conform(self, rows: Any, name: str) -> list[Any]:
        """Return the columns of some rows of one input as arrays of the types of `schema`.

        Parameters
        ----------
        rows : pyarrow.RecordBatch
        name : str
            The input, for messages.

        Raises
        ------
        DataError
            A value does not fit the common type of its column.
        """
        own = rows.schema
        if own.types == self.schema.types and own.names == self.schema.names:
            return list(rows.columns)
        arrays = []
        for field in self.schema:
            position = own.get_field_index(field.name)
            if position < 0:
                arrays.append(pa.nulls(rows.num_rows, field.type))
                continue
            try:
                arrays.append(_as_type(rows.column(position), field.type))
            except pa.ArrowInvalid as error:
                raise DataError(
                    f"{name}: a value of the column {field.name} does not fit {field.type}, the "
                    f"common type of this column in all inputs ({error}). Label the inputs apart."
                ) from error
        return arrays


def added_columns(*, keep_noise: bool) -> tuple[str, ...]:
    """Return the columns that labelled rows have beside those of the inputs."""
    return (*HUB_COLUMNS, REASON_COLUMN) if keep_noise else HUB_COLUMNS


def columns_of(inputs: Iterable[tuple[str, Any]], added: Sequence[str]) -> RowColumns:
    """Return the columns that rows of all inputs have together.

    Columns of one name have a common type, which holds the values of all exactly.

    Parameters
    ----------
    inputs : iterable of (str, pyarrow.Schema)
        Name and schema of each input, at least one.
    added : sequence of str
        Columns that labelling adds, which no input may have.

    Raises
    ------
    UsageError
        An input has a column of `added`, or the types of a column cannot be joined.
    """
    fields: dict[str, Any] = {}
    first_with: dict[str, str] = {}
    seen: list[Any] = []
    geo: set[str | None] = set()
    for name, schema in inputs:
        if any(schema.equals(other, check_metadata=True) for other in seen):
            continue
        seen.append(schema)
        _refuse_taken(name, schema.names, added)
        geo.add(_geo_of(schema))
        for field in schema:
            own = _plain_field(field)
            if field.name in fields:
                common = _common_field(fields[field.name], own)
                if common is None:
                    raise UsageError(
                        f"{name}: the column {field.name} is {own.type}, but "
                        f"{fields[field.name].type} in {first_with[field.name]}: no type holds "
                        "the values of both. Label these inputs apart, or convert one."
                    )
                fields[field.name] = common
            else:
                fields[field.name] = own
                first_with[field.name] = name
    for name, field in fields.items():
        if any(name not in schema.names for schema in seen):
            fields[name] = field.with_nullable(True)
    return RowColumns(pa.schema(list(fields.values())), geo.pop() if len(geo) == 1 else None)


def filtered(rows: Any, chosen: npt.NDArray[np.bool_]) -> Any:
    """Return the chosen rows of a pyarrow.RecordBatch with columns of any types."""
    try:
        return rows.filter(pa.array(chosen))
    except pa.ArrowNotImplementedError:  # runs within other types (pyarrow 26): cut and joined
        edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
        runs = [rows.slice(start, stop - start) for start, stop in edges.reshape(-1, 2).tolist()]
        return pa.concat_batches(runs or [rows.slice(0, 0)])


def array_at(array: Any, positions: Any) -> Any:
    """Return the elements of an Arrow array of any type at some positions (a pyarrow.Array)."""
    try:
        return array.take(positions)
    except pa.ArrowNotImplementedError:
        pieces = [array.slice(position, 1) for position in positions.to_pylist()]
        return pa.concat_arrays(pieces or [array.slice(0, 0)])


def one_array(column: Any) -> Any:
    """Return a pyarrow.ChunkedArray as one array."""
    array = column.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _refuse_taken(name: str, names: Sequence[str], added: Sequence[str]) -> None:
    taken = [column for column in names if column.casefold() in added]
    if taken:
        raise UsageError(
            f"{name} has a column {taken[0]} already, as labelled rows get one. Label the rows "
            "that it was made of, or leave the column out of it first, e.g. with DuckDB's "
            f"* EXCLUDE ({', '.join(taken)})."
        )


def _plain_field(field: Any) -> Any:
    """Return a field as it is written, without the number that it has in its own file."""
    metadata = dict(field.metadata or {})
    metadata.pop(FIELD_ID_KEY, None)
    return field.with_type(plain_type(field.type)).with_metadata(metadata or None)


def _common_field(a: Any, b: Any) -> Any:
    """Return a field that holds the values of both exactly; None if there is none."""
    if a.type != b.type and pa.types.is_dictionary(a.type) != pa.types.is_dictionary(b.type):
        a, b = (f.with_type(_decoded(f.type)) for f in (a, b))
    try:
        common = pa.unify_schemas([pa.schema([a]), pa.schema([b])], promote_options="permissive")
        field = common.field(0)
        field = field.with_type(_wide_enough(field.type, (a.type, b.type)))
        for own in (a.type, b.type):
            if not _is_exact(own, field.type):
                return None
            _as_type(pa.nulls(1, own), field.type)
    except pa.ArrowException:
        return None
    return field


def _wide_enough(common: Any, types: tuple[Any, ...]) -> Any:
    """Return a decimal type with room for all digits of integers (pyarrow 26 leaves one out)."""
    whole = [len(str(2**own.bit_width - 1)) for own in types if pa.types.is_integer(own)]
    if not (whole and pa.types.is_decimal(common)):
        return common
    precision = max([common.precision, *(digits + common.scale for digits in whole)])
    wide = pa.decimal128 if precision <= _DECIMAL128_DIGITS else pa.decimal256
    return wide(precision, common.scale)


def _is_exact(own: Any, common: Any) -> bool:
    """Whether every value of a type is one of the common type."""
    types = pa.types
    if types.is_floating(common):
        if types.is_integer(own):
            return bool(own.bit_width <= _FLOAT_DIGITS[common.bit_width])
        return not types.is_decimal(own)
    if types.is_uint64(own):
        return not types.is_signed_integer(common)
    if types.is_nested(own) and types.is_nested(common):
        pairs = [(own.field(i), common.field(i)) for i in range(own.num_fields)]
        if types.is_struct(own):
            pairs = [(field, common.field(field.name)) for field, _ in pairs]
        return all(_is_exact(field.type, wider.type) for field, wider in pairs)
    return True


def _decoded(type_: Any) -> Any:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _as_type(array: Any, type_: Any) -> Any:
    array = as_plain(array)
    if pa.types.is_dictionary(array.type) and not pa.types.is_dictionary(type_):
        array = array.dictionary_decode()
    return array if array.type == type_ else array.cast(type_)


def _geo_of(schema: Any) -> str | None:
    """Return a file's ``geo`` metadata without the bounds, which are those of all its rows."""
    text = (schema.metadata or {}).get(GEO_KEY)
    try:
        geo = json.loads(text or "null")
        for column in geo["columns"].values():
            column.pop("bbox", None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return json.dumps(geo, sort_keys=True)
