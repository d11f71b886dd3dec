"""What training costs here: timed on a few steps, before anything long begins."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from evosearch.training.batching import train_entries
from evosearch.training.lanes import Entry, LearningRates, arithmetic
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.update import UpdateRules
from proxy_tasks.task import Task

__all__ = ["run_seconds"]

_STEPS: Final = (1, 4)
"""Steps of the runs that are timed: what takes no longer in longer ones is paid once a run."""
_TRIALS: Final = 10
_SEEDS: Final = (0, 1)


def run_seconds(task: Task, rules: UpdateRules | OptimizerClass) -> float:
    """Return the seconds of one core that a training run takes among as many as a search trains.

    Args:
        task: What is trained; its few steps take a second or so.
        rules: What trains it.
    """
    few, more = (_seconds(replace(task, steps=min(n, task.steps)), rules) for n in _STEPS)
    step = max(0.0, more - few) / max(1, _STEPS[1] - _STEPS[0])
    return (few + step * (task.steps - _STEPS[0])) / (_TRIALS * len(_SEEDS))


def _seconds(task: Task, rules: UpdateRules | OptimizerClass) -> float:
    entry = Entry(rules, (LearningRates(1e-4, 1e-4),) * _TRIALS)
    with arithmetic():
        list(train_entries(task, _SEEDS, [entry], "cpu"))  # once more than is timed: to warm up
        start = time.process_time()
        list(train_entries(task, _SEEDS, [entry], "cpu"))
    return time.process_time() - start
