"""A rule's values, each computed once: the form in which it is decided what may be overwritten.

A program reuses names; here every statement defines a value of its own, known by a number. The
values 0 and 1 are ``w`` and ``g``, then come the states as the step finds them, then one value a
statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from evosearch.language.rule import INPUTS, Rule
from primitives.op import Op
from primitives.table import OPS

__all__ = ["Flow", "FlowNode"]


@dataclass(frozen=True)
class FlowNode:
    """One value: an input, a state, or the result of a statement."""

    index: int
    name: str
    """The variable that holds it in the program."""
    op: Op | None = None
    """What computes it; None for inputs and states."""
    operands: tuple[int | float, ...] = ()
    """Tensor arguments: numbers of values (int), or literals (float)."""
    constants: tuple[float, ...] = ()
    statement: int = -1
    """The statement that computes it."""

    @property
    def reads(self) -> tuple[int, ...]:
        """The values it is computed from."""
        return tuple(x for x in self.operands if isinstance(x, int))


@dataclass(frozen=True)
class Flow:
    """The values of one rule."""

    rule: Rule
    nodes: tuple[FlowNode, ...]
    update: int
    """The value that is the update."""
    states: tuple[tuple[int, int], ...]
    """For each state, the values at the start and at the end of the step."""

    @classmethod
    def of(cls, rule: Rule) -> Flow:
        """Number the values of a rule."""
        names = [*INPUTS, *(state.name for state in rule.states)]
        nodes = [FlowNode(i, name) for i, name in enumerate(names)]
        current = {name: i for i, name in enumerate(names)}
        for k, statement in enumerate(rule.body):
            op = OPS[statement.op]
            operands = tuple(
                current[a] if isinstance(a, str) else a for a in statement.args[: op.arity]
            )
            constants = tuple(float(a) for a in statement.args[op.arity :])
            node = FlowNode(len(nodes), statement.target, op, operands, constants, k)
            current[statement.target] = node.index
            nodes.append(node)
        states = tuple((i, current[names[i]]) for i in range(len(INPUTS), len(names)))
        return cls(rule, tuple(nodes), current[rule.update], states)

    @property
    def computed(self) -> Iterator[FlowNode]:
        """The values that statements compute, in order."""
        return (node for node in self.nodes if node.op is not None)

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For each value, the last value computed from it (-1: none).

        The update and the states' final values are used at the end, by ``len(nodes)``.
        """
        last = [-1] * len(self.nodes)
        for node in self.nodes:
            for read in node.reads:
                last[read] = node.index
        for final in (self.update, *(end for _, end in self.states)):
            last[final] = len(self.nodes)
        return tuple(last)
