"""Linear regression whose summed minibatch loss varies in size from step to step.

Features differ in scale over decades and are correlated, so gradients of very different sizes meet
at each step and between steps. The noise floor is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.kernels.matmul import by_one
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["VaryingBatch"]


@dataclass(frozen=True)
class VaryingBatch(Task):
    """Regress y = w x + noise; step t sums the loss over a batch of random size.

    A squared loss depends on its samples by their second moments alone, so a batch holds those and
    not the samples: ``sum x x'`` (L, inputs, inputs), ``sum x y`` (L, inputs) and ``sum y^2 / 2``
    (L,), each over the nominal batch size. The validation data is the true weights.
    """

    family: ClassVar[str] = "varying_batch"
    summary: ClassVar[str] = "regression, feature scales and batch size spread; expected loss"
    metric: ClassVar[str] = "expected squared error / 2"

    steps: int = 400
    inputs: int = 32
    batch: int = 32
    """Nominal number of samples a step, which the summed loss is divided by."""
    spread: float = 1.7
    """Standard deviation of the batch size's logarithm."""
    cap: float = 8.0
    """The largest batch, in nominal ones; the smallest has one sample."""
    noise: float = 0.2
    """Standard deviation of the noise on y."""
    decades: float = 2.5
    """The features' scales are spaced evenly over this many powers of ten, around one."""
    decay: float = 1.0
    """Before that scaling, the i-th singular value of the features is i to minus this."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One matrix of a single row."""
        return (Parameter("weight", (1, self.inputs), Role.HIDDEN),)

    @property
    def floor(self) -> float:
        """The noise, exactly."""
        return self.noise**2 / 2

    @property
    def flops(self) -> float:
        """One product."""
        return 2.0 * self.inputs**2

    @property
    def step_size(self) -> float:
        """Near the best learning rate of AdamW."""
        return 0.1

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradient and a batch."""
        return super().lane_bytes + 4.0 * self.inputs**2

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return weights close to zero."""
        random = generator(seed, "varying_batch/initialize")
        return {"weight": torch.randn(1, self.inputs, generator=random) * 0.01}

    def _target(self, seed: int) -> Tensor:
        return torch.randn(1, self.inputs, generator=generator(seed, "varying_batch/target"))

    def draw(self, seed: int) -> Batch:
        """Return the second moments of each step's batch."""
        random = generator(seed, "varying_batch/draw")
        sizes = self.batch * torch.exp(self.spread * torch.randn(self.steps, generator=random))
        sizes = sizes.clamp(1, self.batch * self.cap).round().long()
        total = int(sizes.sum())
        z = torch.randn(total, self.inputs, generator=random, dtype=torch.float64)
        x = z @ _mixing(self.inputs, self.decades, self.decay)
        noise = torch.randn(total, 1, generator=random, dtype=torch.float64)
        y = x @ self._target(seed).double().T + self.noise * noise
        steps = list(zip(x.split(sizes.tolist()), y.split(sizes.tolist()), strict=True))
        xx = torch.stack([x.T @ x for x, _ in steps])
        xy = torch.stack([(x.T @ y).squeeze(1) for x, y in steps])
        yy = torch.stack([y.square().sum() / 2 for _, y in steps])
        return tuple((moment / self.batch).float() for moment in (xx, xy, yy))

    def validation(self, seed: int) -> Batch:
        """Return the true weights (1, inputs)."""
        return (self._target(seed),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the squared error of each lane, summed over its batch."""
        w = weights["weight"]
        xx, xy, yy = (moment.to(w.dtype) for moment in batch)
        return ((w @ xx / 2 - xy.unsqueeze(1)) * w).sum((1, 2)) + yy

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient: one product."""
        w = weights["weight"]
        xx, xy = (moment.to(w.dtype) for moment in batch[:2])
        torch.sub(torch.bmm(w, xx), xy.unsqueeze(1), out=out["weight"])

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the expected squared error of one sample, in float64."""
        error = weights["weight"].double() - batch[0].double()
        mixing = _mixing(self.inputs, self.decades, self.decay).to(error.device)
        return self.floor + by_one(error, mixing.T).square().sum((1, 2)) / 2


@lru_cache(maxsize=8)
def _mixing(size: int, decades: float, decay: float) -> Tensor:
    """Return A with x = z A for white z: a rotated power law, with its columns scaled."""
    random = generator(0, "varying_batch/basis")
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=random, dtype=torch.float64))
    spectrum = torch.arange(1, size + 1, dtype=torch.float64) ** -decay
    scales = torch.logspace(decades / 2, -decades / 2, size, dtype=torch.float64)
    return spectrum[:, None] * basis * scales
