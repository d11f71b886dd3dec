"""A proxy task of one's own: predict how a diabetes patient fares, with scikit-learn's data.

    evosearch compare adamw lion muon --tasks examples/own_task.py
    evosearch search --tasks examples/own_task.py

A task trains many models side by side: every tensor has a first dimension of lanes, and lanes are
never mixed. Weights are float32 tensors (L, *shape); which of them are hidden matrices is what
their roles say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from sklearn.datasets import load_diabetes
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator


@kept
def samples() -> tuple[Tensor, Tensor]:
    """Return features (442, 10) and the disease's progression (442,), standardized."""
    x, y = load_diabetes(return_X_y=True, scaled=True)
    features = torch.tensor(x, dtype=torch.float32)
    target = torch.tensor(y, dtype=torch.float32)
    return features / features.std(0), (target - target.mean()) / target.std()


@dataclass(frozen=True)
class Diabetes(Task):
    """A perceptron with one hidden layer; the first 300 patients train it, 142 validate it.

    Its fields can be set: ``--set tasks.diabetes.hidden=64``.
    """

    family: ClassVar[str] = "diabetes"
    summary: ClassVar[str] = "MLP on scikit-learn's diabetes data; validation loss"
    metric: ClassVar[str] = "squared error / 2"

    steps: int = 100
    hidden: int = 32
    batch: int = 32

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The weights of both layers; the last layer is the head."""
        return (
            Parameter("first.weight", (self.hidden, 10), Role.HIDDEN),
            Parameter("first.bias", (self.hidden,), Role.VECTOR),
            Parameter("last.weight", (1, self.hidden), Role.HEAD),
        )

    @property
    def floor(self) -> float:
        """Unknown: nothing is subtracted from the loss."""
        return 0.0

    @property
    def flops(self) -> float:
        """Forward and backward products of one step, without the gradient in the inputs."""
        return 2.0 * self.batch * (2 * 10 * self.hidden + 3 * self.hidden)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return normal weights and zero biases."""
        random = generator(seed, "diabetes/initialize")
        return {
            p.name: torch.zeros(p.shape)
            if p.role is Role.VECTOR
            else torch.randn(p.shape, generator=random) / p.shape[1] ** 0.5
            for p in self.parameters
        }

    def draw(self, seed: int) -> Batch:
        """Return x (steps, batch, 10) and y (steps, batch), drawn from the first 300 patients."""
        x, y = samples()
        chosen = torch.randint(
            300, (self.steps, self.batch), generator=generator(seed, "diabetes/draw")
        )
        return x[chosen], y[chosen]

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same for all seeds
        """Return the other patients."""
        x, y = samples()
        return x[300:], y[300:]

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the mean squared error of each lane, (L,)."""
        x, y = batch  # (L, N, 10) and (L, N)
        h = torch.baddbmm(weights["first.bias"][:, None], x, weights["first.weight"].mT).relu()
        return ((h @ weights["last.weight"].mT).squeeze(2) - y).square().mean(1) / 2

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the loss on the other patients."""
        return self.loss(weights, batch).double()


TASKS = {"diabetes": Diabetes()}
