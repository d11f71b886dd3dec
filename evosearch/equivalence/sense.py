"""What is wrong with a program that is legal: it does not move, ignores the gradient, or climbs."""

from __future__ import annotations

from typing import Final

import numpy as np

from evosearch.equivalence.agreement import degenerate
from evosearch.equivalence.probes import LONG
from evosearch.equivalence.trajectory import Course
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule

__all__ = ["warnings"]

_CLEARLY: Final = -0.1
"""Cosine between the updates and the gradients, below which a rule goes up."""


def warnings(rule: Rule) -> list[str]:
    """Return what is wrong with a rule, a sentence each; empty where nothing is.

    Judged by its updates on 48 gradients and on a thousand in float32. A rule may go up on purpose
    only in theory: the trainer subtracts the update.
    """
    rule = strip(rule)
    course = Course(rule, LONG)
    updates = course.run().entries()
    updates = np.broadcast_to(updates, (len(updates), updates.shape[1]))
    if not np.isfinite(updates).all():
        return ["Its updates are not finite on ordinary gradients."]
    if not updates.any():
        return ["Its updates are zero: no parameter moves."]
    found: list[str] = []
    if not course.reads_gradient:
        found.append("Its updates do not depend on the gradient.")
    elif not rule.states and np.ptp(updates, axis=0).max() == 0.0:
        found.append("Its updates are the same on every step, and it has no state.")
    else:
        gradients = course.table.inputs[1].entries()
        if gradients.shape == updates.shape:
            scale = np.abs(gradients).mean(axis=0)
            a, b = updates.ravel(), (gradients / scale).ravel()
            cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            if cosine < _CLEARLY:
                found.append(
                    f"It goes up: its updates point against the gradient (cosine {cosine:.2f}), "
                    "and the trainer subtracts them."
                )
    if degenerate(rule):
        found.append("In float32, at small gradients, its updates are zero or not finite.")
    return found
