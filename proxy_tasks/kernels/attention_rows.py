"""Steps of hand-written backward passes, each with as little memory traffic as torch allows."""

from __future__ import annotations

import torch
from torch import Tensor

from proxy_tasks.kernels.row_calls import run_rows

__all__ = ["relu_backward_", "softmax_", "softmax_backward_"]


def relu_backward_(delta: Tensor, output: Tensor) -> Tensor:
    """Turn the gradient in ReLU's output into that in its input, in place; return it."""
    aten = torch.ops.aten.threshold_backward
    return aten.grad_input(delta, output, 0, grad_input=delta)


def softmax_(x: Tensor) -> Tensor:
    """Return the softmax over the last dimension, and overwrite `x` where that saves time."""
    return x if run_rows("softmax", x, x) else torch.softmax(x, -1)


def softmax_backward_(delta: Tensor, output: Tensor) -> Tensor:
    """Turn the gradient in softmax's output into that in its input, in place; return it.

    The softmax is over the last dimension; both arguments are contiguous.
    """
    if run_rows("softmax_backward", delta, output):
        return delta
    aten = torch.ops.aten._softmax_backward_data
    return aten.out(delta, output, -1, delta.dtype, grad_input=delta)
