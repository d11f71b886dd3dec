"""A small convolutional network in lanes, with its backward pass written out.

The first convolution is 3 x 3 with padding and sees the data, so no gradient flows through its
overlapping patches. The others are 2 x 2 with stride 2: their patches do not overlap, and both
directions are a rearrangement and a matrix product. Images are kept (L, N, height, width,
channels).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from proxy_tasks.kernels.attention_rows import relu_backward_
from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_into
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.task import Parameter, Role, Weights

__all__ = ["ConvNet", "neighbourhoods"]


def neighbourhoods(images: Tensor) -> Tensor:
    """Return the 3 x 3 patch around every pixel, zero outside the image.

    Args:
        images: Shape (N, channels, height, width).

    Returns:
        Shape (N, height * width, channels * 9).
    """
    return functional.unfold(images, 3, padding=1).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class ConvNet:
    """Convolutions with biases and ReLU after each, and a linear head on what is left."""

    channels: tuple[int, ...]
    """Of the images and of each convolution's output."""
    side: int
    """Height and width of the images; halved by each convolution but the first."""
    classes: int

    @property
    def depth(self) -> int:
        """The number of convolutions."""
        return len(self.channels) - 1

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Weights as torch.nn.Conv2d and torch.nn.Linear have them."""
        result = []
        for i in range(self.depth):
            kernel = 3 if i == 0 else 2
            shape = (self.channels[i + 1], self.channels[i], kernel, kernel)
            result.append(Parameter(f"conv{i}.weight", shape, Role.HIDDEN))
            result.append(Parameter(f"conv{i}.bias", shape[:1], Role.VECTOR))
        features = self.channels[-1] * (self.side >> (self.depth - 1)) ** 2
        result.append(Parameter("head.weight", (self.classes, features), Role.HEAD))
        result.append(Parameter("head.bias", (self.classes,), Role.VECTOR))
        return tuple(result)

    def flops(self, images: int) -> float:
        """Return the operations in matrix products of one step."""
        work = 0.0
        for i in range(self.depth):
            pixels = (self.side >> i) ** 2
            size = self.parameters[2 * i].numel
            work += (2 if i == 0 else 3) * pixels * size
        return 2.0 * images * (work + 3 * self.parameters[-2].numel)

    def activation_bytes(self, images: int) -> float:
        """Return the bytes of activations and their gradients in one lane's step."""
        entries = 9 * self.channels[0] * self.side**2
        for i in range(self.depth):
            entries += 4 * self.channels[i + 1] * (self.side >> i) ** 2
        return 4.0 * images * entries

    def initialize(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return normal weights that keep the activations' variance (He), and zero biases."""
        result = {}
        for p in self.parameters:
            if p.role is Role.VECTOR:
                result[p.name] = torch.zeros(p.shape)
            else:
                gain = 1.0 if p.role is Role.HEAD else math.sqrt(2.0)
                scale = gain / math.prod(p.shape[1:]) ** 0.5
                result[p.name] = torch.randn(p.shape, generator=random) * scale
        return result

    def _matrix(self, weights: Weights, layer: int) -> Tensor:
        """Return a convolution's weight (L, in * kernel^2, out), in the order of its patches."""
        weight = weights[f"conv{layer}.weight"]
        if layer > 0:
            weight = weight.permute(0, 1, 3, 4, 2)
        return weight.flatten(2).transpose(1, 2)

    def _patches(self, h: Tensor, layer: int) -> Tensor:
        """Return the 2 x 2 patches (L, pixels, 4 channels) of activations (L, pixels, channels)."""
        half = self.side >> layer
        h = h.view(h.shape[0], -1, half, 2, half, 2, h.shape[2])
        return h.transpose(3, 4).reshape(h.shape[0], -1, 4 * h.shape[-1])

    def _pixels(self, patches: Tensor, layer: int) -> Tensor:
        """Undo `_patches`."""
        half = self.side >> layer
        h = patches.view(patches.shape[0], -1, half, half, 2, 2, patches.shape[2] // 4)
        return h.transpose(3, 4).reshape(h.shape[0], -1, h.shape[-1])

    def _forward(
        self, weights: Weights, patches: Tensor
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return each convolution's patches and output, and the logits (L, N, classes)."""
        lanes, images = patches.shape[:2]
        inputs, outputs = [patches.flatten(1, 2)], []
        for i in range(self.depth):
            bias = weights[f"conv{i}.bias"].unsqueeze(1)
            outputs.append(baddbmm(bias, inputs[i], self._matrix(weights, i)).relu_())
            if i + 1 < self.depth:
                inputs.append(self._patches(outputs[i], i + 1))
        features = outputs[-1].view(lanes, images, -1)
        bias = weights["head.bias"].unsqueeze(1)
        logits = baddbmm(bias, features, weights["head.weight"].transpose(1, 2))
        return inputs, outputs, logits

    def loss(self, weights: Weights, patches: Tensor, labels: Tensor) -> Tensor:
        """Return each lane's mean cross-entropy (L,).

        Args:
            weights: The lanes' weights.
            patches: From `neighbourhoods`, (L, N, pixels, channels * 9).
            labels: Classes (L, N).
        """
        return cross_entropy(self._forward(weights, patches)[2].transpose(1, 2), labels)

    def gradient(
        self, weights: Weights, patches: Tensor, labels: Tensor, out: Mapping[str, Tensor]
    ) -> None:
        """Write the gradient of `loss` into `out`."""
        inputs, outputs, logits = self._forward(weights, patches)
        scale = 1 / labels.shape[1]
        classes = cross_entropy_gradient(logits.transpose(1, 2).contiguous(), labels)
        features = outputs[-1].view(*labels.shape, -1)
        bmm_into(out["head.weight"], classes, features, scale)
        torch.sum(classes, 2, out=out["head.bias"]).mul_(scale)
        delta = bmm(classes.transpose(1, 2), weights["head.weight"])
        delta = delta.view(outputs[-1].shape)
        for i in reversed(range(self.depth)):
            relu_backward_(delta, outputs[i])
            matrix = out[f"conv{i}.weight"]
            gradient = bmm(delta.transpose(1, 2), inputs[i]).mul_(scale)
            if i > 0:
                lanes, rows, channels, *kernel = matrix.shape
                gradient = gradient.view(lanes, rows, *kernel, channels).permute(0, 1, 4, 2, 3)
            matrix.copy_(gradient.view(matrix.shape) if i == 0 else gradient)
            torch.sum(delta, 1, out=out[f"conv{i}.bias"]).mul_(scale)
            if i > 0:
                delta = bmm(delta, self._matrix(weights, i).transpose(1, 2))
                delta = self._pixels(delta, i)
