"""Updates of a rule on the probes: what a fingerprint looks at.

To call numpy seldom, only what the next step's states need is computed step by step; everything
before and after it is computed for all steps at once, as a stack of matrices, and nothing twice
that `evosearch.equivalence.probes` has kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from evosearch.equivalence.probes import SHORT, Array, Probes, ProbeValue
from evosearch.language.rule import Rule
from primitives.shape import FULL
from primitives.table import OPS

__all__ = ["Call", "Course", "trajectory"]

_FUNCTIONS: Final = {
    op.name: (op.numpy, op.uses_step, op.arity > 0, op.elementwise) for op in OPS.values()
}

_W, _G, _T, _STATES = range(4)
"""Slots of the inputs; states begin at the last, then come statements, then numbers."""

Call = tuple[int, Callable[..., Any], list[int]]
"""Slot of the result, function, slots of its arguments."""


def trajectory(rule: Rule, probes: Probes = SHORT) -> Array:
    """Return the updates on the probes, (steps, entries); not finite where the rule is not."""
    return Course(rule, probes).run().entries()


class Course:
    """A rule over numbered slots: which of its statements are needed, and when.

    Sets of slots are integers, a bit each: what a value is made of is one `or` of its arguments'.

    Attributes:
        code: the statements, in their order.
        made_of: for each statement, what its value is made of within a step, itself included.
        update: slot of the update.
        carried: what the next values of the needed states are made of.
        table: where values are kept: the flat one if all that is needed is elementwise.
        reads_gradient: whether the update depends on the gradient, of this step or an earlier one.
    """

    def __init__(self, rule: Rule, probes: Probes = SHORT) -> None:
        states = list(enumerate(rule.states, _STATES))
        first = _STATES + len(states)
        self._size = first + len(rule.body)
        self._numbers: list[float] = []
        self.code: list[Call] = []
        self._dependent = (1 << first) - (1 << _STATES)
        """Slots that are known step by step: states, and what depends on them."""
        self._matrixwise = 0
        """Slots of ops that need matrices."""
        self._stepwise = 0
        """Slots of ops without a tensor, which cannot know of a stack of steps."""
        self.made_of: list[int] = []
        seen = self._read(rule, first)
        self.update, live = seen[rule.update]
        loop = live & self._stepwise
        while True:
            for slot, state in states:
                if live >> slot & 1:
                    loop |= seen[state.name][1]
            if loop | live == live:
                break
            live |= loop
        self.reads_gradient = live >> _G & 1 == 1
        self._live, self.carried, self._loop = live, loop, loop & self._dependent
        self._states = [(i, s.shape, seen[s.name][0]) for i, s in states if live >> i & 1]
        """Slot, shape and the slot of the next value of the states that are needed."""
        matrices = live & self._matrixwise or any(s != FULL for _, s, _ in self._states)
        self.table = probes.matrices if matrices else probes.flat

    def _read(self, rule: Rule, first: int) -> dict[Any, tuple[int, int]]:
        """Number the statements; return for each variable its slot and what it is made of."""
        seen: dict[Any, tuple[int, int]] = {"w": (_W, 1 << _W), "g": (_G, 1 << _G)}
        for slot, state in enumerate(rule.states, _STATES):
            seen[state.name] = slot, 1 << slot
        find, numbers, size, dependent = seen.get, self._numbers, self._size, self._dependent
        for slot, statement in enumerate(rule.body, first):
            function, uses_step, has_tensors, elementwise = _FUNCTIONS[statement.op]
            bit = mask = 1 << slot
            reads: list[int] = []
            for argument in statement.args:
                variable = find(argument)
                if variable is not None:
                    reads.append(variable[0])
                    mask |= variable[1]
                else:
                    reads.append(size + len(numbers))
                    numbers.append(argument)  # type: ignore[arg-type]
            if uses_step:
                reads.append(_T)
            if not elementwise:
                self._matrixwise |= bit
            if not has_tensors:
                self._stepwise |= bit
            if mask & dependent or not has_tensors:
                dependent |= bit
            seen[statement.target] = slot, mask
            self.code.append((slot, function, reads))
            self.made_of.append(mask)
        self._dependent = dependent
        return seen

    def needs(self, i: int) -> bool:
        """Whether the update depends on the i-th statement."""
        return self._live >> self.code[i][0] & 1 == 1

    def run(self) -> ProbeValue:
        """Return the updates on all probes."""
        return self.values()[self.update]

    def values(self) -> list[ProbeValue]:
        """Return the values of all slots; those of slots that are not needed are None."""
        table = self.table
        table.tidy()
        values: list[Any] = [None] * self._size
        values[:_STATES] = table.inputs
        values += map(table.number, self._numbers)
        live, dependent, in_loop = self._live, self._dependent, self._loop
        loop: list[Call] = []
        after: list[Call] = []
        with np.errstate(all="ignore"):
            for instruction in self.code:
                slot, function, reads = instruction
                if not live >> slot & 1:
                    continue
                if dependent >> slot & 1:
                    (loop if in_loop >> slot & 1 else after).append(instruction)
                else:
                    values[slot] = table.value((function, *map(values.__getitem__, reads)))
            if loop or self._states:
                self._repeat(loop, values)
            for slot, function, reads in after:
                values[slot] = table.value((function, *map(values.__getitem__, reads)))
        return values

    def _repeat(self, loop: list[Call], values: list[Any]) -> None:
        """Fill the slots of the states, and of what their next values need, step by step."""
        slots = [*(slot for slot, _, _ in self._states), *(slot for slot, _, _ in loop)]
        key = (
            *((slot, shape, values[end] or end) for slot, shape, end in self._states),
            *((slot, f, *[values[r] or r for r in reads]) for slot, f, reads in loop),
        )
        loops = self.table.loops
        if key not in loops:
            used = {r for _, _, reads in loop for r in reads} | {end for *_, end in self._states}
            given = [(r, values[r]) for r in used if values[r] is not None and r != _T]
            by_probe = [
                self._histories(loop, slots, [(r, v.arrays[k]) for r, v in given], shape)
                for k, shape in enumerate(self.table.shapes)
            ]
            loops[key] = [ProbeValue(arrays) for arrays in zip(*by_probe, strict=True)]
        for slot, value in zip(slots, loops[key], strict=True):
            values[slot] = value

    def _histories(
        self,
        loop: list[Call],
        slots: list[int],
        given: list[tuple[int, Any]],
        shape: tuple[int, int],
    ) -> list[Array]:
        """Return what is in the slots at each step, on one probe; states as the step finds them.

        Args:
            loop: what to do at each step.
            slots: those of the states and of the loop.
            given: numbers and, for all steps, arrays that the loop uses, by slot.
            shape: the probe's.
        """
        now: dict[int, Any] = {slot: x for slot, x in given if slot >= self._size}
        stacks = [(slot, x) for slot, x in given if slot < self._size]
        for slot, state, _ in self._states:
            now[slot] = np.zeros(state.sizes(*shape))
        history: list[list[Any]] = []
        for step in range(self.table.steps):
            now[_T] = step + 1.0
            for slot, stack in stacks:
                now[slot] = stack[step]
            for slot, function, reads in loop:
                now[slot] = function(*map(now.__getitem__, reads))
            history.append([now[slot] for slot in slots])
            carried = [now[end] for _, _, end in self._states]
            for (slot, _, _), state in zip(self._states, carried, strict=True):
                now[slot] = state
        return [np.array(stack) for stack in zip(*history, strict=True)]
