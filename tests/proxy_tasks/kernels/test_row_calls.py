"""Rows: softmax and norms by our kernels against torch's in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from proxy_tasks.kernels.attention_rows import softmax_, softmax_backward_
from proxy_tasks.kernels.dispatch import by_torch, processor_tile
from proxy_tasks.kernels.row_calls import run_rows
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.norm import rms_norm, rms_norm_backward, rms_norm_forward

SHAPES = [(2, 5, 32), (3, 7, 96), (1, 1, 16), (4, 3, 10), (2, 2, 33)]
"""Some with rows that our kernels take, some with others."""

needs_own = pytest.mark.skipif(
    processor_tile() is None, reason="no kernel of ours is for this processor"
)


@pytest.fixture(params=["own", "torch"], autouse=True)
def _maker(request) -> Iterator[None]:
    if request.param == "own":
        yield
    else:
        with by_torch():
            yield


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-6)


def derivative(function, x: Tensor, delta: Tensor) -> Tensor:
    """Return the gradient in x by autograd, in float64."""
    x = x.double().requires_grad_()
    return torch.autograd.grad(function(x), x, delta.double())[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_softmax(shape: tuple[int, ...], size: float) -> None:
    x, delta = size * random(*shape), random(*shape, seed=1)
    close(softmax_(x.clone()), x.double().softmax(-1))
    output = x.softmax(-1)
    expected = derivative(lambda x: x.softmax(-1), x, delta)
    given = delta.clone()
    assert softmax_backward_(given, output) is given
    close(given, expected)


@pytest.mark.parametrize("length", [10, 32])
def test_a_softmax_of_what_is_not_finite(length: int) -> None:
    x = random(7, length)
    x[0, :3] = -torch.inf
    x[1, 2] = torch.nan
    x[2, length - 1] = torch.inf
    x[3] = -torch.inf
    x[4] = 1e30
    x[5, 0] = 200.0
    expected = x.double().softmax(-1)
    found = softmax_(x)
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-30, equal_nan=True)
    assert torch.equal(found[0, :3], torch.zeros(3))


@needs_own
def test_exponentials_are_good_to_the_last_bits() -> None:
    x = torch.linspace(-87.3, 0, 16 * 4096).view(-1, 16)
    x[:, 0] = 0.0
    whole = x.double().exp()
    torch.testing.assert_close(
        softmax_(x.clone()).double(), whole / whole.sum(-1, keepdim=True), rtol=4e-7, atol=1e-37
    )


@pytest.mark.parametrize(("shape", "classes"), [((2, 9, 48), 2), ((2, 9, 7), 2), ((2, 10, 6), 1)])
def test_the_gradient_of_cross_entropy(shape: tuple[int, ...], classes: int) -> None:
    logits = 3 * random(*shape)
    samples = shape[3 - classes]
    random_ = torch.Generator().manual_seed(1)
    targets = torch.randint(shape[classes], (shape[0], samples), generator=random_)
    x = logits.double().requires_grad_()
    cross_entropy(x, targets, classes).sum().backward()
    assert x.grad is not None
    close(cross_entropy_gradient(logits, targets, classes) / samples, x.grad)


@pytest.mark.parametrize("target", [48, -1, 2**40])
def test_a_target_that_is_no_class_shows(target: int) -> None:
    """torch raises; our kernel writes to no other row and makes this one NaN."""
    targets = torch.zeros(1, 9, dtype=torch.int64)
    expected = cross_entropy_gradient(random(1, 9, 48), targets, 2)
    targets[0, 4] = target
    try:
        found = cross_entropy_gradient(random(1, 9, 48), targets, 2)
    except RuntimeError:
        return
    assert found[0, 4].isnan().any()
    others = [i for i in range(9) if i != 4]
    assert torch.equal(found[0, others], expected[0, others])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [1e-5, 1.0, 1e5])
def test_division_by_the_root_mean_square(shape: tuple[int, ...], size: float) -> None:
    x, delta = size * random(*shape), random(*shape, seed=1)
    normed, inverse = rms_norm_forward(x)
    close(normed, rms_norm(x.double()))
    close(inverse * size, size / (x.double().square().mean(-1, keepdim=True) + 1e-6).sqrt())
    expected = derivative(rms_norm, x, delta)
    into = random(*shape, seed=2)
    base, given = into.clone(), delta.clone()
    close(rms_norm_backward(given, normed, inverse) * size, expected * size)
    assert rms_norm_backward(delta.clone(), normed, inverse, into) is into
    close((into - base) * min(size, 1.0), expected * min(size, 1.0))


@pytest.mark.parametrize("length", [10, 32])
def test_rows_do_not_depend_on_those_beside_them(length: int) -> None:
    x, delta = random(40, 3, length), random(40, 3, length, seed=1)
    output, normed_of = softmax_(x.clone()), rms_norm_forward(x)
    whole = softmax_backward_(delta.clone(), output)
    back = rms_norm_backward(delta.clone(), *normed_of)
    for part in (slice(0, 1), slice(3, 5), slice(7, 40)):
        assert torch.equal(softmax_(x[part].clone()), output[part])
        assert torch.equal(softmax_backward_(delta[part].clone(), output[part]), whole[part])
        normed, inverse = rms_norm_forward(x[part])
        assert torch.equal(normed, normed_of[0][part])
        assert torch.equal(rms_norm_backward(delta[part].clone(), normed, inverse), back[part])


@needs_own
def test_what_our_kernels_leave_to_torch(request) -> None:
    x = random(4, 32)
    assert run_rows("softmax", x, x) is (request.node.callspec.params["_maker"] == "own")
    assert not run_rows("softmax", x[:, :31], x)
    wide = random(32, 4).T
    assert not run_rows("softmax", wide, wide)
    assert not run_rows("softmax", x.double(), x.double())
    assert not run_rows("softmax", x.to("meta"), x.to("meta"))
    assert not run_rows("softmax", x.clone().requires_grad_(), x)
