"""Handwritten digits with a small convolutional network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.data.digits import DigitsTask, digits
from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.models.conv import ConvNet, neighbourhoods
from proxy_tasks.task import Batch, Parameter, Weights, generator

__all__ = ["DigitsConv"]


@dataclass(frozen=True)
class DigitsConv(DigitsTask):
    """Classify 8 x 8 images of digits. A batch is one tensor: indices (L, N) of images."""

    family: ClassVar[str] = "digits_conv"
    summary: ClassVar[str] = "conv net on scikit-learn's handwritten digits; validation loss"

    steps: int = 100
    batch: int = 32
    channels: tuple[int, ...] = (16, 32, 32)
    """Of each convolution's output; all but the first halve the image."""

    @property
    def model(self) -> ConvNet:
        """The network."""
        return ConvNet((1, *self.channels), 8, 10)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The network's weights and biases."""
        return self.model.parameters

    @property
    def flops(self) -> float:
        """The network's, without the gradient in the images."""
        return self.model.flops(self.batch)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, "digits_conv/initialize"))

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        return self.model.loss(weights, *_images(weights, batch))

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the network's own backward pass."""
        self.model.gradient(weights, *_images(weights, batch), out)


def _images(weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return patches (L, N, 64, 9) and labels (L, N)."""
    (index,) = batch
    like = weights["head.weight"]
    patches, labels = _patches(like.dtype, like.device)
    return patches.index_select(0, index.reshape(-1)).view(*index.shape, 64, 9), labels[index]


@kept
def _patches(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    images, labels = digits(dtype, device)
    return neighbourhoods(images.view(-1, 1, 8, 8)), labels
