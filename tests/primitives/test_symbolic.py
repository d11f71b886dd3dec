"""Formulas: every rewrite that the opaque functions make is true of the numbers."""

import numpy as np
import pytest
import sample_tensors as samples
import sympy

from primitives import symbolic
from primitives.symbolic import STEP, apply, tensor
from primitives.table import OPS

FUNCTIONS = [pytest.param(op, id=op.name) for op in OPS.values() if op.arity]
m, g = tensor("m"), tensor("g")


def say(name, *args, constants=()):
    return apply(OPS[name], args, constants)


def evaluate(formula, names, args):
    columns = {op.name: op.numpy for op in OPS.values() if not op.sympy}
    function = sympy.lambdify([*names, STEP], formula, [columns, "numpy"])
    with np.errstate(all="ignore"):
        return function(*args, samples.STEP)


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("factor", [-1.0, 4.0, -0.25])
def test_rewrites_are_true(op, factor):
    """Scaled and negated arguments, so that every law of every row has something to rewrite."""
    names = [tensor(name) for name in "xyz"[: op.arity]]
    for constants in samples.constants_of(op):
        args = samples.arguments(op, size=(4, 6))
        low, high = op.domain
        if factor < 0 <= low or (np.isfinite([low, high]).any() and abs(factor) > 1):
            return
        formula = apply(op, [factor * name for name in names], constants)
        with np.errstate(all="ignore"):
            scaled = [factor * a for a in args]
            expected = op.numpy(*scaled, *constants, *samples.extra(op))
        actual = np.broadcast_to(evaluate(formula, names, args), expected.shape)
        scale = np.nanmax(np.abs(expected), initial=1.0)
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9 * scale)


def test_positive_factors_leave_scale_free_ops():
    assert say("sign", 3 * g) == say("sign", g)
    assert say("cosine", 2 * m, -g) == -say("cosine", g, m)
    assert say("normalize", 5 * g) == say("normalize", g)


def test_factors_leave_homogeneous_ops():
    assert say("norm", -3 * g) == 3 * say("norm", g)
    assert say("mean", -3 * g) == -3 * say("mean", g)
    assert say("gram_left", -3 * g) == 9 * say("gram_left", g)
    assert say("inv_sqrt", 4 * m) == say("inv_sqrt", m) / 2


def test_bias_correction_is_a_positive_factor():
    corrected = say("debias", m, constants=(0.9,))
    assert say("norm", corrected) == say("debias", say("norm", m), constants=(0.9,))
    assert symbolic.positive(1 - sympy.Float(0.9) ** STEP)
    assert not symbolic.positive(1 - sympy.Float(1.1) ** STEP)
    assert not symbolic.positive(g)


def test_inexact_laws_rewrite_nothing():
    assert say("newton_schulz5", 2 * g) != say("newton_schulz5", g)
    assert say("newton_schulz5", -g) == -say("newton_schulz5", g)


def test_newton_schulz_does_not_collapse():
    once = say("newton_schulz5", g)
    assert say("newton_schulz5", once) != once
    assert say("mean", say("mean", g)) == say("mean", g)
    assert say("transpose", say("transpose", g)) == g


def test_symmetric_ops_ignore_the_order():
    assert say("dot", g, m) == say("dot", m, g)
    assert say("matmul", g, m) != say("matmul", m, g)


def test_zero_stays_zero():
    assert say("newton_schulz5", 0 * g) == 0
    assert say("dot", m, 0 * g) == 0
    assert say("identity_left", 0 * g) != 0


def test_the_size_of_a_constant_tensor_is_not_forgotten():
    """The norm of a matrix of twos is not 2."""
    assert say("norm", sympy.Integer(2)) != 2


def test_functions_are_made_once():
    assert symbolic.opaque("norm") is symbolic.opaque("norm")


def test_known_rules_read_well():
    lion = say("sign", say("lerp", m, g, constants=(0.1,)))
    assert sympy.latex(lion) == r"\operatorname{sign}{\left(0.1 g + 0.9 m \right)}"
    assert sympy.latex(say("newton_schulz5", g)) == r"\operatorname{NS}_{5}\left(g\right)"
    assert sympy.latex(say("norm", g) ** 2) == r"\left(\left\lVert g \right\rVert\right)^{2}"
    assert sympy.latex(say("matmul", g + m, say("transpose", g))) == (
        r"\left(g + m\right) \mathbin{@} g^{\top}"
    )
    assert sympy.latex(say("row_max_abs", g)) == r"\operatorname{row\,max\,abs}\left(g\right)"


def test_constants_may_be_symbols():
    a = sympy.Symbol("a", positive=True)
    assert sympy.expand(say("lerp", m, g, constants=(a,)) - (m + a * (g - m))) == 0
