"""Batched matrix products of lanes: by kernels of our own on a CPU, by torch elsewhere.

A kernel of `proxy_tasks.gemm` serves float32 matrices on the processors that it was measured on,
where nothing asks for gradients by autograd; torch does all else. Which of the two is decided by
what a lane is and never by the number of lanes, and neither lets lanes mix, so a lane's result does
not depend on the pack it trains in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

import torch
from torch import Tensor

from proxy_tasks.gemm import RECORD, TILES, Third, Tile, product
from proxy_tasks.native import compile_function, features

__all__ = ["baddbmm", "bmm", "bmm_gated", "bmm_into", "by_one", "by_torch", "kernels", "linear"]

_PACKED: Final = struct.Struct(RECORD)
_LONG_ROW: Final = 1024
"""From so many floats on, b's rows lie on pages of their own, and copying b first is quicker."""
_ALLOWED: Final = ContextVar("allowed", default=True)


@cache
def _tile() -> Tile | None:
    """Return the tile for this processor; None where torch is to multiply."""
    return next((tile for feature, tile in TILES.items() if feature in features()), None)


def kernels() -> str:
    """Return by what float32 matrices are multiplied on this machine's CPU, in words."""
    return f"own kernels, {32 * tile.width} bits" if (tile := _tile()) else "torch's products"


@contextmanager
def by_torch() -> Iterator[None]:
    """Within it torch makes all products."""
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


@cache
def _kernel(tile: Tile, third: Third, relu: bool) -> Callable[[bytes], None]:
    return compile_function(product(tile, third, relu=relu), "product")


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
    """Return what `gemm.product` computes; None where torch is to compute it, or to refuse."""
    tile = _tile()
    plain = _plain(a) and _plain(b) and (c is None or _plain(c)) and (out is None or _plain(out))
    if tile is None or not plain or not _ALLOWED.get():
        return None
    (lanes, m, k), n = a.shape, b.shape[2]
    if b.shape[0] != lanes or b.shape[1] != k:
        return None
    if out is None:
        out = a.new_empty(lanes, m, n)
    elif out.shape != (lanes, m, n) or out.stride(2) != 1:
        return None
    if b.stride(1) != 1 and b.stride(2) != 1:
        b = b.contiguous()
    _, b_row, b_column = b.stride()
    scratch = None
    if b_column != 1 or n % tile.width or b_row >= _LONG_ROW:
        panels = -(-n // tile.columns)
        scratch = a.new_empty((tile.rows + panels * k) * tile.columns)
    address, strides = 0, (0, 0, 0)
    if c is not None:
        c = c.expand(lanes, m, n)
        if c.stride(2) != (third is not Third.BIAS):
            c = c.contiguous()
        address, strides = c.data_ptr(), c.stride()
    _kernel(tile, third, relu)(
        _PACKED.pack(
            *(lanes, m, k, n),
            *(a.data_ptr(), *a.stride()),
            *(b.data_ptr(), *b.stride()),
            *(out.data_ptr(), *out.stride()[:2]),
            *(address, *strides),
            0 if scratch is None else scratch.data_ptr(),
            *(alpha, beta),
        )
    )
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
