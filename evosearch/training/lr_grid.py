"""Learning rates: a grid around each candidate's own update size.

An optimizer is as good as its learning rates, so every rule, baseline or candidate, gets the
same grid: learning rates in geometric steps, times the ratio between how far hidden matrices and
all other parameters move, extended where the best is at the edge. The centre is where the typical
step of a weight is the task's `step_size`, for the matrices and for the rest alike; it is found by
running the rule over recorded gradients.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from evosearch.training.lanes import rehearse
from evosearch.training.layout import Layout, Region
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.problem import Problem
from evosearch.training.seeds import grid_seed
from evosearch.training.update import LearningRates, UpdateRules
from proxy_tasks.task import Task

__all__ = ["Grid", "GridPoint", "UpdateSize", "measure", "recorded"]

RECORDED = 8
"""Minibatches whose gradients a rule's update size is measured on."""


class GridPoint(NamedTuple):
    """A trial by its position on the grid; the centre's rate is 0, the first ratio is 0.

    Rates are counted in the finest steps of the grid.
    """

    rate: int
    ratio: int


@dataclass(frozen=True)
class UpdateSize:
    """Root mean square of an update's entries; None for a kind of parameter the task lacks."""

    matrix: float | None
    rest: float | None

    @property
    def degenerate(self) -> bool:
        """Whether no learning rate can make a sensible step of it."""
        return any(x is not None and not 0 < x < math.inf for x in (self.matrix, self.rest))


@dataclass(frozen=True)
class Grid:
    """Learning rates x ratios. A ratio of 1 moves matrices and the rest equally far (in RMS)."""

    rates: int = 5
    """Learning rates at first, around the centre."""
    per_decade: int = 2
    """Learning rates per factor of ten."""
    ratios: tuple[float, ...] = (0.3, 1.0, 3.0)
    """How far the rest moves relative to the matrices; increasing."""
    extensions: int = 3
    """How often the untried neighbours of the best point are tried as well."""
    refine: int = 0
    """How often the step between learning rates is halved around a best point inside the grid."""

    def __post_init__(self) -> None:
        increasing = all(a < b for a, b in zip(self.ratios, self.ratios[1:], strict=False))
        if self.rates < 1 or self.per_decade < 1 or self.extensions < 0 or self.refine < 0:
            raise ValueError(
                f"grid of {self.rates} rates, {self.per_decade} per decade, {self.extensions} "
                f"extensions, {self.refine} refinements; expected at least 1, 1, 0 and 0"
            )
        if not self.ratios or self.ratios[0] <= 0 or not increasing:
            raise ValueError(f"ratios {self.ratios}; expected positive, increasing numbers")

    def points(self, size: UpdateSize) -> tuple[GridPoint, ...]:
        """Return the points to try first. A task with one kind of parameter has no ratio."""
        first = -(self.rates // 2)
        ratios = range(len(self.ratios)) if self._has_ratio(size) else (self._neutral,)
        coarse = range(first, first + self.rates)
        return tuple(GridPoint(i * self._finest, j) for i in coarse for j in ratios)

    def beyond(
        self, best: GridPoint, tried: Collection[GridPoint], size: UpdateSize
    ) -> tuple[GridPoint, ...]:
        """Return the neighbours of the best point to try next; empty once all were tried.

        The nearer ones of a refined grid come once the farther ones have been tried.
        """
        if wide := self.outside(best, tried, size):
            return wide
        rate, ratio = best
        for step in (1 << k for k in reversed(range(self.refine)) if rate % (1 << k) == 0):
            near = (GridPoint(rate - step, ratio), GridPoint(rate + step, ratio))
            if untried := tuple(p for p in near if p not in tried):
                return untried
        return ()

    def outside(
        self, best: GridPoint, tried: Collection[GridPoint], size: UpdateSize
    ) -> tuple[GridPoint, ...]:
        """Return the untried neighbours on the grid as it is before it is refined.

        There is one where the best point is at the edge.
        """
        rate, ratio = best
        if rate % self._finest:
            return ()
        neighbours = [GridPoint(rate - self._finest, ratio), GridPoint(rate + self._finest, ratio)]
        if self._has_ratio(size) and len(self.ratios) > 1:
            neighbours += [GridPoint(rate, ratio - 1), GridPoint(rate, ratio + 1)]
        return tuple(p for p in neighbours if p not in tried)

    def ratio(self, point: GridPoint) -> float:
        """Return how far the rest moves relative to the matrices, continued beyond the list."""
        last = len(self.ratios) - 1
        if point.ratio < 0:
            return self.ratios[0] * (self.ratios[1] / self.ratios[0]) ** point.ratio
        if point.ratio > last:
            step = self.ratios[-1] / self.ratios[-2]
            return self.ratios[-1] * step ** (point.ratio - last)
        return self.ratios[point.ratio]

    def trial(self, point: GridPoint, size: UpdateSize, step_size: float) -> LearningRates:
        """Return the learning rates of a point for a rule of this update size."""
        step = step_size * 10 ** (point.rate / (self.per_decade * self._finest))
        return LearningRates(
            matrix=0.0 if size.matrix is None else step / size.matrix,
            rest=0.0 if size.rest is None else self.ratio(point) * step / size.rest,
        )

    @property
    def _finest(self) -> int:
        """Finest steps in a step of the grid before it is refined."""
        return 1 << self.refine

    @property
    def _neutral(self) -> int:
        return min(range(len(self.ratios)), key=lambda i: abs(math.log(self.ratios[i])))

    def _has_ratio(self, size: UpdateSize) -> bool:
        return size.matrix is not None and size.rest is not None


def measure(rules: UpdateRules | OptimizerClass, task: Task) -> UpdateSize:
    """Measure a rule's update after a few steps over the task's recorded gradients.

    The weights stay at their initial values and the seed is the task's own, so the result belongs
    to the rule and the task alone.
    """
    problem, gradients = recorded(task)
    update = rehearse(problem, rules, gradients)
    layout = problem.layout
    return UpdateSize(_rms(layout.matrix, update), _rms(layout.rest, update))


def _rms(region: Region, update: Tensor) -> float | None:
    if not region.numel:
        return None
    total = sum(float(s.view(update).double().square().sum()) for s in region.stacks)
    return math.sqrt(total / region.numel)


@lru_cache(maxsize=16)
def recorded(task: Task) -> tuple[Problem, Tensor]:
    """Return the task's problem at its grid seed and gradients (K, P) of its first minibatches."""
    problem = Problem.of(task, (grid_seed(task.family),))
    k = min(RECORDED, task.steps)
    layout = Layout.of(task)
    flat = problem.initial.repeat(k, 1)
    gradients = torch.zeros_like(flat)
    batch = tuple(data[:k, 0] for data in problem.batches)
    task.gradient(layout.views(flat), batch, layout.views(gradients))
    return problem, gradients
