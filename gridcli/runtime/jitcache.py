"""Where the machine code of kernels is kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

ENTRY = "gridcli_kernel"
"""Symbol of a kernel's entry in its object code."""


@cache
def target_machine() -> Any:
    """Return llvmlite's target machine for this processor."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic" if sys.platform.startswith("linux") else "default",
        codemodel="jitdefault",
        jit=True,
    )


class KernelCache:
    """The file that keeps one kernel's machine code.

    Its name holds a hash of everything that the code depends on: the text of the modules that it
    comes from, the signature, the processor, and the versions of the compiler.

    Parameters
    ----------
    function : function
        The kernel.
    signature : str
    sources : iterable of str
        Files of the kernel and of all parts that it may call.

    Attributes
    ----------
    path : Path or None
        None where no folder can be written.
    """

    def __init__(
        self, function: Callable[..., Any], signature: str, sources: Iterable[str]
    ) -> None:
        digest = hashlib.sha256(_environment())
        for source in sorted(sources):
            digest.update(Path(source).read_bytes())
        digest.update(f"{function.__qualname__}({signature})".encode())
        folder = _folder(Path(function.__code__.co_filename).parent)
        name = f"{function.__module__}.{function.__qualname__}-{digest.hexdigest()[:20]}.o"
        self.path = folder / name if folder else None

    def read(self) -> bytes | None:
        """Return the kept machine code; None where there is none, or it is damaged."""
        if self.path is None:
            return None
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        digest, code = content[:32], content[32:]
        return code if hashlib.sha256(code).digest() == digest else None

    def write(self, code: bytes) -> None:
        """Keep the machine code; a cache that cannot be written costs time, never a run."""
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(code).digest() + code)
                Path(temporary).replace(self.path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)


@cache
def _environment() -> bytes:
    import llvmlite.binding as llvm

    compiler = Path(__file__).with_name("compiler.py").read_bytes()
    parts = (
        version("numba"),
        version("llvmlite"),
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )
    return "\n".join(parts).encode() + compiler


@cache
def _folder(package: Path) -> Path | None:
    """Return a folder that can be written and that nobody else can have written to."""
    chosen = os.environ.get("GRIDCLI_CACHE_DIR")
    if chosen:
        candidates = [Path(chosen)]
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
        candidates = [
            package / "__pycache__",
            *([Path(home) / "gridcli"] if Path(home).parent.is_dir() else []),
            Path(tempfile.gettempdir()) / f"gridcli-{os.getuid()}",
        ]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    return None
