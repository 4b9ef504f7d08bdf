"""Memory that is taken from and given back to the system exactly when we say so."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

HUGE_PAGE_BYTES = 2 << 20


def zeroed(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a zeroed array in pages of its own, given back as soon as the array is dropped.

    Blocks of a general allocator stay with the process after they are freed, and are mapped in
    small pages: filling a large hash table then spends more time in page faults than in hashing.
    Large arrays ask for huge pages.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < HUGE_PAGE_BYTES:
        return np.zeros(shape, dtype)
    # Only whole, aligned huge pages are mapped as such; what is never touched costs nothing.
    pages = mmap.mmap(-1, size + 2 * HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    start = -memory.ctypes.data % HUGE_PAGE_BYTES
    return memory[start : start + size].view(dtype).reshape(shape)
