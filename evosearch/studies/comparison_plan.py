"""What a comparison will compute and cost, said before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from evosearch.errors import UsageError
from evosearch.training.cost import run_seconds
from evosearch.training.job import TaskRef
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import TuningJob, read_optimizer
from proxy_tasks.registry import get

__all__ = ["ComparisonPlan", "PlannedTuning", "plan"]

_FEWEST: Final = 5
"""Trials that a descent opens with; with fewer there is none."""


@dataclass(frozen=True)
class PlannedTuning:
    """One optimizer on one task."""

    optimizer: str
    task: str
    runs: int
    """Training runs at most: a descent that settles earlier takes fewer."""
    seconds: float
    """Of one core, for all of them."""
    known: bool
    """Whether it was computed before."""


@dataclass(frozen=True)
class ComparisonPlan:
    """All tunings of a comparison."""

    tunings: tuple[PlannedTuning, ...]
    trials: int
    """Points that each may try."""

    @property
    def seconds(self) -> float:
        """Of one core, for what is not known yet."""
        return sum(t.seconds for t in self.tunings if not t.known)

    def within(self, core_minutes: float) -> int:
        """Return how many trials each may have so that all fit into so many minutes of one core.

        Raises:
            UsageError: Not even a descent's first trials fit.
        """
        open_ = [t for t in self.tunings if not t.known]
        per_trial = sum(t.seconds / t.runs for t in open_) * (self.runs_a_trial)
        if not per_trial:
            return self.trials
        fit = int(60.0 * core_minutes / per_trial) - 1  # one more for the report
        if fit < _FEWEST:
            raise UsageError(
                f"expected a --budget of at least {(_FEWEST + 1) * per_trial / 60:.2g} core-minutes"
                f", {_FEWEST} trials for each on every task; found {core_minutes:g}. Take fewer "
                "seeds or tasks, or give more"
            )
        return min(fit, self.trials)

    @property
    def runs_a_trial(self) -> int:
        """Training runs of one point: its seeds."""
        return self.tunings[0].runs // (self.trials + 1)


def plan(
    optimizers: Mapping[str, Tunable],
    tasks: Sequence[TaskRef],
    job: Callable[[Tunable, TaskRef], TuningJob],
    knows: Callable[[TuningJob], bool],
) -> ComparisonPlan:
    """Return what tuning everybody takes, after timing a few steps of each.

    Args:
        optimizers: By their labels.
        tasks: What they are tuned on.
        job: Makes the tuning of an optimizer on a task.
        knows: Whether a tuning was computed before.
    """
    found, trials = [], 0
    for ref in tasks:
        task = get(ref.name, **ref.overrides)
        for label, optimizer in optimizers.items():
            tuning = job(optimizer, ref)
            known, trials = knows(tuning), tuning.descent.trials
            runs = len(tuning.tuning) * trials + len(tuning.reporting)
            seconds = 0.0 if known else runs * run_seconds(task, read_optimizer(optimizer.start))
            found.append(PlannedTuning(label, str(ref), runs, seconds, known))
    return ComparisonPlan(tuple(found), trials)
