"""The kernels of the op table as lanes run them.

An exported optimizer multiplies its few large matrices with torch. Lanes have many small ones: one
Newton-Schulz iteration of a stack of them is 15 calls that each read and write all of it. Here a
matrix goes through the whole iteration before the next one, in the nearest cache. The kernels are
the same functions, with another `quintic` to call; the two agree but for rounding.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import accumulate, cycle, pairwise
from types import FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from primitives import kernels
from proxy_tasks.choice import own_tile
from proxy_tasks.gemm_calls import Record, record, run, scratch_size
from proxy_tasks.tile import Third

__all__ = ["lane_kernels", "quintic"]

_BYTES: Final = 4
"""Of a float32."""


@cache
def lane_kernels() -> dict[str, Any]:
    """Return what generated source may name: torch and the kernels."""
    scope: dict[str, Any] = {**vars(kernels), "torch": torch, "quintic": quintic}
    for name in kernels.__all__:
        code = getattr(kernels, name).__code__
        if "quintic" in code.co_names:
            scope[name] = FunctionType(code, scope, name)
    return scope


def quintic(x: Tensor, coefficients: list[tuple[float, float, float]]) -> Tensor:
    """Return what the kernel of this name does, one matrix after another on a CPU."""
    tile = own_tile(x)
    if tile is None or not coefficients or not x.numel():
        return kernels.quintic(x, coefficients)
    x = x.contiguous()
    result = torch.empty_like(x)
    m, n = x.shape[-2:]
    side, tall = min(m, n), m > n
    # Lanes have in common, each while it lasts: y of odd and of even steps, its Gram matrix, a
    # polynomial of that, and scratch of the products.
    sizes = (m * n, m * n, side * side, side * side, scratch_size(tile, max(m, n), n))
    work = x.new_empty(sum(sizes))
    starts = accumulate(sizes[:-1], initial=0)
    odd, even, *squares, scratch = (work.data_ptr() + _BYTES * start for start in starts)
    gram, poly = ((address, 0, side, 1) for address in squares)
    between = [(at, 0, n, 1) for at, _ in zip(cycle((odd, even)), coefficients[1:], strict=False)]
    ys = [(x.data_ptr(), m * n, n, 1), *between, (result.data_ptr(), m * n, n, 1)]

    multiply = partial(record, tile, scratch=scratch)
    records: list[Record] = []
    for (a, b, c), (y, following) in zip(coefficients, pairwise(ys), strict=True):
        turned = (*y[:2], y[3], y[2])
        squared, moved = ((turned, y), (y, poly)) if tall else ((y, turned), (poly, y))
        records += [
            multiply((side, max(m, n), side), gram, *squared, c=y, alpha=1.0, beta=0.0),
            multiply((side, side, side), poly, gram, gram, c=gram, alpha=c, beta=b),
            multiply((m, side, n), following, *moved, c=y, alpha=1.0, beta=a),
        ]
    run(tile, Third.ADDEND, x.numel() // (m * n), records)
    return result
