"""Columns of dates and times: texts as --where reads them, any unit, and what is refused."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.points.batch import Reason
from gridcli.points.filterinstants import parse_instant
from gridcli.points.instants import END_MICROS, FIRST_MICROS, read_instants

CLOCKS = (
    "",
    "T23:59:59.123456789+05:30",
    " 00:00Z",
    "t10:00 -0130",
    "T1:00",
    "T24:00",
    "T10:00:60",
)
DATES = (
    "2024-02-29",
    "1900-02-29",
    "0001-01-01",
    "9999-12-31",
    "1969-07-20",
    "2024-13-01",
    "0000-01-01",
)


@st.composite
def almost_iso(draw: st.DrawFn) -> str:
    """Texts in ISO 8601, some with a character changed, left out or put in."""
    text = draw(st.sampled_from(DATES)) + draw(st.sampled_from(CLOCKS))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        left_out = draw(st.integers(0, 1))
        text = (
            text[:at] + draw(st.sampled_from(["", *"0123456789-+:.TZ é"])) + text[at + left_out :]
        )
    return text


def expected(text: str | None) -> tuple[int, int]:
    """Microseconds and reason of a cell: 0 where there is the other."""
    if text is None or text.strip(" \t\n\r\v\f").lower() in {"", "na", "null"}:
        return 0, Reason.NULL
    nanos = parse_instant(text.strip(" \t\n\r\v\f"))
    if nanos is None:
        return 0, Reason.NOT_A_NUMBER
    if not FIRST_MICROS <= nanos // 1000 < END_MICROS:
        return 0, Reason.OUT_OF_RANGE
    return nanos // 1000, 0


@given(
    st.lists(st.one_of(st.none(), st.sampled_from(["", " NA", "null"]), almost_iso()), max_size=20)
)
def test_texts_are_read_as_filters_read_them(cells):
    padded = pa.array(["x", *cells], pa.string())[1:]  # begins in the middle of its buffers
    micros, reason = read_instants(padded, "time")
    for row, cell in enumerate(cells):
        value, why = expected(cell)
        assert (0 if reason is None else reason[row]) == why, cell
        assert why or micros[row] == value, cell


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_timestamps_of_any_unit_are_rounded_down(unit, zone):
    steps = pa.array([-1, 0, 1, None], pa.int64())
    micros, reason = read_instants(steps.view(pa.timestamp(unit, zone)), "time")
    step = {"s": 10**6, "ms": 1000, "us": 1, "ns": None}[unit]
    assert micros[:3].tolist() == ([-1, 0, 0] if step is None else [-step, 0, step])
    assert reason.tolist() == [0, 0, 0, Reason.NULL]


def test_years_beyond_the_calendar_are_out_of_range():
    last = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    seconds = int((last - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds())
    steps = pa.array([seconds, seconds + 1, 2**62, -(2**62), None], pa.int64())
    micros, reason = read_instants(steps.view(pa.timestamp("s")), "time")
    beyond = Reason.OUT_OF_RANGE
    assert reason.tolist() == [0, beyond, beyond, beyond, Reason.NULL]
    assert micros[0] == seconds * 10**6


def test_dates_and_dictionaries():
    day = dt.date(1970, 1, 3)
    for array in (
        pa.array([day], pa.date32()),
        pa.array([day], pa.date64()),
        pa.array(["1970-01-03"]).dictionary_encode(),
        pa.array(["1970-01-03"], pa.large_string()),
    ):
        assert read_instants(array, "time")[0].tolist() == [2 * 86_400 * 10**6]
    assert read_instants(pa.nulls(2), "time")[1].tolist() == [Reason.NULL] * 2
    assert len(read_instants(pa.array([], pa.string()), "time")[0]) == 0


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.time64("us"), pa.bool_()])
def test_what_holds_no_instants_is_refused(kind):
    with pytest.raises(UsageError, match="the column 'when' has type"):
        read_instants(pa.array([None], kind), "when")
