"""Encoding batches on several threads while their results are written in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from gridcli.output.layer import LayerBatch

Encoded = TypeVar("Encoded")

LARGE_VERTICES = 1 << 18
"""A batch of more vertices, some tens of megabytes as text, is encoded with none beside it."""


def encode_ahead(
    batches: Iterator[LayerBatch], encode: Callable[[LayerBatch], Encoded], threads: int
) -> Iterator[Encoded]:
    """Yield ``encode(batch)`` of each batch in order, working on `threads` of them at a time.

    Parameters
    ----------
    batches : iterator of LayerBatch
        Advanced by the calling thread, at most `threads` batches ahead; not at all while a
        large one is encoded.
    encode : callable
        Spends its time in Arrow's or numpy's kernels, which let other threads run.
    threads : int
    """
    if threads <= 1:
        yield from map(encode, batches)
        return
    waiting: deque[Future[Encoded]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="encode") as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(encode, batch))
                ahead = 0 if len(batch.geometry.x) > LARGE_VERTICES else threads
                while len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
