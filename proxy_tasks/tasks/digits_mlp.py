"""Handwritten digits with a small perceptron: the quickest task on real data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from proxy_tasks.data.digits import DigitsTask, digits
from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.mlp import MLP
from proxy_tasks.task import Batch, Parameter, Weights, generator

__all__ = ["DigitsMLP"]


@dataclass(frozen=True)
class DigitsMLP(DigitsTask):
    """Classify 8 x 8 images of digits. A batch is one tensor: indices (L, N) of images."""

    family: ClassVar[str] = "digits_mlp"
    summary: ClassVar[str] = "MLP on scikit-learn's handwritten digits; validation cross-entropy"

    steps: int = 80
    batch: int = 64
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the hidden layers."""

    @property
    def model(self) -> MLP:
        """The perceptron."""
        return MLP((64, *self.hidden, 10))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The perceptron's weights and biases."""
        return self.model.parameters

    @property
    def flops(self) -> float:
        """The perceptron's, without the gradient in the images."""
        return self.model.flops(self.batch)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, "digits_mlp/initialize"))

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        x, y = _images(weights, batch)
        return cross_entropy(self.model(weights, x), y)

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the perceptron's own backward pass."""
        x, y = _images(weights, batch)
        self.model.backward(
            weights, x, lambda logits: cross_entropy_gradient(logits, y), 1 / y.shape[1], out
        )


def _images(weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return pixels (L, 64, N) and labels (L, N); lanes that share a batch share its memory."""
    (index,) = batch
    like = weights["layer0.weight"]
    images, labels = digits(like.dtype, like.device)
    lanes = index.shape[0]
    if index.stride(0) == 0:
        index = index[:1]
    x = images.index_select(0, index.reshape(-1)).view(*index.shape, 64).transpose(1, 2)
    return x.expand(lanes, -1, -1), labels[index].expand(lanes, -1)
