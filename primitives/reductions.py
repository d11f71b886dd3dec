"""Rows: reductions to a scalar, to rows or to columns, and normalisations by them."""

from __future__ import annotations

from primitives import oracle
from primitives.op import Cost, Law, Op, Signature
from primitives.row import COLUMNWISE, ROWWISE, TO_SCALAR, manual

__all__ = ["FAMILIES"]

_ALL = "dim=(-2, -1), keepdim=True"
_ROW = "dim=-1, keepdim=True"
_COL = "dim=-2, keepdim=True"

_VECTOR_NORM = "https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html"
_RMS_NORM = "https://arxiv.org/abs/1910.07467"

_PASS = Cost("m * n", "m * n")
_SQUARES = Cost("2 * m * n", "m * n")
_SCALING = Cost("4 * m * n", "3 * m * n")

_AVERAGE = frozenset({Law.LINEAR, Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING, Law.MONOTONE})
_SIZE = frozenset({Law.EVEN, Law.SIGN_BLIND, Law.HOMOGENEOUS, Law.ZERO_PRESERVING, Law.NONNEGATIVE})
_DIRECTION = frozenset(
    {Law.ODD, Law.SIGN_KEEPING, Law.SCALE_INVARIANT, Law.ZERO_PRESERVING, Law.IDEMPOTENT}
)
_FREE = frozenset({Law.RANK_FREE, Law.IDEMPOTENT})

_SCALARS: tuple[Op, ...] = (
    Op(
        name="sum",
        signature=TO_SCALAR,
        torch="{0}.sum(" + _ALL + ")",
        numpy=oracle.total,
        sympy="",
        doc="Sum of all entries.",
        cost=_PASS,
        laws=_AVERAGE | _FREE,
        reference=manual("sum"),
    ),
    Op(
        name="mean",
        signature=TO_SCALAR,
        torch="{0}.mean(" + _ALL + ")",
        numpy=oracle.mean,
        sympy="",
        doc="Mean of all entries.",
        cost=_PASS,
        laws=_AVERAGE | _FREE,
        reference=manual("mean"),
    ),
    Op(
        name="norm",
        signature=TO_SCALAR,
        torch="torch.linalg.vector_norm({0}, " + _ALL + ")",
        numpy=oracle.norm,
        sympy="",
        doc="Frobenius norm: the root of the sum of squares.",
        cost=_SQUARES,
        laws=_SIZE | _FREE,
        reference=_VECTOR_NORM,
    ),
    Op(
        name="rms",
        signature=TO_SCALAR,
        torch="torch.square({0}).mean(" + _ALL + ").sqrt()",
        numpy=oracle.rms,
        sympy="",
        doc="Root of the mean square.",
        cost=_SQUARES,
        laws=_SIZE | _FREE,
        reference=_RMS_NORM,
    ),
    Op(
        name="max_abs",
        signature=TO_SCALAR,
        torch="max_abs({0}, (-2, -1))",
        numpy=oracle.max_abs,
        sympy="",
        doc="Largest magnitude.",
        cost=_PASS,
        laws=_SIZE | _FREE,
        reference=manual("amax"),
    ),
    Op(
        name="dot",
        signature=Signature("ij,ij->11"),
        torch="({0} * {1}).sum(" + _ALL + ")",
        numpy=oracle.dot,
        sympy="",
        doc="Inner product of two tensors.",
        cost=Cost("2 * m * n", "2 * m * n"),
        laws=frozenset(
            {Law.RANK_FREE, Law.COMMUTATIVE, Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING}
        ),
        reference=manual("sum"),
    ),
    Op(
        name="cosine",
        signature=Signature("ij,ij->11"),
        torch="cosine({0}, {1})",
        numpy=oracle.cosine,
        sympy="",
        doc="Cosine of the angle between two tensors; 0 if one of them is 0.",
        cost=Cost("6 * m * n", "4 * m * n"),
        laws=frozenset(
            {Law.RANK_FREE, Law.COMMUTATIVE, Law.ODD, Law.SCALE_INVARIANT, Law.ZERO_PRESERVING}
        ),
        reference="https://en.wikipedia.org/wiki/Cosine_similarity",
    ),
)


