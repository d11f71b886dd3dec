"""Calls of the kernels of `proxy_tasks.kernels.gemm` on memory given by address."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Final

from proxy_tasks.kernels.abi import HEADER, RECORD, Third, Tile
from proxy_tasks.kernels.jit import compile_function

__all__ = [
    "NOWHERE",
    "CallRecord",
    "Strided",
    "compile_kernels",
    "must_copy",
    "pack",
    "record",
    "run",
    "scratch_size",
]

Strided = tuple[int, ...]
"""Address of a matrix of the first lane, and strides over lanes, rows and columns in floats."""
NOWHERE: Final[Strided] = (0, 0, 0, 0)
CallRecord = tuple[float, ...]
"""Fields of one product, see `tile.RECORD`."""
_LONG_ROW: Final = 1024
"""From so many floats on, rows lie on pages of their own, and to copy them first is quicker."""


def must_copy(tile: Tile, n: int, b: Strided) -> bool:
    """Whether second factors of n columns need scratch."""
    _, _, row, column = b
    return column != 1 or n % tile.width != 0 or row >= _LONG_ROW


def scratch_size(tile: Tile, k: int, n: int) -> int:
    """Return how many floats of scratch a second factor (k, n) needs."""
    return tile.size + -(-n // tile.columns) * tile.columns * k


def record(
    tile: Tile,
    sizes: tuple[int, int, int],
    out: Strided,
    a: Strided,
    b: Strided,
    *,
    c: Strided,
    scratch: int,
    alpha: float,
    beta: float,
) -> CallRecord:
    """Return the record of ``out = alpha a @ b`` with a third operand.

    Args:
        tile: Of the kernel.
        sizes: m, k and n.
        out: Where the result goes; its stride over columns is 1.
        a: The first factors.
        b: The second factors; one of their strides over rows and columns is 1.
        c: The third operands; their stride over columns is 1, or 0 for a bias.
        scratch: Address of scratch, if `b` needs it.
        alpha: Factor of the product.
        beta: Factor of c.
    """
    spare = scratch if must_copy(tile, sizes[2], b) else 0
    return (*sizes, *a, *b, *out[:3], *c, spare, alpha, beta)


def pack(lanes: int, records: Sequence[CallRecord]) -> bytes:
    """Return what `run` takes: a header of two words of 8 bytes, the number of lanes the first."""
    return _layout(len(records)).pack(lanes, len(records), *chain.from_iterable(records))


def run(tile: Tile, third: Third, packed: bytes, *, relu: bool = False) -> None:
    """Do the products one after another in each lane, before the next one."""
    _kernel(tile, third, relu)(packed)


def compile_kernels(tile: Tile) -> None:
    """Compile the kernels that tasks and rules ask for, which otherwise their first call does."""
    for third in Third:
        _kernel(tile, third, False)
    for third in (Third.NONE, Third.BIAS):
        _kernel(tile, third, True)


@cache
def _kernel(tile: Tile, third: Third, relu: bool) -> Callable[[bytes], None]:
    from proxy_tasks.kernels.gemm import products  # it needs llvmlite

    return compile_function(products(tile, third, relu=relu), "products")


@cache
def _layout(count: int) -> struct.Struct:
    return struct.Struct(f"<{HEADER}{RECORD * count}")
