"""Updates of a rule on fixed probe gradients: what a fingerprint looks at.

A rule runs for a few steps on gradients of a tall, a wide and a square matrix, in float64. The
numpy column of the op table does the work: on tensors this small, torch's dispatch would be the
whole cost. To call numpy seldom, only what the next step's states need is computed step by step;
everything before and after it is computed for all steps at once, as a stack of matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evosearch.program import Rule
from primitives.table import OPS

__all__ = ["PROBE_SHAPES", "PROBE_STEPS", "trajectory"]

Array = NDArray[np.float64]

PROBE_SHAPES: Final = ((4, 3), (3, 4), (3, 3))
PROBE_STEPS: Final = 4


def _probes() -> tuple[Array, Array]:
    """Return gradients and weights, each (steps, 1, entries), all shapes laid side by side.

    Entries differ in scale by some orders of magnitude, so that thresholds and epsilons in a
    program show, and gradients have a mean, so that averages differ from single gradients.
    """
    rng = np.random.Generator(np.random.PCG64(20230213))  # the date of Lion's preprint
    entries = sum(m * n for m, n in PROBE_SHAPES)
    scale = 10.0 ** rng.uniform(-2.0, 0.7, entries)
    mean = rng.standard_normal(entries)
    gradients = scale * (0.5 * mean + rng.standard_normal((PROBE_STEPS, entries)))
    weights = rng.standard_normal((PROBE_STEPS, entries))
    return gradients[:, None, :], weights[:, None, :]


def _folded(flat: Array) -> list[Array]:
    """Return the entries (steps, 1, entries) as one array (steps, m, n) for each probe shape."""
    ends = accumulate(m * n for m, n in PROBE_SHAPES)
    return [
        np.ascontiguousarray(flat[:, 0, end - m * n : end]).reshape(PROBE_STEPS, m, n)
        for end, (m, n) in zip(ends, PROBE_SHAPES, strict=True)
    ]


_GRADIENTS, _WEIGHTS = _probes()
_MATRICES: Final = list(zip(_folded(_GRADIENTS), _folded(_WEIGHTS), strict=True))
_NUMBERS: Final = np.arange(1.0, PROBE_STEPS + 1.0).reshape(-1, 1, 1)
_FUNCTIONS: Final = {op.name: (op.numpy, op.uses_step, op.arity) for op in OPS.values()}

_W, _G, _T, _STATES = range(4)
"""Slots of the inputs; states begin at the last."""


def trajectory(rule: Rule) -> Array:
    """Return the updates on the probes, (steps, entries); not finite where the rule is not.

    A flat row stands for all three matrices where the rule is elementwise.
    """
    code = _Code(rule)
    with np.errstate(all="ignore"):
        if rule.elementwise:
            return code.run(_GRADIENTS, _WEIGHTS)
        return np.concatenate([code.run(g, w) for g, w in _MATRICES], axis=1)


_Instruction = tuple[int, Callable[..., Any], list[int]]
"""Slot of the result, function, slots of its arguments."""


class _Code:
    """A rule over numbered slots: numbers, and every assignment, have a slot of their own."""

    def __init__(self, rule: Rule) -> None:
        slots = {"w": _W, "g": _G} | {s.name: i for i, s in enumerate(rule.states, start=_STATES)}
        values: list[Any] = [None] * (_STATES + len(rule.states))
        single = set(range(_STATES, len(values)))
        """Slots whose values are known step by step only: states, and what depends on them."""
        needed: set[int] = set()
        """Slots that the loop must compute."""
        self.before: list[_Instruction] = []
        dependent: list[_Instruction] = []
        for statement in rule.body:
            function, uses_step, arity = _FUNCTIONS[statement.op]
            reads: list[int] = []
            for argument in statement.args:
                if isinstance(argument, str):
                    reads.append(slots[argument])
                else:
                    reads.append(len(values))
                    values.append(argument)
            if uses_step:
                reads.append(_T)
            target = slots[statement.target] = len(values)
            values.append(None)
            if arity and single.isdisjoint(reads):
                self.before.append((target, function, reads))
                continue
            dependent.append((target, function, reads))
            single.add(target)
            if not arity:
                needed.add(target)  # without a tensor, it cannot know of a stack of steps
        self.states = rule.states
        self.values = values
        self.update = slots[rule.update]
        self.carried = [slots[state.name] for state in rule.states]
        needed.update(self.carried)
        self._divide(dependent, needed, single)

    def _divide(self, dependent: list[_Instruction], needed: set[int], single: set[int]) -> None:
        """Keep what the next step's states need in the loop; all else comes after it."""
        self.loop: list[_Instruction] = []
        self.after: list[_Instruction] = []
        used = {self.update}
        for instruction in reversed(dependent):
            target, _, reads = instruction
            if target in needed:
                self.loop.append(instruction)
                needed.update(reads)
            else:
                self.after.append(instruction)
                used.update(reads)
                single.discard(target)
        self.loop.reverse()
        self.after.reverse()
        self.fed = [s for s in needed - single if s != _T and self.values[s] is None]
        """Slots that are known for all steps and that the loop reads step by step."""
        self.kept = list(used & single)
        """Slots that are known step by step and that are used for all steps after the loop."""

    def run(self, gradients: Array, weights: Array) -> Array:
        """Return the updates (steps, m * n) on gradients and weights (steps, m, n)."""
        steps, m, n = gradients.shape
        stacks = self.values.copy()
        stacks[:_STATES] = weights, gradients, _NUMBERS
        _execute(self.before, stacks)
        if self.kept:
            values = stacks.copy()
            states = [np.zeros(state.shape.sizes(m, n)) for state in self.states]
            kept: list[list[Any]] = []
            for step in range(steps):
                values[_T : _STATES + len(states)] = step + 1.0, *states
                for slot in self.fed:
                    values[slot] = stacks[slot][step]
                _execute(self.loop, values)
                kept.append([values[slot] for slot in self.kept])
                states = [values[slot] for slot in self.carried]
            for slot, history in zip(self.kept, zip(*kept, strict=True), strict=True):
                stacks[slot] = np.array(history)
            _execute(self.after, stacks)
        return stacks[self.update].reshape(steps, m * n)


def _execute(instructions: list[_Instruction], values: list[Any]) -> None:
    value = values.__getitem__
    for target, function, reads in instructions:
        values[target] = function(*map(value, reads))
