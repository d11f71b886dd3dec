"""What a proxy task is: a small training problem whose models are trained many at a time.

A task never trains one model. Every tensor of the model carries a leading *lane* dimension, and
the same forward and backward pass serves all lanes: candidates x learning rates x seeds. A lane's
result must not depend on the lanes beside it.

A task says what to train and how to judge it; which optimizer, learning rate or seed a lane has is
the business of the trainer.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["Batch", "Parameter", "Role", "Split", "Task", "TaskSize", "Weights", "generator"]

Weights = Mapping[str, Tensor]
"""Parameter name to tensor (L, *shape)."""
Batch = tuple[Tensor, ...]
"""One minibatch; each tensor's first dimension is the lane (or, where drawn, the step)."""


_MICRO_FLOPS = 2e8
_SMALL_FLOPS = 2e10


class Role(Enum):
    """What a parameter is for; optimizers for matrices take the hidden ones only."""

    HIDDEN = "hidden matrix"
    EMBEDDING = "embedding"
    HEAD = "output head"
    VECTOR = "bias, gain or other vector"


class TaskSize(Enum):
    """How much one candidate costs: a dozen or two of training runs on one core."""

    MICRO = "micro"
    """Around 50 ms."""
    SMALL = "small"
    """Up to a few seconds."""
    LARGE = "large"
    """Wants a GPU."""


class Split(Enum):
    """Which decisions a task may take part in."""

    SEARCH = "search"
    """All; also what a user's own files are for."""
    SELECT = "select"
    """Which finds are kept."""
    LARGER = "larger"
    """None; but it is a larger copy of a task of searches, and speaks of size, not of kind."""
    HELD_OUT = "held-out"
    """None, for good: no search, no proxy and no choice of either saw a task of its family."""


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU random stream that depends on the seed and on what it is for, on nothing else.

    The same seed gives unrelated streams for, say, the initial weights and the order of the data.
    """
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(frozen=True)
class Parameter:
    """A named tensor of the model, without the lane dimension."""

    name: str
    shape: tuple[int, ...]
    role: Role

    @property
    def numel(self) -> int:
        """The number of entries."""
        return int(torch.Size(self.shape).numel())


_RANGES = {
    "int": (1, "a whole number"),
    "float": (0, "a finite number"),
    "tuple[int, ...]": (1, "whole numbers"),
    "str": (0, "text"),
}
"""What a field of a task may be, by its type: the least value, and the kind in words."""


def _within(value: object, kind: str, least: float) -> bool:
    if kind == "tuple[int, ...]":
        return (
            isinstance(value, tuple)
            and bool(value)
            and all(_within(v, "int", least) for v in value)
        )
    if kind == "str":
        return isinstance(value, str)
    numbers = int if kind == "int" else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool) and least <= value < math.inf


@dataclass(frozen=True)
class Task(ABC):
    """Base of all proxy tasks. Subclasses are frozen dataclasses: their fields configure them."""

    family: ClassVar[str]
    """The name of the class of problems; the registry names its configured members."""
    summary: ClassVar[str]
    """One line for `evosearch tasks`: model, data, metric."""
    metric: ClassVar[str]
    """Name and unit of what `evaluate` returns, e.g. "validation loss (nats)"; lower is better."""

    steps: int
    """Training steps; the learning rate decays linearly to zero over them."""

    def __post_init__(self) -> None:
        """Check every field by its type.

        Raises:
            ValueError: A field is out of range.
        """
        for field in fields(self):
            if (kind := str(field.type)) not in _RANGES:
                continue
            least, expected = _RANGES[kind]
            least = field.metadata.get("least", least)
            value = getattr(self, field.name)
            if not _within(value, kind, least):
                bound = f" of at least {least}" if least else ""
                raise ValueError(
                    f"expected {self.family}'s {field.name} to be {expected}{bound}, "
                    f"found {value!r}"
                )

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """The model's parameters, in a fixed order."""

    @property
    @abstractmethod
    def floor(self) -> float:
        """The value of the metric that no optimizer can beat (noise or entropy; 0 if unknown)."""

    @property
    @abstractmethod
    def flops(self) -> float:
        """Floating-point operations in the matrix products of one lane's training step."""

    @property
    def lane_bytes(self) -> float:
        """Bytes that one lane's step works on: weights, gradients and activations, in float32."""
        return 8.0 * sum(p.numel for p in self.parameters)

    @property
    def size(self) -> TaskSize:
        """How expensive a training run is, by its matrix products."""
        work = self.flops * self.steps
        if work <= _MICRO_FLOPS:
            return TaskSize.MICRO
        return TaskSize.SMALL if work <= _SMALL_FLOPS else TaskSize.LARGE

    @property
    def inference(self) -> bool:
        """Whether `gradient` may be called in inference mode: where autograd is not used."""
        return type(self).gradient is not Task.gradient

    @property
    def step_size(self) -> float:
        """A typical good size (root mean square) of one step's change of a weight."""
        return 1e-2

    @abstractmethod
    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed: float32, on the CPU, without lanes."""

    @abstractmethod
    def draw(self, seed: int) -> Batch:
        """Return the training data of one seed, each tensor (steps, ...) on the CPU."""

    @abstractmethod
    def validation(self, seed: int) -> Batch:
        """Return the data that the end value is measured on, on the CPU."""

    def content(self) -> tuple[Tensor, ...]:
        """Return what the task reads from files, as integers, so that other data are told from it.

        Nothing unless a task says so; then its losses at the initial weights have to tell.
        """
        return ()

    def code(self) -> str:
        """Return the text of what the task computes, beside the file that defines it."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """Return what a user should know of how it is computed, in sentences."""
        return ()

    @abstractmethod
    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the training loss of each lane, (L,). Lanes are summed, never mixed."""

    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient of its own loss into `out` (same shapes as the weights).

        The default differentiates `loss` by autograd; a task overrides it where writing the
        backward pass by hand is faster. The conformance suite compares the two. An override is
        called in inference mode: what it keeps for later must be made as
        `proxy_tasks.data.cache.kept` makes it.
        """
        leaves = {k: v.detach().requires_grad_() for k, v in weights.items()}
        with torch.enable_grad():
            total = self.loss(leaves, batch).sum()
            grads = torch.autograd.grad(total, list(leaves.values()))
        for target, grad in zip((out[k] for k in leaves), grads, strict=True):
            target.copy_(grad)

    @abstractmethod
    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the metric of each lane at the end of training, (L,); lower is better."""
