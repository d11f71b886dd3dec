"""Tables of numbers with a small perceptron: regression and classification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.tables import CLASSES, ROWS, table
from proxy_tasks.kernels.chunks import by_lanes, grouped
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.mlp import MLP
from proxy_tasks.task import Batch, Parameter, Task, Weights, generator

__all__ = ["Table"]


@dataclass(frozen=True)
class Table(Task):
    """Predict a class or a number from a row. A batch is one tensor: indices (L, N) of rows."""

    family: ClassVar[str] = "table"
    summary: ClassVar[str] = "MLP on a table of scikit-learn's; validation loss"
    metric: ClassVar[str] = "validation cross-entropy (nats) or half mean squared error"

    steps: int = 120
    batch: int = 32
    """Rows a step."""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the hidden layers."""
    data: str = "breast_cancer"
    """Which table: diabetes (a number), breast_cancer or wine (classes)."""

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ValueError: One is out of range, or there is no such table.
        """
        super().__post_init__()
        if self.data not in CLASSES:
            raise ValueError(f"expected {', '.join(CLASSES)} as table's data, found {self.data!r}")

    @property
    def model(self) -> MLP:
        """The perceptron."""
        return MLP((ROWS[self.data][1], *self.hidden, max(1, CLASSES[self.data])))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The perceptron's weights and biases."""
        return self.model.parameters

    @property
    def floor(self) -> float:
        """Unknown, hence 0."""
        return 0.0

    @property
    def flops(self) -> float:
        """The perceptron's, without the gradient in the rows."""
        return self.model.flops(self.batch)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, "table/initialize"))

    def draw(self, seed: int) -> Batch:
        """Return indices (steps, batch) of training rows, drawn with replacement."""
        *_, training = table(self.data, torch.float32, torch.device("cpu"))
        random = generator(seed, "table/draw")
        return (torch.randint(training, (self.steps, self.batch), generator=random),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same rows for every seed
        """Return the indices of all validation rows."""
        x, _, training = table(self.data, torch.float32, torch.device("cpu"))
        return (torch.arange(training, len(x)),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return each lane's mean cross-entropy, or half its mean squared error."""
        x, y = self._rows(weights, batch)
        output = self.model(weights, x)
        if CLASSES[self.data]:
            return cross_entropy(output, y)
        return (output.squeeze(1) - y).square().mean(1) / 2

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the perceptron's own backward pass."""
        x, y = self._rows(weights, batch)

        def output_gradient(output: Tensor) -> Tensor:
            if CLASSES[self.data]:
                return cross_entropy_gradient(output, y)
            return output.sub_(y.unsqueeze(1))

        self.model.backward(weights, x, output_gradient, 1 / y.shape[1], out)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the loss on the validation rows."""
        return by_lanes(self.loss, weights, batch, lanes=16)

    def _rows(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return columns (L, columns, N) and targets (L, N)."""
        (index,) = batch
        like = weights["layer0.weight"]
        x, y, _ = table(self.data, like.dtype, like.device)
        rows = x.index_select(0, index.reshape(-1)).view(*index.shape, x.shape[1])
        return rows.transpose(1, 2), y[index]
