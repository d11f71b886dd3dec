"""The rewrites, as rows: an identity, the law that licenses it, and the ops it ranges over.

Where it can, a row names a law rather than an op, so that a new op of the table inherits it. A row
proposes; `evosearch.simplify` checks the proposal on probe trajectories before it counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from evosearch.simplify import linear, monomial
from evosearch.simplify.graph import Graph, Node, Operand, Terms
from evosearch.simplify.linear import Order
from evosearch.simplify.monomial import Bounds
from evosearch.simplify.pattern import Pattern
from primitives.op import Law
from primitives.table import OPS

__all__ = ["EXACT", "INEXACT", "Context", "Rewrite"]


@dataclass(frozen=True)
class Context:
    """What a rewrite may look at besides the node."""

    terms: Terms
    graph: Graph
    bounds: Bounds
    order: Order

    @property
    def shared(self) -> frozenset[Node]:
        """The nodes with more than one use."""
        uses = self.graph.uses
        return frozenset(node for node in self.graph.nodes if uses[id(node)] > 1)


Proposals = Iterable[Operand | None]


@dataclass(frozen=True)
class Rewrite:
    """A row: from a node to what may stand in its place, best first."""

    identity: str
    """What it does, written as an equation."""
    law: str
    """Why that is allowed."""
    ops: frozenset[str]
    """The ops of the nodes that it applies to."""
    propose: Callable[[Context, Node], Proposals] = field(compare=False)


def _ops(*laws: Law, arity: int = 1) -> frozenset[str]:
    """Return the ops of so many tensors that obey all laws exactly."""
    return frozenset(
        name for name, op in OPS.items() if op.arity == arity and set(laws) <= op.exact_laws
    )


def _row(
    identity: str,
    law: str,
    *,
    nonnegative: str = "",
    positive: str = "",
    **families: frozenset[str],
) -> Rewrite:
    """Return the row of an identity; the letters of `positive` must stand for positive values."""
    pattern = Pattern.parse(identity, families)

    def propose(context: Context, node: Node) -> Proposals:
        for bound in pattern.matches(node):
            values = {k: v for k, v in bound.items() if isinstance(v, Node)}
            if all(context.bounds.nonnegative(values[k]) for k in nonnegative) and all(
                context.bounds.positive(values[k]) for k in positive
            ):
                yield pattern.build(context.terms, bound)

    return Rewrite(identity, law, pattern.heads, propose)


_INVARIANT: Final = _ops(Law.SCALE_INVARIANT)
_TO_SCALAR: Final = frozenset(n for n, op in OPS.items() if op.signature.text == "ij->11")
_MULTIPLES: Final = _ops(Law.MULTIPLE)
_SIGN_BLIND: Final = _ops(Law.SIGN_BLIND) | _ops(Law.EVEN, Law.ELEMENTWISE)

IDENTITIES: Final = (
    _row("f(f(x)) -> f(x)", "IDEMPOTENT", f=_ops(Law.IDEMPOTENT)),
    _row("f(f(x)) -> x", "INVOLUTION", f=_ops(Law.INVOLUTION)),
    _row("f(x, x) -> x", "IDEMPOTENT", f=_ops(Law.IDEMPOTENT, arity=2)),
    _row("f(abs(x)) -> f(x)", "SIGN_BLIND", f=_SIGN_BLIND),
    _row("abs(x) -> x", "x >= 0", nonnegative="x"),
    _row("sign(x) -> 1.0", "x > 0", positive="x"),
    _row("sign(f(x)) -> sign(x)", "SIGN_KEEPING", f=_ops(Law.SIGN_KEEPING)),
    _row("f(h(x)) -> f(x)", "SCALE_INVARIANT, h is a MULTIPLE", f=_INVARIANT, h=_MULTIPLES),
    _row("clip(clip(x, a), b) -> clip(x, min(a, b))", "of two bounds the lower holds"),
    _row("clip_to(x, a) -> clip(x, abs(a))", "definition of clip_to"),
    _row("minimum(x, maximum(x, y)) -> x", "absorption"),
    _row("maximum(x, minimum(x, y)) -> x", "absorption"),
    _row("maximum(x, neg(x)) -> abs(x)", "definition of abs"),
    _row("select(x, y, y) -> y", "both branches are one"),
    _row("select(x, y, z) -> y", "x > 0", positive="x"),
    _row("tan(arctan(x)) -> x", "inverse function"),
    _row("sinh(arcsinh(x)) -> x", "inverse function"),
    _row("arcsinh(sinh(x)) -> x", "inverse function"),
    _row("log(exp(x)) -> x", "inverse function"),
    _row("exp(log(x)) -> x", "inverse function, x >= 0", nonnegative="x"),
    *(
        _row(f"x / {name}(x) -> {op.name}(x)", f"definition of {op.name}")
        for op in OPS.values()
        for name in OPS
        if op.sympy == f"x/{name}(x)"
    ),
    _row("f(transpose(x)) -> f(x)", "a reduction of all entries", f=_TO_SCALAR),
    _row("gram_left(transpose(x)) -> gram_right(x)", "transposition of a product"),
    _row("gram_right(transpose(x)) -> gram_left(x)", "transposition of a product"),
    _row("transpose(gram_left(x)) -> gram_left(x)", "Gram matrices are symmetric"),
    _row("transpose(gram_right(x)) -> gram_right(x)", "Gram matrices are symmetric"),
    _row("matmul(x, transpose(x)) -> gram_left(x)", "definition of gram_left"),
    _row("matmul(transpose(x), x) -> gram_right(x)", "definition of gram_right"),
    _row(
        "matmul(transpose(x), transpose(y)) -> transpose(matmul(y, x))",
        "transposition of a product",
    ),
    _row(
        "f(transpose(x)) -> transpose(f(x))",
        "TRANSPOSE_EQUIVARIANT or ELEMENTWISE",
        f=(_ops(Law.TRANSPOSE_EQUIVARIANT) | _ops(Law.ELEMENTWISE))
        - _TO_SCALAR
        - {"transpose", "trace"},
    ),
    _row(
        "f(transpose(x), transpose(y)) -> transpose(f(x, y))",
        "ELEMENTWISE",
        f=_ops(Law.ELEMENTWISE, arity=2),
    ),
    _row(
        "f(transpose(x), a) -> transpose(f(x, a))", "ELEMENTWISE", f=_ops(Law.ELEMENTWISE, arity=2)
    ),
)


def _collect(context: Context, node: Node) -> Proposals:
    for atoms in (frozenset[Node](), context.shared):
        found = linear.combine(context.terms, linear.view(node, atoms), context.order)
        if found is not None:
            plain = linear.spelled(context.terms, found[1])
            if plain is node:
                return
            yield plain
            yield found[1]


def _multiply(context: Context, node: Node) -> Proposals:
    for atoms in (frozenset[Node](), context.shared - {node}):
        product = monomial.view(node, context.bounds, atoms)
        if product is not None:
            yield monomial.combine(context.terms, product, context.bounds, context.order)


def _pull_sign(context: Context, node: Node) -> Proposals:
    """f(-x) -> -f(x) for odd f, f(x) for even f."""
    outside = -1.0 if Law.ODD in OPS[node.op].exact_laws else 1.0
    for i, factor, inner in _scaled_arguments(node):
        if factor < 0.0:
            kept = linear.scaled(context.terms, inner, -factor)
            yield linear.scaled(context.terms, _with(context, node, i, kept), outside)


def _pull_scale(context: Context, node: Node) -> Proposals:
    """f(c x) -> c^k f(x) for c > 0; k is 0 for what is scale-invariant, if only to a tolerance."""
    degree = OPS[node.op].homogeneity or 0.0
    for i, factor, inner in _scaled_arguments(node):
        if abs(factor) != 1.0:
            kept = linear.scaled(context.terms, inner, math.copysign(1.0, factor))
            outside = abs(factor) ** degree
            yield linear.scaled(context.terms, _with(context, node, i, kept), outside)


def _drop_multiple(context: Context, node: Node) -> Proposals:
    """f(h(x)) -> f(x) where h(x) is a positive multiple of x."""
    inner = node.tensors[0]
    if isinstance(inner, Node) and inner.op in _MULTIPLES:
        yield context.terms.make(node.op, inner.args[0], *node.args[1:])


def _scaled_arguments(node: Node) -> Iterator[tuple[int, float, Node]]:
    """Yield (place, c, x) for arguments c x of which the op's laws speak."""
    places = len(node.tensors) if Law.COMMUTATIVE in OPS[node.op].exact_laws else 1
    for i, argument in enumerate(node.tensors[:places]):
        if isinstance(argument, Node):
            factor, inner = _factor(argument)
            if inner is not argument and factor != 0.0:
                yield i, factor, inner


