# ruff: noqa: ARG001 - every rule has the same signature
"""A tiny task and rules written by hand, for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from primitives.shape import FULL, Shape
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator


@dataclass(frozen=True)
class Regression(Task):
    """A network of two hidden matrices, a head and one vector, fitted to a smooth function."""

    family: ClassVar[str] = "regression"
    summary: ClassVar[str] = "two-layer regression"
    metric: ClassVar[str] = "mean squared error"

    steps: int = 20
    width: int = 6

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("bias", (self.width,), Role.VECTOR),
            Parameter("first", (self.width, 4), Role.HIDDEN),
            Parameter("middle", (self.width, self.width), Role.HIDDEN),
            Parameter("last", (2, self.width), Role.HEAD),
        )

    @property
    def floor(self) -> float:
        return 0.0

    @property
    def flops(self) -> float:
        return 1e4

    def initialize(self, seed: int) -> dict[str, Tensor]:
        random = generator(seed, "regression/initialize")
        return {p.name: 0.4 * torch.randn(p.shape, generator=random) for p in self.parameters}

    def draw(self, seed: int) -> Batch:
        random = generator(seed, "regression/draw")
        return (torch.randn(self.steps, 16, 4, generator=random),)

    def validation(self, seed: int) -> Batch:
        return (torch.randn(32, 4, generator=generator(seed, "regression/exam")),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        x = batch[0].to(weights["first"].dtype)
        h = torch.tanh(x @ weights["first"].mT + weights["bias"].unsqueeze(1))
        h = torch.tanh(h @ weights["middle"].mT)
        target = torch.stack([x[..., 0] * x[..., 1], x[..., 2].sin()], -1)
        return (h @ weights["last"].mT - target).square().mean((1, 2))

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        return self.loss(weights, batch)


@dataclass(frozen=True)
class Closure:
    """A rule given as a Python function."""

    update: Callable[..., Any]
    states: tuple[Shape, ...] = ()
    elementwise: bool = True
    kept: None = None

    def bound(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Rules:
    matrix: Closure
    rest: Closure


def both(rule: Closure) -> Rules:
    return Rules(rule, rule)


def _sgd(w, g, t):
    return (g,)


def _adam(w, g, t, m, v):
    m = m + 0.1 * (g - m)
    v = v + 0.01 * (g * g - v)
    return (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8), m, v


def _polar(w, g, t, m):
    m = 0.9 * m + g
    x = m / (m.square().sum((-2, -1), keepdim=True).sqrt() + 1e-7)
    for _ in range(4):
        x = 1.5 * x - 0.5 * (x @ x.mT) @ x
    return x, m


SGD = Closure(_sgd)
ADAM = Closure(_adam, (FULL, FULL))
MATRIX = Closure(_polar, (FULL,), elementwise=False)
