"""Other ways to write a value: laws of the op table and identities, backwards.

Each function takes (terms, node, rng) and returns what computes the same, or None where the node is
not of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from evosearch.mutation.rng import Rng
from evosearch.simplify.graph import Node, Operand, Terms
from primitives.op import Law
from primitives.shape import FULL
from primitives.table import OPS

__all__ = ["SPELLINGS", "Spelling", "number"]

Spelling = Callable[[Terms, Node, Rng], Operand | None]


def number(rng: Rng) -> float:
    """Return a factor."""
    return rng.pick((0.25, 0.5, 2.0, 3.0, 4.0, 0.1, 10.0, 1.7))


def _binary(
    terms: Terms, op: str, x: Operand | None, y: Operand | None, *c: float
) -> Operand | None:
    return None if x is None or y is None else terms.make(op, x, y, *c)


def _unary(terms: Terms, op: str, x: Operand | None, *c: float) -> Operand | None:
    return None if x is None else terms.make(op, x, *c)


def scale_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> (x * c) / c``."""
    c = number(rng)
    return _binary(terms, "mul", _binary(terms, "mul", node, c), 1.0 / c)


def negate_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> -(-x)``."""
    del rng
    return _unary(terms, "neg", _unary(terms, "neg", node))


def add_nothing(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> x + (y - y)``."""
    leaf = terms.leaf(rng.pick("wg"), FULL)
    if node.shape != FULL:
        return None
    return _binary(terms, "add", node, _binary(terms, "sub", leaf, leaf))


def average_with_itself(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> lerp(x, x, c)``."""
    return terms.make("lerp", node, node, rng.pick((0.1, 0.3, 0.9)))


def spell_lerp(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``lerp(x, y, a) -> (1 - a) x + a y``, in one of several ways."""
    if node.op != "lerp":
        return None
    x, y, a = node.args
    assert isinstance(a, float)
    match rng.below(4):
        case 0:
            left, right = _binary(terms, "mul", x, 1.0 - a), _binary(terms, "mul", y, a)
            return _binary(terms, "add", left, right)
        case 1:
            return _binary(terms, "add", x, _binary(terms, "mul", terms.make("sub", y, x), a))
        case 2:
            return _binary(terms, "heavy_ball", x, _binary(terms, "mul", y, a), 1.0 - a)
        case _:
            return _binary(terms, "lerp", y, x, 1.0 - a)


def lerp_in_two(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``lerp(x, y, a) -> lerp(lerp(x, y, b), y, c)``, as the Lion paper's raw program has it."""
    if node.op != "lerp":
        return None
    x, y, a = node.args
    assert isinstance(a, float)
    b = rng.pick((0.02, 0.2, 0.5))
    return _binary(terms, "lerp", terms.make("lerp", x, y, b), y, 1.0 - (1.0 - a) / (1.0 - b))


def spell_heavy_ball(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``heavy_ball(x, y, a) -> a x + y``."""
    del rng
    if node.op != "heavy_ball":
        return None
    x, y, a = node.args
    return _binary(terms, "add", terms.make("mul", x, a), y)


def spell_square(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``square(x) -> x * x``, ``abs(x) * abs(x)`` or ``cube(x) / x``."""
    if node.op != "square":
        return None
    x = node.args[0]
    match rng.below(3):
        case 0:
            return terms.make("mul", x, x)
        case 1:
            size = terms.make("abs", x)
            return _binary(terms, "mul", size, size)
        case _:
            return _binary(terms, "div", terms.make("cube", x), x)


def spell_sign(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``sign(x) -> x / sqrt(x * x)``, ``x / abs(x)``, ``sign(f(x))``, ..."""
    if node.op != "sign":
        return None
    x = node.args[0]
    match rng.below(6):
        case 0:
            size = _unary(terms, "sqrt", terms.make("mul", x, x))
            return _binary(terms, "div", x, size)
        case 1:
            return _binary(terms, "div", x, terms.make("abs", x))
        case 2:
            return _binary(terms, "mul", x, _unary(terms, "rsqrt", terms.make("square", x)))
        case 3:
            op = rng.pick(("cube", "cbrt", "arctan", "tanh", "arcsinh"))
            return _unary(terms, "sign", terms.make(op, x))
        case 4:
            return _unary(terms, "sign", terms.make("mul", x, number(rng)))
        case _:
            return _binary(terms, "div", terms.make("abs", x), x)


def spell_quotient(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x / y -> x * (1 / y)``, ``(c x) / (c y)`` or ``-x / -y``."""
    if node.op != "div":
        return None
    x, y = node.args
    match rng.below(3):
        case 0:
            return _binary(terms, "mul", x, terms.make("div", 1.0, y))
        case 1:
            c = number(rng)
            return _binary(terms, "div", terms.make("mul", x, c), terms.make("mul", y, c))
        case _:
            return _binary(terms, "div", _unary(terms, "neg", x), _unary(terms, "neg", y))


def swap(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x, y) -> f(y, x)`` where f is commutative."""
    del rng
    if not node.op or Law.COMMUTATIVE not in OPS[node.op].exact_laws:
        return None
    x, y = node.args
    return terms.make(node.op, y, x)


def pass_through(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x) -> -f(-x)`` for odd f, ``f(-x)`` for even f, ``f(f(x))`` for idempotent f."""
    if not node.op or len(node.tensors) != 1:
        return None
    laws = OPS[node.op].exact_laws
    x, constants = node.args[0], node.constants
    choice = rng.pick((Law.ODD, Law.EVEN, Law.IDEMPOTENT))
    if choice not in laws:
        return None
    if choice is Law.IDEMPOTENT:
        return terms.make(node.op, node, *constants)
    inside = _unary(terms, node.op, terms.make("neg", x), *constants)
    return inside if choice is Law.EVEN else _unary(terms, "neg", inside)


def transpose_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x) -> f(x^T)^T`` where f is transpose-equivariant."""
    del rng
    if not node.op or Law.TRANSPOSE_EQUIVARIANT not in OPS[node.op].exact_laws:
        return None
    inside = _unary(terms, node.op, terms.make("transpose", node.args[0]), *node.constants)
    return _unary(terms, "transpose", inside)


SPELLINGS: Final[tuple[Spelling, ...]] = (
    scale_twice,
    negate_twice,
    add_nothing,
    average_with_itself,
    spell_lerp,
    lerp_in_two,
    spell_heavy_ball,
    spell_square,
    spell_sign,
    spell_quotient,
    swap,
    pass_through,
    transpose_twice,
)
