"""Every row of the vocabulary, every column: what a row says about an op is what the op does."""

from itertools import product

import numpy as np
import pytest
import sample_tensors as samples
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives import symbolic
from primitives.op import Op
from primitives.shape import SHAPES
from primitives.table import OPS

ROWS = [pytest.param(op, id=op.name) for op in OPS.values()]
BROADCASTING = [pytest.param(op, id=op.name) for op in OPS.values() if op.broadcasts]

# Relative to the largest entry. Roots and bases of a matrix lose digits to its condition number.
TOLERANCE = {"inv_sqrt": 1e-8, "inv_fourth_root": 1e-8, "eig_basis": 1e-8, "basis_step": 1e-8}


def run_torch(op, args, constants=(), dtype=torch.float64):
    tensors = [torch.from_numpy(np.asarray(a)).to(dtype) for a in args]
    w = torch.empty(1, 1, dtype=dtype)
    return op.function(*tensors, *constants, t=samples.STEP, w=w)


def run_numpy(op, args, constants=()):
    with np.errstate(all="ignore"):
        return op.numpy(*args, *constants, *samples.extra(op))


def assert_matches(op: Op, actual, expected, args=(), constants=()):
    """Equal up to rounding, of the result or of what was added up to make it."""
    assert actual.shape == expected.shape
    terms = run_numpy(op, [np.abs(a) for a in args], constants) if args else expected
    finite = np.abs(np.concatenate([terms.ravel(), expected.ravel()]))
    finite = finite[np.isfinite(finite)]
    tolerance = TOLERANCE.get(op.name, 1e-12)
    scale = tolerance * finite.max(initial=0.0) if not op.elementwise else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=scale)


@pytest.mark.parametrize("op", ROWS)
def test_documents_itself(op):
    assert op.doc.endswith(".")
    assert op.reference.startswith("https://")
    assert op.inexact <= op.laws
    assert not op.inexact or op.exceptions
    assert bool(op.probes) == bool(op.constants)
    assert all(len(probe) == len(op.constants) for probe in op.probes)
    assert op.domain[0] < op.domain[1]


@pytest.mark.parametrize("op", ROWS)
@given(data=st.data())
@settings(max_examples=25)
def test_torch_matches_numpy(op, data):
    args = data.draw(samples.drawn_arguments(op))
    constants = data.draw(st.sampled_from(samples.constants_of(op)))
    actual = run_torch(op, args, constants).numpy()
    assert_matches(op, actual, run_numpy(op, args, constants), args, constants)


@pytest.mark.parametrize("op", ROWS)
def test_inferred_shape_is_the_actual_one(op):
    m, n = 4, 6
    constants = samples.constants_of(op)[0]
    accepted = 0
    for shapes in product(SHAPES.values(), repeat=op.arity):
        inferred = op.signature.infer(shapes)
        if inferred is None:
            continue
        accepted += 1
        args = [np.ones((2, *shape.sizes(m, n))) for shape in shapes]
        w = torch.empty(2, m, n, dtype=torch.float64)
        result = op.function(*map(torch.from_numpy, args), *constants, t=1, w=w)
        assert result.shape == (2, *inferred.sizes(m, n))
    assert accepted


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize("size", samples.SIZES.values(), ids=samples.SIZES)
def test_every_matrix_format(op, size):
    for lanes in [(), (3,), (2, 2)]:
        args = samples.arguments(op, size=size, lanes=lanes)
        for constants in samples.constants_of(op):
            actual = run_torch(op, args, constants).numpy()
            assert_matches(op, actual, run_numpy(op, args, constants), args, constants)


