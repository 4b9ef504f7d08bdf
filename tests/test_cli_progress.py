"""Progress, cores and memory of the process."""

from __future__ import annotations

import io
import json
import threading

import pytest

from gridcli.runtime.footprint import peak_bytes, resident_bytes
from gridcli.runtime.progress import Progress, Reading

ALL_ELSE = "12,345 rows, 6,172 rows/s, 00:02<00:06, 300 MB"


class Lines(io.StringIO):
    """A stream that tells when a line has been written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        self.written.set()


def reading(**changes: object) -> Reading:
    values: dict[str, object] = {
        "stage": "contract",
        "n_bytes": 250,
        "n_rows": 1000,
        "total_bytes": 1000,
        "seconds": 2.0,
        "memory_bytes": 300_000_000,
    }
    return Reading(**{**values, **changes})  # type: ignore[arg-type]


def test_a_reading_knows_rate_and_time_left() -> None:
    assert reading().rows_per_s == 500
    assert reading().eta_s == 6
    assert reading(total_bytes=None).eta_s is None
    assert reading(n_bytes=0).eta_s is None
    assert reading(seconds=0.0).rows_per_s == 0


def test_plain_lines_read_well() -> None:
    assert reading().plain() == (
        "gridcli: contract, 25 %, 1,000 rows, 500 rows/s, 6 s left, 300 MB"
    )
    assert reading(total_bytes=None, n_rows=0).plain() == "gridcli: contract, 300 MB"
    assert "100 %" in reading(n_bytes=1200).plain()


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (120, f"contract:  25 % |{{bar}}| 300/1,200 MB read, {ALL_ELSE}"),
        (80, f"contract:  25 % |{{bar}}| {ALL_ELSE}"),
        (66, f"contract:  25 %, {ALL_ELSE}"),
        (50, "contract:  25 %, 12,345 rows, 00:02<00:06, 300 MB"),
        (40, "contract:  25 %, 12,345 rows, 300 MB"),
        (20, "contract:  25 %"),
        (5, "contract"),
    ],
)
def test_a_bar_leaves_out_whole_what_has_no_room(width: int, line: str) -> None:
    shown = reading(n_bytes=300_000_000, total_bytes=1_200_000_000, n_rows=12_345).bar(width)
    assert shown == line


def test_a_bar_shows_only_what_is_known() -> None:
    bare = reading(total_bytes=None, n_bytes=0, n_rows=0, seconds=75.0)
    assert bare.bar(80) == "contract: 01:15, 300 MB"
    waiting = reading(n_bytes=0, n_rows=0, is_compiling=True)
    assert waiting.bar(80) == "contract: compiling kernels (once), 00:02, 300 MB"
    assert waiting.plain() == "gridcli: contract, compiling kernels (once), 300 MB"
    assert "compiling" not in reading(is_compiling=True).plain()


def test_lines_are_written_while_a_stage_reports_nothing() -> None:
    stream = Lines()
    progress = Progress("plain", interval_s=0.001, stream=stream)
    progress.start(None, "agglomerate")
    assert stream.written.wait(10)
    progress.close()
    assert stream.getvalue().startswith("gridcli: agglomerate")


def test_json_gives_one_object_a_line_and_ends_each_stage() -> None:
    stream = Lines()
    progress = Progress("json", interval_s=1000, stream=stream)
    progress.start(100, "contract")
    progress.advance(40, 4)
    progress.advance(60, 6)
    progress.start(None, "agglomerate")
    progress.close()
    progress.close()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["stage"] == "contract"
    assert first["done"] is True
    assert (first["bytes"], first["total_bytes"], first["rows"]) == (100, 100, 10)
    assert (second["stage"], second["rows"]) == ("agglomerate", 0)


def test_threads_lose_no_count() -> None:
    progress = Progress("none")
    progress.start(None, "contract")

    def work() -> None:
        for _ in range(2000):
            progress.advance(3, 1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (progress.reading().n_bytes, progress.reading().n_rows) == (24_000, 8000)


def test_a_bar_shows_rows_and_leaves_nothing_behind() -> None:
    stream = Lines()
    progress = Progress("bar", stream=stream)
    progress.start(1000, "contract")
    progress.advance(500, 77)
    stream.written.clear()
    assert stream.written.wait(10)
    progress.close()
    text = stream.getvalue()
    assert "77 rows" in text
    assert text.rsplit("\r", 2)[1].strip() == ""


def test_nothing_is_written_with_none_or_when_nobody_reads() -> None:
    stream = Lines()
    progress = Progress("none", stream=stream)
    progress.start(10, "contract")
    progress.advance(1, 1)
    progress.close()
    assert stream.getvalue() == ""

    closed = Lines()
    progress = Progress("plain", interval_s=0.001, stream=closed)
    closed.close()
    progress.start(10, "contract")
    progress.close()


def test_peak_memory_is_at_least_what_is_held() -> None:
    assert peak_bytes() >= resident_bytes() > 1_000_000
