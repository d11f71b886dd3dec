"""Matrix least squares with ill-conditioned inputs: curvature alone, with its exact noise floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.kernels.matmul import baddbmm, bmm_into, by_one
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["LeastSquares"]


@dataclass(frozen=True)
class LeastSquares(Task):
    """Regress y = W x + noise on inputs whose covariance has condition number kappa.

    The covariance's eigenvalues are spaced evenly in logarithm and sum to one; its eigenvectors are
    random, and the same for all seeds. A batch is x (L, N, inputs) and y (L, N, outputs), fresh at
    every step; the validation data is the true matrix.
    """

    family: ClassVar[str] = "least_squares"
    summary: ClassVar[str] = "matrix least squares, ill-conditioned inputs; expected loss"
    metric: ClassVar[str] = "expected squared error / 2"

    steps: int = 200
    inputs: int = 64
    outputs: int = 32
    kappa: float = field(default=1e3, metadata={"least": 1})
    """Condition number of the inputs' covariance."""
    batch: int = 64
    """Samples a step."""
    noise: float = 0.1
    """Standard deviation of the noise on y, whose signal has variance one."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One matrix."""
        return (Parameter("weight", (self.outputs, self.inputs), Role.HIDDEN),)

    @property
    def floor(self) -> float:
        """The noise, exactly."""
        return self.noise**2 / 2

    @property
    def flops(self) -> float:
        """The residual and its product with the inputs."""
        return 4.0 * self.batch * self.inputs * self.outputs

    @property
    def step_size(self) -> float:
        """Near the best learning rate of AdamW."""
        return 0.1

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradient and a batch."""
        return super().lane_bytes + 4.0 * self.batch * (self.inputs + 2 * self.outputs)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return a weight close to zero."""
        random = generator(seed, "least_squares/initialize")
        return {"weight": torch.randn(self.outputs, self.inputs, generator=random) * 0.01}

    def _target(self, seed: int) -> Tensor:
        random = generator(seed, "least_squares/target")
        return torch.randn(self.outputs, self.inputs, generator=random)

    def draw(self, seed: int) -> Batch:
        """Return x (steps, batch, inputs) and y (steps, batch, outputs)."""
        random = generator(seed, "least_squares/draw")
        z = torch.randn(self.steps, self.batch, self.inputs, generator=random)
        noise = torch.randn(self.steps, self.batch, self.outputs, generator=random)
        x = z @ _root(self.inputs, self.kappa).float().T
        return x, x @ self._target(seed).T + self.noise * noise

    def validation(self, seed: int) -> Batch:
        """Return the true matrix (outputs, inputs)."""
        return (self._target(seed),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the mean squared error of each lane."""
        x, y = (part.to(weights["weight"].dtype) for part in batch)
        return (x @ weights["weight"].transpose(1, 2) - y).square().mean((1, 2)) / 2

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient: two products."""
        w = weights["weight"]
        x, y = (part.to(w.dtype) for part in batch)
        residual = baddbmm(y, x, w.transpose(1, 2), beta=-1)
        scale = 1 / (self.batch * self.outputs)
        bmm_into(out["weight"], residual.transpose(1, 2), x, scale)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the expectation of the loss over inputs and noise, in float64."""
        error = weights["weight"].double() - batch[0].double()
        root = _root(self.inputs, self.kappa).to(error.device)
        return self.floor + by_one(error, root).square().sum((1, 2)) / (2 * self.outputs)


@lru_cache(maxsize=8)
def _root(size: int, kappa: float) -> Tensor:
    """Return a square root R of the covariance: x = R z for white z."""
    random = generator(0, "least_squares/basis")
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=random, dtype=torch.float64))
    spectrum = torch.logspace(0, -torch.tensor(kappa).log10().item(), size, dtype=torch.float64)
    return basis * (spectrum / spectrum.sum()).sqrt()
