"""Traits: ideas that a rule's live code carries, found by following its data.

The names of ops and variables decide nothing but what an op does to a matrix: a value that is
multiplied by a matrix from the left or right is preconditioned only where that matrix is kept from
step to step, is made of gradients, and the product's direction reaches the update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final

from evosearch.language.check import infer
from evosearch.language.liveness import strip
from evosearch.language.rule import INPUTS, Rule, Statement
from primitives.op import Law
from primitives.shape import COLUMNWISE, FLIPPED, FULL, LEFT, RIGHT, ROWWISE, Shape
from primitives.table import OPS

__all__ = ["PRECONDITIONED", "Trait", "traits"]


class Trait(StrEnum):
    """An idea that most updates do not carry."""

    LIVE_MATMUL = "live_matmul"
    """A product of matrices."""
    ONE_SIDED = "one_sided"
    """Preconditioners on one side: ``P(L) g`` or ``g Q(R)``, L and R states made of gradients."""
    TWO_SIDED = "two_sided"
    """A preconditioner on each side of one value."""
    ROW_OR_COLUMN = "row_or_column"
    """A number for each row, or for each column."""
    OTHER_STATE = "other_state"
    """A state that has another shape than the parameter."""
    REFRESH = "refresh"
    """A value that is computed on every k-th step only."""


PRECONDITIONED: Final = frozenset({Trait.ONE_SIDED, Trait.TWO_SIDED})

_MATRICES: Final = (FULL, FLIPPED)
_SQUARE: Final = (LEFT, RIGHT)
_BLIND: Final = frozenset(op.name for op in OPS.values() if "identity" in op.name)
"""Ops that see no more of a matrix than its shape."""
_UNDIRECTED: Final = frozenset(
    op.name for op in OPS.values() if op.laws & {Law.EVEN, Law.NONNEGATIVE}
)
"""Ops whose result does not point where their operand does."""
_CARRIED: Final = {"div": (0,), "clip_to": (0,), "select": (1, 2)}
"""The operands that a result takes its direction from, where those are not all."""

Sides = frozenset[Shape]


@dataclass(frozen=True)
class _Value:
    """What is known of a variable besides its entries."""

    shape: Shape
    gradient: bool = False
    """Whether it is a matrix that is made of gradients, all the way through matrices."""
    kept: bool = False
    """Whether it is square and made, all the way through squares, of a state as the step before
    left it."""
    sides: frozenset[Sides] = frozenset()
    """For each way that a gradient took here, the sides on which it was preconditioned."""


def traits(rule: Rule) -> frozenset[Trait]:
    """Return a legal rule's traits; give its core, for redundant statements have traits as well."""
    rule = strip(rule)
    shapes = infer(rule)
    assert shapes is not None, f"illegal rule\n{rule}"
    ops = {statement.op for statement in rule.body}
    found = {
        Trait.LIVE_MATMUL: "matmul" in ops,
        Trait.REFRESH: "every" in ops,
        Trait.ROW_OR_COLUMN: any(shape in (ROWWISE, COLUMNWISE) for shape in shapes),
        Trait.OTHER_STATE: any(state.shape != FULL for state in rule.states),
    }
    sides = _sides(rule)
    two = any(len(way) == 2 for way in sides)
    found |= {Trait.TWO_SIDED: two, Trait.ONE_SIDED: not two and any(sides)}
    return frozenset(trait for trait, there in found.items() if there)


def _sides(rule: Rule) -> frozenset[Sides]:
    """Return the sides on which gradients are preconditioned on their ways to the update."""
    start = {name: _Value(shape) for name, shape in INPUTS.items()}
    start["g"] = _Value(FULL, gradient=True, sides=frozenset({frozenset()}))
    states = {state.name: _Value(state.shape) for state in rule.states}
    while True:
        values = start | states
        for statement in rule.body:
            values[statement.target] = _result(statement, values)
        after = {name: _carried_over(values[name]) for name in states}
        if after == states:
            return values[rule.update].sides
        states = after


def _carried_over(value: _Value) -> _Value:
    """Return what the next step knows of a state."""
    return replace(value, kept=value.shape in _SQUARE and value.gradient)


def _result(statement: Statement, values: dict[str, _Value]) -> _Value:
    op = OPS[statement.op]
    operands = [values[a] if isinstance(a, str) else None for a in statement.args[: op.arity]]
    shape = _shape(statement, operands)
    tensors = [value for value in operands if value is not None]
    if shape not in (*_MATRICES, *_SQUARE) or op.name in _BLIND:
        return _Value(shape)
    gradient = any(value.gradient for value in tensors)
    if shape in _SQUARE:
        return _Value(shape, gradient, any(v.kept and v.shape in _SQUARE for v in tensors))
    return _Value(shape, gradient, sides=_ways(op.name, operands))


def _shape(statement: Statement, operands: list[_Value | None]) -> Shape:
    shapes = [Shape("1", "1") if value is None else value.shape for value in operands]
    shape = OPS[statement.op].signature.infer(shapes)
    assert shape is not None, f"illegal statement {statement}"
    return shape


def _ways(op: str, operands: list[_Value | None]) -> frozenset[Sides]:
    """Return the ways to a result that is as large as the parameter."""
    if op in _UNDIRECTED:
        return frozenset()
    chosen = _CARRIED.get(op, range(len(operands)))
    carried = [v for k in chosen if (v := operands[k]) is not None and v.shape in _MATRICES]
    ways: frozenset[Sides] = reduce(frozenset.union, (v.sides for v in carried), frozenset())
    if op != "matmul":
        return ways
    by = {v.shape for v in operands if v is not None and v.shape in _SQUARE and v.kept}
    return frozenset(way | by for way in ways)
