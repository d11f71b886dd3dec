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
from primitives.shape import FULL, Shape
from primitives.table import OPS

__all__ = ["Call", "Course", "trajectory"]

_FUNCTIONS: Final = {
    op.name: (op.numpy, op.uses_step, op.arity > 0, op.elementwise) for op in OPS.values()
}

_W, _G, _T, _STATES = range(4)
"""Slots of the inputs; states begin at the last, then come statements, then numbers."""

_LERP, _HEAVY_BALL = OPS["lerp"].numpy, OPS["heavy_ball"].numpy

_Kept = tuple[int, Shape, int]
"""Slot of a state, its shape, and the slot of its next value."""

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
            states = self._states
            if table.filters:
                loop, states = self._filter(loop, values)
            if loop or states:
                self._repeat(loop, values, states)
            for slot, function, reads in after:
                values[slot] = table.value((function, *map(values.__getitem__, reads)))
        return values

    def _filter(self, loop: list[Call], values: list[Any]) -> tuple[list[Call], list[_Kept]]:
        """Fill in averages of what is known for all steps, and what follows; return what is left.

        An average of a known value is a linear filter of it: one call for all steps.
        """
        from scipy.signal import lfilter

        table, states, found = self.table, list(self._states), True
        while found:
            found = False
            calls = {slot: (function, reads) for slot, function, reads in loop}
            for state in states:
                slot, _, end = state
                function, reads = calls.get(end, (None, []))
                if function not in (_LERP, _HEAVY_BALL) or slot not in reads[:2]:
                    continue
                other, rate = reads[1 - reads.index(slot)], values[reads[2]].arrays[0]
                if values[other] is None or other == slot:
                    continue
                first = reads[0] == slot
                old = (1 - rate if first else rate) if function is _LERP else rate
                new = (rate if first else 1 - rate) if function is _LERP else 1.0
                if function is _HEAVY_BALL and not first:
                    old, new = 1.0, rate
                (x,) = values[other].arrays
                after = np.asarray(lfilter([new], [1.0, -old], x, axis=0), table.dtype)
                before = np.concatenate([np.zeros_like(after[:1]), after[:-1]])
                values[slot], values[end] = ProbeValue((before,)), ProbeValue((after,))
                states.remove(state)
                found = True
                break
            known = [c for c in loop if values[c[0]] is None and self._known(c, values)]
            while known:
                for slot, function, reads in known:
                    values[slot] = (
                        table.inputs[_T]
                        if self._stepwise >> slot & 1
                        else table.value((function, *map(values.__getitem__, reads)))
                    )
                known = [c for c in loop if values[c[0]] is None and self._known(c, values)]
            loop = [c for c in loop if values[c[0]] is None]
            for state in list(states):
                slot, _, end = state
                if values[end] is not None and values[slot] is None:
                    (after,) = values[end].arrays
                    shape = (table.steps, *after.shape[1:])
                    after = np.broadcast_to(after, shape)
                    before = np.concatenate([np.zeros_like(after[:1]), after[:-1]])
                    values[slot] = ProbeValue((before,))
                    states.remove(state)
                    found = True
        return loop, states

    @staticmethod
    def _known(call: Call, values: list[Any]) -> bool:
        return all(values[r] is not None for r in call[2])

    def _repeat(self, loop: list[Call], values: list[Any], states: list[_Kept]) -> None:
        """Fill the slots of the states, and of what their next values need, step by step."""
        slots = [*(slot for slot, _, _ in states), *(slot for slot, _, _ in loop)]
        key = (
            *((slot, shape, values[end] or end) for slot, shape, end in states),
            *((slot, f, *[values[r] or r for r in reads]) for slot, f, reads in loop),
        )
        loops = self.table.loops
        if key not in loops:
            used = {r for _, _, reads in loop for r in reads} | {end for *_, end in states}
            given = [(r, values[r]) for r in used if values[r] is not None and r != _T]
            by_probe = [
                self._histories(loop, slots, [(r, v.arrays[k]) for r, v in given], shape, states)
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
        states: list[_Kept],
    ) -> list[Array]:
        """Return what is in the slots at each step, on one probe; states as the step finds them.

        Args:
            loop: what to do at each step.
            slots: those of the states and of the loop.
            given: numbers and, for all steps, arrays that the loop uses, by slot.
            shape: the probe's.
            states: slot, shape and the slot of the next value of those that are left to do.
        """
        table = self.table
        now: dict[int, Any] = {slot: x for slot, x in given if slot >= self._size}
        stacks = [(slot, x) for slot, x in given if slot < self._size]
        for slot, state, _ in states:
            now[slot] = np.zeros((*table.lanes, *state.sizes(*shape)), table.dtype)
        loop = [(slot, table.rounded(function), reads) for slot, function, reads in loop]
        history: list[list[Any]] = []
        for step in range(self.table.steps):
            now[_T] = table.times[step]
            for slot, stack in stacks:
                now[slot] = stack[step]
            for slot, function, reads in loop:
                now[slot] = function(*map(now.__getitem__, reads))
            history.append([now[slot] for slot in slots])
            carried = [now[end] for _, _, end in states]
            for (slot, _, _), state in zip(states, carried, strict=True):
                now[slot] = state
        return [np.array(stack) for stack in zip(*history, strict=True)]
