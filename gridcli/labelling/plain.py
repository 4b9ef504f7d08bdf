"""Arrow's types of views and runs, as the plain types of the same values.

pyarrow (26) can neither choose rows of views and runs nor cut them free of the buffers that they
share, nor write dictionaries within lists and structures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def plain_type(type_: Any) -> Any:
    """Return the type that a column of a type is written as.

    Dictionaries of whole columns stay, with room for the values of all inputs, and so do views of
    lists and runs within other types, which cannot be converted.
    """
    if pa.types.is_dictionary(type_):
        return pa.dictionary(pa.int32(), _inner_type(type_.value_type), type_.ordered)
    if pa.types.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    if pa.types.is_list_view(type_):
        return pa.list_(_inner_field(type_.value_field))
    if pa.types.is_large_list_view(type_):
        return pa.large_list(_inner_field(type_.value_field))
    return _inner_type(type_)


def as_plain(array: Any) -> Any:
    """Return an array with the same values, of its `plain_type`."""
    type_ = plain_type(array.type)
    if type_ == array.type:
        return array
    if pa.types.is_run_end_encoded(array.type):
        return as_plain(pc.run_end_decode(array))
    if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        # A cast mistakes the length of what follows a null (pyarrow 26).
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        is_large = pa.types.is_large_list(type_)
        offsets = np.zeros(len(array) + 1, np.int64 if is_large else np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return (pa.LargeListArray if is_large else pa.ListArray).from_arrays(
            pa.array(offsets), as_plain(array.flatten()), type=type_, mask=array.is_null()
        )
    return array.cast(type_)


def _inner_type(type_: Any) -> Any:
    types = pa.types
    if types.is_dictionary(type_):
        return _inner_type(type_.value_type)
    if types.is_string_view(type_):
        return pa.string()
    if types.is_binary_view(type_):
        return pa.binary()
    if types.is_map(type_):
        return pa.map_(_inner_field(type_.key_field), _inner_field(type_.item_field))
    if types.is_fixed_size_list(type_):
        return pa.list_(_inner_field(type_.value_field), type_.list_size)
    if types.is_large_list(type_):
        return pa.large_list(_inner_field(type_.value_field))
    if types.is_list(type_):
        return pa.list_(_inner_field(type_.value_field))
    if types.is_struct(type_):
        return pa.struct([_inner_field(field) for field in type_])
    return type_


def _inner_field(field: Any) -> Any:
    return field.with_type(_inner_type(field.type))
