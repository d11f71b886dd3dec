"""A perceptron learns another perceptron's function from noisy examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.models.mlp import MLP
from proxy_tasks.task import Batch, Parameter, Task, Weights, generator

__all__ = ["TeacherStudent"]


@dataclass(frozen=True)
class TeacherStudent(Task):
    """Regress a random two-layer perceptron's outputs on normal inputs.

    The teacher differs from seed to seed. A batch is x (L, N, inputs) and y (L, N, outputs), fresh
    at every step; the validation data is samples without noise.
    """

    family: ClassVar[str] = "teacher_student"
    summary: ClassVar[str] = "MLP regressing on a random MLP's noisy outputs; expected loss"
    metric: ClassVar[str] = "squared error / 2"

    steps: int = 200
    inputs: int = 16
    teacher: int = 16
    """Hidden units of the teacher."""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the student's hidden layers."""
    outputs: int = 8
    batch: int = 64
    """Samples a step."""
    noise: float = 0.1
    """Standard deviation of the noise on y, whose signal has variance near one."""
    samples: int = 512
    """Samples of the validation data."""

    @property
    def model(self) -> MLP:
        """The student."""
        return MLP((self.inputs, *self.hidden, self.outputs))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The student's weights and biases."""
        return self.model.parameters

    @property
    def floor(self) -> float:
        """The noise, which the validation data adds exactly."""
        return self.noise**2 / 2

    @property
    def flops(self) -> float:
        """The student's, without the gradient in the inputs."""
        return self.model.flops(self.batch)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the student's initial weights."""
        return self.model.initialize(generator(seed, "teacher_student/initialize"))

    def _teach(self, seed: int, x: Tensor) -> Tensor:
        """Return the teacher's outputs (..., outputs) for inputs (..., inputs)."""
        random = generator(seed, "teacher_student/teacher")
        first = torch.randn(self.inputs, self.teacher, generator=random) / self.inputs**0.5
        second = torch.randn(self.teacher, self.outputs, generator=random)
        return (x @ first).relu() @ second * (2 / self.teacher) ** 0.5

    def draw(self, seed: int) -> Batch:
        """Return x (steps, batch, inputs) and y (steps, batch, outputs)."""
        random = generator(seed, "teacher_student/draw")
        x = torch.randn(self.steps, self.batch, self.inputs, generator=random)
        noise = torch.randn(self.steps, self.batch, self.outputs, generator=random)
        return x, self._teach(seed, x) + self.noise * noise

    def validation(self, seed: int) -> Batch:
        """Return x (samples, inputs) and the teacher's own outputs (samples, outputs)."""
        random = generator(seed, "teacher_student/examination")
        x = torch.randn(self.samples, self.inputs, generator=random)
        return x, self._teach(seed, x)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return half the mean squared error of each lane."""
        x, y = self._transposed(weights, batch)
        return (self.model(weights, x) - y).square().mean((1, 2)) / 2

    def _transposed(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return x (L, inputs, N) and y (L, outputs, N) in the weights' precision."""
        dtype = weights["layer0.weight"].dtype
        x, y = (part.to(dtype).transpose(1, 2) for part in batch)
        return x, y

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the perceptron's own backward pass."""
        x, y = self._transposed(weights, batch)
        scale = 1 / (y.shape[1] * y.shape[2])
        self.model.backward(weights, x, lambda outputs: outputs.sub_(y), scale, out)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the expected loss, in float64: the error to the teacher plus the noise."""
        return self.floor + self.loss(weights, batch).double()
