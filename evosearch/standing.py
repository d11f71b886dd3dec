"""Standings: how good a candidate is known to be after all its evaluations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evosearch.job import TaskResult
from evosearch.score import Score, combine, mean_score

__all__ = ["Standing", "task_scores"]


@dataclass(frozen=True, order=True)
class Standing:
    """A candidate's place among others; ordered, better is greater."""

    tier: int
    """The last tier it was evaluated on; going further beats any score on fewer tasks."""
    score: float
    """Mean over tasks of the log excess of tuned AdamW over its own, all evaluations counted."""
    error: float | None = field(compare=False)
    """Standard error of the score; None with a single seed."""
    rounds: int = field(compare=False)
    """Independent evaluations that the score is the mean of."""

    @classmethod
    def of(cls, results: Iterable[TaskResult], tier: int, seeds: int) -> Standing:
        """Return the standing after these results, with `seeds` of them a task and round."""
        scores = task_scores(results)
        total = combine([score for score, _ in scores.values()])
        rounds = min(count for _, count in scores.values()) // seeds
        return cls(tier, total.mean, total.se, rounds)


def task_scores(results: Iterable[TaskResult]) -> dict[str, tuple[Score, int]]:
    """Return each task's mean score over seeds, and the number of seeds, in order of first use."""
    by_task: dict[str, list[float]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result.score)
    return {task: (mean_score(scores), len(scores)) for task, scores in by_task.items()}
