"""Scores: how much better than tuned AdamW, in the logarithm of the excess loss.

The score on a task is ``log(excess of the reference / excess of the candidate)``, averaged over
seeds that both trained on; positive is better than the reference. The excess is the end value minus
the floor that no optimizer can beat. Every score is a finite number, so scores are totally ordered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BOUND", "Score", "best_trial", "combine", "log_excess", "mean_score", "paired"]

BOUND = 10.0
"""Scores lie in [-BOUND, BOUND]. A diverged lane scores -BOUND; an excess more than e^10 (22,000)
times smaller than the reference's, which is rounding error or a solved task, counts as no more."""
_TINY = 1e-12
_HUGE = 1e12


@dataclass(frozen=True)
class Score:
    """A mean over seeds, or over tasks."""

    mean: float
    se: float | None
    """Standard error of the mean; None where there are too few values to know it."""


def log_excess(value: float, floor: float) -> float:
    """Return the logarithm of value - floor, finite for every value; what diverged is huge."""
    if not math.isfinite(value):
        return math.log(_HUGE)
    return math.log(min(max(value - floor, _TINY), _HUGE))


def best_trial(values: Sequence[Sequence[float]], floor: float) -> int:
    """Return the trial with the lowest mean log excess over its seeds; of equals, the first.

    Args:
        values: end values (trials, seeds).
        floor: the value that no optimizer can beat.
    """
    means = [math.fsum(log_excess(v, floor) for v in row) / len(row) for row in values]
    return means.index(min(means))


def paired(values: Sequence[float], reference: Sequence[float], floor: float) -> list[float]:
    """Return the score of each seed; both sequences are end values in the same order of seeds."""
    pairs = zip(values, reference, strict=True)
    return [_clip(log_excess(r, floor) - log_excess(v, floor), v, r) for v, r in pairs]


def _clip(score: float, value: float, reference: float) -> float:
    if not math.isfinite(value) and math.isfinite(reference):
        return -BOUND
    return min(max(score, -BOUND), BOUND)


def mean_score(scores: Sequence[float]) -> Score:
    """Return the mean over seeds with its standard error."""
    n = len(scores)
    mean = math.fsum(scores) / n
    if n < 2:
        return Score(mean, None)
    variance = math.fsum((s - mean) ** 2 for s in scores) / (n - 1)
    return Score(mean, math.sqrt(variance / n))


def combine(scores: Sequence[Score]) -> Score:
    """Return the mean over tasks; their standard errors combine as independent ones do."""
    n = len(scores)
    mean = math.fsum(s.mean for s in scores) / n
    errors = [s.se for s in scores]
    known = [e for e in errors if e is not None]
    return Score(mean, math.hypot(*known) / n if len(known) == n else None)
