"""Rows: matrix products, orthogonalisation, and what preconditioners are made of."""

from __future__ import annotations

from typing import Final

import numpy as np

from primitives import oracle
from primitives.op import Constant, Cost, Law, Op, Signature

__all__ = ["FAMILIES"]

_MUON: Final = "https://kellerjordan.github.io/posts/muon/"
_MOONLIGHT: Final = "https://arxiv.org/abs/2502.16982"
_SHAMPOO: Final = "https://arxiv.org/abs/1802.09568"
_SOAP: Final = "https://arxiv.org/abs/2409.11321"
_SCION: Final = "https://arxiv.org/abs/2502.07529"
_KRON: Final = "https://arxiv.org/abs/1512.04202"
_LINALG: Final = "https://docs.pytorch.org/docs/stable/generated/torch.{}.html"

_LINEAR = frozenset({Law.LINEAR, Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING})

_CONSTANT = frozenset(
    {Law.EVEN, Law.SIGN_BLIND, Law.SCALE_INVARIANT}
    | {Law.IDEMPOTENT, Law.NONNEGATIVE, Law.MONOTONE}
)

_CONSTANT_SIZE = frozenset(
    {Law.EVEN, Law.SIGN_BLIND, Law.SCALE_INVARIANT, Law.NONNEGATIVE, Law.POSITIVE, Law.MONOTONE}
)

_PRODUCTS: tuple[Op, ...] = (
    Op(
        name="matmul",
        signature=Signature("ij,jk->ik"),
        torch="{0} @ {1}",
        numpy=np.matmul,
        sympy="",
        doc="Matrix product.",
        cost=Cost("2 * m * n * k", "m * n + n * k + m * k"),
        laws=frozenset({Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING}),
        reference=_LINALG.format("matmul"),
    ),
    Op(
        name="transpose",
        signature=Signature("ij->ji"),
        torch="{0}.mT.clone()",
        numpy=lambda x: x.mT.copy(),
        sympy="",
        doc="Transpose.",
        cost=Cost("0", "2 * m * n"),
        laws=_LINEAR | {Law.INVOLUTION, Law.TRANSPOSE_EQUIVARIANT, Law.MONOTONE},
        reference=_LINALG.format("transpose"),
    ),
    Op(
        name="gram_left",
        signature=Signature("ij->ii"),
        torch="{0} @ {0}.mT",
        numpy=lambda x: x @ x.mT,
        sympy="",
        doc="x x^T: inner products of the rows.",
        cost=Cost("2 * m * m * n", "m * n + m * m"),
        degree=2,
        laws=frozenset({Law.EVEN, Law.ZERO_PRESERVING}),
        reference=_SHAMPOO,
    ),
    Op(
        name="gram_right",
        signature=Signature("ij->jj"),
        torch="{0}.mT @ {0}",
        numpy=lambda x: x.mT @ x,
        sympy="",
        doc="x^T x: inner products of the columns.",
        cost=Cost("2 * m * n * n", "m * n + n * n"),
        degree=2,
        laws=frozenset({Law.EVEN, Law.ZERO_PRESERVING}),
        reference=_SHAMPOO,
    ),
    Op(
        name="rows",
        signature=Signature("ij->11"),
        torch="{0}.new_full((*{0}.shape[:-2], 1, 1), {0}.shape[-2])",
        numpy=lambda x: np.full((*x.shape[:-2], 1, 1), float(x.shape[-2])),
        sympy="",
        doc="The number of rows.",
        cost=Cost("1", "1"),
        laws=_CONSTANT_SIZE,
        drawn=False,
        reference=_SCION,
    ),
    Op(
        name="cols",
        signature=Signature("ij->11"),
        torch="{0}.new_full((*{0}.shape[:-2], 1, 1), {0}.shape[-1])",
        numpy=lambda x: np.full((*x.shape[:-2], 1, 1), float(x.shape[-1])),
        sympy="",
        doc="The number of columns.",
        cost=Cost("1", "1"),
        laws=_CONSTANT_SIZE,
        drawn=False,
        reference=_SCION,
    ),
    Op(
        name="identity_left",
        signature=Signature("ij->ii"),
        torch="identity({0}, -2)",
        numpy=lambda x: oracle.identity(x, -2),
        sympy="",
        doc="Identity matrix with as many rows as x.",
        cost=Cost("0", "m * m"),
        laws=_CONSTANT,
        reference=_LINALG.format("eye"),
    ),
    Op(
        name="identity_right",
        signature=Signature("ij->jj"),
        torch="identity({0}, -1)",
        numpy=lambda x: oracle.identity(x, -1),
        sympy="",
        doc="Identity matrix with as many rows as x has columns.",
        cost=Cost("0", "n * n"),
        laws=_CONSTANT,
        reference=_LINALG.format("eye"),
    ),
    Op(
        name="trace",
        signature=Signature("ii->11"),
        torch="torch.diagonal({0}, dim1=-2, dim2=-1).sum(-1)[..., None, None]",
        numpy=lambda x: np.trace(x, axis1=-2, axis2=-1)[..., None, None],
        sympy="",
        doc="Sum of the diagonal of a square matrix.",
        cost=Cost("m", "m"),
        laws=_LINEAR | {Law.IDEMPOTENT, Law.MONOTONE, Law.TRANSPOSE_EQUIVARIANT},
        reference=_LINALG.format("trace"),
    ),
    Op(
        name="triu",
        signature=Signature("ii->ii"),
        torch="torch.triu({0})",
        numpy=np.triu,
        sympy="",
        doc="Upper triangle of a square matrix, zeros below.",
        cost=Cost("0", "2 * m * m"),
        laws=_LINEAR | {Law.IDEMPOTENT, Law.MONOTONE},
        reference=_KRON,
    ),
)

