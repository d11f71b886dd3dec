"""Rewrites of states: what changes the recursion and not just an expression.

Each function proposes graphs; the proposal is checked like any other, by running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from evosearch.simplify import linear
from evosearch.simplify.bounds import bounds_of
from evosearch.simplify.graph import Graph, Node, Operand, Terms, substitute
from evosearch.simplify.linear import Order, snap
from evosearch.simplify.probe import FloatArray, Values, deviation
from primitives.shape import FULL

__all__ = ["Proposal", "propose"]

_EQUAL: Final = 1e-12
"""Relative deviation up to which two trajectories suggest that one is a multiple of the other."""
_INDUCTIVE: Final = 1e-9
"""The same where a step from random states must confirm it."""
_STRIDE: Final = 977.0
"""Steps between the step numbers at which that is tried."""


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


@dataclass(frozen=True)
class _Guess:
    """That a state is a multiple of another one, or zero, which is 0 times itself."""

    leaf: Node
    base: Node
    ratio: float

    def __str__(self) -> str:
        if not self.ratio:
            return f"{self.leaf.name} = 0"
        factor = "" if self.ratio == 1.0 else f"{self.ratio:.6g} "
        return f"{self.leaf.name} = {factor}{self.base.name}"

    def value(self, terms: Terms) -> Operand | None:
        """Return what stands for the state."""
        if self.ratio:
            return linear.scaled(terms, self.base, self.ratio)
        g = terms.leaf("g", FULL)
        return terms.make("sub", g, g) if self.leaf.shape == FULL else 0.0  # sums drop either


def _merged(graph: Graph, terms: Terms, values: Values) -> Iterator[Proposal]:
    """Replace states that are zero, or multiples of another one.

    The trajectory suggests it. It holds by induction if, wherever all guesses hold before a step,
    they hold after it; that is tried on states drawn at random.
    """
    guesses = _guesses(graph, values)
    while guesses:
        held = _preserved(graph, values, guesses)
        if len(held) == len(guesses):
            gone = {guess.leaf.name for guess in guesses}
            kept = Graph(graph.update, tuple(item for item in graph.states if item[0] not in gone))
            after = {g.leaf: v for g in guesses if (v := g.value(terms)) is not None}
            new = substitute(kept, terms, after) if len(after) == len(guesses) else None
            if new is not None:
                licence = "both start at 0 and obey the same recursion"
                yield Proposal(", ".join(map(str, guesses)), licence, new)
            return
        guesses = held


def _guesses(graph: Graph, values: Values) -> list[_Guess]:
    leaves = [graph.leaves[name] for name, _ in graph.states if name in graph.leaves]
    found: dict[Node, _Guess] = {}
    for j, leaf in enumerate(leaves):
        if all(not array.any() for array in values.of(leaf)):
            found[leaf] = _Guess(leaf, leaf, 0.0)
            continue
        for base in leaves[:j]:
            ratio = _ratio(values, base, leaf) if base.shape == leaf.shape else None
            if ratio is not None and base not in found:
                found[leaf] = _Guess(leaf, base, ratio)
                break
    return list(found.values())


def _preserved(graph: Graph, values: Values, guesses: list[_Guess]) -> list[_Guess]:
    """Return the guesses that hold after a step from random states in which all of them hold."""
    rng = np.random.Generator(np.random.PCG64(20230213))
    nonnegative = bounds_of(graph).nonnegative
    known: dict[Node, list[FloatArray]] = {}
    for name, leaf in graph.leaves.items():
        known[leaf] = values.of(leaf)
        if name not in ("w", "g"):
            drawn = [rng.standard_normal(array.shape) for array in known[leaf]]
            known[leaf] = [np.abs(a) for a in drawn] if nonnegative(leaf) else drawn
    for guess in guesses:
        known[guess.leaf] = [guess.ratio * a for a in known[guess.base]]
    after = Values(replace(values.data, stride=_STRIDE), known)
    nexts = dict(graph.states)
    held: list[_Guess] = []
    for guess in guesses:
        mine, theirs = (after.of(nexts[x.name]) for x in (guess.leaf, guess.base))
        if deviation(mine, [guess.ratio * a for a in theirs]) <= _INDUCTIVE:
            held.append(guess)
    return held


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
