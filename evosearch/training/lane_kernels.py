"""The kernels of the op table as lanes run them.

An exported optimizer multiplies its few large matrices with torch. Lanes have many small ones: one
Newton-Schulz iteration of a stack of them is 15 calls that each read and write all of it. Here a
matrix goes through the whole iteration before the next one, in the nearest cache. The kernels are
the same source, loaded once more with this `quintic` for theirs; the two agree but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache, partial
from importlib.util import find_spec, module_from_spec
from itertools import accumulate, cycle, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from primitives import kernels
from proxy_tasks.kernels.abi import Third, Tile
from proxy_tasks.kernels.dispatch import own_tile
from proxy_tasks.kernels.gemm_calls import CallRecord, pack, record, run, scratch_size

__all__ = ["lane_kernels", "quintic"]

_BYTES: Final = 4
"""Of a float32."""
UpdateStep = tuple[float, float, float]
"""Coefficients of one step."""


@cache
def lane_kernels() -> dict[str, Any]:
    """Return what generated source may name: torch and the kernels."""
    spec = find_spec(kernels.__name__)
    assert spec is not None
    assert spec.loader is not None
    ours = module_from_spec(spec)  # nobody else's: `primitives.kernels` stays as it is
    spec.loader.exec_module(ours)
    vars(ours)["quintic"] = quintic
    return {**vars(ours), "torch": torch}


def quintic(x: Tensor, coefficients: list[UpdateStep]) -> Tensor:
    """Return what the kernel of this name does, one matrix after another on a CPU."""
    tile = own_tile(x)
    if tile is None or not coefficients or not x.numel():
        return kernels.quintic(x, coefficients)
    x = x.contiguous()
    m, n = x.shape[-2:]
    plan = _plan(tile, m, n, tuple(coefficients))
    result, work = torch.empty_like(x), x.new_empty(plan.size)
    words = plan.words + x.data_ptr() * plan.x
    words += result.data_ptr() * plan.result
    words += work.data_ptr() * plan.work
    words[0] = x.numel() // (m * n)
    run(tile, Third.ADDEND, words.tobytes())
    return result


class _Workspace(NamedTuple):
    """The products of an iteration, as words of 8 bytes: ``words + address of x * x + ...``."""

    words: np.ndarray
    x: np.ndarray
    result: np.ndarray
    work: np.ndarray
    size: int
    """Floats of work."""


@lru_cache(maxsize=256)
def _plan(tile: Tile, m: int, n: int, coefficients: tuple[UpdateStep, ...]) -> _Workspace:
    side = min(m, n)
    sizes = (m * n, m * n, side * side, side * side, scratch_size(tile, max(m, n), n))

    def words(x: int, result: int, work: int) -> np.ndarray:
        places = [work + _BYTES * start for start in accumulate(sizes[:-1], initial=0)]
        records = _records(tile, (m, n), coefficients, (x, result), places)
        return np.frombuffer(pack(0, records), np.int64)

    start = words(0, 0, 0)
    by_address = (words(1, 0, 0) - start, words(0, 1, 0) - start, words(0, 0, 1) - start)
    return _Workspace(start, *by_address, sum(sizes))


def _records(
    tile: Tile,
    shape: tuple[int, int],
    coefficients: Sequence[UpdateStep],
    ends: tuple[int, int],
    work: Sequence[int],
) -> list[CallRecord]:
    """Return the products of an iteration that begins and ends at two addresses.

    Lanes have in common, each while it lasts, what lies in `work`: y of odd and of even steps, its
    Gram matrix, a polynomial of that, and scratch of the products.
    """
    m, n = shape
    side, tall = min(m, n), m > n
    odd, even, *squares, scratch = work
    gram, poly = ((address, 0, side, 1) for address in squares)
    between = [(at, 0, n, 1) for at, _ in zip(cycle((odd, even)), coefficients[1:], strict=False)]
    ys = [(ends[0], m * n, n, 1), *between, (ends[1], m * n, n, 1)]

    multiply = partial(record, tile, scratch=scratch)
    records: list[CallRecord] = []
    for (a, b, c), (y, following) in zip(coefficients, pairwise(ys), strict=True):
        turned = (*y[:2], y[3], y[2])
        squared, moved = ((turned, y), (y, poly)) if tall else ((y, turned), (poly, y))
        records += [
            multiply((side, max(m, n), side), gram, *squared, c=y, alpha=1.0, beta=0.0),
            multiply((side, side, side), poly, gram, gram, c=gram, alpha=c, beta=b),
            multiply((m, side, n), following, *moved, c=y, alpha=1.0, beta=a),
        ]
    return records