_ORTHOGONALISER = frozenset(
    {Law.ODD, Law.SCALE_INVARIANT, Law.TRANSPOSE_EQUIVARIANT, Law.ZERO_PRESERVING}
)
_EPSILON = (
    "Scale invariance: the norm is raised by 1e-7, so it holds to about 1e-7 / ||x||. "
    "Not idempotent: singular values near 1 are moved again."
)


def _quintic(steps: int) -> Cost:
    side = "min(m, n)"
    flops = f"{steps} * (4 * m * n * {side} + 2 * {side}**3 + 2 * m * n + 3 * {side}**2)"
    return Cost(flops, f"{steps} * (6 * m * n + 6 * {side}**2)")


_ORTHOGONALISATION: tuple[Op, ...] = (
    Op(
        name="quintic",
        signature=Signature("ij->ij"),
        torch="quintic({0}, [({1}, {2}, {3})])",
        numpy=oracle.quintic,
        sympy="",
        doc="a x + (b x x^T + c (x x^T)^2) x: one step of Newton-Schulz, with coefficients of "
        "one's own.",
        cost=_quintic(1),
        constants=(Constant.COEFFICIENT,) * 3,
        probes=((3.4445, -4.7750, 2.0315), (1.5, -0.5, 0.0)),
        laws=frozenset({Law.ODD, Law.TRANSPOSE_EQUIVARIANT, Law.ZERO_PRESERVING}),
        drawn=False,
        reference=_MUON,
    ),
    Op(
        name="newton_schulz3",
        signature=Signature("ij->ij"),
        torch="newton_schulz({0}, 3)",
        numpy=lambda x: oracle.newton_schulz(x, 3),
        sympy="",
        doc="Singular values pushed towards 1: three steps of Muon's quintic Newton-Schulz.",
        cost=_quintic(3),
        laws=_ORTHOGONALISER,
        inexact=frozenset({Law.SCALE_INVARIANT}),
        exceptions=_EPSILON,
        reference=_MUON,
    ),
    Op(
        name="newton_schulz5",
        signature=Signature("ij->ij"),
        torch="newton_schulz({0}, 5)",
        numpy=lambda x: oracle.newton_schulz(x, 5),
        sympy="",
        doc="Singular values pushed to about 1: five steps of Muon's quintic Newton-Schulz.",
        cost=_quintic(5),
        laws=_ORTHOGONALISER,
        inexact=frozenset({Law.SCALE_INVARIANT}),
        exceptions=_EPSILON,
        reference=_MUON,
    ),
    Op(
        name="polar_express",
        signature=Signature("ij->ij"),
        torch="polar_express({0})",
        numpy=oracle.polar_express,
        sympy="",
        doc="Approximate polar factor: five steps with a minimax quintic each.",
        cost=_quintic(5),
        laws=_ORTHOGONALISER,
        inexact=frozenset({Law.SCALE_INVARIANT}),
        exceptions=_EPSILON,
        reference="https://arxiv.org/abs/2505.16932",
    ),
    Op(
        name="spectral_scale",
        signature=Signature("ij->ij"),
        torch="{0} * max(1.0, {0}.shape[-2] / max(1, {0}.shape[-1])) ** 0.5",
        numpy=lambda x: x * max(1.0, x.shape[-2] / max(1, x.shape[-1])) ** 0.5,
        sympy="",
        doc="x sqrt(max(1, rows / columns)): Muon's factor for the shape of the matrix.",
        cost=Cost("m * n", "2 * m * n"),
        laws=_LINEAR | {Law.MONOTONE, Law.SIGN_KEEPING, Law.MULTIPLE},
        reference=_MUON,
    ),
    Op(
        name="rms_scale",
        signature=Signature("ij->ij"),
        torch="{0} * (0.2 * max({0}.shape[-2:]) ** 0.5)",
        numpy=lambda x: x * (0.2 * max(x.shape[-2:]) ** 0.5),
        sympy="",
        doc="x 0.2 sqrt(max(rows, columns)): makes orthogonal updates as large as Adam's.",
        cost=Cost("m * n", "2 * m * n"),
        laws=_LINEAR | {Law.MONOTONE, Law.SIGN_KEEPING, Law.MULTIPLE, Law.TRANSPOSE_EQUIVARIANT},
        reference=_MOONLIGHT,
    ),
)

