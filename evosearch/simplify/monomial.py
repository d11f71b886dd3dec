"""Products: powers, roots, quotients, signs and magnitudes of factors as exponents.

Every factor x counts as ``|x|^p`` or ``sign(x) |x|^p``: ``m / sqrt(m * m)`` is ``sign(m) |m|^0``,
hence ``sign(m)``. All of these are 0 at x = 0, as safe division is, so merging exponents is exact
there too, with one exception: ``|x|^0`` is 1 except at 0, which no op says; such a product is left
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from evosearch.simplify.graph import Node, Operand, Terms
from evosearch.simplify.linear import Order, scaled, snap

__all__ = ["PRODUCT_OPS", "Bounds", "Monomial", "combine", "view"]

PRODUCT_OPS: Final = frozenset(
    {"mul", "div", "square", "cube", "power", "cbrt", "abs", "sign", "sqrt", "rsqrt", "neg"}
)
"""What `view` takes apart."""

_EXPONENTS: Final = {"square": 2.0, "cube": 3.0, "cbrt": 1.0 / 3.0, "sqrt": 0.5, "rsqrt": -0.5}
_EVEN_OPS: Final = frozenset({"square", "sqrt", "rsqrt", "abs"})


@dataclass(frozen=True)
class Bounds:
    """What is known of the sign of values."""

    nonnegative: Callable[[Node], bool]
    positive: Callable[[Node], bool]


@dataclass
class Monomial:
    """A number times factors, each with its exponent and whether its sign counts."""

    coefficient: float = 1.0
    factors: dict[Node, tuple[float, bool]] = field(default_factory=dict)


def view(node: Node, bounds: Bounds, atoms: Collection[Node] = ()) -> Monomial | None:
    """Return a node as a monomial; None where a factor would be ``|x|^0``.

    Args:
        node: what to take apart.
        bounds: what is known to be nonnegative or positive.
        atoms: nodes that are not taken apart.
    """
    if node.op not in PRODUCT_OPS or node in atoms:
        return Monomial(1.0, {node: (1.0, True)})
    if node.op in ("mul", "div"):
        return _product(node, bounds, atoms)
    (inner, *_) = node.children
    base = view(inner, bounds, atoms)
    if base is None:
        return None
    if node.op == "neg":
        return Monomial(-base.coefficient, base.factors)
    if node.op == "sign":
        return _sign(base, bounds)
    if node.op in ("sqrt", "rsqrt") and not _surely_nonnegative(base, bounds):
        return Monomial(1.0, {node: (1.0, True)})
    exponent = node.constants[0] if node.op == "power" else _EXPONENTS.get(node.op, 1.0)
    even = node.op in _EVEN_OPS
    size = abs(base.coefficient) ** exponent
    coefficient = size if even or base.coefficient > 0 else -size
    factors: dict[Node, tuple[float, bool]] = {}
    for factor, (p, odd) in base.factors.items():
        keeps = odd and not even
        if p * exponent == 0.0 and not keeps:
            return None
        factors[factor] = (snap(p * exponent), keeps)
    return Monomial(coefficient, factors)


def _product(node: Node, bounds: Bounds, atoms: Collection[Node]) -> Monomial | None:
    result = Monomial()
    for operand, power in zip(node.args, (1.0, 1.0 if node.op == "mul" else -1.0), strict=True):
        if not isinstance(operand, Node):
            if operand == 0.0:
                return None
            result.coefficient *= operand**power
            continue
        part = view(operand, bounds, atoms)
        if part is None or part.coefficient == 0.0:
            return None
        result.coefficient *= part.coefficient**power
        for factor, (p, odd) in part.factors.items():
            old, parity = result.factors.get(factor, (0.0, False))
            total, sign = snap(old + power * p), parity != odd
            if total == 0.0 and not sign and factor in result.factors:
                if not bounds.positive(factor):
                    return None
                del result.factors[factor]
            else:
                result.factors[factor] = (total, sign)
    return result


def _sign(base: Monomial, bounds: Bounds) -> Monomial | None:
    factors: dict[Node, tuple[float, bool]] = {}
    for factor, (_, odd) in base.factors.items():
        if bounds.positive(factor):
            continue
        if not odd or bounds.nonnegative(factor):
            return None  # sign(|x|) is 1 except at 0
        factors[factor] = (0.0, True)
    return Monomial(1.0 if base.coefficient > 0 else -1.0, factors)


def _surely_nonnegative(base: Monomial, bounds: Bounds) -> bool:
    return base.coefficient > 0 and all(
        not odd or bounds.nonnegative(factor) for factor, (_, odd) in base.factors.items()
    )


def combine(terms: Terms, total: Monomial, bounds: Bounds, order: Order) -> Operand | None:
    """Return the canonical tree of a monomial; None where no legal one exists."""
    groups: dict[tuple[float, bool], list[Node]] = {}
    for factor in sorted(total.factors, key=order):
        p, odd = total.factors[factor]
        known = bounds.nonnegative(factor) and p != 0.0
        groups.setdefault((p, odd or known), []).append(factor)
    above: list[Operand | None] = []
    below: list[Operand | None] = []
    for (p, odd), factors in groups.items():
        base = terms.chain("mul", factors)
        if not isinstance(base, Node):
            return None
        known = all(map(bounds.nonnegative, factors))
        (above if p >= 0.0 else below).append(_power(terms, base, abs(p), odd, known))
    result = terms.chain("mul", above) if above else 1.0
    if below == [None] or result is None:
        return None
    if below:
        under = terms.chain("mul", below)
        if under is None:
            return None
        if not above and isinstance(under, Node) and under.op == "sqrt":
            result = terms.make("rsqrt", *under.args)
        elif not above:
            return terms.make("div", snap(total.coefficient), under)
        else:
            result = terms.make("div", result, under)
    return scaled(terms, result, total.coefficient)


def _power(terms: Terms, x: Node, p: float, odd: bool, known: bool) -> Operand | None:
    """Return sign(x) |x|^p, or |x|^p where the sign does not count; `known`: x is nonnegative."""
    if p == 0.0:
        return terms.make("sign", x)
    if p == 1.0:
        return x if odd or known else terms.make("abs", x)
    if p == 2.0 and (known or not odd):
        return terms.make("square", x)
    if p == 3.0 and (known or odd):
        return terms.make("cube", x)
    if p == 4.0 and (known or not odd):
        half = terms.make("square", x)
        return None if half is None else terms.make("square", half)
    if p == 0.5 and known:
        return terms.make("sqrt", x)
    if p == snap(1.0 / 3.0) and (known or odd):
        return terms.make("cbrt", x)
    if odd or known:
        return terms.make("power", x, p)
    size = terms.make("abs", x)
    if size is None:
        return None
    return terms.make("sqrt", size) if p == 0.5 else terms.make("power", size, p)
