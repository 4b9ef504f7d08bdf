"""Sizes of tiles as users write them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from gridcli.errors import UsageError

FINEST_SIDE_M = 1
COARSEST_SIDE_M = 1_000_000
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
METRES_PER_UNIT = {"m": Decimal(1), "km": Decimal(1000)}


def decimal_of(value: str | float | Decimal, option: str) -> Decimal:
    """Return the number that an option's value is; raise `UsageError` where it is none."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise UsageError(f"{option} {value!r} is not a number.") from None
    if not number.is_finite():
        raise UsageError(f"{option} {value!r} is not a finite number.")
    return number


def plain(value: Decimal) -> str:
    """Write a decimal without exponent or trailing zeros: 4, 3.5, 0.25."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def metres_of(text: str) -> Decimal | None:
    """Return the metres of a length such as ``25m`` or ``0.5km``; None where no unit is given.

    Raises
    ------
    UsageError
        There is a unit, but it is neither m nor km.
    """
    match = re.fullmatch(rf"\s*({NUMBER})\s*([A-Za-z]+)\s*", text, re.ASCII)
    if match is None:
        return None
    number, unit = match.groups()
    if unit not in METRES_PER_UNIT:
        raise UsageError(
            f"--tile-size {text.strip()}: the unit {unit} is unknown; give metres or kilometres, "
            "for example 25m or 0.5km."
        )
    try:
        return Decimal(number) * METRES_PER_UNIT[unit]
    except ArithmeticError:  # an exponent beyond those of Decimal
        raise UsageError(f"--tile-size {text.strip()} is out of range.") from None


def check_side(side_m: Decimal) -> None:
    """Raise `UsageError` where no grid of tiles of such a side, in metres, can be made."""
    if side_m <= 0:
        raise UsageError(f"--tile-size {side_m}m must be more than 0.")
    if side_m < FINEST_SIDE_M:
        raise UsageError(
            f"--tile-size {side_m}m is too fine: how many columns each row has is kept in a "
            f"table, which takes 40 MB for tiles of {FINEST_SIDE_M} m and grows as they shrink. "
            f"Use {FINEST_SIDE_M}m or more; tiles in degrees can be finer (--prec 6: 0.1 m)."
        )
    if side_m > COARSEST_SIDE_M:
        raise UsageError(f"--tile-size {side_m}m is too large: use 1000km or less.")
