"""Reference optimizers that no package has in the form that a program follows.

Each is written from its paper or its authors' code as a `torch.optim.Optimizer` that loops over
parameters, knows nothing of programs, and is named in a row of `evosearch.language.library`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Slot:
    """One parameter at one step."""

    w: Tensor
    g: Tensor
    t: int
    """The step, from 1."""
    lr: float
    options: Mapping[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    """What persists from step to step."""

    def state(self, name: str) -> Tensor:
        """Return a state of the parameter's shape, zero at first, to change in place."""
        return self.kept.setdefault(name, torch.zeros_like(self.w))

    def average(self, name: str, value: Tensor, beta: float) -> Tensor:
        """Move an exponential average, and return it."""
        return self.state(name).mul_(beta).add_((1 - beta) * value)


class ReferenceOptimizer(torch.optim.Optimizer):
    """``w <- w - lr * direction``, one parameter at a time."""

    def __init__(self, params: Any, lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p]
                kept["t"] = kept.get("t", 0) + 1
                slot = Slot(p.detach(), p.grad, kept["t"], group["lr"], group, kept)
                p.sub_(group["lr"] * self.direction(slot))

    def direction(self, p: Slot) -> Tensor:
        """Return the update of one parameter."""
        raise NotImplementedError


class SignSGD(ReferenceOptimizer):
    """Bernstein et al., arXiv 1802.04434, Algorithm 1."""

    def direction(self, p: Slot) -> Tensor:
        return p.g.sign()


class Signum(ReferenceOptimizer):
    """Bernstein et al., arXiv 1802.04434, Algorithm 2."""

    def direction(self, p: Slot) -> Tensor:
        return p.average("m", p.g, p.options["momentum"]).sign()
