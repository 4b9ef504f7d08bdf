"""What a synthetic data set offers its writer: independent parts, and the truth behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_ROWS = 1 << 18
"""Rows generated, and written as one row group, at a time: what bounds the memory,
and how long a run takes to stop."""


class SyntheticData(Protocol):
    """A data set of known size that is generated in parts, in any order, by any thread."""

    @property
    def max_parts(self) -> int:
        """How many parts there can be that hold a row each."""

    @property
    def compression(self) -> str:
        """Parquet codec that suits the columns."""

    @property
    def schema(self) -> Any:
        """pyarrow.Schema of the rows."""

    def part(self, index: int, parts: int) -> Iterator[Any]:
        """Yield part `index` of `parts` as pyarrow.Tables of about `BLOCK_ROWS` rows.

        The parts in order hold the same rows in the same order, however many they are.
        """

    def truth(self) -> Any:
        """Return one row a cluster or hub as a pyarrow.Table; asked for after the last part."""
