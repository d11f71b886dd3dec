"""A multilayer perceptron in lanes, with its backward pass written out.

Activations are kept features x samples: a layer is then ``W h + b`` with the weights as torch.nn
has them, (out, in), and a softmax over few classes runs along memory instead of across it, which is
twenty times faster on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from proxy_tasks.kernels.matmul import bmm, bmm_gated, bmm_into, linear
from proxy_tasks.task import Parameter, Role, Weights

__all__ = ["MLP"]


@dataclass(frozen=True)
class MLP:
    """Linear layers with biases and ReLU between them; the last layer is the head."""

    sizes: tuple[int, ...]
    """Widths of input, hidden layers and output."""

    @property
    def depth(self) -> int:
        """The number of linear layers."""
        return len(self.sizes) - 1

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """``layerI.weight`` (out, in) and ``layerI.bias`` (out,) for each layer."""
        result = []
        for i in range(self.depth):
            role = Role.HEAD if i == self.depth - 1 else Role.HIDDEN
            result.append(Parameter(f"layer{i}.weight", (self.sizes[i + 1], self.sizes[i]), role))
            result.append(Parameter(f"layer{i}.bias", (self.sizes[i + 1],), Role.VECTOR))
        return tuple(result)

    def flops(self, samples: int, *, input_gradient: bool = False) -> float:
        """Return the floating-point operations of forward and backward matrix products."""
        weights = [a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        skipped = 0 if input_gradient else weights[0]
        return 2.0 * samples * (3 * sum(weights) - skipped)

    def activation_bytes(self, samples: int) -> float:
        """Return the bytes of activations and their gradients in one lane's step."""
        return 8.0 * samples * sum(self.sizes)

    def initialize(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return normal weights that keep the activations' variance (He), and zero biases."""
        result = {}
        for p in self.parameters:
            if p.role is Role.VECTOR:
                result[p.name] = torch.zeros(p.shape)
            else:
                gain = 1.0 if p.role is Role.HEAD else math.sqrt(2.0)
                result[p.name] = torch.randn(p.shape, generator=random) * gain / p.shape[1] ** 0.5
        return result

    def _activations(self, weights: Weights, x: Tensor) -> list[Tensor]:
        """Return the input of each layer and the output of the last, each (L, features, N)."""
        result = [x]
        for i in range(self.depth):
            bias = weights[f"layer{i}.bias"].unsqueeze(2)
            weight, hidden = weights[f"layer{i}.weight"], i < self.depth - 1
            result.append(linear(weight, result[-1], bias, relu=hidden))
        return result

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Return the outputs (L, out, N) for inputs (L, in, N)."""
        return self._activations(weights, x)[-1]

    def backward(
        self,
        weights: Weights,
        x: Tensor,
        output_gradient: Callable[[Tensor], Tensor],
        scale: float,
        out: Mapping[str, Tensor],
        *,
        input_gradient: bool = False,
    ) -> Tensor | None:
        """Write the weights' gradients into `out`.

        Args:
            weights: The lanes' weights.
            x: Inputs (L, in, N).
            output_gradient: Maps outputs to the loss's gradient in them over `scale`.
            scale: What all gradients are multiplied by.
            out: Where the gradients go.
            input_gradient: Whether the gradient in `x` is wanted too.

        Returns:
            The gradient in `x`, (L, in, N), if it was asked for.
        """
        *inputs, output = self._activations(weights, x)
        delta = output_gradient(output)
        for i in reversed(range(self.depth)):
            h = inputs[i]
            bmm_into(out[f"layer{i}.weight"], delta, h.transpose(1, 2), scale)
            torch.sum(delta, 2, out=out[f"layer{i}.bias"]).mul_(scale)
            weight = weights[f"layer{i}.weight"].transpose(1, 2)
            if i > 0:
                delta = bmm_gated(weight, delta, h)
            elif input_gradient:
                delta = bmm(weight, delta)
        return delta.mul_(scale) if input_gradient else None
