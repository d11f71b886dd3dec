"""What kernels compute with vectors beyond single instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy_tasks.kernels.ir import Code, SsaValue

__all__ = ["exp", "fold", "transposed"]

_EXP: Final = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
"""Cephes' coefficients of (e^r - 1 - r) / r^2, the highest power first."""


def fold(code: Code, vector: SsaValue, join: Callable[[SsaValue, SsaValue], SsaValue]) -> SsaValue:
    """Return one float: the halves of a vector joined, and so on."""
    size = code.width
    while size > 1:
        size //= 2
        order = [*range(size, 2 * size), *[0] * (code.width - size)]
        vector = join(vector, code.chosen(vector, vector, order))
    return code.first(vector)


def exp(code: Code, x: SsaValue) -> SsaValue:
    """Return e^x of a vector of numbers that are not above 0, to 1e-7 of it; 0 below e^-87.

    By Cephes' expf: x = n log 2 + r with a whole n and |r| < log(2) / 2, a polynomial for e^r, and
    n added to the exponent (https://www.netlib.org/cephes/).
    """
    b = code.builder
    rounder = code.filled(1.5 * 2.0**23)  # added to a small number it leaves the last bits to n
    shifted = code.multiply_add(x, code.filled(1.4426950408889634), rounder)
    n = b.fsub(shifted, rounder)
    # log 2 in two parts, the first of so few bits that n times it is exact: r keeps its digits.
    r = code.multiply_add(n, code.filled(-0.693359375), x)
    r = code.multiply_add(n, code.filled(2.12194440e-4), r)
    series = code.filled(_EXP[0])
    for coefficient in _EXP[1:]:
        series = code.multiply_add(series, r, code.filled(coefficient))
    power = code.multiply_add(series, b.fmul(r, r), b.fadd(r, code.filled(1.0)))
    # The exponent of a float begins at bit 23, so this adds n to it: a product with 2^n.
    exponent = b.shl(code.bits(shifted), code.filled_bits(23))
    power = b.bitcast(b.add(code.bits(power), exponent), code.vector)
    tiny = b.fcmp_ordered("<", x, code.filled(-87.0))
    power = b.select(tiny, code.filled(0.0), power)
    return b.select(b.fcmp_unordered("!=", x, x), x, power)  # a NaN, which no number equals


def transposed(code: Code, rows: Sequence[SsaValue]) -> list[SsaValue]:
    """Return the columns of a square block of vectors.

    Each of log2(width) rounds interleaves row i of the upper half with row i of the lower.
    """
    half, rows = code.width // 2, list(rows)
    pairs = [(i, code.width + i) for i in range(code.width)]
    orders = [[i for pair in part for i in pair] for part in (pairs[:half], pairs[half:])]
    for _ in range(code.width.bit_length() - 1):
        rows = [
            code.chosen(rows[i], rows[i + half], order) for i in range(half) for order in orders
        ]
    return rows
