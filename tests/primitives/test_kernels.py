"""The kernels beyond what every row is checked for."""

import inspect

import numpy as np
import pytest
import torch

from primitives import kernels

NAN, INF = float("nan"), float("inf")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def singular_values(x):
    return torch.linalg.svdvals(x.double())


@pytest.mark.parametrize("name", kernels.__all__)
def test_source_stands_alone(name):
    """Copies of the sources need torch and nothing else: exported optimizers carry them."""
    scope = {"torch": torch}
    code = getattr(kernels, name).__code__
    for copied in {name, *(set(code.co_names) & set(kernels.__all__))}:
        exec(inspect.getsource(getattr(kernels, copied)), scope)
    args = {
        "inverse_root": (torch.eye(3), 2),
        "newton_schulz": (random(3, 3), 5),
        "quintic": (random(3, 3), [(1.5, -0.5, 0.1)] * 2),
        "identity": (random(3, 3), -1),
        "kept": (random(3, 3), random(3, 1), random(3, 1)),
        "max_abs": (random(3, 3), -1),
        "select": (random(3, 3), 1.0, random(3, 3)),
        "every": (random(3, 3), random(3, 3), 3.0, 5),
    }.get(name, (random(3, 3), random(3, 3))[: code.co_argcount])
    if name == "signed_power":
        args = (random(3, 3), 0.3)
    torch.testing.assert_close(scope[name](*args), getattr(kernels, name)(*args), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (3, 16, 48)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_newton_schulz_flattens_the_spectrum(shape, dtype):
    values = singular_values(kernels.newton_schulz(random(*shape, dtype=dtype), 5))
    assert values.min() > 0.68 - 0.02 * (dtype == torch.bfloat16)
    assert values.max() < 1.21


def test_newton_schulz_acts_on_singular_values_alone():
    """The same singular vectors, each value mapped by the scalar polynomial."""
    x = random(5, 8)
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    s = s / (torch.linalg.vector_norm(x) + 1e-7)
    for _ in range(3):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    torch.testing.assert_close(kernels.newton_schulz(x, 3), u * s @ vt, rtol=1e-12, atol=1e-12)


def test_newton_schulz_agrees_with_muon():
    muon = pytest.importorskip("muon")
    x = random(20, 12)
    theirs = muon.zeropower_via_newtonschulz5(x, 5).double()  # in bfloat16, always
    ours = kernels.newton_schulz(x, 5)
    assert torch.linalg.vector_norm(ours - theirs) < 0.05 * torch.linalg.vector_norm(ours)
    torch.testing.assert_close(
        kernels.newton_schulz(x.bfloat16(), 5).double(), theirs, rtol=0.05, atol=0.02
    )


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_polar_express_is_near_the_polar_factor(shape):
    x = random(*shape)
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    exact = u @ vt
    express = kernels.polar_express(x)
    schulz = kernels.newton_schulz(x, 5)
    error = torch.linalg.vector_norm(express - exact) / torch.linalg.vector_norm(exact)
    assert error < 0.15
    assert error < torch.linalg.vector_norm(schulz - exact) / torch.linalg.vector_norm(exact)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("function", [lambda x: kernels.newton_schulz(x, 5), kernels.polar_express])
def test_orthogonalizers_leave_their_argument_alone(function, dtype):
    """Where a conversion would be a no-op, an in-place step would write into a state."""
    for shape in [(6, 4), (4, 6), (4, 4)]:
        x = random(*shape, dtype=dtype)
        before = x.clone()
        result = function(x)
        assert torch.equal(x, before)
        assert result.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


@pytest.mark.parametrize("shape", [(4, 6), (0, 3), (3, 0), (1, 1)])
def test_orthogonalizers_keep_zero(shape):
    zero = torch.zeros(shape)
    assert torch.equal(kernels.newton_schulz(zero, 5), zero)
    assert torch.equal(kernels.polar_express(zero), zero)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_inverse_root_of_a_regular_matrix(order, scale):
    q, _ = torch.linalg.qr(random(4, 4))
    values = scale * torch.tensor([1.0, 2.0, 5.0, 9.0], dtype=torch.float64)
    x = q * values @ q.mT
    root = kernels.inverse_root(x, order)
    expected = q * values ** (-1 / order) @ q.mT
    torch.testing.assert_close(root, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_inverse_root_of_a_singular_matrix_is_bounded_by_the_damping():
    for dtype in (torch.float32, torch.float64):
        g = random(8, 2, dtype=dtype)
        root = kernels.inverse_root(g @ g.mT, 2)
        largest = singular_values(g).max() ** 2
        assert torch.isfinite(root).all()
        assert singular_values(root).max() < 1.5 / (1e-6 * largest).sqrt()
    assert torch.equal(kernels.inverse_root(torch.zeros(3, 3), 4), torch.zeros(3, 3))


def test_inverse_root_reads_the_symmetric_part():
    x = torch.eye(3) + torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]])
    torch.testing.assert_close(kernels.inverse_root(x, 2), torch.eye(3), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_broken_lane_stays_alone(bad):
    x = random(3, 4, 4)
    x = x @ x.mT
    whole = {
        "root": kernels.inverse_root(x, 2),
        "basis": kernels.eig_basis(x),
        "step": kernels.basis_step(x, torch.zeros_like(x)),
    }
    x[1, 2, 3] = bad
    broken = {
        "root": kernels.inverse_root(x, 2),
        "basis": kernels.eig_basis(x),
        "step": kernels.basis_step(x, torch.zeros_like(x)),
    }
    for name, result in broken.items():
        assert torch.isnan(result[1]).all()
        assert torch.equal(result[[0, 2]], whole[name][[0, 2]])


@pytest.mark.parametrize("kernel", [kernels.eig_basis, lambda x: kernels.inverse_root(x, 4)])
def test_a_lane_near_the_end_of_the_range_stays_alone(kernel):
    """The sum of two of its entries overflows; LAPACK raised on it, for all lanes at once."""
    x = random(3, 16, 16, dtype=torch.float32)
    x = x @ x.mT
    whole = kernel(x)
    x[1] = 2e38 + 1e38 * torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kernel(x)[[0, 2]], whole[[0, 2]])


