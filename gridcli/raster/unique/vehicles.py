"""Vehicles as 64-bit codes, which are equal exactly where the vehicles are.

A whole number below 10^18 is its own code, also where it is written as text: the same vehicle may
stand as `7` in a CSV file and as an integer in a Parquet file. Other texts are numbered as they
come, in a dictionary; only texts that are new to a batch touch it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridcli.errors import ResourceError, UsageError
from gridcli.points.names import find

if TYPE_CHECKING:
    from gridcli.runtime.budget import MemoryBudget

Codes = npt.NDArray[np.int64]

NO_VEHICLE = -(2**63)
"""Code of a row without one: all of them are one vehicle."""
FIRST_TEXT = -(2**62)
"""Code of the first text; the others have those below it."""
OWN_CODE = 10**18
"""Integers up to this, either way, are their own codes."""
WHOLE_NUMBER = "^(?:0|-?[1-9][0-9]{0,17})$"
"""How the integers that are their own codes are written; `07` and `+7` are other texts."""

TEXT_BYTES = 200
"""Memory of a text in the dictionary, beside its characters (measured: up to 175)."""
LARGEST_SHARE = 4
"""Texts may take one part in so many of the limit."""


class VehicleCodes:
    """Codes of the vehicles of a run; shared by its threads.

    Parameters
    ----------
    column : str
        As the user named it.
    budget : MemoryBudget
        Told of what texts take.
    """

    def __init__(self, column: str, budget: MemoryBudget) -> None:
        self._column = column
        self._budget = budget
        self._texts: dict[bytes, int] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def codes(self, table: Any) -> npt.NDArray[np.uint64]:
        """Return the code of each row's vehicle.

        Parameters
        ----------
        table : pyarrow.RecordBatch, n rows
            Holds the column, in any spelling.

        Raises
        ------
        UsageError
            The column's type names no vehicle.
        ResourceError
            The texts take too much memory.
        """
        name = find(table.schema.names, self._column, "--vehicle")
        return self._codes(table.column(table.schema.names.index(name))).view(np.uint64)

    def _codes(self, array: Any) -> Codes:
        """Return codes by the type of a column."""
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        types, kind = pa.types, array.type
        if types.is_run_end_encoded(kind):
            return self._codes(pc.run_end_decode(array))
        if types.is_dictionary(kind):
            return _taken(self._codes(array.dictionary), array.indices)
        if types.is_null(kind):
            return np.full(len(array), NO_VEHICLE)
        if types.is_integer(kind):
            return self._of_integers(array)
        if types.is_floating(kind):
            return self._of_floats(array)
        if types.is_decimal(kind) or types.is_string_view(kind):
            array = array.cast(pa.string())
        elif not (_is_text(kind)):
            raise UsageError(
                f"--vehicle {self._column}: the column has type {kind}, which names no vehicle. "
                "Name a column of integers or texts."
            )
        return self._of_texts(array)

    def _of_integers(self, array: Any) -> Codes:
        values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
        codes: Codes = values.astype(np.int64, copy=False)
        # Beyond the bound, an unsigned integer may have become a negative one.
        large = (values >= OWN_CODE) | (values <= -OWN_CODE) if values.itemsize == 8 else None
        if large is not None and large.any():
            codes = codes.copy()
            texts = array.filter(pa.array(large)).cast(pa.string())
            codes[large] = self._of_texts(texts)
        return _without_nulls(codes, array)

    def _of_floats(self, array: Any) -> Codes:
        """Read whole numbers as integers: tables with gaps hold integers as floats."""
        array = array.cast(pa.float64())
        values = pc.fill_null(array, np.nan).to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        whole = ~missing & (np.floor(values) == values) & (np.abs(values) < OWN_CODE)
        codes = np.where(whole, values, 0.0).astype(np.int64)
        codes[missing] = NO_VEHICLE
        other = ~(missing | whole)
        if other.any():
            texts = [_digits(value) for value in values[other].tolist()]
            codes[other] = self._of_texts(pa.array(texts, pa.string()))
        return codes

    def _of_texts(self, array: Any) -> Codes:
        encoded = array.cast(pa.large_binary()).dictionary_encode()
        texts = encoded.dictionary
        is_number = pc.match_substring_regex(texts, WHOLE_NUMBER)
        numbers = pc.if_else(is_number, texts, pa.scalar(None, texts.type))
        codes = pc.fill_null(numbers.cast(pa.large_string()).cast(pa.int64()), 0)
        codes = codes.to_numpy(zero_copy_only=False).copy()
        others = np.flatnonzero(~is_number.to_numpy(zero_copy_only=False))
        if len(others):
            codes[others] = self._numbered(texts.take(pa.array(others)).to_pylist())
        return _taken(codes, encoded.indices)

    def _numbered(self, texts: list[bytes]) -> list[int]:
        """Return codes of distinct texts, after numbering those that are new."""
        known = self._texts
        new = [text for text in texts if text not in known]
        if new:
            with self._lock:
                new = [text for text in new if text not in known]
                self._claim(sum(map(len, new)) + TEXT_BYTES * len(new), len(new))
                known.update(
                    (text, FIRST_TEXT - place) for place, text in enumerate(new, len(known))
                )
        return [known[text] for text in texts]

    def _claim(self, n_bytes: int, n_texts: int) -> None:
        self._n_bytes += n_bytes
        limit = self._budget.limit_bytes
        if self._n_bytes * LARGEST_SHARE > limit:
            raise ResourceError(
                f"--vehicle {self._column} has more than {len(self._texts) + n_texts:,} different "
                f"texts, which take {self._n_bytes / 1e6:,.0f} MB, a quarter of the memory limit "
                f"of {limit / 1e6:,.0f} MB. Give more --max-memory, or name a column that tells "
                "vehicles apart, not rows; whole numbers take no memory."
            )
        self._budget.claim(n_bytes, force=True)


def _digits(value: float) -> str:
    """Return a number as an integer is written, where it is one, else with its shortest digits."""
    return str(int(value)) if value.is_integer() else repr(value)


def _taken(codes: Codes, indices: Any) -> Codes:
    """Return the codes that indices of a dictionary stand for."""
    if not len(codes):
        return np.full(len(indices), NO_VEHICLE)
    found = codes[pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)]
    return _without_nulls(found, indices)


def _without_nulls(codes: Codes, array: Any) -> Codes:
    """Return codes with those of null rows set to `NO_VEHICLE`."""
    if not array.null_count:
        return codes
    return np.where(array.is_null().to_numpy(zero_copy_only=False), NO_VEHICLE, codes)


def _is_text(kind: Any) -> bool:
    """Whether a type holds texts, or bytes as identifiers are often kept."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
    )
