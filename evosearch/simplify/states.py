"""Rewrites of states: what changes the recursion and not just an expression.

Each function proposes graphs; the proposal is checked like any other, by running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from evosearch.simplify import linear
from evosearch.simplify.graph import Graph, Node, Operand, Terms, substitute
from evosearch.simplify.linear import Order, snap
from evosearch.simplify.probe import Values, deviation
from primitives.shape import FULL

__all__ = ["Proposal", "propose"]

_EQUAL: Final = 1e-12
"""Relative deviation up to which two trajectories suggest that one is a multiple of the other."""


@dataclass(frozen=True)
class Proposal:
    """A graph that should compute the same updates."""

    identity: str
    licence: str
    graph: Graph


def propose(graph: Graph, terms: Terms, values: Values, order: Order) -> Iterator[Proposal]:
    """Yield rewrites of the states: merges first, then rescalings to running averages."""
    yield from _merged(graph, terms, values)
    yield from _rescaled(graph, terms, order)


def _merged(graph: Graph, terms: Terms, values: Values) -> Iterator[Proposal]:
    """Replace states that are zero, or multiples of another one, on the whole trajectory."""
    leaves = graph.leaves
    names = [name for name, _ in graph.states if name in leaves]
    for j, name in enumerate(names):
        leaf = leaves[name]
        mine = values.of(leaf)
        if all(not array.any() for array in mine):
            g = terms.leaf("g", FULL)
            zero = terms.make("sub", g, g) if leaf.shape == FULL else 0.0  # sums drop either
            yield from _replaced(graph, terms, leaf, zero, f"{name} = 0")
            continue
        for other in names[:j]:
            base = leaves[other]
            ratio = _ratio(values, base, leaf) if base.shape == leaf.shape else None
            if ratio is not None:
                multiple = linear.scaled(terms, base, ratio)
                text = f"{name} = {other}" if ratio == 1.0 else f"{name} = {ratio:.6g} {other}"
                yield from _replaced(graph, terms, leaf, multiple, text)


def _replaced(
    graph: Graph, terms: Terms, leaf: Node, value: Operand | None, identity: str
) -> Iterator[Proposal]:
    if value is None:
        return
    kept = Graph(graph.update, tuple(item for item in graph.states if item[0] != leaf.name))
    new = substitute(kept, terms, {leaf: value})
    if new is not None:
        yield Proposal(identity, "both start at 0 and obey the same recursion", new)


def _ratio(values: Values, base: Node, leaf: Node) -> float | None:
    """Return k with leaf = k base at every step, or None."""
    xs, ys = values.of(base), values.of(leaf)
    x, y = (np.concatenate([a.ravel() for a in arrays]) for arrays in (xs, ys))
    usable = np.isfinite(x) & np.isfinite(y) & (x != 0.0)
    if not usable.any():
        return None
    at = int(np.argmax(np.where(usable, np.abs(x), 0.0)))
    ratio = snap(float(y[at] / x[at]))
    if ratio == 0.0:
        return None
    with np.errstate(all="ignore"):
        return ratio if deviation(ys, [ratio * a for a in xs]) <= _EQUAL else None


def _rescaled(graph: Graph, terms: Terms, order: Order) -> Iterator[Proposal]:
    """Turn s <- a s + b x into a running average, whose two weights sum to 1."""
    leaves = graph.leaves
    for name, node in graph.states:
        leaf = leaves.get(name)
        if leaf is None or node.op not in linear.LINEAR_OPS:
            continue
        total = linear.view(node)
        decay = total.terms.pop(leaf, 0.0)
        if not 0.0 < decay < 1.0 or not total.terms:
            continue
        lead = min(total.terms, key=lambda n: (n.name == "w", n.name != "g", order(n)))
        factor = snap(abs(total.terms[lead]) / (1.0 - decay))
        if abs(factor - 1.0) < 1e-9:
            continue
        inside = linear.scaled(terms, leaf, factor)
        if not isinstance(inside, Node):
            continue
        new = substitute(graph, terms, {leaf: inside})
        if new is None:
            continue
        states: list[tuple[str, Node]] = []
        for state, value in new.states:
            scaled = linear.scaled(terms, value, 1.0 / factor) if state == name else value
            if isinstance(scaled, Node):
                states.append((state, scaled))
        if len(states) == len(new.states):
            text = f"{name} -> {factor:.6g} {name}"
            yield Proposal(text, "change of variable in a state", Graph(new.update, tuple(states)))
