"""Statistics of a scale test: steps to a loss, rank correlation, intervals by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

__all__ = ["DRAWS", "bootstrap", "speedup", "steps_to"]

DRAWS: Final = 2000
"""Resamples of a bootstrap."""
_QUANTILES: Final = (2.5, 97.5)


Numbers = Sequence[float] | np.ndarray


def steps_to(target: float, steps: Numbers, losses: Numbers) -> float | None:
    """Return after how many steps a loss curve first reaches a target; None if it never does.

    Between two evaluations the loss is taken to be linear in the step; a curve that begins at or
    below the target gets its first step.

    Args:
        target: The loss to reach.
        steps: Steps done at each evaluation, increasing.
        losses: The loss at each; what is not finite reaches nothing.
    """
    before: tuple[float, float] | None = None
    for step, loss in zip(steps, losses, strict=True):
        if loss <= target:
            if before is None or not math.isfinite(before[1]):
                return step
            last, high = before
            return last + (step - last) * (high - target) / (high - loss)
        before = step, loss
    return None


def speedup(steps: Numbers, reference: Numbers, losses: Numbers, at: float) -> tuple[float, bool]:
    """Return by what factor an optimizer needs fewer steps than the reference, and if it arrives.

    The target is the reference's loss after the share `at` of its steps, and the factor is the
    reference's steps to it over the optimizer's. An optimizer that never reaches the target gets,
    instead, the share of its steps after which the reference is where the optimizer ends: the
    factor for an easier target, at most `at`, and 0 where the optimizer diverged.

    Args:
        steps: Steps done at each evaluation, increasing.
        reference: The reference's loss at each; finite.
        losses: The optimizer's.
        at: Share of the steps, above 0 and up to 1.
    """
    target = float(np.interp(at * steps[-1], steps, reference))
    theirs = steps_to(target, steps, reference)
    assert theirs is not None  # its own target
    ours = steps_to(target, steps, losses)
    if ours is not None:
        return theirs / ours, True
    if not math.isfinite(losses[-1]):
        return 0.0, False
    reached = steps_to(losses[-1], steps, reference)
    return (at if reached is None else min(at, reached / steps[-1])), False


def bootstrap(
    statistic: Callable[[Sequence[int]], float | None],
    count: int,
    random: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a statistic of resampled observations.

    Efron, Ann. Stat. 7, 1979. With a handful of observations such intervals are too narrow. Draws
    of which the statistic is None are left out; None where nothing is left, or for a single
    observation.

    Args:
        statistic: Takes the positions of observations, drawn with replacement.
        count: Observations.
        random: Where the draws come from.
        draws: How many.
    """
    if count < 2:
        return None
    positions = random.integers(count, size=(draws, count)).tolist()
    found = [value for drawn in positions if (value := statistic(drawn)) is not None]
    if not found:
        return None
    low, high = np.percentile(found, _QUANTILES)
    return float(low), float(high)
