"""Threads that share a sequence of work, while the main thread only waits.

Kernels and decoders release the GIL, so plain threads are enough. The main thread waits in short
turns: that is where Python runs signal handlers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from gridcli.runtime.signals import StopFlag

TURN_S = 0.05
LONGEST_GOODBYE_S = 0.5
"""How long threads are waited for in all when a run is stopped."""
Item = TypeVar("Item")
Work_contra = TypeVar("Work_contra", contravariant=True)


class Consumer(Protocol[Work_contra]):
    """What one thread does with the items it takes."""

    def take(self, item: Work_contra) -> None:
        """Work on one item."""

    def finish(self) -> None:
        """Hand over what is still held, once there are no more items."""


class _Shared(Generic[Item]):
    """The items still to be taken, and how the run ends."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.is_over = False

    def next(self) -> Item | None:
        with self._lock:
            return None if self.is_over else next(self._items, None)

    def fail(self, error: BaseException) -> None:
        """Keep the first error; let no thread take more."""
        self.is_over = True
        if self._error is None:
            self._error = error

    @property
    def has_failed(self) -> bool:
        """Whether a thread has met an error, and it is no use to wait for the others."""
        return self._error is not None

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def share_out(
    items: Iterator[Item],
    make_consumer: Callable[[], Consumer[Item]],
    threads: int,
    stop: StopFlag,
) -> None:
    """Let `threads` threads work through the items, each with a consumer of its own.

    Parameters
    ----------
    items : iterator
        Advanced by one thread at a time, never concurrently. No item is None.
    make_consumer : callable
        Called in the main thread, once for each thread.
    threads : int
    stop : StopFlag
        Consumers check it themselves between pieces of an item.

    Raises
    ------
    Exception
        The first that a thread met; the others stop after the item they work on.
    Interrupted
        A signal arrived.
    """
    shared = _Shared(items)

    def work(consumer: Consumer[Item]) -> None:
        try:
            while (item := shared.next()) is not None:
                consumer.take(item)
            if not shared.is_over:
                consumer.finish()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            shared.fail(error)

    # Daemons: a thread that is blocked in a read must not keep an interrupted process alive.
    workers = [
        threading.Thread(target=work, args=(make_consumer(),), name=f"worker-{i}", daemon=True)
        for i in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            while worker.is_alive() and not shared.has_failed:
                worker.join(TURN_S)
                stop.check()
    finally:
        shared.is_over = True
        give_up = time.monotonic() + LONGEST_GOODBYE_S
        for worker in workers:
            worker.join(timeout=max(0.0, give_up - time.monotonic()))
    shared.raise_error()


class _Once(Generic[Item]):
    """A consumer that calls one function and keeps what it returns."""

    result: Item

    def take(self, item: Callable[[], Item]) -> None:
        self.result = item()

    def finish(self) -> None:
        """Nothing is held."""


def call(function: Callable[[], Item], stop: StopFlag) -> Item:
    """Call a function on a thread, so that a signal interrupts the wait for it.

    A kernel cannot be interrupted: on a signal, this returns while the function still runs.

    Raises
    ------
    Exception
        What the function raised.
    Interrupted
        A signal arrived.
    """
    consumer: _Once[Item] = _Once()
    share_out(iter([function]), lambda: consumer, 1, stop)
    return consumer.result
