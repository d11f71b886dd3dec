"""A rule's values, each computed once: the form in which it is decided what may be overwritten.

A program reuses names; here every statement defines a value of its own, known by a number. The
values 0 and 1 are ``w`` and ``g``, then come the states as the step finds them, then one value a
statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from evosearch.program import INPUTS, Rule
from primitives.op import Law, Op
from primitives.table import OPS

__all__ = ["Flow", "Node"]


@dataclass(frozen=True)
class Node:
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
    nodes: tuple[Node, ...]
    update: int
    """The value that is the update."""
    states: tuple[tuple[int, int], ...]
    """For each state, the values at the start and at the end of the step."""

    @classmethod
    def of(cls, rule: Rule) -> Flow:
        """Number the values of a rule."""
        names = [*INPUTS, *(state.name for state in rule.states)]
        nodes = [Node(i, name) for i, name in enumerate(names)]
        current = {name: i for i, name in enumerate(names)}
        for k, statement in enumerate(rule.body):
            op = OPS[statement.op]
            operands = tuple(
                current[a] if isinstance(a, str) else a for a in statement.args[: op.arity]
            )
            constants = tuple(float(a) for a in statement.args[op.arity :])
            node = Node(len(nodes), statement.target, op, operands, constants, k)
            current[statement.target] = node.index
            nodes.append(node)
        states = tuple((i, current[names[i]]) for i in range(len(INPUTS), len(names)))
        return cls(rule, tuple(nodes), current[rule.update], states)

    @property
    def computed(self) -> Iterator[Node]:
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

    @cached_property
    def nonnegative(self) -> frozenset[int]:
        """Values without an entry below 0, as far as the laws of the ops show."""
        starts = {start for start, _ in self.states}
        while True:  # states start at 0, so they stay nonnegative if a step keeps them so
            found = set(starts)
            for node in self.computed:
                if _is_nonnegative(node, found):
                    found.add(node.index)
            kept = {start for start, end in self.states if start in starts and end in found}
            if kept == starts:
                return frozenset(found)
            starts = kept

    def nonzero(self, operand: int | float) -> bool:
        """Whether a value surely has no entry 0: a sum of something nonnegative and an epsilon."""
        if not isinstance(operand, int):
            return operand != 0
        node = self.nodes[operand]
        if node.op is None or node.op.name not in ("add", "maximum"):
            return False
        literals = [x for x in node.operands if not isinstance(x, int)]
        if not literals or literals[0] <= 0:
            return False
        return node.op.name == "maximum" or node.reads[0] in self.nonnegative


def _is_nonnegative(node: Node, found: set[int]) -> bool:
    assert node.op is not None
    parts = [x in found if isinstance(x, int) else x >= 0 for x in node.operands]
    match node.op.name:
        case "mul" if len(set(node.operands)) == 1:
            return True
        case "lerp":
            return all(parts) and 0 <= node.constants[0] <= 1
        case "debias" | "heavy_ball":
            return all(parts) and 0 <= node.constants[0] < 1
        case "add" | "mul" | "div" | "minimum":
            return all(parts)
        case "maximum":
            return any(parts)
    return Law.NONNEGATIVE in node.op.exact_laws
