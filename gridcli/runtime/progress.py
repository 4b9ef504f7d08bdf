"""Progress of a run on standard error: a bar, plain lines, or JSON lines.

Worker threads only add to two counters; one thread of this module's own writes to the screen,
also while a stage reports nothing.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Literal

from gridcli.runtime.footprint import resident_bytes

Mode = Literal["bar", "plain", "json", "none"]
BAR_REFRESH_S = 0.25
LEAST_BAR = 10
"""Columns of a terminal; a shorter bar is left out."""
NO_TERMINAL = 80
"""Columns of a stream that is no terminal."""
COMPILER = "gridcli.runtime.compiler"
"""A module that is imported only where a kernel has to be compiled."""
COMPILING = "compiling kernels (once)"


@dataclass(frozen=True)
class Reading:
    """How far a stage has come.

    Attributes
    ----------
    stage : str
    n_bytes, n_rows : int
        Done so far; bytes are those of the input files.
    total_bytes : int or None
        None where it cannot be known.
    seconds : float
        Since the stage started.
    memory_bytes : int
        Held by the process now.
    is_compiling : bool
        Kernels are being compiled, in a first run.
    """

    stage: str
    n_bytes: int
    n_rows: int
    total_bytes: int | None
    seconds: float
    memory_bytes: int
    is_compiling: bool = False

    @property
    def rows_per_s(self) -> float:
        """Mean rate of the stage so far."""
        return self.n_rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the mean rate; None where that cannot be told."""
        if not self.total_bytes or not self.n_bytes:
            return None
        return self.seconds * max(0, self.total_bytes - self.n_bytes) / self.n_bytes

    def plain(self) -> str:
        """Return the reading as one line of a log."""
        parts = [f"gridcli: {self.stage}"]
        if self._waits_for_kernels:
            parts.append(COMPILING)
        elif self.total_bytes:
            parts.append(f"{self._percent} %")
        if self.n_rows:
            parts.append(f"{self.n_rows:,} rows, {self.rows_per_s:,.0f} rows/s")
        if self.eta_s is not None:
            parts.append(f"{self.eta_s:.0f} s left")
        parts.append(f"{self.memory_bytes / 1e6:,.0f} MB")
        return ", ".join(parts)

    def bar(self, width: int) -> str:
        """Return the reading as one line of a terminal, where ``{bar}`` stands for a bar.

        Fields that the line has no room for are left out whole: first the bytes, then the bar,
        the rate, the times, the rows and the memory. What is not known is left out, too.

        Parameters
        ----------
        width : int
            Columns.
        """
        memory = f"{self.memory_bytes / 1e6:,.0f} MB"
        times = _clock(self.seconds)
        if self._waits_for_kernels:
            fields = [(0, COMPILING), (1, times), (2, memory)]
        else:
            rows, rate, n_bytes = "", "", ""
            if self.n_rows:
                rows, rate = f"{self.n_rows:,} rows", f"{self.rows_per_s:,.0f} rows/s"
            if self.eta_s is not None:
                times += f"<{_clock(self.eta_s)}"
            if self.total_bytes:
                n_bytes = f"{self.n_bytes / 1e6:,.0f}/{self.total_bytes / 1e6:,.0f} MB read"
            percent = f"{self._percent:3d} %" if self.total_bytes else ""
            bar = "|" + " " * LEAST_BAR + "|" if self.total_bytes else ""
            fields = [(0, percent), (6, bar), (7, n_bytes), (3, rows), (5, rate), (4, times)]
            fields.append((2, memory))
        line = self.stage
        for least in sorted(rank for rank, _ in fields):
            shown = [text for rank, text in fields if text and rank <= least]
            longer = f"{self.stage}: {', '.join(shown)}".replace("%, |", "% |").replace("|, ", "| ")
            if shown and len(longer) < width:
                line = longer
            elif shown:
                break
        return line.replace("|" + " " * LEAST_BAR + "|", "|{bar}|")

    def json(self, *, done: bool) -> str:
        """Return the reading as one JSON object on one line."""
        eta = None if self.eta_s is None else round(self.eta_s, 1)
        return json.dumps(
            {
                "stage": self.stage,
                "done": done,
                "bytes": self.n_bytes,
                "total_bytes": self.total_bytes,
                "rows": self.n_rows,
                "seconds": round(self.seconds, 3),
                "rows_per_s": round(self.rows_per_s),
                "eta_s": eta,
                "memory_bytes": self.memory_bytes,
            }
        )

    @property
    def _percent(self) -> int:
        return min(100, 100 * self.n_bytes // self.total_bytes) if self.total_bytes else 0

    @property
    def _waits_for_kernels(self) -> bool:
        return self.is_compiling and not self.n_bytes and not self.n_rows


class Progress:
    """Shows how far the stages of a run have come.

    Parameters
    ----------
    mode : {"bar", "plain", "json", "none"}
    interval_s : float
        Seconds between two lines of the modes plain and json.
    stream : text file, optional
        Standard error by default.
    """

    def __init__(
        self, mode: Mode = "none", *, interval_s: float = 10.0, stream: IO[str] | None = None
    ) -> None:
        self.mode = mode
        self._interval_s = BAR_REFRESH_S if mode == "bar" else interval_s
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._n_bytes = 0
        self._n_rows = 0
        self._total_bytes: int | None = None
        self._stage: str | None = None
        self._n_stages = 0
        self._started = 0.0
        self._bar: Any = None
        self._finished = threading.Event()
        self._writer: threading.Thread | None = None

    def start(self, total_bytes: int | None, stage: str) -> None:
        """Begin a stage, ending the one before; `total_bytes` is None where it is unknown."""
        self.close()
        self._n_bytes = self._n_rows = 0
        self._n_stages += 1
        self._total_bytes, self._stage = total_bytes, stage
        self._started = time.monotonic()
        if self.mode == "none":
            return
        if self.mode == "bar":
            self._bar = self._make_bar()
        self._finished = threading.Event()
        self._writer = threading.Thread(
            target=self._write_until, args=(self._finished,), name="progress", daemon=True
        )
        self._writer.start()

    def advance(self, n_bytes: int, n_rows: int) -> None:
        """Add what has been done; called by any thread, once a batch."""
        with self._lock:
            self._n_bytes += n_bytes
            self._n_rows += n_rows

    def close(self) -> None:
        """End the stage and remove the bar; may be called twice."""
        if self._stage is None:
            return
        self._finished.set()
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        # A run does not fail because nobody reads its progress.
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.close()
            if self.mode == "json":
                self._print(self.reading().json(done=True))
        self._bar = self._stage = None

    def reading(self) -> Reading:
        """Return how far the stage has come."""
        with self._lock:
            n_bytes, n_rows = self._n_bytes, self._n_rows
        return Reading(
            stage=self._stage or "",
            n_bytes=n_bytes,
            n_rows=n_rows,
            total_bytes=self._total_bytes,
            seconds=time.monotonic() - self._started,
            memory_bytes=resident_bytes(),
            is_compiling=self._is_compiling(),
        )

    def _is_compiling(self) -> bool:
        """Whether this run compiles kernels, as far as its first stage, which waits for them."""
        is_first = self._n_stages == 1 and self._total_bytes is not None
        return is_first and COMPILER in sys.modules

    def _write_until(self, finished: threading.Event) -> None:
        """Write a reading every interval until the stage is finished."""
        while not finished.wait(self._interval_s):
            with suppress(OSError, ValueError):
                self._write()

    def _write(self) -> None:
        reading = self.reading()
        if self._bar is not None:
            total = reading.total_bytes
            self._bar.n = min(reading.n_bytes, total) if total else reading.n_bytes
            columns = self._bar.format_dict["ncols"]  # of the stream's terminal, as it is now
            self._bar.bar_format = reading.bar(columns or NO_TERMINAL)
            self._bar.refresh()
        elif self.mode == "json":
            self._print(reading.json(done=False))
        else:
            self._print(reading.plain())

    def _print(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _make_bar(self) -> Any:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # our own thread refreshes the bar
        tqdm.set_lock(threading.RLock())  # the default lock needs semaphores shared by processes
        return tqdm(
            total=self._total_bytes,
            file=self._stream,
            bar_format=self._stage,
            dynamic_ncols=True,
            leave=False,
            mininterval=0,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
