"""What of a rule is computed together, and until when each value is needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from evosearch.export.dataflow import Flow, FlowNode
from evosearch.export.hyper import NamedRule
from evosearch.language.check import infer
from evosearch.language.rule import INPUTS
from evosearch.training.codegen import positive_denominators
from primitives.shape import Shape

__all__ = ["Plan"]

_JUMPS: Final = frozenset({"select", "sign"})
"""Ops that make a large difference of a small one. Rules without them may round as is fastest."""


@dataclass(frozen=True)
class Plan:
    """Decisions about one rule."""

    shapes: tuple[Shape, ...]
    """The shape of every value."""
    plain: tuple[bool, ...]
    """For each statement, whether it is a division that needs no guard against 0."""
    ends: dict[int, int]
    """The final value of each state, and the value that it replaces."""
    smooth: bool
    """Whether averages and quotients may be rounded as torch's own optimizers round them."""
    products: dict[int, int]
    """Averages of a product that nothing else reads, and the product: one call does both."""
    quotient: bool
    """Whether the update is a quotient that is left to the call that applies it."""
    correction: int | None
    """The bias correction of that quotient's numerator, if the denominator can take it over."""
    last_use: tuple[int, ...]
    """For each value, the last value that is computed while it is needed."""

    @classmethod
    def of(cls, named: NamedRule) -> Plan:
        """Decide about a rule."""
        flow, rule = named.flow, named.flow.rule
        results = infer(rule)
        assert results is not None, "an illegal rule"
        shapes = (*INPUTS.values(), *(state.shape for state in rule.states), *results)
        plain = positive_denominators(rule)
        smooth = not any(node.op and node.op.name in _JUMPS for node in flow.computed)
        together = smooth and rule.elementwise
        products = _products(flow, shapes) if together else {}
        last = flow.nodes[flow.update]
        quotient = together and _is_quotient(flow, last, shapes) and plain[last.statement]
        correction = _correction(flow, last) if quotient else None
        last_use = list(flow.last_use)
        kept = [(flow.nodes[product].reads, average) for average, product in products.items()]
        kept += [(last.reads, len(flow.nodes))] if quotient else []
        kept += [(flow.nodes[correction].reads, len(flow.nodes))] if correction is not None else []
        for values, until in kept:
            for value in values:
                last_use[value] = max(last_use[value], until)
        ends = {end: start for start, end in flow.states}
        return cls(shapes, plain, ends, smooth, products, quotient, correction, tuple(last_use))


def _products(flow: Flow, shapes: tuple[Shape, ...]) -> dict[int, int]:
    readers = Counter(read for node in flow.nodes for read in node.reads)
    found: dict[int, int] = {}
    for node in flow.computed:
        if node.op is None or node.op.name != "lerp":
            continue
        average, second = node.reads
        product = flow.nodes[second]
        if product.op is None or product.op.name not in ("square", "mul"):
            continue
        alone = readers[second] == 1 and flow.last_use[second] == node.index
        if (
            alone
            and average not in product.reads
            and _same_shapes(product, product.op.arity, shapes)
        ):
            found[node.index] = second
    return found


def _is_quotient(flow: Flow, node: FlowNode, shapes: tuple[Shape, ...]) -> bool:
    if node.op is None or node.op.name != "div" or node.index in [end for _, end in flow.states]:
        return False
    alone = not any(node.index in other.reads for other in flow.nodes)
    return alone and _same_shapes(node, 2, shapes) and not _replaced(flow, node.reads)


def _correction(flow: Flow, quotient: FlowNode) -> int | None:
    """Return the numerator of (m / c) / d if m / (c d) is the same, and needs less memory."""
    numerator, denominator = (flow.nodes[x] for x in quotient.reads)
    if numerator.op is None or numerator.op.name != "debias" or denominator.op is None:
        return None
    ends = {end for _, end in flow.states}
    readers = Counter(read for node in flow.nodes for read in node.reads)
    for node in (numerator, denominator):
        if node.index in ends or readers[node.index] != 1:
            return None
    return None if _replaced(flow, numerator.reads) else numerator.index


def _replaced(flow: Flow, values: tuple[int, ...]) -> bool:
    """Whether one of these is a state at the start, which something else is stored over."""
    return any(start in values for start, end in flow.states if start != end)


def _same_shapes(node: FlowNode, count: int, shapes: tuple[Shape, ...]) -> bool:
    """Whether a value is computed from so many tensors of its own shape."""
    operands = [shapes[x] == shapes[node.index] for x in node.reads]
    return len(operands) == count and all(operands)