_DAMPED = "A true inverse root to about 1e-6 of the largest eigenvalue, by which all are raised."

_ROOTS: tuple[Op, ...] = (
    Op(
        name="inv_sqrt",
        signature=Signature("ii->ii"),
        torch="inverse_root({0}, 2)",
        numpy=lambda x: oracle.inverse_root(x, 2),
        sympy="",
        doc="x^(-1/2) of a symmetric positive semidefinite matrix, damped.",
        cost=Cost("11 * m**3", "8 * m * m"),
        degree=-0.5,
        laws=frozenset({Law.ZERO_PRESERVING, Law.TRANSPOSE_EQUIVARIANT}),
        exceptions=_DAMPED,
        reference=_SHAMPOO,
    ),
    Op(
        name="inv_fourth_root",
        signature=Signature("ii->ii"),
        torch="inverse_root({0}, 4)",
        numpy=lambda x: oracle.inverse_root(x, 4),
        sympy="",
        doc="x^(-1/4) of a symmetric positive semidefinite matrix, damped.",
        cost=Cost("11 * m**3", "8 * m * m"),
        degree=-0.25,
        laws=frozenset({Law.ZERO_PRESERVING, Law.TRANSPOSE_EQUIVARIANT}),
        exceptions=_DAMPED,
        reference=_SHAMPOO,
    ),
    Op(
        name="eig_basis",
        signature=Signature("ii->ii"),
        torch="eig_basis({0})",
        numpy=oracle.eig_basis,
        sympy="",
        doc="Eigenvectors of a symmetric matrix as columns, by rising eigenvalue.",
        cost=Cost("9 * m**3", "6 * m * m"),
        laws=frozenset({Law.SCALE_INVARIANT}),
        exceptions="Vectors of equal eigenvalues are any basis of their space; "
        "scale invariance and the reference hold where eigenvalues are distinct.",
        inexact=frozenset({Law.SCALE_INVARIANT}),
        reference=_SOAP,
    ),
    Op(
        name="basis_step",
        signature=Signature("ii,ii->ii"),
        torch="basis_step({0}, {1})",
        numpy=oracle.basis_step,
        sympy="",
        doc="The orthogonal basis y one power iteration closer to the eigenvectors of x, by QR; "
        "a y of zeros stands for the identity.",
        cost=Cost("5 * m**3", "8 * m * m"),
        laws=frozenset({Law.ODD, Law.SCALE_INVARIANT}),
        exceptions="Where x y is singular its null directions are any basis of their space; "
        "the laws and the reference hold where it is regular.",
        inexact=frozenset({Law.ODD, Law.SCALE_INVARIANT}),
        reference=_SOAP,
    ),
)

FAMILIES: dict[str, tuple[Op, ...]] = {
    "Matrix products": _PRODUCTS,
    "Orthogonalisation": _ORTHOGONALISATION,
    "Inverse roots and bases": _ROOTS,
}
