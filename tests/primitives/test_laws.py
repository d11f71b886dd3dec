"""The laws of every row: those that a row declares hold, and those that hold are declared."""

import numpy as np
import pytest
import sample_tensors as samples

from primitives.op import Law, Op
from primitives.table import OPS

# An op that keeps a norm hands its operand on; what it does, it does to the weights.
FUNCTIONS = [pytest.param(op, id=op.name) for op in OPS.values() if op.arity and not op.keeps]
SEEDS = range(3)

# What "up to a tolerance" means in a row's `inexact`; everything else is exact up to rounding.
LOOSE = 1e-5

ANY_SQUARE = {"trace", "triu"}  # defined for any square matrix; the others want a semidefinite one


def call(op: Op, *args, constants):
    with np.errstate(all="ignore"):
        return op.numpy(*args, *constants, *samples.extra(op))


def alike(x, y, tolerance):
    """Equal shapes and entries, where both are finite somewhere."""
    if x.shape != y.shape or not np.isfinite(x).any():
        return False
    return np.allclose(x, y, rtol=tolerance, atol=tolerance * np.nanmax(np.abs(y), initial=0.0))


def trials(op: Op):
    """Arguments and constants inside the domain: several seeds, shapes and signs, some zeros."""
    for seed in SEEDS:
        for constants in samples.constants_of(op):
            for magnitude, size in (("normal", "tall"), ("sparse", "wide")):
                args = samples.arguments(op, seed, samples.SIZES[size], magnitude=magnitude)
                if op.name in ANY_SQUARE:
                    args = [np.random.default_rng(seed).standard_normal(a.shape) for a in args]
                yield args, constants


def scaled(op, args, constants, factor):
    (x, *rest) = args
    return call(op, factor * x, *rest, constants=constants)


def is_scale_invariant(op, args, constants, tolerance):
    base = call(op, *args, constants=constants)
    return all(alike(scaled(op, args, constants, c), base, tolerance) for c in (0.25, 3.0))


def is_homogeneous(op, args, constants, tolerance, degree=1.0):
    base = call(op, *args, constants=constants)
    return all(
        alike(scaled(op, args, constants, c), c**degree * base, tolerance) for c in (0.25, 3.0)
    )


def is_odd(op, args, constants, tolerance):
    base = call(op, *args, constants=constants)
    return alike(scaled(op, args, constants, -1.0), -base, tolerance)


def is_even(op, args, constants, tolerance):
    base = call(op, *args, constants=constants)
    return alike(scaled(op, args, constants, -1.0), base, tolerance)


def again(op, args, constants):
    """f(f(x, ...), ...), next to f(x, ...)."""
    once = call(op, *args, constants=constants)
    if op.signature.inputs[0] == "ii" and once.shape[-2] != once.shape[-1]:
        raise ValueError("does not fit")
    return once, call(op, once, *args[1:], constants=constants)


def is_idempotent(op, args, constants, tolerance):
    once, twice = again(op, args, constants)
    return alike(twice, once, tolerance)


def is_involution(op, args, constants, tolerance):
    _, twice = again(op, args, constants)
    return alike(twice, args[0], tolerance)


def is_commutative(op, args, constants, tolerance):
    if op.arity != 2 or op.signature.inputs[0] != op.signature.inputs[1]:
        return False
    x, y = np.broadcast_arrays(*args)
    base = call(op, x, y, constants=constants)
    return alike(call(op, y, x, constants=constants), base, tolerance)


def is_linear(op, args, constants, tolerance):
    others = [np.roll(a, 1, axis=-1) + 0.5 for a in args]
    mixed = [2.0 * a - 3.0 * b for a, b in zip(args, others, strict=True)]
    expected = 2.0 * call(op, *args, constants=constants) - 3.0 * call(
        op, *others, constants=constants
    )
    return alike(call(op, *mixed, constants=constants), expected, tolerance)


def is_transpose_equivariant(op, args, constants, tolerance):
    base = call(op, *args, constants=constants).mT
    return alike(call(op, *(a.mT for a in args), constants=constants), base, tolerance)


def is_zero_preserving(op, args, constants, tolerance):
    result = call(op, 0.0 * args[0], *args[1:], constants=constants)
    return bool(np.all(np.abs(result) <= tolerance))


def is_nonnegative(op, args, constants, tolerance):
    return bool(np.all(call(op, *args, constants=constants) >= -tolerance))


def is_positive(op, args, constants, tolerance):
    del tolerance
    nothing = [samples.inside(op, 0.0 * a) for a in args]
    results = (call(op, *given, constants=constants) for given in (args, nothing))
    return all(bool(np.all(result > 0.0)) for result in results)


def is_sign_keeping(op, args, constants, tolerance):
    del tolerance
    (x, *rest) = args
    for factor in (1.0, 30.0):  # what oscillates does so far out
        given = samples.inside(op, factor * x)
        result = call(op, given, *rest, constants=constants)
        if result.shape != given.shape or np.any(np.sign(result) != np.sign(given)):
            return False
    return True


