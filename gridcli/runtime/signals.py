"""Stopping a run by a signal: cleanly within a second, and at once on a second Ctrl-C.

The first SIGINT, SIGTERM or SIGHUP sets a flag, which worker threads look at between pieces of
work, and raises `Interrupted` in the main thread, which may be blocked in a read that would
otherwise go on. Temporaries are removed as the exception passes.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the run to stop.

    Not an `Exception`: code that handles errors must not handle this.

    Attributes
    ----------
    signum : int
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as a shell reports it."""
        return 128 + self.signum

    @property
    def name(self) -> str:
        """Name of the signal, e.g. ``SIGTERM``."""
        return signal.Signals(self.signum).name


class StopFlag:
    """Whether the run has been asked to stop; read by any thread."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._held = False

    @property
    def is_set(self) -> bool:
        """Whether a signal has arrived."""
        return self._signum is not None

    def set(self, signum: int) -> None:
        """Ask the run to stop as if the signal `signum` had arrived."""
        self._signum = signum

    def check(self) -> None:
        """Raise `Interrupted` if a signal has arrived; costs next to nothing."""
        if self._signum is not None:
            raise Interrupted(self._signum)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no signal interrupt the block: for the renames that publish finished outputs.

        A signal that arrives meanwhile sets the flag only: what it came too late to stop is
        done.
        """
        self.check()
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def on_signal(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle a signal, in the main thread."""
        if not self.is_set:
            self.set(signum)
            if not self._held:
                raise Interrupted(signum)
        elif signum == signal.SIGINT:
            # A closing terminal or a service manager may send SIGHUP and SIGTERM together;
            # only a person presses Ctrl-C twice.
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


@contextmanager
def handle_signals() -> Iterator[StopFlag]:
    """Install the handlers and yield the flag that they set; put the old handlers back.

    Signals that are ignored stay ignored (`nohup`, background jobs). Outside the main thread,
    where Python allows no handler, the flag is never set by a signal.
    """
    stop = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {}
    for signum in STOP_SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            before[signum] = signal.signal(signum, stop.on_signal)
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
