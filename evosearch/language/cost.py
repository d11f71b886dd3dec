"""What an update costs: floating-point operations, before anything is trained."""

from __future__ import annotations

from functools import cache
from typing import Final

from evosearch.language.check import infer
from evosearch.language.liveness import periods
from evosearch.language.rule import INPUTS, Rule, RuleSet
from primitives.shape import SCALAR, Shape
from primitives.table import OPS

__all__ = ["rule_cost", "update_cost"]

_SIDE: Final = 64


def update_cost(rules: RuleSet) -> float:
    """Return the floating-point operations an entry that one update of a matrix takes."""
    return rule_cost(rules.matrix)


def rule_cost(rule: Rule) -> float:
    """Return the floating-point operations an entry that a legal rule takes on a matrix.

    The matrix is 64 x 64, where products already cost more than elementwise work, as they do in the
    models that optimizers are for. What is done every k steps counts a k-th.
    """
    results = infer(rule)
    assert results is not None, "rules that are asked about are legal"
    shapes = dict(INPUTS) | {state.name: state.shape for state in rule.states}
    flops = 0.0
    for statement, result, period in zip(rule.body, results, periods(rule), strict=True):
        op = OPS[statement.op]
        operands = statement.args[: op.arity]
        found = [shapes[a] if isinstance(a, str) else SCALAR for a in operands]
        flops += _flops(statement.op, tuple(found)) / period
        shapes[statement.target] = result
    return flops / _SIDE**2


@cache
def _flops(op: str, shapes: tuple[Shape, ...]) -> float:
    return OPS[op].work(shapes, _SIDE, _SIDE)[0]
