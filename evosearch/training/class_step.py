"""Optimizer classes at work: one optimizer a lane, over the same buffers as programs.

A class is called with two groups of parameters, hidden matrices and all others, each with its
``lr`` and ``use_muon``, which most ignore. One that refuses that is taken to be for matrices alone,
as `torch.optim.Muon` is: it gets them as matrices, and the rest is AdamW's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from evosearch.training.layout import Layout
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.update import LearningRates
from proxy_tasks.task import Role

__all__ = ["ClassStep"]

_BACKUP: Final[Mapping[str, Any]] = {"betas": (0.9, 0.95), "eps": 1e-10, "weight_decay": 0.0}
"""AdamW's arguments where it moves the rest: those of `evosearch.language.known.default_rest`."""
_REHEARSAL: Final = 1e-3
"""The learning rate at which an update's size is measured, in 64-bit floats."""


class ClassStep:
    """Optimizers of one class, one a lane, over blocks of weights that they change in place."""

    def __init__(
        self,
        made: OptimizerClass,
        layout: Layout,
        trials: Sequence[LearningRates],
        w: Tensor,
        g: Tensor,
    ) -> None:
        """Make them.

        Args:
            made: The class.
            layout: Of the buffers' columns.
            trials: Learning rates; each has equally many lanes, one trial after another.
            w: Weights (L, P).
            g: Gradients (L, P).

        Raises:
            RuntimeError: The class cannot be made with the task's parameters.
        """
        views, gradients = layout.views(w), layout.views(g)
        each = w.shape[0] // len(trials)
        self._lanes: list[list[tuple[Optimizer, list[float]]]] = []
        for lane in range(w.shape[0]):
            rates = trials[lane // each]
            hidden, rest = [], []
            for p in layout.parameters:
                parameter = nn.Parameter(views[p.name][lane])
                parameter.grad = gradients[p.name][lane]
                (hidden if p.role is Role.HIDDEN else rest).append(parameter)
            optimizers = _optimizers(made, hidden, rest, rates)
            bases = [[float(group["lr"]) for group in o.param_groups] for o in optimizers]
            self._lanes.append(list(zip(optimizers, bases, strict=True)))

    def step(self, decay: float) -> None:
        """Have each lane's optimizer make a step at its learning rate times `decay`."""
        with torch.no_grad():
            for lane in self._lanes:
                for optimizer, bases in lane:
                    for group, lr in zip(optimizer.param_groups, bases, strict=True):
                        group["lr"] = lr * decay
                    optimizer.step()

    @classmethod
    def rehearse(
        cls, made: OptimizerClass, layout: Layout, initial: Tensor, gradients: Tensor
    ) -> Tensor:
        """Return the last update (1, P) over gradients (K, P), the weights (1, P) held fixed."""
        w, g = initial.double(), torch.empty_like(initial, dtype=torch.float64)
        rates = (LearningRates(_REHEARSAL, _REHEARSAL),)
        steps = cls(made, layout, rates, w, g)
        for gradient in gradients:
            w.copy_(initial)
            g.copy_(gradient)
            steps.step(1.0)
        return ((initial - w) / _REHEARSAL).to(initial.dtype)


def _optimizers(
    made: OptimizerClass,
    hidden: list[nn.Parameter],
    rest: list[nn.Parameter],
    rates: LearningRates,
) -> list[Optimizer]:
    """Return what moves one lane: an optimizer of all, or one of the matrices and AdamW."""
    matrices = {"params": hidden, "lr": rates.matrix, "use_muon": True}
    others = {"params": rest, "lr": rates.rest, "use_muon": False}
    groups = [group for group in (matrices, others) if group["params"]]
    try:
        return [made.make(groups)]
    except RuntimeError:
        if not hidden:
            raise
        folded = []
        for p in hidden:
            matrix = nn.Parameter(p.detach().flatten(1))
            assert p.grad is not None
            matrix.grad = p.grad.flatten(1)
            folded.append(matrix)
        alone = made.make([{"params": folded, "lr": rates.matrix}])
        backup = AdamW(rest, lr=rates.rest, **_BACKUP) if rest else None
        return [alone, backup] if backup else [alone]
