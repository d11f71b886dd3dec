"""Division by the root mean square of the last dimension, without a gain, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from proxy_tasks.kernels.row_calls import run_rows

__all__ = ["rms_norm", "rms_norm_backward", "rms_norm_forward"]

EPSILON = 1e-6
"""Added to the mean square."""


def rms_norm(x: Tensor) -> Tensor:
    """Return x / rms(x)."""
    return functional.rms_norm(x, x.shape[-1:], eps=EPSILON)


def rms_norm_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x / rms(x) and 1 / rms(x)."""
    if x.is_cuda:
        return torch.ops.aten._fused_rms_norm(x, x.shape[-1:], None, EPSILON)
    out, inverse = torch.empty_like(x), x.new_empty(*x.shape[:-1], 1)
    if run_rows("rms_norm", x, out, inverse, number=EPSILON):
        return out, inverse
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    inverse = norm.square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_()
    return x * inverse, inverse


def rms_norm_backward(
    delta: Tensor, normed: Tensor, inverse: Tensor, into: Tensor | None = None
) -> Tensor:
    """Return the gradient in x, or add it to `into` and return that.

    Args:
        delta: The gradient in `normed`; overwritten.
        normed: First result of `rms_norm_forward`.
        inverse: Its second result.
        into: Where to add, if anywhere.
    """
    d = delta.shape[-1]
    if delta.is_cuda:  # in one kernel, which divides by rms(x) unless told that it is 1
        backward = torch.ops.aten._fused_rms_norm_backward
        delta, _ = backward(delta, normed, [d], torch.ones_like(inverse), None, [True, False])
        return delta.mul_(inverse) if into is None else into.addcmul_(delta, inverse)
    name = "rms_norm_backward" if into is None else "rms_norm_backward_add"
    result = delta if into is None else into
    if run_rows(name, delta, normed, inverse, result):
        return result
    total = torch.bmm(delta.view(-1, 1, d), normed.view(-1, d, 1))
    delta.addcmul_(normed, total.view(inverse.shape), value=-1 / d)
    return delta.mul_(inverse) if into is None else into.addcmul_(delta, inverse)
