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


_GRADIENTS, _WEIGHTS = _probes()


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
    if not any("g" in s.reads for s in rule.body) and rule.update != "g":
        return None
    flat = trajectory(rule).ravel()
    size = math.sqrt(sum(x * x for x in flat.tolist()) / flat.size)
    if not math.isfinite(size) or size < _SMALLEST:
        return None
    digits = np.rint(flat * (_DECIMALS / size)).astype(np.int64)
    return hashlib.blake2b(digits.tobytes(), digest_size=8).hexdigest()


def trajectory(rule: Rule) -> Array:
    """Return the updates on the probes, (steps, entries); not finite where the rule is not."""
    with np.errstate(all="ignore"):
        if rule.elementwise:  # one flat row stands for all matrices
            return _run(rule, _GRADIENTS[:, None, :], _WEIGHTS[:, None, :])
        parts, start = [], 0
        for m, n in PROBE_SHAPES:
            cut = slice(start, start + m * n)
            shape = (PROBE_STEPS, m, n)
            parts.append(
                _run(rule, _GRADIENTS[:, cut].reshape(shape), _WEIGHTS[:, cut].reshape(shape))
            )
            start += m * n
        return np.concatenate(parts, axis=1)


def _run(rule: Rule, gradients: Array, weights: Array) -> Array:
    """Run the rule on gradients and weights (steps, m, n); return updates (steps, m * n)."""
    steps, m, n = gradients.shape
    code, slots = _compiled(rule)
    values: list[Any] = [None] * slots
    for slot, state in enumerate(rule.states, start=2):
        values[slot] = np.zeros(state.shape.sizes(m, n))
    last = _slot_of(rule)
    update = last[rule.update]
    carried = tuple(enumerate((last[state.name] for state in rule.states), start=2))
    result = np.empty((steps, m * n))
    for step in range(steps):
        values[0], values[1] = weights[step], gradients[step]
        for target, function, slots_read, constants, uses_step in code:
            arguments = [values[s] if type(s) is int else s for s in slots_read]
            if uses_step:
                values[target] = function(*arguments, *constants, step + 1.0)
            else:
                values[target] = function(*arguments, *constants)
        result[step] = values[update].ravel()
        states = [values[slot] for _, slot in carried]
        for (home, _), state in zip(carried, states, strict=True):
            values[home] = state
    return result


Instruction = tuple[int, Callable[..., Any], tuple[int | float, ...], tuple[float, ...], bool]


def _slot_of(rule: Rule) -> dict[str, int]:
    """Return where each variable's value lies when the body has run."""
    slots = {"w": 0, "g": 1, **{s.name: i for i, s in enumerate(rule.states, start=2)}}
    free = 2 + len(rule.states)
    for i, statement in enumerate(rule.body):
        slots[statement.target] = free + i
    return slots


def _compiled(rule: Rule) -> tuple[list[Instruction], int]:
    """Return the body over numbered slots, each assignment to a slot of its own."""
    slots = {"w": 0, "g": 1, **{s.name: i for i, s in enumerate(rule.states, start=2)}}
    free = 2 + len(rule.states)
    code: list[Instruction] = []
    for statement in rule.body:
        op = OPS[statement.op]
        tensors = tuple(slots[a] if isinstance(a, str) else a for a in statement.args[: op.arity])
        constants = tuple(float(a) for a in statement.args[op.arity :])
        slots[statement.target] = free
        code.append((free, op.numpy, tensors, constants, op.uses_step))
        free += 1
    return code, free
