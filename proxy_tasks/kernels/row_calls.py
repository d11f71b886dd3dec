"""Softmax and division by the root mean square over rows, by kernels of our own on a CPU.

Each function takes the work or leaves it: it returns whether it did it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import Tensor

from proxy_tasks.kernels.abi import ROWS, WIDTH
from proxy_tasks.kernels.dispatch import own_tile
from proxy_tasks.kernels.jit import compile_function

__all__ = ["compile_kernels", "run_rows"]

_LAYOUT: Final = struct.Struct(f"<{ROWS}")


def run_rows(name: str, rows: Tensor, *others: Tensor, number: float = 0.0) -> bool:
    """Run a function of `proxy_tasks.kernels.row_kernels` over the last dimension, if it may.

    Args:
        name: Of the function.
        rows: Its first argument.
        others: What else it is given, by the order of its addresses.
        number: As it is.
    """
    tensors = (rows, *others)
    numbers = [x for x in tensors if x.dtype is not torch.int64]
    length = rows.shape[-1]
    if not length or length % WIDTH or own_tile(*numbers) is None:
        return False
    if not all(x.is_contiguous() for x in tensors):
        return False
    addresses = [x.data_ptr() for x in tensors]
    addresses += [0] * (5 - len(addresses))
    _kernel(name)(_LAYOUT.pack(rows.numel() // length, length, *addresses, number))
    return True


def compile_kernels() -> None:
    """Compile all functions, which otherwise their first call does."""
    from proxy_tasks.kernels.row_kernels import KERNELS

    for name in KERNELS:
        _kernel(name)


@cache
def _kernel(name: str) -> Callable[[bytes], None]:
    from proxy_tasks.kernels.row_kernels import KERNELS  # it needs llvmlite

    return compile_function(KERNELS[name](name), name)
