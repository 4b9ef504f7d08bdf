"""How kernels are compiled, kept and called.

A kernel is a plain function over numpy arrays that numba compiles. Importing numba and preparing
its compiler takes about a second, more than most runs of gridcli, even where every kernel is
found in numba's own cache. So kernels are compiled once for a declared signature, their machine
code is kept on disk, and later runs load it with llvmlite alone and call it through ctypes, which
also releases the GIL: plain threads run kernels side by side.

What a kernel may not do: allocate, raise, or call anything but arithmetic and functions marked
`@part`. A kernel that does is found out when it is compiled.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from gridcli.runtime.jitcache import KernelCache

_SCALARS: dict[str, Any] = {
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float64": ctypes.c_double,
}
_error_info = ctypes.create_string_buffer(64)
"""Where a native function of numba's puts a pointer to its error; only its status is looked at."""
_lock = threading.RLock()
_loaded: list[Any] = []
"""Engines own the machine code of their kernels and must outlive them."""


class Part:
    """A function that kernels call, by its own name; compiled into each of them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any) -> Any:
        """Run the uncompiled function."""
        return self.py_func(*args)


class Kernel:
    """A compiled function; call it with arrays and numbers of the declared types.

    Attributes
    ----------
    py_func : function
        The uncompiled function.
    signature : str
    """

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.py_func = function
        self.signature = signature
        self.__doc__ = function.__doc__
        arguments, _, results = signature.partition("->")
        self._arguments = [_argument(text) for text in re.findall(r"\w+(?:\[[:,]*\])?", arguments)]
        self._n_results = 0 if not results.strip() else results.count(",") + 1
        self._native: Any = None

    @property
    def name(self) -> str:
        """Dotted name of the kernel."""
        return f"{self.py_func.__module__}.{self.py_func.__qualname__}"

    def __call__(self, *args: Any) -> Any:
        """Run the kernel.

        Raises
        ------
        TypeError
            An array is not C-contiguous or not of the declared dtype and dimension.
        RuntimeError
            The kernel raised an error.
        """
        native = self._native or self.load()
        results = (ctypes.c_int64 * max(self._n_results, 1))()
        flat: list[Any] = [results, _error_info]
        if len(args) != len(self._arguments):
            raise TypeError(f"{self.name} takes {len(self._arguments)} arguments")
        for value, (dtype, dimensions) in zip(args, self._arguments, strict=True):
            if dimensions == 0:
                flat.append(value)
                continue
            if value.dtype != dtype or value.ndim != dimensions or not value.flags.c_contiguous:
                raise TypeError(
                    f"{self.name}: {dtype} with {dimensions} contiguous dimensions expected, "
                    f"not {value.dtype} of shape {value.shape}, strides {value.strides}"
                )
            flat.append(value.__array_interface__["data"][0])
            flat.extend(value.shape)
        if native(*flat) != 0:
            raise RuntimeError(f"kernel {self.name} raised an error")
        if self._n_results == 1:
            return results[0]
        return tuple(results) if self._n_results else None

    def load(self) -> Any:
        """Make the machine code callable: from the cache, or by compiling it."""
        with _lock:
            if self._native is None:
                self._native = self._link(self._cache.read() or self._compile())
            return self._native

    @property
    def can_be_kept(self) -> bool:
        """Whether there is a folder to keep the machine code in."""
        return self._cache.path is not None

    @property
    def is_kept(self) -> bool:
        """Whether the machine code has been kept already."""
        return self._cache.path is not None and self._cache.path.exists()

    def keep(self) -> None:
        """Compile the kernel for later runs, if it is not kept yet."""
        if not self.is_kept:
            self._compile()

    @cached_property
    def _cache(self) -> KernelCache:
        sources = {part.__code__.co_filename for part in _functions_within(self.py_func)}
        return KernelCache(self.py_func, self.signature, sources)

    def _compile(self) -> bytes:
        from gridcli.runtime import compiler

        code = compiler.machine_code(self.py_func, self._arguments)
        self._cache.write(code)
        return code

    def _link(self, code: bytes) -> Any:
        import llvmlite.binding as llvm

        from gridcli.runtime.jitcache import ENTRY, target_machine

        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        _loaded.append(engine)
        types: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
        for dtype, dimensions in self._arguments:
            if dimensions == 0:
                types.append(_SCALARS[dtype.name])
            else:
                types += [ctypes.c_void_p] + [ctypes.c_int64] * dimensions
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *types)
        return prototype(engine.get_function_address(ENTRY))


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a kernel.

    Parameters
    ----------
    signature : str
        Types of the arguments, and of the results if there are any (int64 only):
        ``"float64[:], uint64[:,:], int64 -> int64, int64"``. Scalars are int64, uint64 or float64.
    """
    return lambda function: Kernel(function, signature)


def part(function: Callable[..., Any]) -> Part:
    """Declare a function that kernels call, also those of modules that import it."""
    return Part(function)


def prefetch(array: Any, row: int, column: int) -> None:
    """Bring an element of a two-dimensional array into the cache; for kernels.

    The processor goes on without waiting: asking some steps ahead hides the memory's latency.
    """


def _argument(text: str) -> tuple[np.dtype[Any], int]:
    """Type and number of dimensions of ``float64[:,:]``; 0 dimensions for a scalar."""
    name, bracket, rest = text.partition("[")
    if not bracket and name not in _SCALARS:
        raise ValueError(f"a scalar argument must be one of {list(_SCALARS)}, not {name}")
    return np.dtype(name), rest.count(":")


def _functions_within(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Return a kernel's function and the parts that its module has, and theirs, and so on."""
    found = [function]
    for each in found:
        parts = [value.py_func for value in each.__globals__.values() if isinstance(value, Part)]
        found += [part for part in parts if part not in found]
    return found
