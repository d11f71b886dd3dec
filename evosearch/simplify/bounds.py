"""What is known of the sign of values, from the ops' laws and, for states, by induction."""

from __future__ import annotations

from collections.abc import Callable

from evosearch.simplify.graph import Graph, Node, Operand
from evosearch.simplify.monomial import Bounds
from primitives.op import Law
from primitives.table import OPS

__all__ = ["bounds_of"]

Test = Callable[[Operand], bool]


def bounds_of(graph: Graph) -> Bounds:
    """Return the bounds of a graph's nodes and of what is made of its leaves.

    A state is nonnegative if, with all such states nonnegative, its next value is: it starts at 0.
    """
    assumed = frozenset(name for name, _ in graph.states)
    while True:
        bounds = _Signs(assumed)
        kept = frozenset(n for n, node in graph.states if n in assumed and bounds.nonnegative(node))
        if kept == assumed:
            return Bounds(bounds.nonnegative, bounds.positive)
        assumed = kept


class _Signs:
    def __init__(self, states: frozenset[str]) -> None:
        self._states = states
        self._nonnegative: dict[Node, bool] = {}
        self._positive: dict[Node, bool] = {}

    def nonnegative(self, operand: Operand) -> bool:
        """Whether a value is surely at least 0."""
        if not isinstance(operand, Node):
            return operand >= 0.0
        if operand not in self._nonnegative:
            self._nonnegative[operand] = self._at_least_0(operand)
        return self._nonnegative[operand]

    def positive(self, operand: Operand) -> bool:
        """Whether a value is surely above 0."""
        if not isinstance(operand, Node):
            return operand > 0.0
        if operand not in self._positive:
            self._positive[operand] = self._above_0(operand)
        return self._positive[operand]

    def _at_least_0(self, node: Node) -> bool:
        if not node.op:
            return node.name in self._states
        row, args = OPS[node.op], node.tensors
        laws = row.exact_laws
        if Law.NONNEGATIVE in laws or _combines(node, self.nonnegative, self.nonnegative):
            return True
        if node.op == "mul" and args[0] is args[1]:
            return True
        rising = {Law.MONOTONE, Law.ZERO_PRESERVING} <= laws and row.arity == 1
        return (rising or Law.SIGN_KEEPING in laws) and self.nonnegative(args[0])

    def _above_0(self, node: Node) -> bool:
        if not node.op:
            return False
        row = OPS[node.op]
        laws = row.exact_laws
        if Law.POSITIVE in laws or _combines(node, self.positive, self.nonnegative):
            return True
        power = {Law.NONNEGATIVE, Law.ELEMENTWISE} <= laws and row.homogeneity is not None
        return (power or Law.SIGN_KEEPING in laws) and self.positive(node.args[0])


def _combines(node: Node, wanted: Test, weaker: Test) -> bool:
    """Whether an op of several values has a property because its arguments do."""
    args = node.tensors
    match node.op:
        case "mul" | "div" | "minimum":
            return all(map(wanted, args))
        case "maximum":
            return any(map(wanted, args))
        case "add":
            return any(map(wanted, args)) and all(map(weaker, args))
        case "lerp":
            (rate,) = node.constants
            inside = 0.0 < rate < 1.0
            return inside and any(map(wanted, args)) and all(map(weaker, args))
        case "heavy_ball":
            (decay,) = node.constants
            return decay >= 0.0 and wanted(args[1]) and weaker(args[0])
        case "select":
            return all(map(wanted, args[1:]))
        case _:
            return False