def _with(context: Context, node: Node, place: int, argument: Operand | None) -> Operand | None:
    if argument is None:
        return None
    args = (*node.args[:place], argument, *node.args[place + 1 :])
    return context.terms.make(node.op, *args)


def _factor(node: Node) -> tuple[float, Node]:
    """Return (c, x) with node = c x, for a number c."""
    if node.op == "neg" and isinstance(node.args[0], Node):
        return -1.0, node.args[0]
    if node.op == "mul":
        x, c = node.args
        if isinstance(x, Node) and not isinstance(c, Node):
            return c, x
        if isinstance(c, Node) and not isinstance(x, Node):
            return x, c
    return 1.0, node


def _unscale(context: Context, node: Node) -> Proposals:
    """f(a x + b y) -> f(the same sum at its simplest scale)."""
    inner = node.tensors[0]
    if isinstance(inner, Node) and inner.op in linear.LINEAR_OPS:
        total = linear.view(inner)
        if len(total.terms) + bool(total.constant) > 1:
            found = linear.combine(context.terms, total, context.order, free=True)
            if found is not None and isinstance(found[1], Node) and found[0] > 0.0:
                yield context.terms.make(node.op, found[1], *node.args[1:])


_CALLS: Final = frozenset(
    name
    for name, op in OPS.items()
    if op.arity and name not in linear.LINEAR_OPS | monomial.PRODUCT_OPS
)
"""Ops that neither sums nor products take apart."""