def _along(axis: int) -> tuple[Op, ...]:
    """Return the four reductions along the columns' axis (row by row) or the rows' axis."""
    prefix, each, shape, dim = (
        ("row", "row", ROWWISE, _ROW) if axis == -1 else ("col", "column", COLUMNWISE, _COL)
    )
    return (
        Op(
            name=f"{prefix}_mean",
            signature=shape,
            torch="{0}.mean(" + dim + ")",
            numpy=lambda x: oracle.mean(x, axis),
            sympy="",
            doc=f"Mean of each {each}.",
            cost=_PASS,
            laws=_AVERAGE | {Law.IDEMPOTENT},
            reference="https://arxiv.org/abs/1804.04235",
        ),
        Op(
            name=f"{prefix}_norm",
            signature=shape,
            torch="torch.linalg.vector_norm({0}, " + dim + ")",
            numpy=lambda x: oracle.norm(x, axis),
            sympy="",
            doc=f"Euclidean norm of each {each}.",
            cost=_SQUARES,
            laws=_SIZE | {Law.IDEMPOTENT},
            reference=_VECTOR_NORM,
        ),
        Op(
            name=f"{prefix}_rms",
            signature=shape,
            torch="torch.square({0}).mean(" + dim + ").sqrt()",
            numpy=lambda x: oracle.rms(x, axis),
            sympy="",
            doc=f"Root of the mean square of each {each}.",
            cost=_SQUARES,
            laws=_SIZE | {Law.IDEMPOTENT},
            reference=_RMS_NORM,
        ),
        Op(
            name=f"{prefix}_max_abs",
            signature=shape,
            torch="max_abs({0}, " + str(axis) + ")",
            numpy=lambda x: oracle.max_abs(x, axis),
            sympy="",
            doc=f"Largest magnitude in each {each}.",
            cost=_PASS,
            laws=_SIZE | {Law.IDEMPOTENT},
            reference="https://arxiv.org/abs/1901.11150",
        ),
    )


_NORMALISATIONS: tuple[Op, ...] = (
    Op(
        name="normalize",
        signature=Signature("ij->ij"),
        torch="safe_div({0}, torch.linalg.vector_norm({0}, " + _ALL + "))",
        numpy=lambda x: oracle.safe_div(x, oracle.norm(x)),
        sympy="x/norm(x)",
        doc="Scaled to Frobenius norm 1; 0 stays 0.",
        cost=_SCALING,
        laws=_DIRECTION | {Law.RANK_FREE, Law.MULTIPLE},
        exceptions="The sympy form is undefined at x = 0; the op is 0 there.",
        reference="https://arxiv.org/abs/1708.03888",
    ),
    Op(
        name="rms_normalize",
        signature=Signature("ij->ij"),
        torch="safe_div({0}, torch.square({0}).mean(" + _ALL + ").sqrt())",
        numpy=lambda x: oracle.safe_div(x, oracle.rms(x)),
        sympy="x/rms(x)",
        doc="Scaled to root mean square 1; 0 stays 0.",
        cost=_SCALING,
        laws=_DIRECTION | {Law.RANK_FREE, Law.MULTIPLE},
        exceptions="The sympy form is undefined at x = 0; the op is 0 there.",
        reference=_RMS_NORM,
    ),
    Op(
        name="row_normalize",
        signature=Signature("ij->ij"),
        torch="safe_div({0}, torch.linalg.vector_norm({0}, " + _ROW + "))",
        numpy=lambda x: oracle.safe_div(x, oracle.norm(x, -1)),
        sympy="x/row_norm(x)",
        doc="Each row scaled to norm 1; a row of zeros stays.",
        cost=_SCALING,
        laws=_DIRECTION,
        exceptions="The sympy form is undefined where a row is 0; the op is 0 there.",
        reference="https://arxiv.org/abs/2510.05491",
    ),
    Op(
        name="col_normalize",
        signature=Signature("ij->ij"),
        torch="safe_div({0}, torch.linalg.vector_norm({0}, " + _COL + "))",
        numpy=lambda x: oracle.safe_div(x, oracle.norm(x, -2)),
        sympy="x/col_norm(x)",
        doc="Each column scaled to norm 1; a column of zeros stays.",
        cost=_SCALING,
        laws=_DIRECTION,
        exceptions="The sympy form is undefined where a column is 0; the op is 0 there.",
        reference="https://arxiv.org/abs/2502.07529",
    ),
)

FAMILIES: dict[str, tuple[Op, ...]] = {
    "Reductions to a scalar": _SCALARS,
    "Reductions of rows": _along(-1),
    "Reductions of columns": _along(-2),
    "Normalisations": _NORMALISATIONS,
}
