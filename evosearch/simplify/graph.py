"""A rule as a graph of expressions: no names, no order, no dead code, no repetition.

Every value of a rule is a `Node`; equal expressions are one node, so nodes compare by identity.
What remains of a rule are its roots: the update and the next value of each state. Reading a rule
into a graph therefore already removes dead statements, dead states and common subexpressions, and
renames overwritten variables. `evosearch.simplify.schedule` writes a graph out as a rule again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evosearch.language.check import result_shape
from evosearch.language.liveness import strip
from evosearch.language.rule import INPUTS, Rule
from primitives.shape import SCALAR, Shape
from primitives.table import OPS

__all__ = ["Graph", "Node", "Operand", "Terms", "read", "substitute"]

_SHOWN = 5
"""Levels of an expression that are written out; with sharing, text grows exponentially."""


class Node:
    """An op applied to nodes and numbers; a leaf, whose op is empty, is an input or a state."""

    __slots__ = ("args", "name", "op", "shape")

    def __init__(self, op: str, args: tuple[Operand, ...], shape: Shape, name: str = "") -> None:
        self.op = op
        self.args = args
        self.shape = shape
        self.name = name

    def __repr__(self) -> str:
        return self.text(_SHOWN)

    def text(self, depth: int, tight: bool = False) -> str:
        """Return the expression, written out to a depth; `tight`: as an operand of an infix op."""
        if not self.op:
            return self.name
        if not depth:
            return "..."
        infix = OPS[self.op].infix
        words = [
            a.text(depth - 1, bool(infix)) if isinstance(a, Node) else f"{a:.10g}"
            for a in self.args
        ]
        if not infix:
            return f"{self.op}({', '.join(words)})"
        joined = f" {infix} ".join(words)
        return f"({joined})" if tight else joined

    @property
    def tensors(self) -> tuple[Operand, ...]:
        """The arguments, without the op's constants."""
        return self.args[: OPS[self.op].arity] if self.op else ()

    @property
    def constants(self) -> tuple[float, ...]:
        """The op's constants."""
        if not self.op:
            return ()
        return tuple(a for a in self.args[OPS[self.op].arity :] if not isinstance(a, Node))

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes that it is computed from."""
        return tuple(a for a in self.args if isinstance(a, Node))


Operand = Node | float
"""What an op may be applied to."""


class Terms:
    """Makes nodes, each expression once."""

    def __init__(self) -> None:
        self._leaves: dict[str, Node] = {}
        self._nodes: dict[tuple[str, tuple[int | float, ...]], Node] = {}

    def leaf(self, name: str, shape: Shape) -> Node:
        """Return the node of an input or a state."""
        return self._leaves.setdefault(name, Node("", (), shape, name))

    def make(self, op: str, *args: Operand) -> Operand | None:
        """Return an op's application; None where it is not legal or not finite.

        An elementwise op of numbers alone is a number.
        """
        key = (op, tuple(id(a) if isinstance(a, Node) else float(a) for a in args))
        found = self._nodes.get(key)
        if found is not None:
            return found
        row = OPS[op]
        tensors = args[: row.arity]
        literal = [not isinstance(a, Node) for a in tensors]
        if tensors and all(literal):
            return _fold(op, args)
        if any(literal) and not row.broadcasts:
            return None
        shapes = tuple(a.shape if isinstance(a, Node) else SCALAR for a in tensors)
        shape = result_shape(op, shapes)
        if shape is None or not all(isinstance(a, Node) or math.isfinite(a) for a in args):
            return None
        node = Node(op, tuple(a if isinstance(a, Node) else float(a) for a in args), shape)
        self._nodes[key] = node
        return node

    def chain(self, op: str, operands: Iterable[Operand | None]) -> Operand | None:
        """Return the operands joined by a binary op from the left; None if one is None."""
        result: Operand | None = None
        for i, operand in enumerate(operands):
            if operand is None:
                return None
            result = operand if i == 0 or result is None else self.make(op, result, operand)
            if result is None:
                return None
        return result


def _fold(op: str, args: tuple[Operand, ...]) -> float | None:
    row = OPS[op]
    if not row.elementwise or row.uses_step:
        return None
    with np.errstate(all="ignore"):
        arrays = [np.full((1, 1), a) for a in args[: row.arity]]
        value = float(np.asarray(row.numpy(*arrays, *args[row.arity :]))[0, 0])
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Graph:
    """A rule's function: its update, and the next value of each state."""

    update: Node
    states: tuple[tuple[str, Node], ...]

    @property
    def roots(self) -> tuple[Node, ...]:
        """The update, then the states' next values."""
        return (self.update, *(node for _, node in self.states))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node after those it is computed from, leaves included."""
        order: dict[int, Node] = {}
        stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(self.roots)]
        while stack:
            node, ready = stack.pop()
            if id(node) in order:
                continue
            if ready:
                order[id(node)] = node
                continue
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children))
        return tuple(order.values())

    @cached_property
    def size(self) -> int:
        """The number of ops."""
        return sum(bool(node.op) for node in self.nodes)

    @cached_property
    def uses(self) -> dict[int, int]:
        """How often each node, by id, is an argument or a root."""
        count = dict.fromkeys(map(id, self.nodes), 0)
        for node in self.nodes:
            for child in node.children:
                count[id(child)] += 1
        for root in self.roots:
            count[id(root)] += 1
        return count

    @property
    def elementwise(self) -> bool:
        """Whether no op mixes entries, so that any tensor may be run as one flat row."""
        return all(
            OPS[node.op].elementwise if node.op else node.shape == INPUTS["g"]
            for node in self.nodes
        )

    @property
    def leaves(self) -> dict[str, Node]:
        """The inputs and states that are read, by name."""
        return {node.name: node for node in self.nodes if not node.op}

    def alive(self) -> Graph:
        """Return the graph without states that never reach the update."""
        live: set[str] = set()
        while True:
            kept = tuple(item for item in self.states if item[0] in live)
            graph = Graph(self.update, kept)
            reached = graph.leaves.keys() & dict(self.states).keys()
            if reached <= live:
                return graph
            live |= reached


def read(rule: Rule, terms: Terms) -> Graph:
    """Return the graph of a legal rule."""
    rule = strip(rule)
    values: dict[str, Node] = {name: terms.leaf(name, shape) for name, shape in INPUTS.items()}
    values |= {state.name: terms.leaf(state.name, state.shape) for state in rule.states}
    for statement in rule.body:
        arguments = (values[a] if isinstance(a, str) else a for a in statement.args)
        made = terms.make(statement.op, *arguments)
        if not isinstance(made, Node):
            raise ValueError(f"expected a legal rule, found `{statement}` in\n{rule}")
        values[statement.target] = made
    return Graph(values[rule.update], tuple((s.name, values[s.name]) for s in rule.states)).alive()


def substitute(
    graph: Graph,
    terms: Terms,
    replacements: Mapping[Node, Operand],
    rename: Callable[[str], str] = str,
) -> Graph | None:
    """Return the graph with some nodes replaced; None where an op does not accept that.

    Args:
        graph: the graph to change.
        terms: where the new nodes are made.
        replacements: what stands for a node everywhere; replaced nodes are not descended into.
        rename: old name of a state to its new name.
    """
    new: dict[int, Operand] = {id(old): value for old, value in replacements.items()}
    for node in graph.nodes:
        if id(node) in new:
            continue
        if not node.op:
            new[id(node)] = terms.leaf(rename(node.name), node.shape)
            continue
        args = tuple(new[id(a)] if isinstance(a, Node) else a for a in node.args)
        made = terms.make(node.op, *args)
        if made is None or (isinstance(made, Node) and made.shape != node.shape):
            return None
        new[id(node)] = made
    update = new[id(graph.update)]
    states = [(rename(name), new[id(node)]) for name, node in graph.states]
    if not isinstance(update, Node):
        return None
    kept = tuple((name, node) for name, node in states if isinstance(node, Node))
    if len(kept) < len(states):
        return None
    return Graph(update, kept).alive()
