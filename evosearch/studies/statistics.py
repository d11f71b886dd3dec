"""Differences and counts with their errors: what may be claimed of a handful of seeds.

Everything is a few lines of standard statistics; scipy supplies the t distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = [
    "CONFIDENCE",
    "Difference",
    "Interval",
    "difference",
    "fisher",
    "holm",
    "interval",
    "ranks",
    "spearman",
    "wilson",
]

CONFIDENCE: Final = 0.95
"""Confidence at which one program is said to be better than another, one-sided."""

Interval = tuple[float, float]
"""The ends of an interval of 95 %."""


@dataclass(frozen=True)
class Difference:
    """A mean difference between two programs' scores; positive: the first is better."""

    mean: float
    error: float | None
    """Standard error of the mean; None where a task has a single seed."""
    freedom: float
    """Degrees of freedom of the error, after Welch and Satterthwaite; 0 where there is none."""
    pairs: int
    """Paired values: tasks times seeds."""

    @property
    def p(self) -> float:
        """The one-sided p value: how likely so large a difference is if there is none."""
        if self.error is None:
            return 1.0
        if self.error == 0.0:
            return 0.0 if self.mean > 0.0 else 1.0
        from scipy.special import stdtr

        return float(stdtr(self.freedom, -self.mean / self.error))

    def beyond(self, level: float = CONFIDENCE) -> bool:
        """Whether the first is better beyond the error: its one-sided interval excludes 0."""
        return self.p < 1.0 - level


def difference(tasks: Iterable[Sequence[float]]) -> Difference:
    """Return the mean over tasks of differences that are paired by seed.

    Seeds of different tasks are independent, so the tasks' variances add; a task with a single seed
    has no known variance, and then the whole has none.

    Args:
        tasks: The differences on each task, one a seed; at least one task, none empty.
    """
    samples = [list(task) for task in tasks]
    k = len(samples)
    means = [math.fsum(sample) / len(sample) for sample in samples]
    mean, pairs = math.fsum(means) / k, sum(map(len, samples))
    if any(len(sample) < 2 for sample in samples):
        return Difference(mean, None, 0.0, pairs)
    parts = [
        math.fsum((x - m) ** 2 for x in sample) / (len(sample) - 1) / len(sample)
        for sample, m in zip(samples, means, strict=True)
    ]
    total = math.fsum(parts)
    spread = math.fsum(v**2 / (len(s) - 1) for v, s in zip(parts, samples, strict=True))
    freedom = total**2 / spread if spread else float(pairs - k)
    return Difference(mean, math.sqrt(total) / k, freedom, pairs)


def interval(found: Difference, level: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the two-sided interval of a difference (Student's t); None where it has no error."""
    if found.error is None or not found.freedom:
        return None
    from scipy.special import stdtrit

    half = found.error * float(stdtrit(found.freedom, 0.5 + level / 2))
    return found.mean - half, found.mean + half


def fisher(hits: int, trials: int, others: int, other_trials: int) -> float:
    """Return the p value of Fisher's exact test of two shares of successes, two-sided."""
    from scipy.stats import fisher_exact

    table = [[hits, trials - hits], [others, other_trials - others]]
    return float(fisher_exact(table).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of successes (J. Am. Stat. Assoc. 22, 1927)."""
    if not trials:
        return 0.0, 1.0
    share, weight = hits / trials, z**2 / trials
    centre = share + weight / 2
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = (centre - half) / (1 + weight), (centre + half) / (1 + weight)
    return max(0.0, low), min(1.0, high)


def ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank from 1; equal values share the mean of their ranks."""
    below = [sum(other < value for other in values) for value in values]
    equal = [sum(other == value for other in values) for value in values]
    return [b + (e + 1) / 2 for b, e in zip(below, equal, strict=True)]


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the rank correlation of paired values; None where either side is constant.

    Spearman, Am. J. Psychol. 15, 1904: the correlation of the ranks.
    """
    x, y = np.array(ranks(first)), np.array(ranks(second))
    x, y = x - x.mean(), y - y.mean()
    norm = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / norm if norm else None


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, Scand. J. Stat. 6, 1979), in order."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected = [0.0] * len(ps)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = highest
    return corrected
