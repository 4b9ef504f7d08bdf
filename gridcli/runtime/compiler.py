"""Compiling a kernel to machine code with numba. Imported only when a kernel is not cached."""

from __future__ import annotations

import gc
import re
import types
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types as nb
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from gridcli.runtime.jit import Part, prefetch
from gridcli.runtime.jitcache import ENTRY, target_machine

_LIBRARY_FUNCTIONS = re.compile(
    r"a?(cos|sin|tan)h?|atan2|cbrt|ceil|exp|expm1|fabs|floor|fmod|hypot|log|log10|log1p"
    r"|mem(cmp|cpy|move|set)|pow|rint|round|sqrt|trunc"
)
"""What machine code may ask of the C library, which every process has loaded."""
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}


@intrinsic  # type: ignore[untyped-decorator]
def _array_at(_context: Any, pointer: Any, shape: Any) -> Any:
    """Make a C-contiguous array of the memory at a pointer (numba's carray needs its runtime)."""
    array_type = nb.Array(pointer.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        array = context.make_array(array_type)(context, builder)
        item = context.get_abi_sizeof(context.get_data_type(pointer.dtype))
        lengths = cgutils.unpack_tuple(builder, args[1], len(shape))
        strides = [context.get_constant(nb.intp, item)]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(
            array,
            data=args[0],
            shape=lengths,
            strides=strides,
            itemsize=context.get_constant(nb.intp, item),
            meminfo=None,
        )
        return array._getvalue()  # noqa: SLF001 - numba's own way of reading a proxy

    return array_type(pointer, shape), generate


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Emit the one instruction that `gridcli.runtime.jit.prefetch` stands for."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        view = context.make_array(array)(context, builder, args[0])
        place = cgutils.get_item_pointer(context, builder, array, view, args[1:], wraparound=False)
        address, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address, number, number, number]),
            "llvm.prefetch.p0",
        )
        for_writing, into_every_cache, data = number(1), number(3), number(1)
        builder.call(
            prefetch, [builder.bitcast(place, address), for_writing, into_every_cache, data]
        )
        return context.get_dummy_value()

    return nb.void(array, row, column), generate


def machine_code(
    function: Callable[..., Any],
    arguments: list[tuple[np.dtype[Any], int]],
) -> bytes:
    """Return the object code of a kernel whose only symbol of interest is `ENTRY`.

    numba passes an array as seven and more values, some of them pointers into its runtime. The
    compiled entry takes a pointer and the lengths instead, and makes the array from them.

    Parameters
    ----------
    function : function
        The kernel.
    arguments : list of (dtype, int)
        Type and number of dimensions of each argument; 0 dimensions for a scalar.

    Raises
    ------
    RuntimeError
        The kernel needs something of numba's runtime: it allocates or raises.
    """
    collecting = gc.isenabled()
    gc.disable()  # the compiler makes millions of objects, and little garbage
    try:
        name, text = _lower(function, arguments)
    finally:
        if collecting:
            gc.enable()
    module = llvm.parse_assembly(text)
    for symbol in module.functions:
        known = symbol.name.startswith("llvm.") or _LIBRARY_FUNCTIONS.fullmatch(symbol.name)
        if symbol.is_declaration and not known and _is_called(module, symbol.name):
            raise RuntimeError(f"kernel {function.__qualname__} calls {symbol.name}")
    module.get_function(name).name = ENTRY
    module.verify()
    code: bytes = target_machine().emit_object(module)
    return code


def _scope_of(names: dict[str, Any], scopes: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return what the names of a module mean to kernels: its parts compiled, each in its own one.

    Parameters
    ----------
    names : dict of str to object
        Globals of the module.
    scopes : dict of int to dict
        Those made so far, by the identity of their globals.
    """
    if id(names) not in scopes:
        scope = scopes[id(names)] = dict(names)
        for name, value in names.items():
            if value is prefetch:
                scope[name] = _prefetch
            elif isinstance(value, Part):
                own = _scope_of(value.py_func.__globals__, scopes)
                function = types.FunctionType(value.py_func.__code__, own, name)
                scope[name] = numba.njit(**_OPTIONS)(function)
    return scopes[id(names)]


def _lower(
    function: Callable[..., Any],
    arguments: list[tuple[np.dtype[Any], int]],
) -> tuple[str, str]:
    """Return the name of the entry and the optimised LLVM module that it stands in."""
    scope = _scope_of(function.__globals__, {})
    scope["_kernel"] = numba.njit(inline="always", **_OPTIONS)(
        types.FunctionType(function.__code__, scope, function.__name__)
    )
    scope["_array_at"] = _array_at
    names, values, signature = [], [], []
    for i, (dtype, dimensions) in enumerate(arguments):
        scalar = numba.from_dtype(dtype)
        names.append(f"a{i}")
        signature.append(nb.CPointer(scalar) if dimensions else scalar)
        lengths = [f"a{i}_{d}" for d in range(dimensions)]
        names += lengths
        signature += [nb.int64] * dimensions
        values.append(f"_array_at(a{i}, ({', '.join(lengths)},))" if dimensions else f"a{i}")
    source = f"def entry({', '.join(names)}):\n    return _kernel({', '.join(values)})\n"
    exec(compile(source, f"<entry of {function.__qualname__}>", "exec"), scope)  # noqa: S102 - built from type names alone
    entry = numba.njit(
        tuple(signature), no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS
    )(scope["entry"])
    overload = next(iter(entry.overloads.values()))
    return overload.fndesc.llvm_func_name, next(iter(entry.inspect_llvm().values()))


def _is_called(module: Any, name: str) -> bool:
    text = str(module)
    return text.count(f"@{name}(") + text.count(f'@"{name}"(') > 1
