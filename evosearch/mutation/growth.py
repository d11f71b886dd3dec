"""Growth: from a value of one shape to another shape, and back.

A statistic is made of a value, folded into a new state as often as not, changed by ops that keep
its shape, and combined with a value of the first shape. Shapes are drawn first, then families of
ops, then ops: there are many more ops for scalars than for square matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evosearch.language.check import result_shape
from evosearch.language.rule import Argument, State, Statement
from evosearch.mutation.constants import draw
from evosearch.mutation.fragment import Fragment
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from primitives.op import Op
from primitives.shape import SHAPES, Shape

__all__ = ["grown"]

_STATE: Final = 0.6
"""How often the statistic is kept from step to step."""
_CHANGES: Final = (0, 1, 1, 2)
"""How many ops change it; all equally likely."""


def grown(shape: Shape, space: Space, rng: Rng) -> Fragment | None:
    """Return a growth from values of a shape: inputs ``i0`` (of the statistic) and ``i1``.

    None where the space has no way there and back.
    """
    ways = [other for other in SHAPES.values() if _unary(space, shape, other)]
    ways = [other for other in ways if other != shape and _binary(space, other, shape)]
    if not ways:
        return None
    other = rng.pick(ways)
    body = [_statement("v0", space.draw_among(_unary(space, shape, other), rng), ["i0"], rng)]
    states: tuple[State, ...] = ()
    value = "v0"
    folds = [op for op in space.stateful if result_shape(op.name, (other, other)) == other]
    if folds and rng.chance(_STATE):
        operands: list[Argument] = ["s0", "v0"] if rng.chance(0.5) else ["v0", "s0"]
        body.append(_statement("s0", space.draw_among(folds, rng), operands, rng))
        states, value = (State("s0", other),), "s0"
    changes = _unary(space, other, other)
    for k in range(rng.pick(_CHANGES) if changes else 0):
        body.append(_statement(f"c{k}", space.draw_among(changes, rng), [value], rng))
        value = f"c{k}"
    back = space.draw_among(_binary(space, other, shape), rng)
    orders: list[list[Argument]] = [[value, "i1"], ["i1", value]]
    shapes = [(other, shape), (shape, other)]
    orders = [o for o, s in zip(orders, shapes, strict=True) if result_shape(back.name, s) == shape]
    body.append(_statement("u", back, rng.pick(orders), rng))
    inputs = (State("i0", shape), State("i1", shape))
    return Fragment(inputs, states, tuple(body), "u", shape)


def _unary(space: Space, shape: Shape, result: Shape) -> Sequence[Op]:
    """Return the ops from a shape to another."""
    return space.fitting((shape,), result)


def _binary(space: Space, shape: Shape, result: Shape) -> Sequence[Op]:
    """Return the ops that combine a shape with another, which is what comes out."""
    first, second = space.fitting((shape, result), result), space.fitting((result, shape), result)
    return tuple(dict.fromkeys((*first, *second)))


def _statement(target: str, op: Op, operands: list[Argument], rng: Rng) -> Statement:
    return Statement(target, op.name, (*operands, *(draw(kind, rng) for kind in op.constants)))
