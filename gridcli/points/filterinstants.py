"""Dates and times in ISO 8601, to the nanosecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "day": 86_400 * 10**9}
"""Length of each unit of Arrow's dates and timestamps."""

_ISO_8601 = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<minute>\d\d:\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r" ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_instant(text: str) -> int | None:
    """Return nanoseconds since 1970-01-01 UTC; None where `text` is no date or time.

    A date is its midnight; without a zone, UTC is meant.

    Examples
    --------
    >>> parse_instant("1970-01-01T01:00:00.000000001+01:00")
    1
    """
    match = _ISO_8601.fullmatch(text.strip())
    if match is None:
        return None
    clock = f"{match['minute'] or '00:00'}:{match['second'] or '00'}"
    try:
        instant = datetime.fromisoformat(f"{match['date']}T{clock}{_zone(match['zone'])}")
    except ValueError:
        return None
    seconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * NANOSECONDS["s"] + int((match["fraction"] or "").ljust(9, "0"))


def _zone(zone: str | None) -> str:
    return "+00:00" if zone is None else zone.upper()
