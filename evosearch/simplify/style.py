"""Last touches: of two equally short forms, the one that a person would write."""

from __future__ import annotations

from collections.abc import Iterator

from evosearch.simplify.graph import Graph, Node, Terms, substitute
from evosearch.simplify.linear import snap, spelled
from evosearch.simplify.states import Proposal

__all__ = ["restyle", "spell_decay"]


def restyle(graph: Graph, terms: Terms) -> Iterator[Proposal]:
    """Yield graphs that read a state's new value where that makes a constant rounder.

    ``c = lerp(m, g, 0.0975); m = lerp(m, g, 0.05)`` is Nesterov's ``c = lerp(g, m, 0.95)`` after m.
    """
    for name, new in graph.states:
        if new.op != "lerp" or not isinstance(new.args[0], Node) or new.args[0].name != name:
            continue
        old, fresh = new.tensors
        (write,) = new.constants
        for node in graph.nodes:
            if node.op != "lerp" or node is new or set(node.tensors) != {old, fresh}:
                continue
            (rate,) = node.constants
            kept = 1.0 - rate if node.args[0] is old else rate
            weight = snap(kept / (1.0 - write)) if write != 1.0 else 0.0
            if 0.0 < weight < 1.0 and _digits(weight) < _digits(rate):
                made = terms.make("lerp", fresh, new, weight)
                found = None if made is None else substitute(graph, terms, {node: made})
                if found is not None:
                    yield Proposal(f"read {name} after its update", "LINEAR", found)


def spell_decay(graph: Graph, terms: Terms) -> Iterator[Proposal]:
    """Yield graphs that say ``u + w * 0.1`` for ``heavy_ball(w, u, 0.1)``."""
    for node in graph.nodes:
        made = spelled(terms, node)
        if made is not None and made is not node:
            found = substitute(graph, terms, {node: made})
            if found is not None:
                yield Proposal("heavy_ball(w, u, c) -> u + c w", "definition of heavy_ball", found)


def _digits(value: float) -> int:
    """Return the number of significant digits of a constant."""
    return len(f"{value:.12g}".replace("0.", "").lstrip("0"))
