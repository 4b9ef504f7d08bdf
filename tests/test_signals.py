"""Stopping by signals: exit codes, nothing left behind, and what interrupts what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from gridcli.runtime.signals import Interrupted, StopFlag, handle_signals
from gridcli.runtime.workers import share_out
from tests.conftest import process_environment, start_process

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("signum", SIGNALS, ids=lambda s: s.name)
def test_a_signal_stops_a_run_that_waits_for_data(signum, tmp_path) -> None:
    fifo = tmp_path / "trips.csv"
    os.mkfifo(fifo)
    folder = tmp_path / "out"
    folder.mkdir()
    process = start_process(
        *("raster", fifo, "-o", folder / "hubs.geojson", "--tiles", folder / "tiles.parquet"),
        *("--progress", "json", "--progress-interval", "0.1"),
    )
    assert process.stderr is not None
    with fifo.open("wb") as pipe:  # opens once the program has opened its end
        pipe.write(b"lat,lon\n" + b"57.7,11.9\n" * 1_000_000)  # more than the readers' blocks
        pipe.flush()
        while b'"stage": "contract"' not in process.stderr.readline():
            pass
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert f"stopped by {signum.name}" in err.decode()
    assert "Traceback" not in err.decode()
    assert list(folder.iterdir()) == []


def test_a_signal_stops_a_run_whose_input_says_nothing(tmp_path) -> None:
    fifo = tmp_path / "trips.csv"
    os.mkfifo(fifo)
    process = start_process("inspect", fifo)
    with fifo.open("wb"):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_second_interrupt_kills_at_once() -> None:
    program = (
        "import os, signal\n"
        "from gridcli.runtime.signals import Interrupted, handle_signals\n"
        "with handle_signals() as stop:\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        signal.pause()\n"
        "    except Interrupted:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)  # while it cleans up: no effect\n"
        "        print('cleaning up', flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        print('still alive', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "cleaning up\n"
    assert done.returncode == -signal.SIGINT


def test_a_signal_raises_in_the_main_thread_and_sets_the_flag() -> None:
    with handle_signals() as stop:
        assert not stop.is_set
        stop.check()
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert stop.is_set
        with pytest.raises(Interrupted):
            stop.check()
    assert caught.value.exit_code == 143


def test_no_signal_interrupts_the_renames() -> None:
    with handle_signals() as stop:
        with stop.held():
            signal.raise_signal(signal.SIGTERM)
            done = True
        assert done
        assert stop.is_set
        with pytest.raises(Interrupted), stop.held():
            raise AssertionError("the renames must not begin after a signal")


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = [signal.getsignal(s) for s in SIGNALS]
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    found: list[StopFlag] = []

    def enter() -> None:
        with handle_signals() as stop:
            found.append(stop)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(found) == 1
    assert not found[0].is_set


class Blocking:
    """A consumer that fails on one item and waits in another, as in a read."""

    def __init__(self, waiting: threading.Event, go_on: threading.Event) -> None:
        self.waiting, self.go_on = waiting, go_on

    def take(self, item: str) -> None:
        if item == "fail":
            assert self.waiting.wait(10)
            raise ZeroDivisionError
        self.waiting.set()
        self.go_on.wait(60)

    def finish(self) -> None:
        raise AssertionError("a stopped run must not be finished")


def test_a_failure_is_told_while_another_thread_is_blocked() -> None:
    waiting, go_on = threading.Event(), threading.Event()
    try:
        with pytest.raises(ZeroDivisionError):
            share_out(iter(["fail", "wait"]), lambda: Blocking(waiting, go_on), 2, StopFlag())
        assert waiting.is_set()
    finally:
        go_on.set()
