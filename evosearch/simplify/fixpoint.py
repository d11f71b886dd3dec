"""All that rewriting a graph can do without a look at any value.

It says what a proposed graph comes to, so that a proposal can be judged by its outcome: a change of
a state, say, pays only after the sums around it have been put together again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evosearch.simplify import linear
from evosearch.simplify.bounds import bounds_of
from evosearch.simplify.graph import Graph, Node, Terms, substitute
from evosearch.simplify.order import canonical_order
from evosearch.simplify.rewrite import EXACT, Context

__all__ = ["LONGEST", "key_of", "settled", "unscaled"]

LONGEST: Final = 400
"""Rewrites of one rule; far more than any program needs, so that no bug can hang a search."""


def key_of(graph: Graph) -> tuple[object, ...]:
    """Return what tells graphs over the same terms apart."""
    return (id(graph.update), *((name, id(node)) for name, node in graph.states))


def unscaled(graph: Graph, context: Context) -> tuple[float, Graph]:
    """Return the update's positive factor, and the graph without it where that is no longer."""
    total = linear.view(graph.update)
    found = linear.combine(context.terms, total, context.order, free=True)
    if found is None or found[0] <= 0.0:
        return 1.0, graph
    for update in (linear.spelled(context.terms, found[1]), found[1]):
        if isinstance(update, Node) and update.shape == graph.update.shape:
            new = Graph(update, graph.states).alive()
            if new.size <= graph.size:
                return found[0], new
    return 1.0, graph


def settled(graph: Graph, terms: Terms) -> tuple[float, Graph]:
    """Return the update's factor and the graph after all exact rewrites, unchecked."""
    seen = {key_of(graph)}
    scale = 1.0
    for _ in range(LONGEST):
        context = Context(terms, graph, bounds_of(graph), canonical_order(graph))
        factor, new = unscaled(graph, context)
        if factor != 1.0:
            scale, graph = scale * factor, new
            continue
        for new in _neighbours(graph, context):
            if new.size <= graph.size and key_of(new) not in seen:
                graph = new
                seen.add(key_of(new))
                break
        else:
            break
    return scale, graph


def _neighbours(graph: Graph, context: Context) -> Iterator[Graph]:
    for node in graph.nodes:
        for row in EXACT:
            if node.op not in row.ops:
                continue
            for value in row.propose(context, node):
                if value is None or linear.same_but_rounding(node, value):
                    continue
                if not isinstance(value, Node) or value.shape == node.shape:
                    new = substitute(graph, context.terms, {node: value})
                    if new is not None:
                        yield new
