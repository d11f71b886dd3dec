"""The rewrites, as rows: an identity, the law that licenses it, and the ops it ranges over.

Where it can, a row names a law rather than an op, so that a new op of the table inherits it. A row
proposes; `evosearch.simplify` checks the proposal on probe trajectories before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from evosearch.simplify import linear, monomial
from evosearch.simplify.graph import Graph, Node, Operand, Terms
from evosearch.simplify.linear import Order
from evosearch.simplify.monomial import Bounds
from evosearch.simplify.pattern import Pattern
from primitives.op import Law, Op
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


def _ops(
    *laws: Law, arity: int = 1, within: Collection[str] | None = None, signature: str = ""
) -> frozenset[str]:
    """Return the ops that obey all laws exactly."""

    def fits(op: Op) -> bool:
        return (
            op.arity == arity
            and set(laws) <= op.exact_laws
            and (within is None or op.name in within)
            and signature in ("", op.signature.text)
        )

    return frozenset(name for name, op in OPS.items() if fits(op))


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


_SIGN_KEEPING: Final = frozenset(
    {"clip", "cube", "cbrt", "power", "arctan", "tanh", "arcsinh", "sinh", "debias"}
    | {"normalize", "rms_normalize", "row_normalize", "col_normalize"}
    | {"spectral_scale", "rms_scale"}
)
"""Ops whose result has the sign of their argument, entry by entry."""
_MULTIPLES: Final = frozenset(
    {"normalize", "rms_normalize", "debias", "spectral_scale", "rms_scale"}
)
"""Ops that multiply by one positive number, or leave zeros as they are."""
_MAGNITUDES: Final = frozenset(
    {"norm", "rms", "max_abs", "row_norm", "row_rms", "row_max_abs"}
    | {"col_norm", "col_rms", "col_max_abs"}
)
"""Reductions to which the signs of entries do not matter."""

_INVARIANT: Final = _ops(Law.SCALE_INVARIANT)
_TO_SCALAR: Final = _ops(signature="ij->11")

IDENTITIES: Final = (
    _row("f(f(x)) -> f(x)", "IDEMPOTENT", f=_ops(Law.IDEMPOTENT)),
    _row("f(f(x)) -> x", "INVOLUTION", f=_ops(Law.INVOLUTION)),
    _row("f(x, x) -> x", "IDEMPOTENT", f=_ops(Law.IDEMPOTENT, arity=2)),
    _row("f(abs(x)) -> f(x)", "EVEN, ELEMENTWISE", f=_ops(Law.EVEN, Law.ELEMENTWISE)),
    _row("f(abs(x)) -> f(x)", "a norm is blind to signs", f=_MAGNITUDES),
    _row("abs(x) -> x", "x >= 0", nonnegative="x"),
    _row("sign(x) -> 1.0", "x > 0", positive="x"),
    _row("sign(f(x)) -> sign(x)", "f keeps signs", f=_SIGN_KEEPING),
    _row("f(h(x)) -> f(x)", "SCALE_INVARIANT, h multiplies", f=_INVARIANT, h=_MULTIPLES),
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


def _pull(context: Context, node: Node) -> Proposals:
    """f(c x) -> |c|^k f(x), with a minus by parity."""
    op = OPS[node.op]
    yield from _pulled(context, node, op.homogeneity, op.exact_laws)


def _pull_inexact(context: Context, node: Node) -> Proposals:
    yield from _pulled(context, node, 0.0, OPS[node.op].exact_laws)
    (inner, *_) = node.tensors
    if isinstance(inner, Node) and inner.op in _MULTIPLES:
        yield context.terms.make(node.op, inner.args[0], *node.constants)


def _pulled(context: Context, node: Node, degree: float | None, laws: frozenset[Law]) -> Proposals:
    places = range(len(node.tensors)) if Law.COMMUTATIVE in laws else range(1)
    for i in places:
        argument = node.tensors[i]
        if not isinstance(argument, Node):
            continue
        factor, inner = _factor(argument)
        if inner is argument or factor == 0.0:
            continue
        parity = -1.0 if Law.ODD in laws else 1.0 if Law.EVEN in laws else None
        if factor < 0.0 and parity is None:
            continue
        outside, left = 1.0, abs(factor)
        if degree is not None:
            outside, left = left**degree, 1.0
        if factor < 0.0 and parity is not None:
            outside *= parity
        if left == abs(factor) and outside == 1.0 and factor > 0.0:
            continue
        args = list(node.args)
        kept = linear.scaled(context.terms, inner, left)
        if kept is not None:
            args[i] = kept
            yield linear.scaled(context.terms, context.terms.make(node.op, *args), outside)


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


_SCALABLE: Final = frozenset(
    name
    for name, op in OPS.items()
    if op.arity
    and name not in linear.LINEAR_OPS | monomial.PRODUCT_OPS
    and (op.homogeneity is not None or op.exact_laws & {Law.ODD, Law.EVEN})
)
_SCALE_FREE: Final = frozenset(n for n, op in OPS.items() if Law.SCALE_INVARIANT in op.exact_laws)
_ABOUT_SCALE_FREE: Final = frozenset(
    n for n, op in OPS.items() if Law.SCALE_INVARIANT in op.inexact
)

EXACT: Final = (
    *IDENTITIES,
    Rewrite("a tree of sums -> its shortest sum", "LINEAR", linear.LINEAR_OPS, _collect),
    Rewrite(
        "a tree of products -> its factors' powers",
        "powers of one factor add up; 0 at 0",
        monomial.PRODUCT_OPS,
        _multiply,
    ),
    Rewrite("f(c x) -> c^k f(x)", "HOMOGENEOUS, SCALE_INVARIANT, ODD, EVEN", _SCALABLE, _pull),
    Rewrite("f(c x + c y) -> f(x + y)", "SCALE_INVARIANT", _SCALE_FREE, _unscale),
)
"""Rewrites by exact laws, in the order in which they are tried."""

INEXACT: Final = (
    Rewrite("f(c x) -> f(x)", "SCALE_INVARIANT to a tolerance", _ABOUT_SCALE_FREE, _pull_inexact),
    Rewrite(
        "f(c x + c y) -> f(x + y)", "SCALE_INVARIANT to a tolerance", _ABOUT_SCALE_FREE, _unscale
    ),
)
"""Rewrites by laws that hold to a tolerance, which the op's row states."""
