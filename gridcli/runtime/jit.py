"""How kernels are compiled: one decorator, one set of numba options, one place for its cache.

Every kernel runs without the GIL, so plain threads run kernels side by side; numba's own
threading layers are not used. Importing this module imports numba (0.4 s): only modules named
`kernels` do so, and they are imported where they are first needed.
"""

from __future__ import annotations

from typing import Any

from gridcli.runtime.jitcache import choose_cache_folder

CACHED = choose_cache_folder()

import numba  # noqa: E402 - numba reads NUMBA_CACHE_DIR when it is imported


def kernel(function: Any) -> Any:
    """Compile `function` with numba on first call: no GIL, IEEE arithmetic, cached on disk."""
    return numba.njit(nogil=True, error_model="numpy", cache=CACHED)(function)
