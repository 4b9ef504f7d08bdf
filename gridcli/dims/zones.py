"""Which clock tells the hour and the weekday: UTC, a zone's, or the sun's."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError

UTC = "UTC"
SOLAR = "solar"

MILLIS_PER_DEGREE = 240_000
"""The sun takes four minutes for a degree of longitude."""
MICROS_PER_MILLI = 1_000

Int64s = npt.NDArray[np.int64]


def check_zone(tz: str) -> None:
    """Raise `UsageError` where `tz` is neither "solar" nor a zone of the IANA's database."""
    if tz in {UTC, SOLAR}:
        return
    try:
        ZoneInfo(tz)
        _at_zone(np.zeros(1, np.int64), tz)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # pyarrow's own errors are ValueErrors
        raise UsageError(
            f"--tz {tz!r} is no time zone that this system knows. Give a name of the IANA's list, "
            "such as Europe/Stockholm or America/New_York, or solar for the time by the sun."
        ) from None


def local_micros(micros: Int64s, tz: str, lon: npt.NDArray[Any] | None) -> Int64s:
    """Return what the clock shows, as microseconds since its 1970-01-01 began.

    Parameters
    ----------
    micros : ndarray of int64, shape (n,)
        Since 1970-01-01 UTC, within the years 1 to 9999.
    tz : str
        A zone, or "solar": mean local solar time, UTC + longitude / 15 h, rounded to a
        millisecond.
    lon : ndarray of float64, shape (n,), or None
        Longitudes in degrees; needed for the sun only.
    """
    if tz == UTC:
        return micros
    if tz != SOLAR:
        return _at_zone(micros, tz)
    if lon is None:
        raise ValueError("the time by the sun needs longitudes")
    wrapped = np.where(lon >= 180, lon - 360, lon)
    offset: Int64s = np.rint(wrapped * MILLIS_PER_DEGREE).astype(np.int64)
    return micros + offset * np.int64(MICROS_PER_MILLI)


def _at_zone(micros: Int64s, tz: str) -> Int64s:
    import pyarrow as pa
    import pyarrow.compute as pc

    instants = pa.array(micros).view(pa.timestamp("us", tz))
    local: Any = pc.local_timestamp(instants)
    shown: Int64s = local.view(pa.int64()).to_numpy()
    return shown
