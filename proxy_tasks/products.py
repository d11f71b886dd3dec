"""Batched matrix products of lanes: by kernels of our own on a CPU, by torch elsewhere.

A kernel of `proxy_tasks.gemm` serves float32 matrices on the processors that it was measured on,
where nothing asks for gradients by autograd; torch does all else. Which of the two is decided by
what a lane is and never by the number of lanes, and neither lets lanes mix, so a lane's result does
not depend on the pack it trains in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import torch
from torch import Tensor

from proxy_tasks.gemm_calls import NOWHERE, must_copy, processor_tile, record, run, scratch_size
from proxy_tasks.tile import Third, Tile

__all__ = [
    "baddbmm",
    "bmm",
    "bmm_gated",
    "bmm_into",
    "by_one",
    "by_torch",
    "kernels",
    "linear",
    "own_tile",
]

_ALLOWED: Final = ContextVar("allowed", default=True)


def kernels() -> str:
    """Return by what float32 matrices are multiplied on this machine's CPU, in words."""
    own = processor_tile()
    return f"own kernels, {32 * own.width} bits" if own else "torch's"


@contextmanager
def by_torch() -> Iterator[None]:
    """Within it torch makes all products."""
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def own_tile(*tensors: Tensor) -> Tile | None:
    """Return the tile to multiply these by; None where torch is to do it."""
    return processor_tile() if _ALLOWED.get() and all(map(_plain, tensors)) else None


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
    if tile is None:
        return None
    (lanes, m, k), n = a.shape, b.shape[2]
    if b.shape[:2] != (lanes, k):
        return None
    if out is None:
        out = a.new_empty(lanes, m, n)
    elif out.shape != (lanes, m, n) or out.stride(2) != 1 or not _plain(out):
        return None
    if b.stride(1) != 1 and b.stride(2) != 1:
        b = b.contiguous()
    place = (b.data_ptr(), *b.stride())
    scratch = 0
    if must_copy(tile, n, place):
        spare = a.new_empty(scratch_size(tile, k, n))
        scratch = spare.data_ptr()
    third_place = NOWHERE
    if c is not None:
        if c.shape != out.shape:
            c = c.expand(lanes, m, n)
        if c.stride(2) != (third is not Third.BIAS):
            c = c.contiguous()
        third_place = (c.data_ptr(), *c.stride())
    product = record(
        tile,
        (m, k, n),
        (out.data_ptr(), *out.stride()),
        (a.data_ptr(), *a.stride()),
        place,
        c=third_place,
        scratch=scratch,
        alpha=alpha,
        beta=beta,
    )
    run(tile, third, lanes, [product], relu=relu)
    return out


def _plain(x: Tensor) -> bool:
    """Whether a tensor is no more than float32 numbers in this machine's memory."""
    watched = x.requires_grad and torch.is_grad_enabled()
    return x.is_cpu and x.dtype is torch.float32 and type(x) is Tensor and not watched


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
        own = torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)
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
