"""Where numba keeps compiled kernels, chosen before numba is imported.

numba's ``cache=True`` raises at import when neither the package folder nor the user's cache
folder can be written, as in a read-only container. Then kernels are kept in a folder of the
user's own below the temporary directory, or not kept at all.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def choose_cache_folder() -> bool:
    """Set NUMBA_CACHE_DIR where needed; return whether compiled kernels can be cached."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return _is_writable(Path(os.environ["NUMBA_CACHE_DIR"]))
    package = Path(__file__).resolve().parent.parent
    if os.access(package, os.W_OK):
        return True
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    for folder in (Path(home) / "gridcli", Path(tempfile.gettempdir()) / f"gridcli-{os.getuid()}"):
        if _is_writable(folder) and folder.stat().st_uid == os.getuid():
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            return True
    return False


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
