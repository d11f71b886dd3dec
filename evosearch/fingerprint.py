"""What a rule computes, modulo the learning rate, as a short hash.

A rule runs for a few steps on fixed gradients of a tall, a wide and a square matrix, in float64.
Its updates, scaled to unit size and rounded to six decimals, are hashed. Programs that compute
the same function, or the same up to a positive factor that a learning rate absorbs, share a
fingerprint and hence one evaluation. AutoML-Zero caches by behaviour in this way (arXiv
2003.03384), and Lion's search by a hash of the dataflow (arXiv 2302.06675).

The numpy column of the op table does the work: on tensors this small, torch's dispatch would be
the whole cost.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evosearch.library import default_rest
from evosearch.liveness import strip
from evosearch.program import Rule, RuleSet
from primitives.table import OPS

__all__ = ["PROBE_SHAPES", "PROBE_STEPS", "fingerprint", "rule_fingerprint", "trajectory"]

Array = NDArray[np.float64]

PROBE_SHAPES: Final = ((4, 3), (3, 4), (3, 3))
PROBE_STEPS: Final = 4
_DECIMALS: Final = 1e6
_SMALLEST: Final = 1e-100
"""An update smaller than this is no update."""
_LARGEST: Final = 1e150
"""An update larger than this is as good as infinite."""


def _probes() -> tuple[Array, Array]:
    """Return gradients and weights, each (steps, entries), all shapes laid side by side.

    Entries differ in scale by some orders of magnitude, so that thresholds and epsilons in a
    program show, and gradients have a mean, so that averages differ from single gradients.
    """
    rng = np.random.Generator(np.random.PCG64(20230213))  # the date of Lion's preprint
    entries = sum(m * n for m, n in PROBE_SHAPES)
    scale = 10.0 ** rng.uniform(-2.0, 0.7, entries)
    mean = rng.standard_normal(entries)
    gradients = scale * (0.5 * mean + rng.standard_normal((PROBE_STEPS, entries)))
    weights = rng.standard_normal((PROBE_STEPS, entries))
    return gradients, weights


def _folded(flat: Array) -> list[Array]:
    """Return the entries (steps, entries) as one array (steps, m, n) for each probe shape."""
    ends = accumulate(m * n for m, n in PROBE_SHAPES)
    return [
        np.ascontiguousarray(flat[:, end - m * n : end]).reshape(PROBE_STEPS, m, n)
        for end, (m, n) in zip(ends, PROBE_SHAPES, strict=True)
    ]


_GRADIENTS, _WEIGHTS = _probes()
_MATRICES: Final = list(zip(_folded(_GRADIENTS), _folded(_WEIGHTS), strict=True))
_FUNCTIONS: Final = {op.name: (op.numpy, op.uses_step) for op in OPS.values()}


def fingerprint(rules: RuleSet) -> str | None:
    """Return 32 hex digits that identify the function, or None where it is no optimizer.

    None means that an update is not finite, or zero at every step.
    """
    matrix = rule_fingerprint(rules.matrix)
    if matrix is None:
        return None
    if rules.rest is None and rules.matrix.rank_free:
        return matrix + matrix
    rest = rule_fingerprint(default_rest() if rules.rest is None else rules.rest)
    return None if rest is None else matrix + rest


def rule_fingerprint(rule: Rule) -> str | None:
    """Return 16 hex digits for one rule, or None where it is no optimizer."""
    return _stripped_fingerprint(strip(rule))


@lru_cache(maxsize=4096)
def _stripped_fingerprint(rule: Rule) -> str | None:
    if not _reads_gradient(rule):
        return None
    flat = trajectory(rule).ravel()
    size = math.hypot(*flat.tolist()) / math.sqrt(flat.size)
    if not _SMALLEST < size < _LARGEST:
        return None
    digits = np.rint(flat * (_DECIMALS / size)).astype(np.int64)
    return hashlib.blake2b(digits.tobytes(), digest_size=8).hexdigest()


def _reads_gradient(rule: Rule) -> bool:
    for statement in rule.body:
        if "g" in statement.args:
            return True
        if statement.target == "g":
            return False
    return rule.update == "g"


def trajectory(rule: Rule) -> Array:
    """Return the updates on the probes, (steps, entries); not finite where the rule is not."""
    code = _Code(rule)
    with np.errstate(all="ignore"):
        if rule.elementwise:  # one flat row stands for all matrices
            return code.run(_GRADIENTS[:, None, :], _WEIGHTS[:, None, :])
        return np.concatenate([code.run(g, w) for g, w in _MATRICES], axis=1)


class _Code:
    """A rule over numbered slots: numbers, and every assignment, have a slot of their own."""

    def __init__(self, rule: Rule) -> None:
        self.states = rule.states
        slots = {"w": 0, "g": 1} | {s.name: i for i, s in enumerate(rule.states, start=3)}
        self.values: list[Any] = [None] * (3 + len(rule.states))  # slot 2 holds the step number
        self.body: list[tuple[int, Callable[..., Any], list[int]]] = []
        for statement in rule.body:
            function, uses_step = _FUNCTIONS[statement.op]
            reads: list[int] = []
            for argument in statement.args:
                if isinstance(argument, str):
                    reads.append(slots[argument])
                else:
                    reads.append(len(self.values))
                    self.values.append(argument)
            if uses_step:
                reads.append(2)
            slots[statement.target] = len(self.values)
            self.body.append((len(self.values), function, reads))
            self.values.append(None)
        self.update = slots[rule.update]
        self.carried = [slots[state.name] for state in rule.states]

    def run(self, gradients: Array, weights: Array) -> Array:
        """Return the updates (steps, m * n) on gradients and weights (steps, m, n)."""
        steps, m, n = gradients.shape
        values = self.values.copy()
        value = values.__getitem__
        first, end = 3, 3 + len(self.states)
        values[first:end] = [np.zeros(state.shape.sizes(m, n)) for state in self.states]
        result = np.empty((steps, m * n))
        for step in range(steps):
            values[:3] = weights[step], gradients[step], step + 1.0
            for target, function, reads in self.body:
                values[target] = function(*map(value, reads))
            result[step] = values[self.update].ravel()
            values[first:end] = map(value, self.carried)
        return result
