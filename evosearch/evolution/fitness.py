"""Fitness: how good a candidate is known to be after all its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evosearch.training.score import combine, mean_score

__all__ = ["Fitness", "Scores"]

Scores = Mapping[str, Sequence[float]]
"""Task to its score on every seed so far."""


@dataclass(frozen=True, order=True, slots=True)
class Fitness:
    """A candidate's place among others; ordered, better is greater."""

    tier: int
    """The last tier it was evaluated on; going further beats any score on fewer tasks."""
    score: float
    """Mean over tasks of the log excess of AdamW over its own, all evaluations counted."""
    error: float | None = field(compare=False)
    """Standard error of the score; None with a single seed."""
    rounds: int = field(compare=False)
    """Independent evaluations that the score is the mean of."""

    @classmethod
    def of(cls, scores: Scores, tier: int, seeds: int) -> Fitness:
        """Return the fitness after these scores, with `seeds` of them a task and round."""
        total = combine([mean_score(values) for values in scores.values()])
        rounds = min(map(len, scores.values())) // seeds
        return cls(tier, total.mean, total.se, rounds)
