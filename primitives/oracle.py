"""The numpy column's longer bodies: the ops once more, written without torch.

They are the oracle of the tests and what the fingerprint runs, thousands of programs a second on
tiny float64 arrays; hence plain ufuncs, and warnings are the caller's to silence (`np.errstate`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "basis_step",
    "clip_to",
    "cosine",
    "dot",
    "eig_basis",
    "identity",
    "inverse_root",
    "max_abs",
    "mean",
    "newton_schulz",
    "norm",
    "polar_express",
    "quintic",
    "rms",
    "rsqrt",
    "safe_div",
    "signed_power",
    "total",
]

AnyArray = np.ndarray[Any, Any]
Axes = int | tuple[int, int]
ALL: Axes = (-2, -1)


def safe_div(x: Any, y: Any) -> AnyArray:
    """Return x / y, and 0 where y is 0."""
    if np.logical_and.reduce(y, axis=None):  # a third of the cost of `where`, and the common case
        return x / y
    return np.where(np.equal(y, 0.0), 0.0, np.divide(x, y))


def rsqrt(x: AnyArray) -> AnyArray:
    """1 / sqrt(x), and 0 at 0."""
    return safe_div(1.0, np.sqrt(x))


def signed_power(x: AnyArray, exponent: float) -> AnyArray:
    """sign(x) |x|^exponent, and 0 at 0."""
    return np.where(x == 0.0, 0.0, np.sign(x) * np.power(np.abs(x), exponent))


def clip_to(x: Any, bound: Any) -> AnyArray:
    """Return x clipped to [-|bound|, |bound|]."""
    bound = np.abs(bound)
    return np.minimum(np.maximum(x, -bound), bound)


def total(x: AnyArray, axis: Axes = ALL) -> AnyArray:
    """The sum, axes kept."""
    return np.add.reduce(x, axis=axis, keepdims=True)


def mean(x: AnyArray, axis: Axes = ALL) -> AnyArray:
    """The mean, axes kept; NaN of nothing."""
    count = x.shape[-2] * x.shape[-1] if axis == ALL else x.shape[axis]  # type: ignore[index]
    return np.add.reduce(x, axis=axis, keepdims=True) / count


def norm(x: AnyArray, axis: Axes = ALL) -> AnyArray:
    """The square root of the sum of squares, axes kept."""
    return np.sqrt(np.add.reduce(x * x, axis=axis, keepdims=True))


def rms(x: AnyArray, axis: Axes = ALL) -> AnyArray:
    """The root of the mean square, axes kept."""
    return np.sqrt(mean(x * x, axis))


def max_abs(x: AnyArray, axis: Axes = ALL) -> AnyArray:
    """The largest magnitude, axes kept; 0 of nothing."""
    return np.maximum.reduce(np.abs(x), axis=axis, keepdims=True, initial=0.0)


def dot(x: AnyArray, y: AnyArray) -> AnyArray:
    """The inner product of two matrices."""
    return np.add.reduce(x * y, axis=ALL, keepdims=True)


def cosine(x: AnyArray, y: AnyArray) -> AnyArray:
    """The cosine of the angle between two matrices; 0 if one of them is 0."""
    return safe_div(safe_div(dot(x, y), norm(x)), norm(y))


def _iterate(x: AnyArray, coefficients: tuple[tuple[float, float, float], ...]) -> AnyArray:
    # Multiplies on the shorter side, so that no transpose is needed: a X + X (b G + c G^2).
    wide = x.shape[-2] <= x.shape[-1]
    for a, b, c in coefficients:
        gram = x @ x.mT if wide else x.mT @ x
        series = b * gram + c * gram @ gram
        x = a * x + (series @ x if wide else x @ series)
    return x


def quintic(x: AnyArray, a: float, b: float, c: float) -> AnyArray:
    """One step of a quintic iteration: a X + (b G + c G^2) X, for G = X X^T."""
    return _iterate(x, ((a, b, c),))


def newton_schulz(x: AnyArray, steps: int) -> AnyArray:
    """Keller Jordan's quintic Newton-Schulz iteration."""
    return _iterate(x / (norm(x) + 1e-7), ((3.4445, -4.7750, 2.0315),) * steps)


def polar_express(x: AnyArray) -> AnyArray:
    """Polar Express, five steps."""
    coefficients = (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    )
    return _iterate(x / (1.02 * norm(x) + 1e-7), coefficients)


def _eigh(x: AnyArray) -> tuple[Any, AnyArray, AnyArray]:
    finite = np.isfinite(x).all(axis=ALL, keepdims=True)
    values, vectors = np.linalg.eigh(np.where(finite, 0.5 * (x + x.mT), 0.0))
    return finite, values, vectors


def inverse_root(x: AnyArray, order: int) -> AnyArray:
    """x^(-1/order) of a positive semidefinite matrix, damped by 1e-6 of its largest eigenvalue."""
    finite, values, vectors = _eigh(x)
    values = np.maximum(values, 0.0)
    damped = values + 1e-6 * values[..., -1:]
    powers = safe_div(1.0, damped ** (1 / order))
    return np.where(finite, vectors * powers[..., None, :] @ vectors.mT, np.nan)


def eig_basis(x: AnyArray) -> AnyArray:
    """Eigenvectors as columns, by rising eigenvalue, each with a nonnegative sum."""
    finite, _, vectors = _eigh(x)
    signs = np.where(np.add.reduce(vectors, axis=-2, keepdims=True) < 0.0, -1.0, 1.0)
    return np.where(finite, vectors * signs, np.nan)


def basis_step(x: AnyArray, basis: AnyArray) -> AnyArray:
    """One step of orthogonal iteration; a basis of zeros stands for the identity."""
    eye = np.eye(x.shape[-1])
    product = x @ np.where(basis.any(axis=ALL, keepdims=True), basis, eye)
    finite = np.isfinite(product).all(axis=ALL, keepdims=True)
    q, r = np.linalg.qr(np.where(finite, product, eye))
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1)[..., None, :] < 0.0, -1.0, 1.0)
    return np.where(finite, q * signs, np.nan)


def identity(x: AnyArray, axis: int) -> AnyArray:
    """The identity matrix of the size of an axis of x, one for each lane."""
    size = x.shape[axis]
    return np.broadcast_to(np.eye(size), (*x.shape[:-2], size, size)).copy()
