"""Steps of hand-written backward passes, each with as little memory traffic as torch allows."""

from __future__ import annotations

import torch
from torch import Tensor

from proxy_tasks.products import bmm

__all__ = ["product_into", "relu_backward_", "softmax_backward_"]


def product_into(out: Tensor, a: Tensor, b: Tensor, scale: float = 1.0) -> None:
    """Write ``scale * a @ b`` into `out`, all (L, ., .), where the lanes of `out` may lie apart.

    A batched product straight into such an array falls back to one call for each lane, which costs
    more than this copy.
    """
    torch.mul(bmm(a, b), scale, out=out)


def relu_backward_(delta: Tensor, output: Tensor) -> Tensor:
    """Turn the gradient in ReLU's output into that in its input, in place; return it."""
    aten = torch.ops.aten.threshold_backward
    return aten.grad_input(delta, output, 0, grad_input=delta)


def softmax_backward_(delta: Tensor, output: Tensor) -> Tensor:
    """Turn the gradient in softmax's output into that in its input, in place; return it.

    The softmax is over the last dimension; both arguments are contiguous.
    """
    aten = torch.ops.aten._softmax_backward_data
    return aten.out(delta, output, -1, delta.dtype, grad_input=delta)