def _calls(*laws: Law) -> frozenset[str]:
    """Return those that obey one of the laws exactly."""
    return frozenset(name for name in _CALLS if OPS[name].exact_laws & set(laws))


_SCALE_FREE: Final = frozenset(n for n, op in OPS.items() if Law.SCALE_INVARIANT in op.exact_laws)
_ABOUT_SCALE_FREE: Final = frozenset(
    n for n, op in OPS.items() if Law.SCALE_INVARIANT in op.inexact
)
_HOMOGENEOUS: Final = frozenset(n for n in _CALLS if OPS[n].homogeneity) - _SCALE_FREE

EXACT: Final = (
    *IDENTITIES,
    Rewrite("a tree of sums -> its shortest sum", "LINEAR", linear.LINEAR_OPS, _collect),
    Rewrite(
        "a tree of products -> its factors' powers",
        "powers of one factor add up; 0 at 0",
        monomial.PRODUCT_OPS,
        _multiply,
    ),
    Rewrite("f(-x) -> -f(x)", "ODD", _calls(Law.ODD), _pull_sign),
    Rewrite("f(-x) -> f(x)", "EVEN", _calls(Law.EVEN) - _calls(Law.ODD), _pull_sign),
    Rewrite("f(c x) -> f(x)", "SCALE_INVARIANT", _calls(Law.SCALE_INVARIANT), _pull_scale),
    Rewrite("f(c x) -> c^k f(x)", "HOMOGENEOUS", _HOMOGENEOUS, _pull_scale),
    Rewrite("f(c x + c y) -> f(x + y)", "SCALE_INVARIANT", _SCALE_FREE, _unscale),
)
"""Rewrites by exact laws, in the order in which they are tried."""

_TOLERANCE: Final = "SCALE_INVARIANT to a tolerance"

INEXACT: Final = (
    Rewrite("f(c x) -> f(x)", _TOLERANCE, _ABOUT_SCALE_FREE, _pull_scale),
    Rewrite("f(h(x)) -> f(x)", f"{_TOLERANCE}, h is a MULTIPLE", _ABOUT_SCALE_FREE, _drop_multiple),
    Rewrite("f(c x + c y) -> f(x + y)", _TOLERANCE, _ABOUT_SCALE_FREE, _unscale),
)
"""Rewrites by laws that hold to a tolerance, which the op's row states."""