def is_sign_blind(op, args, constants, tolerance):
    (x, *rest) = args
    if op.domain[0] >= 0.0:  # never sees a sign
        return False
    mixed = x * np.where(np.indices(x.shape).sum(0) % 2, 1.0, -1.0)
    base = call(op, np.abs(mixed), *rest, constants=constants)
    return alike(call(op, mixed, *rest, constants=constants), base, tolerance)


def is_multiple(op, args, constants, tolerance):
    (x, *rest) = args
    result = call(op, x, *rest, constants=constants)
    if result.shape != x.shape:
        return False
    factor = (result * x).sum() / (x * x).sum()
    return bool(factor > 0.0) and alike(result, factor * x, tolerance)


def is_monotone(op, args, constants, tolerance):
    (x, *rest) = args
    before = call(op, *args, constants=constants)
    for rise in (np.abs(np.roll(x, 1)), 0.9 * np.maximum(-x, 0.0)):
        after = call(op, samples.inside(op, x + rise), *rest, constants=constants)
        if not np.all(after >= before - tolerance * np.abs(before)):
            return False
    return True


def is_elementwise(op, args, constants, tolerance):
    """An entry comes out the same when it is alone, and wherever it stands."""
    base = call(op, *args, constants=constants)
    if base.shape != np.broadcast_shapes(*(a.shape for a in args)):
        return False
    alone = call(op, *(a[:1, :1] for a in args), constants=constants)
    moved = call(op, *(np.roll(a, (2, 1), (-2, -1)) for a in args), constants=constants)
    return alike(alone, base[:1, :1], tolerance) and alike(
        moved, np.roll(base, (2, 1), (-2, -1)), tolerance
    )


def is_rank_free(op, args, constants, tolerance):
    """Folding the arguments into one row, or into another matrix, folds the result likewise."""
    args = np.broadcast_arrays(*args)
    base = call(op, *args, constants=constants)
    for fold in ((1, -1), (-1, 1), (-1, args[0].shape[-2])):
        folded = call(op, *(a.reshape(fold) for a in args), constants=constants)
        expected = (
            base if base.size == 1 else base.reshape(fold) if base.size == args[0].size else None
        )
        if expected is None or not alike(folded, expected, tolerance):
            return False
    return True


HOLDS = {
    Law.ELEMENTWISE: is_elementwise,
    Law.RANK_FREE: is_rank_free,
    Law.ODD: is_odd,
    Law.EVEN: is_even,
    Law.SCALE_INVARIANT: is_scale_invariant,
    Law.HOMOGENEOUS: is_homogeneous,
    Law.IDEMPOTENT: is_idempotent,
    Law.INVOLUTION: is_involution,
    Law.COMMUTATIVE: is_commutative,
    Law.LINEAR: is_linear,
    Law.TRANSPOSE_EQUIVARIANT: is_transpose_equivariant,
    Law.ZERO_PRESERVING: is_zero_preserving,
    Law.NONNEGATIVE: is_nonnegative,
    Law.MONOTONE: is_monotone,
    Law.POSITIVE: is_positive,
    Law.SIGN_KEEPING: is_sign_keeping,
    Law.SIGN_BLIND: is_sign_blind,
    Law.MULTIPLE: is_multiple,
}


def holds(law, op, tolerance):
    try:
        return all(HOLDS[law](op, args, constants, tolerance) for args, constants in trials(op))
    except ValueError:  # the law makes no sense for these shapes
        return False


def follows(law, op):
    """Whether a law follows from others, so that rows need not repeat it."""
    if law is Law.SIGN_BLIND:
        return op.elementwise and Law.EVEN in op.laws
    return law is Law.TRANSPOSE_EQUIVARIANT and op.rank_free


def test_every_law_has_a_check():
    assert set(HOLDS) == set(Law)


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("law", Law, ids=lambda law: law.name)
def test_a_law_holds_just_where_it_is_declared(op, law):
    if law in op.inexact:
        assert holds(law, op, LOOSE)
    elif follows(law, op):
        assert holds(law, op, 1e-9)
    else:
        assert holds(law, op, 1e-9) == (law in op.laws)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_degree(op):
    """Every op that is homogeneous of some simple degree says so."""
    degrees = (-2, -1, -0.5, -0.25, 0, 0.25, 1 / 3, 0.5, 1, 2, 3)
    found = [
        k
        for k in degrees
        if all(is_homogeneous(op, args, constants, 1e-9, k) for args, constants in trials(op))
    ]
    if Law.SCALE_INVARIANT in op.inexact:
        assert found in ([], [0])
    else:
        assert found == ([] if op.homogeneity is None else [op.homogeneity])


def test_newton_schulz_is_far_from_idempotent():
    op = OPS["newton_schulz5"]
    once, twice = again(op, samples.arguments(op, 0, (16, 32)), ())
    assert np.linalg.norm(twice - once) > 0.1 * np.linalg.norm(once)
