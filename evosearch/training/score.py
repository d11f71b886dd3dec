"""Scores: how much better than AdamW, in the logarithm of the excess loss or of the steps.

The score on a task is ``log(excess of the reference / excess of the candidate)``, averaged over
seeds that both trained on; positive is better than the reference. The excess is the end value minus
the floor that no optimizer can beat. Every score is a finite number, so scores are totally ordered.

Losses of different tasks do not compare: a tenth less is much where no floor is known, as on text,
and little where the floor is subtracted. Divided by the task's elasticity, by which the reference's
log excess falls with the log of its steps, a score is the log of the reference's steps to the same
loss over the candidate's, and that compares: +0.1 is about a tenth more steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BOUND",
    "EXCESS_LOSS",
    "STEPS",
    "Score",
    "best_trial",
    "combine",
    "log_excess",
    "mean_score",
    "paired",
]

EXCESS_LOSS = "AdamW's excess loss / its own"
"""What a score is the logarithm of."""
STEPS = "AdamW's steps to the same loss / its own"
"""The same where it is divided by an elasticity."""

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

    def __str__(self) -> str:
        return f"{self.mean:+.3f}" if self.se is None else f"{self.mean:+.3f} ± {self.se:.3f}"


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


def paired(
    values: Sequence[float], reference: Sequence[float], floor: float, elasticity: float = 1.0
) -> list[float]:
    """Return the score of each seed.

    Args:
        values: End values.
        reference: The reference's, in the same order of seeds.
        floor: The value that no optimizer can beat.
        elasticity: What scores are divided by, to count in steps; 1 to count in excess loss.
    """
    pairs = zip(values, reference, strict=True)
    return [
        _clip((log_excess(r, floor) - log_excess(v, floor)) / elasticity, v, r) for v, r in pairs
    ]


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
