"""Torch bodies of the ops that are longer than an expression.

Every kernel is a pure function: it writes to none of its arguments and its result shares memory
with none of them. Tensors are ``(..., m, n)``; leading dimensions are lanes and are never mixed.
Results have the arguments' dtype. Each body needs nothing but ``torch`` and other kernels, because
an exported optimizer carries a copy of its source. Annotations say Tensor also where an argument
may be a Python number: that at least one is a tensor cannot be written as a type.

Lanes are also bitwise independent of their neighbours on a CPU, which torch's pow, sinh, cosh,
sigmoid and atan2 are not: they round the last few entries of a tensor differently from the rest.
Hence the exponentials and logarithms here and in the table.
"""

from __future__ import annotations

import torch

__all__ = [
    "basis_step",
    "clip_to",
    "cosine",
    "eig_basis",
    "every",
    "identity",
    "inverse_root",
    "kept",
    "max_abs",
    "maximum",
    "minimum",
    "newton_schulz",
    "polar_express",
    "quintic",
    "safe_div",
    "select",
    "signed_power",
]


def safe_div(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return x / y, and 0 where y is 0. One of the two may be a number."""
    if not isinstance(y, torch.Tensor):
        return x / y if y != 0 else torch.zeros_like(x)
    return torch.where(y.bool(), x / y, 0.0)  # on a CPU .bool() is faster than != 0


def signed_power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return sign(x) |x|^exponent: defined on the whole line, odd, and 0 at 0 for any exponent."""
    power = torch.sign(x) * torch.exp(exponent * torch.log(torch.abs(x)))
    return torch.where(x.bool(), power, 0.0)


def maximum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the larger of x and y. One of the two may be a number."""
    if isinstance(x, torch.Tensor):
        return torch.clamp(x, min=y)
    return torch.clamp(y, min=x)


def minimum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the smaller of x and y. One of the two may be a number."""
    if isinstance(x, torch.Tensor):
        return torch.clamp(x, max=y)
    return torch.clamp(y, max=x)


def clip_to(x: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
    """Return x clipped to [-|bound|, |bound|]. One of the two may be a number."""
    bound = abs(bound)
    if not isinstance(x, torch.Tensor):
        x = torch.full_like(bound, x)
    return torch.clamp(x, -bound, bound)


def select(condition: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return x where condition > 0, else y. At least one of the three is a tensor."""
    like = next(v for v in (condition, x, y) if isinstance(v, torch.Tensor))
    where = torch.as_tensor(condition, device=like.device) > 0
    return torch.where(where, x, y).to(like.dtype)  # of two numbers, torch makes the default dtype


def kept(x: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return x scaled from the sizes `after` to the sizes `before`, as it is where one is 0."""
    return torch.where(before.bool() & after.bool(), x * (before / after), x)


def max_abs(x: torch.Tensor, dim: int | tuple[int, int]) -> torch.Tensor:
    """Return the largest |x| over `dim`, kept as size 1; 0 if there are no entries."""
    magnitude = torch.abs(x)
    if magnitude.numel() == 0:
        return magnitude.sum(dim, keepdim=True)  # amax refuses an empty tensor
    return magnitude.amax(dim, keepdim=True)


def cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the cosine of the angle between x and y (..., 1, 1); 0 if one of them is 0."""
    dims = (-2, -1)
    product = (x * y).sum(dims, keepdim=True)
    for v in (x, y):  # one after the other: the product of two norms may underflow
        size = torch.linalg.vector_norm(v, dim=dims, keepdim=True)
        product = torch.where(size == 0, 0.0, product / size)
    return product


def every(x: torch.Tensor, y: torch.Tensor, period: float, t: float | torch.Tensor) -> torch.Tensor:
    """Return x on step 1 and every period-th step after it, else y, in new memory.

    Where the step t is a number, the one that is not taken is not looked at.
    """
    due = (t - 1) % period == 0
    if isinstance(due, torch.Tensor):
        return torch.where(due.to(x.device), x, y)
    return (x if due else y).clone()


def identity(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return, for each lane of x, the identity matrix of the size of dimension `dim`."""
    size = x.shape[dim]
    eye = torch.eye(size, dtype=x.dtype, device=x.device)
    return eye.expand(*x.shape[:-2], size, size).clone()


def quintic(y: torch.Tensor, coefficients: list[tuple[float, float, float]]) -> torch.Tensor:
    """Move y's singular values s to a s + b s^3 + c s^5, for one (a, b, c) after another."""
    shape, tall = y.shape, y.shape[-2] > y.shape[-1]
    y = y.unsqueeze(0).flatten(0, -3)  # baddbmm scales and adds as it multiplies, in 3-D alone
    for a, b, c in coefficients:
        gram = torch.bmm(y.mT, y) if tall else torch.bmm(y, y.mT)  # of the shorter side
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factors = (y, poly) if tall else (poly, y)
        y = torch.baddbmm(y, *factors, beta=a)
    return y.reshape(shape)


def newton_schulz(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Push the singular values of x (..., m, n) towards 1 by Newton-Schulz iteration.

    The quintic's coefficients are Keller Jordan's, chosen for the steepest slope at zero: after
    five steps the singular values lie roughly in [0.7, 1.2], not at 1. Computed in x's dtype.
    Source: https://kellerjordan.github.io/posts/muon/
    """
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    return quintic(x / (norm + 1e-7), [(3.4445, -4.7750, 2.0315)] * steps)


def polar_express(x: torch.Tensor) -> torch.Tensor:
    """Approximate the orthogonal polar factor of x (..., m, n) in five minimax quintic steps.

    Coefficients: the five-step list of modded-nanogpt (safety factor 1.02, cushion 2), made by the
    method of Amsel et al., https://arxiv.org/abs/2505.16932. Computed in x's dtype.
    """
    coefficients = [
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    ]
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    return quintic(x / (1.02 * norm + 1e-7), coefficients)


def inverse_root(x: torch.Tensor, order: int) -> torch.Tensor:
    """Return x^(-1/order) of symmetric positive semidefinite x (..., a, a).

    Only the symmetric part of x counts. Eigenvalues are clamped at 0 and raised by 1e-6 of the
    largest, so a singular matrix has a finite root; the root of 0 is 0. A matrix with a non-finite
    entry becomes all NaN and disturbs no other lane. Half precision is computed in float32.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    finite = torch.isfinite(wide).all(-1, keepdim=True).all(-2, keepdim=True)
    # LAPACK raises on what is not finite, for all lanes at once: halves cannot overflow.
    symmetric = torch.where(finite, wide / 2 + wide.mT / 2, 0.0)
    values, vectors = torch.linalg.eigh(symmetric)
    values = values.clamp(min=0.0)
    largest = values[..., -1:]
    powers = torch.exp(torch.log(values + 1e-6 * largest) / -order)
    powers = torch.where(largest > 0, powers, 0.0)
    root = (vectors * powers.unsqueeze(-2)) @ vectors.mT
    return torch.where(finite, root, torch.nan).to(x.dtype)


def eig_basis(x: torch.Tensor) -> torch.Tensor:
    """Return the eigenvectors of symmetric x (..., a, a) as columns, by rising eigenvalue.

    Only the symmetric part of x counts. The sign of a column makes its sum nonnegative. A matrix
    with a non-finite entry becomes all NaN and disturbs no other lane.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    finite = torch.isfinite(wide).all(-1, keepdim=True).all(-2, keepdim=True)
    # LAPACK raises on what is not finite, for all lanes at once: halves cannot overflow.
    symmetric = torch.where(finite, wide / 2 + wide.mT / 2, 0.0)
    vectors = torch.linalg.eigh(symmetric).eigenvectors
    vectors = torch.where(vectors.sum(-2, keepdim=True) < 0, -vectors, vectors)
    return torch.where(finite, vectors, torch.nan).to(x.dtype)


def basis_step(x: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return an orthogonal basis one power iteration closer to the eigenvectors of x.

    Orthonormalises x @ basis by QR with a nonnegative diagonal of R. A basis of zeros, as a state
    is at the start, stands for the identity. A lane with a non-finite entry becomes all NaN.

    Args:
        x: symmetric matrices (..., a, a).
        basis: orthogonal matrices of the same shape, from the step before.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    eye = torch.eye(x.shape[-1], dtype=wide.dtype, device=x.device)
    unset = (basis == 0).all(-1, keepdim=True).all(-2, keepdim=True)
    product = wide @ torch.where(unset, eye, basis.to(wide.dtype))
    finite = torch.isfinite(product).all(-1, keepdim=True).all(-2, keepdim=True)
    q, r = torch.linalg.qr(torch.where(finite, product, eye))
    flip = torch.diagonal(r, dim1=-2, dim2=-1).unsqueeze(-2) < 0
    return torch.where(finite, torch.where(flip, -q, q), torch.nan).to(x.dtype)
