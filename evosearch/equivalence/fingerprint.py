"""What a rule computes, modulo the learning rate, as a short hash.

A rule runs for a few steps on fixed gradients of a tall, a wide and a square matrix, in float64.
Its updates, scaled to unit size and rounded to six decimals, are hashed. A rule with a sign or
another op that is flat nearly everywhere runs for many steps: on a few, averages of very different
lengths have the same signs. Programs that compute the same function, or the same up to a positive
factor that a learning rate absorbs, share a fingerprint and hence one evaluation. AutoML-Zero
caches by behaviour in this way (arXiv 2003.03384), and Lion's search by a hash of the dataflow
(arXiv 2302.06675). What the steps cannot show is part of the hash itself: what weights keep, long
periods, and whether float32 makes nothing of the rule.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Final

import numpy as np

from evosearch.equivalence.agreement import degenerate
from evosearch.equivalence.probes import LONG, NUMBERED, ProbeValue
from evosearch.equivalence.trajectory import Course
from evosearch.language.known import rest_of
from evosearch.language.liveness import strip
from evosearch.language.rule import INPUTS, Rule, RuleSet
from evosearch.mutation.statement_edits import bypass

__all__ = ["fingerprint", "rule_fingerprint"]

_DECIMALS: Final = 1e6
_FLAT: Final = frozenset({"sign", "clip", "clip_to", "select", "minimum", "maximum", "every"})
"""Ops whose result may stay the same while their operands change."""
_STEEPNESS: Final = {"square": 1.0, "cube": 1.6, "exp": 2.0, "sinh": 2.0, "cosh": 2.0, "power": 1.0}
_STEEP: Final = 4.0
"""Rules that are steeper, as g^16 is, are tried in float32."""
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
    flat = any(s.op in _FLAT and course.needs(i) for i, s in enumerate(rule.body))
    if flat:
        rule = strip(rule)
        course = Course(rule, LONG)
        shorter = _without_copies(rule, course) if course.reads_gradient else None
        if shorter is not None:
            return rule_fingerprint(shorter)
    found = _digest(course.run()) if course.reads_gradient else None
    unseen = [rule.keeps] if rule.keeps else []
    for i, statement in enumerate(rule.body) if flat else ():
        if statement.op == "every" and course.needs(i):
            period = float(statement.args[2])
            unseen += [str(period)] if period > NUMBERED else []
    if found is not None and _steepness(rule, course) >= _STEEP and degenerate(rule):
        unseen.append("degenerate")  # and not the function that it is in float64
    if found is None or not unseen:
        return found
    text = " ".join([found, *sorted(unseen)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _without_copies(rule: Rule, course: Course) -> Rule | None:
    """Return the rule without a value, made by a flat op, that another value is at every step.

    ``abs(g) * sign(g)`` is g, to the last bit: then nothing is flat, and few steps are looked at.
    """
    body, values = rule.body, course.values()
    flats = sum(1 << course.code[i][0] for i, s in enumerate(body) if s.op in _FLAT)
    entries = [(-1, name, values[k]) for k, name in enumerate(INPUTS) if values[k] is not None]
    for i, statement in enumerate(body):
        if (value := values[course.code[i][0]]) is None:
            continue
        if not course.made_of[i] & flats:
            entries.append((i, statement.target, value))
            continue
        key = value.arrays[0].flat[-1]
        for k, name, other in entries:
            if (
                other.arrays[0].flat[-1] == key
                and all(map(np.array_equal, value.arrays, other.arrays))
                and all(s.target != name for s in body[k + 1 :])
            ):
                return strip(bypass(rule, i, name))
    return None


def _steepness(rule: Rule, course: Course) -> float:
    """Return how far values may lie from the gradient's scale, as the logarithm of a power."""
    total = 0.0
    for i, statement in enumerate(rule.body):
        steep = _STEEPNESS.get(statement.op, 0.0)
        for argument in statement.args if statement.op in ("mul", "div") else ():
            if not isinstance(argument, str) and not 1e-12 < abs(argument) < 1e12:
                steep = _STEEP
        if steep and course.needs(i):
            total += steep
    return total


@lru_cache(maxsize=4096)
def _digest(value: ProbeValue) -> str | None:
    flat = value.entries().ravel()
    size = math.hypot(*flat.tolist()) / math.sqrt(flat.size)
    if not _SMALLEST < size < _LARGEST:
        return None
    digits = np.rint(flat * (_DECIMALS / size)).astype(np.int64)
    return hashlib.blake2b(digits.tobytes(), digest_size=8).hexdigest()
