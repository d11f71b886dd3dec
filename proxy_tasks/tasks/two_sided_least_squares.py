"""Matrix least squares that is ill-conditioned on both sides: of inputs and of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_into, by_one
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["TwoSidedLeastSquares"]


@dataclass(frozen=True)
class TwoSidedLeastSquares(Task):
    """Regress y = M W x + noise: only W is trained, M is fixed and ill-conditioned.

    So the curvature is a Kronecker product, as that of a layer within a network roughly is: one
    factor of the inputs' covariance, one of M. Either's eigenvalues are spaced evenly in logarithm
    and have mean one, but for the inputs', which sum to one; the eigenvectors are random, and the
    same for all seeds. A batch is x (L, N, inputs) and y (L, N, outputs), fresh at every step; the
    validation data is the true matrix.
    """

    family: ClassVar[str] = "two_sided_least_squares"
    summary: ClassVar[str] = "least squares, ill-conditioned inputs and outputs; expected loss"
    metric: ClassVar[str] = "expected squared error / 2"

    steps: int = 2000
    inputs: int = 64
    outputs: int = 32
    kappa: float = field(default=1e3, metadata={"least": 1})
    """Condition number of the inputs' covariance."""
    output_kappa: float = field(default=1e2, metadata={"least": 1})
    """Condition number of M's Gram matrix."""
    batch: int = 4
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
        """The outputs, the error back through M, and its product with the inputs."""
        return 4.0 * self.batch * self.outputs * (self.inputs + self.outputs)

    @property
    def step_size(self) -> float:
        """Near the best learning rate of AdamW, which falls with the horizon."""
        return 20.0 / max(self.steps, 200)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradient and a batch."""
        return super().lane_bytes + 4.0 * self.batch * (self.inputs + 4 * self.outputs)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return a weight close to zero."""
        random = generator(seed, "two_sided_least_squares/initialize")
        return {"weight": torch.randn(self.outputs, self.inputs, generator=random) * 0.01}

    def _target(self, seed: int) -> Tensor:
        random = generator(seed, "two_sided_least_squares/target")
        return torch.randn(self.outputs, self.inputs, generator=random)

    def draw(self, seed: int) -> Batch:
        """Return x (steps, batch, inputs) and y (steps, batch, outputs)."""
        random = generator(seed, "two_sided_least_squares/draw")
        z = torch.randn(self.steps, self.batch, self.inputs, generator=random)
        noise = torch.randn(self.steps, self.batch, self.outputs, generator=random)
        x = z @ self._root.float().T
        return x, x @ (self.mapping.float() @ self._target(seed)).T + self.noise * noise

    def validation(self, seed: int) -> Batch:
        """Return the true matrix (outputs, inputs)."""
        return (self._target(seed),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the mean squared error of each lane."""
        w = weights["weight"]
        x, y = (part.to(w.dtype) for part in batch)
        mapping = _spread(self.outputs, self.output_kappa, "outputs", w.dtype, w.device)
        return (x @ w.transpose(1, 2) @ mapping.T - y).square().mean((1, 2)) / 2

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient: four products."""
        w = weights["weight"]
        x, y = (part.to(w.dtype) for part in batch)
        mapping = _spread(self.outputs, self.output_kappa, "outputs", w.dtype, w.device)
        mapping = mapping.expand(w.shape[0], -1, -1)
        mapped = bmm(x, w.transpose(1, 2))
        residual = baddbmm(y, mapped, mapping.transpose(1, 2), beta=-1)
        scale = 1 / (self.batch * self.outputs)
        bmm_into(out["weight"], bmm(residual, mapping).transpose(1, 2), x, scale)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the expectation of the loss over inputs and noise, in float64."""
        error = weights["weight"].double() - batch[0].double()
        root, mapping = (part.to(error.device) for part in (self._root, self.mapping))
        mapped = by_one(error, root).transpose(1, 2)
        return self.floor + by_one(mapped, mapping.T).square().sum((1, 2)) / (2 * self.outputs)

    @property
    def _root(self) -> Tensor:
        """A square root R of the inputs' covariance: x = R z for white z."""
        cpu = torch.device("cpu")
        return _spread(self.inputs, self.kappa, "inputs", torch.float64, cpu) * self.inputs**-0.5

    @property
    def mapping(self) -> Tensor:
        """M (outputs, outputs), float64."""
        cpu = torch.device("cpu")
        return _spread(self.outputs, self.output_kappa, "outputs", torch.float64, cpu)


@kept
def _spread(
    size: int, kappa: float, purpose: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return A for which A A' has this condition number and eigenvalues of mean one."""
    random = generator(0, f"two_sided_least_squares/{purpose}")
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=random, dtype=torch.float64))
    spectrum = torch.logspace(0, -torch.tensor(kappa).log10().item(), size, dtype=torch.float64)
    return (basis * (spectrum / spectrum.mean()).sqrt()).to(device, dtype)
