"""Recover a low-rank matrix from noisy observations: the simplest problem with hidden matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.kernels.matmul import baddbmm, bmm_into
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["MatrixFactorization"]


@dataclass(frozen=True)
class MatrixFactorization(Task):
    """Fit U V' to a matrix of which every step shows a copy with fresh noise.

    The matrix has entries of variance one on average and singular values spaced evenly in logarithm
    over a factor kappa. A batch is the observation (L, rows, cols); the validation data
    is the matrix.
    """

    family: ClassVar[str] = "matrix_factorization"
    summary: ClassVar[str] = "low-rank factors of a noisy matrix; expected loss"
    metric: ClassVar[str] = "expected squared error / 2 per entry"

    steps: int = 200
    rows: int = 64
    cols: int = 48
    rank: int = 16
    kappa: float = field(default=100.0, metadata={"least": 1})
    """Largest over smallest nonzero singular value of the matrix."""
    noise: float = 0.3
    """Standard deviation of the noise on an entry."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Both factors."""
        return (
            Parameter("left", (self.rows, self.rank), Role.HIDDEN),
            Parameter("right", (self.cols, self.rank), Role.HIDDEN),
        )

    @property
    def floor(self) -> float:
        """The noise, exactly."""
        return self.noise**2 / 2

    @property
    def flops(self) -> float:
        """The residual and its products with both factors."""
        return 6.0 * self.rows * self.cols * self.rank

    @property
    def step_size(self) -> float:
        """Near the best learning rate of AdamW."""
        return 0.03

    @property
    def lane_bytes(self) -> float:
        """Of the factors, their gradients, the observation and the residual."""
        return super().lane_bytes + 8.0 * self.rows * self.cols

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return small normal factors."""
        random = generator(seed, "matrix_factorization/initialize")
        return {p.name: torch.randn(p.shape, generator=random) * 0.1 for p in self.parameters}

    def _target(self, seed: int) -> Tensor:
        random = generator(seed, "matrix_factorization/target")
        factors = (torch.randn(n, self.rank, generator=random) for n in (self.rows, self.cols))
        left, right = (torch.linalg.qr(factor)[0] for factor in factors)
        values = self.kappa ** -torch.linspace(0, 1, self.rank)
        values *= (self.rows * self.cols) ** 0.5 / torch.linalg.vector_norm(values)
        return left * values @ right.T

    def draw(self, seed: int) -> Batch:
        """Return the observations (steps, rows, cols)."""
        random = generator(seed, "matrix_factorization/draw")
        noise = torch.randn(self.steps, self.rows, self.cols, generator=random)
        return (self._target(seed) + self.noise * noise,)

    def validation(self, seed: int) -> Batch:
        """Return the matrix (rows, cols) itself."""
        return (self._target(seed),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the mean squared error of each lane."""
        product = weights["left"] @ weights["right"].transpose(1, 2)
        return (product - batch[0].to(product.dtype)).square().mean((1, 2)) / 2

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient: three products."""
        left, right = weights["left"], weights["right"]
        observed = batch[0].to(left.dtype)
        residual = baddbmm(observed, left, right.transpose(1, 2), beta=-1)
        scale = 1 / (self.rows * self.cols)
        bmm_into(out["left"], residual, right, scale)
        bmm_into(out["right"], residual.transpose(1, 2), left, scale)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the expectation of the loss over the noise, in float64."""
        return self.floor + self.loss({k: w.double() for k, w in weights.items()}, batch)
