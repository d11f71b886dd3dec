"""A canonical order of expressions, which depends on what they compute and not on names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from evosearch.simplify.graph import Graph, Node
from evosearch.simplify.linear import Order

__all__ = ["canonical_order", "labels"]

_ROUNDS = 3
_RANK = {"g": 2, "w": 3}
"""Sums are written with results first, then states, the gradient and the parameter."""


def labels(graph: Graph) -> dict[str, str]:
    """Return a label for each state, made of how it is computed (Weisfeiler and Lehman 1968)."""
    found = {name: "state" for name, _ in graph.states}
    for _ in range(_ROUNDS):
        digests = _Digests(found)
        found = {name: f"{found[name]} {digests.of(node)}" for name, node in graph.states}
    return found


def canonical_order(graph: Graph) -> Order:
    """Return the sorting key of a graph's nodes and of what is made of its leaves."""
    digests = _Digests(labels(graph))

    def order(node: Node) -> tuple[int, str]:
        rank = 0 if node.op else _RANK.get(node.name, 1)
        return rank, digests.of(node)

    return order


class _Digests:
    def __init__(self, states: Mapping[str, str]) -> None:
        self._states = states
        self._known: dict[Node, str] = {}

    def of(self, node: Node) -> str:
        """Return a digest of an expression; equal for expressions that differ in names only."""
        stack = [node]
        while stack:
            top = stack[-1]
            missing = [child for child in top.children if child not in self._known]
            if missing:
                stack += missing
                continue
            stack.pop()
            self._known[top] = self._digest(top)
        return self._known[node]

    def _digest(self, node: Node) -> str:
        if not node.op:
            return self._states.get(node.name, node.name)
        words = [self._known[a] if isinstance(a, Node) else f"{a:.9g}" for a in node.args]
        return hashlib.blake2b("|".join([node.op, *words]).encode(), digest_size=8).hexdigest()