@pytest.mark.parametrize("op", [r for r in ROWS if r.values[0].inplace])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_inplace_form_is_the_template_bit_by_bit(op, dtype):
    for constants, layout in product(samples.constants_of(op), samples.LAYOUTS):
        args = [samples.lay_out(a, layout) for a in samples.arguments(op, 0, (6, 37))]
        x, *others = tensors = [torch.from_numpy(a).to(dtype) for a in args]
        expected = op.function(*tensors, *constants, t=samples.STEP)
        scope = {f"x{i}": v for i, v in enumerate([*tensors, *constants])} | {"t": samples.STEP}
        result = eval(op.inplace.format(*scope), {}, scope)
        assert result is x
        torch.testing.assert_close(x, expected, rtol=0, atol=0, equal_nan=True)
        for other, arg in zip(others, args[1:], strict=True):
            assert torch.equal(other, torch.from_numpy(arg).to(dtype))


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_is_pure_and_keeps_the_dtype(op, dtype):
    for constants, size in product(samples.constants_of(op), samples.SIZES.values()):
        arrays = samples.arguments(op, size=size, lanes=(2,))
        tensors = [torch.from_numpy(a).to(dtype) for a in arrays]
        before = [t.clone() for t in tensors]
        result = op.function(*tensors, *constants, t=2, w=torch.empty(1, 1, dtype=dtype))
        assert result.dtype == dtype
        for tensor, copy in zip(tensors, before, strict=True):
            assert torch.equal(tensor, copy)
            assert result.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_lanes_do_not_see_each_other(op, dtype):
    """A lane gets the same bits beside any others: broken ones, fewer of them, none."""
    for constants, size in product(samples.constants_of(op), [(4, 6), (7, 9), (33, 17), (1, 1)]):
        args = [torch.from_numpy(a).to(dtype) for a in samples.arguments(op, 0, size, lanes=(7,))]
        w = torch.empty(7, *size, dtype=dtype)
        together = op.function(*args, *constants, t=2, w=w)
        for lanes in (slice(0, 1), slice(2, 4), slice(2, 7), slice(6, 7)):
            apart = op.function(*(a[lanes] for a in args), *constants, t=2, w=w[lanes])
            assert torch.equal(together[lanes], apart)
        for a in args:
            a[0] = torch.nan
        assert torch.equal(together[1:], op.function(*args, *constants, t=2, w=w)[1:])


@pytest.mark.parametrize("op", BROADCASTING)
def test_a_number_may_take_a_tensors_place(op):
    args = samples.arguments(op, lanes=(2,))
    for position, number, dtype in product(
        range(op.arity), (0.0, 0.75, -2.0), (torch.float64, torch.bfloat16)
    ):
        tensors = [torch.from_numpy(a).to(dtype) for a in args]
        full = op.function(*(torch.full_like(a, number) if i == position else a
                             for i, a in enumerate(tensors)))  # fmt: skip
        literal = op.function(*(number if i == position else a for i, a in enumerate(tensors)))
        assert literal.dtype == dtype
        eps = 2 * torch.finfo(dtype).eps  # torch divides by a number by multiplying by its inverse
        torch.testing.assert_close(literal.expand_as(full), full, rtol=eps, atol=0)
        array = [number if i == position else a for i, a in enumerate(args)]
        if dtype == torch.float64:
            expected = run_numpy(op, array)
            np.testing.assert_allclose(literal.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("op", [p for p in ROWS if p.values[0].uses_step])
def test_step_number_may_be_a_tensor(op):
    args = [torch.from_numpy(a) for a in samples.arguments(op)]
    constants = samples.constants_of(op)[0]
    expected = op.function(*args, *constants, t=7)
    actual = op.function(*args, *constants, t=torch.tensor(7.0, dtype=torch.float64))
    torch.testing.assert_close(actual, expected, rtol=1e-15, atol=0)
    assert not torch.equal(op.function(*args, *constants, t=8), expected)


@pytest.mark.parametrize("op", ROWS)
def test_finite_throughout_the_domain(op):
    for magnitude, constants in product(("normal", "zeros", "sparse"), samples.constants_of(op)):
        args = samples.arguments(op, magnitude=magnitude)
        assert torch.isfinite(run_torch(op, args, constants)).all()
    for end in op.domain:
        if np.isfinite(end):
            args = [np.full((2, 3), end) for _ in range(op.arity)]
            assert torch.isfinite(run_torch(op, args, samples.constants_of(op)[0])).all()


@pytest.mark.parametrize("op", ROWS)
def test_sympy_form_computes_the_same(op):
    names = [symbolic.tensor(name) for name in "xyz"[: op.arity]]
    columns = {row.name: row.numpy for row in OPS.values() if not row.sympy}
    for constants, size in product(samples.constants_of(op), ((4, 6), (3, 3))):
        formula = symbolic.apply(op, names, constants)
        function = sympy.lambdify([*names, symbolic.STEP], formula, [columns, "numpy"])
        args = samples.arguments(op, size=size, lanes=(2,))
        expected = run_numpy(op, args, constants)
        actual = np.broadcast_to(function(*args, samples.STEP), expected.shape)
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("op", ROWS)
def test_cost_grows_with_the_matrix(op):
    shapes = [SHAPES["full"]] * op.arity
    if "ii" in op.signature.inputs:
        shapes = [SHAPES["left"]] * op.arity
    if op.name == "matmul":
        shapes = [SHAPES["left"], SHAPES["full"]]
    flops, entries = op.work(shapes, 8, 16)
    more_flops, more_entries = op.work(shapes, 16, 32)
    assert flops >= 0
    assert entries > 0
    if op.arity:
        assert more_flops >= flops
        assert more_entries > entries or op.cost.entries == "1"  # a size is looked up
