"""The vocabulary can say the optimizers it must: their rules are well-shaped, and descend.

Each rule is written once over a namespace of ops, and run twice: on symbolic shapes, which proves
that it fits every matrix, and on arrays, where it must shrink a noisy quadratic, tall and wide.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from primitives.shape import COLUMNWISE, FULL, LEFT, RIGHT, ROWWISE, Shape
from primitives.table import OPS


def adafactor(o, g, _t, states):
    row, col = states
    square = o.square(g)
    row, col = o.lerp(row, o.row_mean(square), 0.1), o.lerp(col, o.col_mean(square), 0.1)
    second_moment = o.div(o.mul(row, col), o.mean(row))
    u = o.mul(g, o.rsqrt(second_moment))
    return o.div(u, o.maximum(o.rms(u), 1.0)), row, col


def adam_mini(o, g, t, states):
    m, v = states
    m, v = o.lerp(m, g, 0.1), o.lerp(v, o.row_mean(o.square(g)), 0.05)
    return o.div(o.debias(m, 0.9, t), o.add(o.sqrt(o.debias(v, 0.95, t)), 1e-8)), m, v


def normuon(o, g, _t, states):
    m, v = states
    m = o.lerp(m, g, 0.05)
    u = o.newton_schulz5(o.lerp(g, m, 0.95))
    v = o.lerp(v, o.row_mean(o.square(u)), 0.05)
    scaled = o.div(u, o.add(o.sqrt(v), 1e-8))
    return o.mul(scaled, o.div(o.norm(u), o.norm(scaled))), m, v


def shampoo(o, g, _t, states):
    left, right = states
    left, right = o.add(left, o.gram_left(g)), o.add(right, o.gram_right(g))
    u = o.matmul(o.matmul(o.inv_fourth_root(left), g), o.inv_fourth_root(right))
    return u, left, right


def soap(o, g, t, states):
    m, v, left, right, p, q = states
    left, right = o.lerp(left, o.gram_left(g), 0.05), o.lerp(right, o.gram_right(g), 0.05)
    p, q = o.basis_step(left, p), o.basis_step(right, q)
    m = o.lerp(m, g, 0.1)
    rotated = o.matmul(o.matmul(o.transpose(p), g), q)
    v = o.lerp(v, o.square(rotated), 0.05)
    direction = o.matmul(o.matmul(o.transpose(p), o.debias(m, 0.9, t)), q)
    adam = o.div(direction, o.add(o.sqrt(o.debias(v, 0.95, t)), 1e-8))
    return o.matmul(o.matmul(p, adam), o.transpose(q)), m, v, left, right, p, q


def kron(o, g, _t, states):
    """Whitening by triangular factors; the states are the factors' distance from the identity."""
    eyes = o.identity_left(g), o.identity_right(g)
    p, q = (o.add(state, eye) for state, eye in zip(states, eyes, strict=True))
    white = o.matmul(o.matmul(p, g), o.transpose(q))
    u = o.matmul(o.matmul(o.transpose(p), white), q)

    def step(factor, gram, eye, length):
        goal = o.mul(eye, length)
        excess = o.matmul(o.triu(o.sub(gram, goal)), factor)
        return o.sub(o.sub(factor, o.mul(excess, o.div(0.3, o.norm(o.add(gram, goal))))), eye)

    left = step(p, o.gram_left(white), eyes[0], o.trace(eyes[1]))
    right = step(q, o.gram_right(white), eyes[1], o.trace(eyes[0]))
    return u, left, right


RULES = [
    pytest.param(adafactor, (ROWWISE, COLUMNWISE), id="adafactor"),
    pytest.param(adam_mini, (FULL, ROWWISE), id="adam-mini"),
    pytest.param(normuon, (FULL, ROWWISE), id="normuon"),
    pytest.param(shampoo, (LEFT, RIGHT), id="shampoo"),
    pytest.param(soap, (FULL, FULL, LEFT, RIGHT, LEFT, RIGHT), id="soap"),
    pytest.param(kron, (LEFT, RIGHT), id="kron"),
]


def typed(op):
    def apply(*args):
        shapes = [a if isinstance(a, Shape) else Shape("1", "1") for a in args[: op.arity]]
        result = op.signature.infer(shapes)
        assert result is not None, f"{op.name} does not take {shapes}"
        return result

    return apply


@pytest.mark.parametrize(("rule", "states"), RULES)
def test_fits_every_matrix(rule, states):
    symbolic = SimpleNamespace(**{op.name: typed(op) for op in OPS.values()})
    assert rule(symbolic, FULL, 1, states) == (FULL, *states)


@pytest.mark.parametrize("size", [(6, 3), (3, 6)])
@pytest.mark.parametrize(("rule", "states"), RULES)
def test_descends(rule, states, size):
    columns = SimpleNamespace(**{op.name: op.numpy for op in OPS.values()})
    rng = np.random.default_rng(0)
    w = rng.standard_normal(size)
    first = np.linalg.norm(w)
    values = [np.zeros(shape.sizes(*size)) for shape in states]
    for t in range(1, 61):
        gradient = w + 0.5 * rng.standard_normal(size)  # of ||w||^2 / 2, with noise
        update, *values = rule(columns, gradient, t, values)
        w = w - 0.1 * update * (1 - t / 60)
    assert np.linalg.norm(w) < 0.8 * first
