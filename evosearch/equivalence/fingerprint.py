"""What a rule computes, modulo the learning rate, as a short hash.

A rule runs for a few steps on fixed gradients of a tall, a wide and a square matrix, in float64.
Its updates, scaled to unit size and rounded to six decimals, are hashed. A rule with a sign or
another op that is flat nearly everywhere runs for many steps: on a few, averages of very different
lengths have the same signs. Programs that compute the same function, or the same up to a positive
factor that a learning rate absorbs, share a fingerprint and hence one evaluation. AutoML-Zero
caches by behaviour in this way (arXiv 2003.03384), and Lion's search by a hash of the dataflow
(arXiv 2302.06675).
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Final

import numpy as np

from evosearch.equivalence.probes import LONG, ProbeValue
from evosearch.equivalence.trajectory import Course
from evosearch.language.known import rest_of
from evosearch.language.rule import Rule, RuleSet

__all__ = ["fingerprint", "rule_fingerprint"]

_DECIMALS: Final = 1e6
_FLAT: Final = frozenset({"sign", "clip", "clip_to", "select"})
"""Ops whose result may stay the same while their operands change."""
_SMALLEST: Final = 1e-100
"""An update smaller than this is no update."""
_LARGEST: Final = 1e150
"""An update larger than this is as good as infinite."""


def fingerprint(rules: RuleSet) -> str | None:
    """Return 32 hex digits that identify the function, or None where it is no optimizer.

    None means that an update is not finite, or zero at every step.
    """
    matrix = rule_fingerprint(rules.matrix)
    if matrix is None:
        return None
    rest = rule_fingerprint(rest_of(rules))
    return None if rest is None else matrix + rest


@lru_cache(maxsize=4096)
def rule_fingerprint(rule: Rule) -> str | None:
    """Return 16 hex digits for one rule, or None where it is no optimizer."""
    course = Course(rule)
    if any(s.op in _FLAT and course.needs(i) for i, s in enumerate(rule.body)):
        course = Course(rule, LONG)
    found = _digest(course.run()) if course.reads_gradient else None
    if found is None or not rule.keeps:
        return found
    return hashlib.blake2b(f"{found} {rule.keeps}".encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=4096)
def _digest(value: ProbeValue) -> str | None:
    flat = value.entries().ravel()
    size = math.hypot(*flat.tolist()) / math.sqrt(flat.size)
    if not _SMALLEST < size < _LARGEST:
        return None
    digits = np.rint(flat * (_DECIMALS / size)).astype(np.int64)
    return hashlib.blake2b(digits.tobytes(), digest_size=8).hexdigest()
