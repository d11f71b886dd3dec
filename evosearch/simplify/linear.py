"""Sums: a tree of linear ops as coefficients, and coefficients as the shortest tree.

``lerp(lerp(m, g, 0.1) * 3, g, 0.5)`` is ``1.35 m + 0.65 g``, hence ``2 lerp(m, g, 0.325)``. A
linear combination has one canonical tree, so that two ways to write it meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from evosearch.simplify.graph import Node, Operand, Terms

__all__ = [
    "LINEAR_OPS",
    "Order",
    "Sum",
    "combine",
    "same_but_rounding",
    "scaled",
    "snap",
    "spelled",
    "view",
]

LINEAR_OPS: Final = frozenset({"add", "sub", "neg", "lerp", "heavy_ball", "mul", "div"})
"""What `view` takes apart; products and quotients only by numbers."""

Order = Callable[[Node], tuple[int, str]]
"""A canonical order of nodes, in which the terms of a sum are written."""

_NOISE: Final = 1e-12
"""Relative rounding error that many operations leave in a coefficient."""
_CANCELLED: Final = 2.5e-16
"""Absolute rounding error of a small difference of numbers around 1, such as 1 - 0.999."""
_SHORT: Final = 9
"""Significant digits of a number that somebody may have meant."""


@dataclass(frozen=True)
class Sum:
    """A linear combination of nodes plus a number."""

    terms: dict[Node, float]
    constant: float


def snap(value: float) -> float:
    """Return the short decimal that differs from the value by rounding error only, if any."""
    size = abs(value)
    noise = min(max(_NOISE * size, _CANCELLED), 1e-10 * size)
    for digits in range(1, _SHORT + 1):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= noise:
            return short
    return value


def same_but_rounding(old: Operand, new: Operand) -> bool:
    """Whether two expressions differ by rounding error in constants at most, and none gets shorter.

    Taking a sum apart and putting it together again moves the last digits of its constants.
    """
    if isinstance(old, Node) and isinstance(new, Node):
        if old is new:
            return True
        pairs = zip(old.args, new.args, strict=False)
        return bool(old.op) and old.op == new.op and all(same_but_rounding(a, b) for a, b in pairs)
    if isinstance(old, Node) or isinstance(new, Node):
        return False
    return abs(old - new) <= 1e-11 * abs(old) and len(repr(new)) >= len(repr(old)) - 1


def view(node: Node, atoms: Collection[Node] = ()) -> Sum:
    """Return a node as a combination of what is no sum; `atoms` are not taken apart."""
    terms: dict[Node, float] = {}
    weight: dict[Node, float] = {}
    constant = 0.0
    stack: list[tuple[Operand, float]] = [(node, 1.0)]
    while stack:
        operand, factor = stack.pop()
        if not isinstance(operand, Node):
            constant += factor * operand
            continue
        parts = None if operand in atoms and operand is not node else _parts(operand)
        if parts is None:
            terms[operand] = terms.get(operand, 0.0) + factor
            weight[operand] = weight.get(operand, 0.0) + abs(factor)
        else:
            stack += [(part, factor * c) for part, c in reversed(parts)]
    kept = {n: c for n, c in terms.items() if abs(c) > _NOISE * weight[n]}
    return Sum(kept, constant)


def _parts(node: Node) -> list[tuple[Operand, float]] | None:
    if node.op not in LINEAR_OPS:
        return None
    first = node.args[0]
    second = node.args[1] if len(node.args) > 1 else 0.0
    match node.op:
        case "add":
            return [(first, 1.0), (second, 1.0)]
        case "sub":
            return [(first, 1.0), (second, -1.0)]
        case "neg":
            return [(first, -1.0)]
        case "lerp":
            (rate,) = node.constants
            return [(first, 1.0 - rate), (second, rate)]
        case "heavy_ball":
            (decay,) = node.constants
            return [(first, decay), (second, 1.0)]
        case "mul":
            if not isinstance(first, Node):
                return [(second, first)]
            return None if isinstance(second, Node) else [(first, second)]
        case _:
            known = not isinstance(second, Node) and second != 0.0 and isinstance(first, Node)
            return [(first, 1.0 / second)] if known and not isinstance(second, Node) else None


def scaled(terms: Terms, operand: Operand | None, factor: float) -> Operand | None:
    """Return factor * operand, in one op at most."""
    if operand is None:
        return None
    if not isinstance(operand, Node):
        return operand * factor
    factor = snap(factor)
    if factor == 1.0:
        return operand
    return terms.make("neg", operand) if factor == -1.0 else terms.make("mul", operand, factor)


def spelled(terms: Terms, operand: Operand) -> Operand | None:
    """Return a sum with ``u + c w`` for ``heavy_ball(w, u, c)``: one op more."""
    if not isinstance(operand, Node) or _parts(operand) is None:
        return operand
    args: list[Operand] = []
    for a in operand.args:
        made = spelled(terms, a)
        if made is None:
            return None
        args.append(made)
    if operand.op == "heavy_ball" and isinstance(args[0], Node) and args[0].name == "w":
        (weight,) = operand.constants
        decay = scaled(terms, args[0], abs(weight))
        op = "add" if weight > 0.0 else "sub"
        return None if decay is None else terms.make(op, args[1], decay)
    return terms.make(operand.op, *args)


def combine(
    terms: Terms, total: Sum, order: Order, free: bool = False
) -> tuple[float, Operand] | None:
    """Return (scale, operand) with total = scale * operand.

    The scale is 1 unless it is `free`: then it is the positive factor without which the operand is
    shortest. None where no legal tree exists.
    """
    items = sorted(total.terms.items(), key=lambda item: order(item[0]))
    constant = total.constant
    if not items:
        return 1.0, constant
    nodes, weights = [n for n, _ in items], [c for _, c in items]
    scale, core, constant = _core(terms, nodes, weights, constant, free)
    if free and scale > 0.0:
        return _with_constant(terms, scale, core, constant)
    if free:
        return _with_constant(terms, -scale, scaled(terms, core, -1.0), -constant)
    if core is not None and scale == -1.0 and constant < 0.0:
        return _pack(1.0, terms.make("sub", constant * scale, core))
    found = _with_constant(terms, scale, core, constant)
    return None if found is None else _pack(1.0, scaled(terms, found[1], found[0]))


def _with_constant(
    terms: Terms, scale: float, core: Operand | None, constant: float
) -> tuple[float, Operand] | None:
    if core is None or not constant:
        return _pack(scale, core)
    return _pack(scale, terms.make("add", core, snap(constant)))


def _pack(scale: float, operand: Operand | None) -> tuple[float, Operand] | None:
    return None if operand is None else (snap(scale), operand)


def _core(
    terms: Terms, nodes: list[Node], weights: list[float], constant: float, free: bool
) -> tuple[float, Operand | None, float]:
    """Return (scale, sum of the terms, constant), the two last ones divided by the scale."""
    if len(nodes) == 1:
        return weights[0], nodes[0], constant / weights[0]
    if len(nodes) == 2:
        scale, core = _pair(terms, nodes, weights, free)
        return scale, core, constant / scale
    size = abs(weights[0])
    if not free and any(abs(abs(c) - size) > _NOISE * size for c in weights):
        size = 1.0
    rest = [(n, c / size) for n, c in zip(nodes, weights, strict=True)]
    return size, _chain(terms, rest), constant / size


def _pair(
    terms: Terms, nodes: list[Node], weights: list[float], free: bool
) -> tuple[float, Operand | None]:
    (x, y), (a, b) = nodes, weights
    if abs(a - b) <= _NOISE * abs(a):
        half = snap(a) == 0.5 and not free and x.shape == y.shape
        return (1.0, terms.make("lerp", x, y, 0.5)) if half else (a, terms.make("add", x, y))
    if abs(a + b) <= _NOISE * abs(a):
        return (a, terms.make("sub", x, y)) if a > 0 else (b, terms.make("sub", y, x))
    decays = "w" in (x.name, y.name)  # then the other one gives the scale
    if y.name != "w" and (x.name == "w" or (b > 0 > a)):
        (x, y), (a, b) = (y, x), (b, a)
    if x.shape != y.shape:
        return abs(a), _chain(terms, [(x, a / abs(a)), (y, b / abs(a))])
    total = snap(a + b)
    one = snap(b) == 1.0 or snap(a) == 1.0
    if (total == 1.0 and not free) or (a * b > 0 and not decays and (free or not one)):
        rate = snap(b / total)
        light = rate <= 0.5 or rate > 1.0
        pair = (x, y, rate) if light else (y, x, snap(a / total))
        return total, terms.make("lerp", *pair)
    if snap(b) == 1.0 and not free:
        return 1.0, terms.make("heavy_ball", x, y, snap(a))
    if snap(a) == 1.0:
        return 1.0, terms.make("heavy_ball", y, x, snap(b))
    return a, terms.make("heavy_ball", y, x, snap(b / a))


def _chain(terms: Terms, items: list[tuple[Node, float]]) -> Operand | None:
    """Return the sum of terms, starting where a coefficient comes for nothing."""
    rest = [(node, snap(c)) for node, c in items]
    start = next((i for i, (_, c) in enumerate(rest) if c == 1.0), None)
    total: Operand | None
    if start is not None:
        total = rest.pop(start)[0]
    else:
        pairs = [(i, j) for i in range(len(rest)) for j in range(i)]
        whole = (
            (i, j)
            for i, j in pairs
            if snap(rest[i][1] + rest[j][1]) == 1.0 and rest[i][0].shape == rest[j][0].shape
        )
        i, j = next(whole, (0, -1))
        if j < 0:
            node, c = rest.pop(0)
            total = scaled(terms, node, c)
        else:
            (y, rate), (x, _) = rest.pop(i), rest.pop(j)
            total = terms.make("lerp", x, y, rate)
    for node, c in rest:
        if not isinstance(total, Node):
            return None
        if c in (1.0, -1.0):
            total = terms.make("add" if c > 0 else "sub", total, node)
        elif node.shape == total.shape:
            total = terms.make("heavy_ball", node, total, c)
        else:
            part = scaled(terms, node, abs(c))
            if part is None:
                return None
            total = terms.make("add" if c > 0 else "sub", total, part)
    return total
