"""Which rows count as one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UniqueRule:
    """Which rows are the same: those of equal coordinates, and of one vehicle.

    Attributes
    ----------
    vehicle : str or None
        The column that tells vehicles apart; None: all rows are of one.
    """

    vehicle: str | None = None
