"""Whether two rules train alike: over a thousand steps, in the arithmetic of lanes.

A fingerprint looks at few steps in float64. What is left of a program has to agree with it late and
in float32 besides, with subnormal numbers flushed to zero, at gradients of two scales.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import numpy as np

from evosearch.equivalence.probes import LATE, Array
from evosearch.equivalence.trajectory import Course
from evosearch.language.rule import Rule

__all__ = ["TOLERANCE", "agree", "degenerate", "deviation"]

TOLERANCE: Final = 0.01
"""Largest relative difference of the updates of a step."""
_FAINT: Final = 1e-3
"""What is this much smaller than the largest update of its scale is measured by that."""


def agree(rule: Rule, other: Rule) -> bool:
    """Whether the updates of two rules differ by a positive factor, and less than 1 % otherwise."""
    return rule.keeps == other.keeps and deviation(_late(rule), _late(other)) <= TOLERANCE


def degenerate(rule: Rule) -> bool:
    """Whether float32 makes nothing of a rule at a scale that gradients have."""
    updates = _late(rule)
    return not bool(np.isfinite(updates).all() and updates.any(axis=(0, 2)).all())


def deviation(updates: Array, others: Array) -> float:
    """Return the largest relative difference of updates (steps, scales, entries).

    They are compared up to one positive factor. Infinite where one is finite and the other is not.
    """
    finite = np.isfinite(updates) & np.isfinite(others)
    if not np.array_equal(np.isfinite(updates), np.isfinite(others)):
        return float("inf")
    a, b = (np.where(finite, x, 0.0).astype(np.float64) for x in (updates, others))
    with np.errstate(all="ignore"):
        sizes, other_sizes = (np.sqrt((x**2).mean(axis=(0, 2), keepdims=True)) for x in (a, b))
        a, b = a / sizes, b / other_sizes
        factors = (sizes / other_sizes).ravel()
    if not sizes.all() or not other_sizes.all():
        return 0.0 if np.array_equal(sizes == 0, other_sizes == 0) else float("inf")
    if factors.max() > (1.0 + TOLERANCE) * factors.min():
        return float("inf")  # the factor depends on the scale of the gradients
    apart, size = (np.sqrt((x**2).sum(axis=2)) for x in (a - b, a))
    return float((apart / np.maximum(size, _FAINT * size.max(axis=0))).max())


@lru_cache(maxsize=256)
def _late(rule: Rule) -> Array:
    """Return the updates (steps, scales, entries) on the late probes."""
    with _flushed():
        (updates,) = Course(rule, LATE).run().arrays
    shape = (len(updates), *LATE.flat.lanes[:1], -1)
    return np.broadcast_to(updates, np.broadcast_shapes(updates.shape, (1, 2, 1, 1))).reshape(shape)


@contextmanager
def _flushed() -> Iterator[None]:
    """Flush subnormal numbers to zero, as lanes do."""
    import torch

    flushed = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
