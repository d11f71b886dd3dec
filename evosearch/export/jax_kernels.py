"""Bodies of the ops that are longer than an expression, in jax: source for exported files.

Never imported here, so that jax need not be installed: the writer of optax files copies functions
out of the text. Each is the function of the same name in `primitives.kernels`.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import jax
import jax.numpy as jnp

__all__ = [
    "basis_step",
    "clip_to",
    "cosine",
    "eig_basis",
    "inverse_root",
    "kept",
    "max_abs",
    "newton_schulz",
    "norm",
    "polar_express",
    "rms",
    "safe_div",
    "signed_power",
]


def safe_div(x, y):
    """Return x / y, and 0 where y is 0."""
    return jnp.where(y == 0, 0.0, x / jnp.where(y == 0, 1.0, y))


def signed_power(x, exponent):
    """Return sign(x) |x|^exponent, and 0 at 0."""
    magnitude = jnp.where(x == 0, 1.0, jnp.abs(x))
    return jnp.where(x == 0, 0.0, jnp.sign(x) * magnitude**exponent)


def clip_to(x, bound):
    """Return x clipped to [-|bound|, |bound|]."""
    return jnp.clip(x, -jnp.abs(bound), jnp.abs(bound))


def norm(x, axis):
    """Return the Euclidean norm along axes that are kept."""
    return jnp.sqrt(jnp.sum(x * x, axis, keepdims=True))


def rms(x, axis):
    """Return the root of the mean square along axes that are kept."""
    return jnp.sqrt(jnp.mean(x * x, axis, keepdims=True))


def kept(x, before, after):
    """Return x scaled from the sizes `after` to the sizes `before`, as it is where one is 0."""
    moved = (before != 0) & (after != 0)
    return jnp.where(moved, x * (before / jnp.where(moved, after, 1.0)), x)


def max_abs(x, axis):
    """Return the largest magnitude along axes that are kept."""
    return jnp.max(jnp.abs(x), axis, keepdims=True, initial=0.0)


def cosine(x, y):
    """Return the cosine of the angle between x and y; 0 if one of them is 0."""
    product = jnp.sum(x * y, keepdims=True)
    return safe_div(safe_div(product, norm(x, (-2, -1))), norm(y, (-2, -1)))


def newton_schulz(x, steps):
    """Push the singular values of a matrix towards 1 by Newton-Schulz iteration.

    Source: https://kellerjordan.github.io/posts/muon/
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[-2] > x.shape[-1]
    y = x.T if tall else x
    y = y / (norm(y, (-2, -1)) + 1e-7)

    def step(_, y):
        gram = y @ y.T
        return a * y + (b * gram + c * (gram @ gram)) @ y

    y = jax.lax.fori_loop(0, steps, step, y)  # steps may be traced
    return y.T if tall else y


def quintic(x, a, b, c):
    """Move the singular values s of a matrix to a s + b s^3 + c s^5."""
    gram = x @ x.T
    return a * x + (b * gram + c * (gram @ gram)) @ x


def polar_express(x):
    """Approximate the orthogonal polar factor of a matrix in five minimax quintic steps.

    Source: https://arxiv.org/abs/2505.16932
    """
    coefficients = (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    )
    tall = x.shape[-2] > x.shape[-1]
    y = x.T if tall else x
    y = y / (1.02 * norm(y, (-2, -1)) + 1e-7)
    for a, b, c in coefficients:
        gram = y @ y.T
        y = a * y + (b * gram + c * (gram @ gram)) @ y
    return y.T if tall else y


def inverse_root(x, order):
    """Return x^(-1/order) of a symmetric positive semidefinite matrix, damped by 1e-6."""
    values, vectors = jnp.linalg.eigh((x + x.T) / 2)
    values = jnp.maximum(values, 0.0)
    largest = values[-1:]
    damped = jnp.where(largest > 0, values + 1e-6 * largest, 1.0)
    powers = jnp.where(largest > 0, damped ** (-1 / order), 0.0)
    return (vectors * powers) @ vectors.T


def eig_basis(x):
    """Return the eigenvectors of a symmetric matrix as columns, by rising eigenvalue."""
    vectors = jnp.linalg.eigh((x + x.T) / 2)[1]
    return jnp.where(jnp.sum(vectors, 0, keepdims=True) < 0, -vectors, vectors)


def basis_step(x, basis):
    """Return an orthogonal basis one power iteration closer to the eigenvectors of x."""
    unset = jnp.all(basis == 0)
    q, r = jnp.linalg.qr(x @ jnp.where(unset, jnp.eye(x.shape[-1], dtype=x.dtype), basis))
    return jnp.where(jnp.diagonal(r) < 0, -q, q)