def test_eig_basis_diagonalises():
    x = random(2, 5, 9)
    x = x @ x.mT
    basis = kernels.eig_basis(x)
    diagonal = basis.mT @ x @ basis
    torch.testing.assert_close(basis.mT @ basis, torch.eye(5).double().expand(2, 5, 5))
    values = torch.diagonal(diagonal, dim1=-2, dim2=-1)
    torch.testing.assert_close(diagonal, torch.diag_embed(values), rtol=0, atol=1e-10)
    assert (values.diff(dim=-1) > 0).all()


def test_basis_steps_converge_to_the_eigenvectors():
    q, _ = torch.linalg.qr(random(4, 4))
    x = q * torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64) @ q.mT
    basis = torch.zeros_like(x)
    for _ in range(60):
        basis = kernels.basis_step(x, basis)
    torch.testing.assert_close((q.mT @ basis).abs(), torch.eye(4).double(), rtol=0, atol=1e-9)


def test_safe_division():
    x = torch.tensor([1.0, -1.0, 0.0, 1.0, INF, NAN])
    y = torch.tensor([0.0, -0.0, 0.0, NAN, 2.0, 0.0])
    expected = torch.tensor([0.0, 0.0, 0.0, NAN, INF, 0.0])
    torch.testing.assert_close(kernels.safe_div(x, y), expected, equal_nan=True)
    assert torch.equal(kernels.safe_div(x[:3], 0.0), torch.zeros(3))
    assert torch.equal(kernels.safe_div(1.0, torch.tensor([0.0, 4.0])), torch.tensor([0.0, 0.25]))


def test_signed_power_is_total():
    x = torch.tensor([-4.0, -0.0, 0.0, 4.0], dtype=torch.float64)
    for exponent in (-1.5, -0.5, 0.0, 0.5, 2.0, 3.0):
        expected = np.array([-(4.0**exponent), 0.0, 0.0, 4.0**exponent])
        np.testing.assert_allclose(kernels.signed_power(x, exponent).numpy(), expected, rtol=1e-14)


def test_nan_is_not_swallowed():
    nan, one = torch.tensor([NAN]), torch.tensor([1.0])
    for result in (
        kernels.maximum(nan, one),
        kernels.maximum(one, nan),
        kernels.minimum(0.0, nan),
        kernels.clip_to(nan, one),
        kernels.signed_power(nan, 0.5),
        kernels.max_abs(nan[None], (-2, -1)),
        kernels.cosine(nan[None], one[None]),
    ):
        assert torch.isnan(result).all()


def test_largest_magnitude_of_nothing_is_zero():
    assert torch.equal(kernels.max_abs(torch.empty(2, 0, 3), (-2, -1)), torch.zeros(2, 1, 1))
    assert kernels.max_abs(torch.empty(0, 3), -1).shape == (0, 1)
