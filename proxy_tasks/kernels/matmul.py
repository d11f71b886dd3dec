"""Batched matrix products of lanes: by kernels of our own on a CPU, by torch elsewhere.

Which of the two is decided by what a lane is (see `proxy_tasks.kernels.dispatch`) and never by the
number of lanes, and neither lets lanes mix, so a lane's result does not depend on the pack it
trains in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from proxy_tasks.kernels.abi import Third, Tile
from proxy_tasks.kernels.dispatch import own_tile, plain
from proxy_tasks.kernels.gemm_calls import (
    NOWHERE,
    CallRecord,
    Strided,
    must_copy,
    pack,
    record,
    run,
    scratch_size,
)

__all__ = ["baddbmm", "bmm", "bmm_gated", "bmm_into", "bmm_joined", "by_one", "linear"]


def _own(
    a: Tensor,
    b: Tensor,
    out: Tensor | None = None,
    third: Third = Third.NONE,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    relu: bool = False,
) -> Tensor | None:
    """Return what `gemm.products` computes; None where torch is to compute it, or to refuse."""
    tile = own_tile(a, b) if c is None else own_tile(a, b, c)
    if tile is None or not _match(a, b):
        return None
    (lanes, m, _), n = a.shape, b.shape[2]
    if out is None:
        out = a.new_empty(lanes, m, n)
    elif out.shape != (lanes, m, n) or out.stride(2) != 1 or not plain(out):
        return None
    if c is not None:
        if c.shape != out.shape:
            c = c.expand(lanes, m, n)
        # The kernel reads c in vectors, or one entry a row for a bias, which expands to stride 0.
        if c.stride(2) != (third is not Third.BIAS):
            c = c.contiguous()
    product, _kept = _record(tile, out, a, b, c, alpha=alpha, beta=beta)
    run(tile, third, pack(lanes, [product]), relu=relu)
    return out


def _record(
    tile: Tile, out: Tensor, a: Tensor, b: Tensor, c: Tensor | None, *, alpha: float, beta: float
) -> tuple[CallRecord, list[Tensor]]:
    """Return the record of a product, and what must be kept until it is done."""
    (_, m, k), n = a.shape, b.shape[2]
    if b.stride(1) != 1 and b.stride(2) != 1:
        b = b.contiguous()
    kept, scratch, second = [b], 0, _place(b)
    if must_copy(tile, n, second):
        kept.append(a.new_empty(scratch_size(tile, k, n)))
        scratch = kept[1].data_ptr()
    third = NOWHERE if c is None else _place(c)
    places = _place(out), _place(a), second
    sizes = (m, k, n)
    return record(tile, sizes, *places, c=third, scratch=scratch, alpha=alpha, beta=beta), kept


def _match(a: Tensor, b: Tensor) -> bool:
    return b.shape[:2] == (a.shape[0], a.shape[2])


def _place(x: Tensor) -> Strided:
    return (x.data_ptr(), *x.stride())


def bmm(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a @ b for a (L, m, k) and b (L, k, n)."""
    own = _own(a, b, out)
    if own is not None:
        return own
    return torch.bmm(a, b) if out is None else torch.bmm(a, b, out=out)


def bmm_into(out: Tensor, a: Tensor, b: Tensor, scale: float = 1.0) -> None:
    """Write ``scale a @ b`` into `out`, all (L, ., .), where the lanes of `out` may lie apart."""
    if _own(a, b, out, alpha=scale) is None:
        # torch's product straight into such lanes makes a call for each, which costs more
        torch.mul(torch.bmm(a, b), scale, out=out)


def bmm_joined(factors: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Return ``scale a @ b`` of each (a, b, scale), side by side in the last dimension.

    All a are (L, m, .), and b (L, ., n) with an n of its own.
    """
    a = factors[0][0]
    widths = [b.shape[2] for _, b, _ in factors]
    tile = own_tile(*(x for a, b, _ in factors for x in (a, b)))
    if tile is None or not all(_match(a, b) for a, b, _ in factors):
        return torch.cat([_scaled(*factor) for factor in factors], -1)
    out = a.new_empty(*a.shape[:2], sum(widths))
    records = [
        _record(tile, part, a, b, None, alpha=scale, beta=0.0)
        for (a, b, scale), part in zip(factors, out.split(widths, 2), strict=True)
    ]
    run(tile, Third.NONE, pack(a.shape[0], [product for product, _ in records]))
    return out


def _scaled(a: Tensor, b: Tensor, scale: float) -> Tensor:
    if scale == 1.0:
        return torch.bmm(a, b)
    out = a.new_empty(*a.shape[:2], b.shape[2])
    return torch.baddbmm(out, a, b, beta=0, alpha=scale, out=out)


def bmm_gated(a: Tensor, b: Tensor, gate: Tensor) -> Tensor:
    """Return a @ b where `gate` is above 0, else 0: the gradient in the input of a ReLU.

    Args:
        a: Gradients in what follows the ReLU's output, (L, m, k).
        b: Its weights, (L, k, n).
        gate: The ReLU's output, (L, m, n).
    """
    own = _own(a, b, None, Third.GATE, gate)
    if own is not None:
        return own
    delta = torch.bmm(a, b)
    return torch.ops.aten.threshold_backward.grad_input(delta, gate, 0, grad_input=delta)


def linear(a: Tensor, b: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """Return a @ b, plus a bias (L, m, 1), and what of it is above 0 with `relu`."""
    third = Third.NONE if bias is None else Third.BIAS
    own = _own(a, b, None, third, bias, relu=relu)
    if own is None:
        if bias is None:
            own = torch.bmm(a, b)
        elif a.shape[2] == 1:  # MKL rounds a single lane's outer products otherwise than several
            own = torch.addcmul(bias, a, b)
        else:
            own = torch.baddbmm(bias, a, b)
        return own.relu_() if relu else own
    return own


def baddbmm(
    c: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    beta: float = 1.0,
    alpha: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """Return beta c + alpha a @ b for a (L, m, k), b (L, k, n) and a c that broadcasts.

    Args:
        c: What is added; ignored, NaN and all, with a beta of 0.
        a: The first factors.
        b: The second factors.
        beta: Factor of c.
        alpha: Factor of the products.
        out: Where the result goes; may be c.
    """
    third, added = (Third.ADDEND, c) if beta else (Third.NONE, None)
    own = _own(a, b, out, third, added, alpha=alpha, beta=beta)
    if own is not None:
        return own
    if out is None:
        return torch.baddbmm(c, a, b, beta=beta, alpha=alpha)
    if out is c:
        return c.baddbmm_(a, b, beta=beta, alpha=alpha)
    return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)


def by_one(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b for a (L, m, k) and one b (k, n) that all lanes share.

    ``a @ b`` itself makes one product of all lanes' rows, and how many there are may change how
    each is rounded.
    """
    return bmm(a, b.expand(a.shape[0], -1, -1))
