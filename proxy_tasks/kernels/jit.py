"""Machine code for the processor at hand, made by LLVM while the program runs.

No compiler need be installed: llvmlite, which numba is built on, brings LLVM with it.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["compile_function", "features"]

_kept: list[Any] = []
"""Engines own the code they made."""


@cache
def features() -> frozenset[str]:
    """Return what the processor can do beyond its architecture, by LLVM's names.

    Empty on processors other than x86-64, for which no kernel was measured, and where llvmlite is
    not installed.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return frozenset()
    try:
        from llvmlite import binding
    except ImportError:
        return frozenset()
    return frozenset(name for name, has in binding.get_host_cpu_features().items() if has)


def compile_function(text: str, name: str) -> Callable[[bytes], None]:
    """Return a function ``void name(pointer)`` as one that takes the bytes pointed to.

    Args:
        text: LLVM's intermediate representation, which is trusted to be right.
        name: Of the function in it.

    Raises:
        RuntimeError: The text is not valid.
    """
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(text)
    module.verify()
    # By their cost models LLVM halves vectors of 512 bits on some processors that have them.
    extras = f"{binding.get_host_cpu_features().flatten()},-prefer-256-bit"
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=extras, opt=2
    )
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _kept.append(engine)
    # A pointer to char is passed as the address of the bytes themselves, zeros among them or not.
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p)(engine.get_function_address(name))
