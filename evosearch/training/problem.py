"""A task's data for some seeds: initial weights, batches and validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from evosearch.training.layout import Layout
from proxy_tasks.task import Batch, Task

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A task's data for some seeds: shared by every candidate, never written to."""

    task: Task
    layout: Layout
    initial: Tensor
    """Initial weights (S, P)."""
    batches: Batch
    """Training data, each tensor (steps, S, ...)."""
    validation: Batch
    """Data of the end value, each tensor (S, ...)."""

    @classmethod
    def of(
        cls,
        task: Task,
        seeds: Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Problem:
        """Draw everything the seeds determine, the same on every device."""
        drawn = [_draw(task, seed, dtype) for seed in seeds]
        initial = torch.stack([d.initial for d in drawn]).to(device)
        batches = (
            _join(x, dim=1).to(device) for x in zip(*(d.batches for d in drawn), strict=True)
        )
        exams = (
            _join(x, dim=0).to(device) for x in zip(*(d.validation for d in drawn), strict=True)
        )
        return cls(task, Layout.of(task), initial, tuple(batches), tuple(exams))

    @property
    def device(self) -> torch.device:
        """Where the data is, and lanes train."""
        return self.initial.device

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return self.initial.shape[0]


class _Drawn(NamedTuple):
    """One seed's initial weights (P,), batches (steps, ...) and validation data."""

    initial: Tensor
    batches: Batch
    validation: Batch


@lru_cache(maxsize=16)
def _draw(task: Task, seed: int, dtype: torch.dtype) -> _Drawn:
    layout = Layout.of(task)
    flat = torch.zeros(1, layout.size, dtype=dtype)
    views = layout.views(flat)
    for name, value in task.initialize(seed).items():
        views[name][0].copy_(value)
    return _Drawn(flat[0], task.draw(seed), task.validation(seed))


def _join(seeds: tuple[Tensor, ...], dim: int) -> Tensor:
    """Stack seeds along a new dimension; a single one is not copied."""
    return seeds[0].unsqueeze(dim) if len(seeds) == 1 else torch.stack(seeds, dim)
