"""Batched products: right whoever makes them, and the same for a lane in any company."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from proxy_tasks.kernels import dispatch, matmul
from proxy_tasks.kernels.abi import TILES, Third
from proxy_tasks.kernels.dispatch import by_torch, processor_tile
from proxy_tasks.kernels.jit import features
from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_gated, bmm_into, bmm_joined, by_one, linear

USABLE = [tile for name, tile in TILES.items() if name in features()]
SIZES = [
    (32, 64, 64),
    (10, 32, 64),
    (5, 7, 9),
    (67, 65, 63),
    (1, 32, 32),
    (32, 16, 1),
    (9, 1, 1040),
]
"""Rows, inner, columns: whole tiles, parts of tiles, vectors."""
LANES = (slice(0, 1), slice(3, 5), slice(4, 18), slice(7, 40))

needs_own = pytest.mark.skipif(not USABLE, reason="no kernel of ours is for this processor")


@pytest.fixture(params=["own", "torch"])
def maker(request) -> Iterator[str]:
    """Have our kernels make the matmul, or torch."""
    if request.param == "own" and not USABLE:
        pytest.skip("no kernel of ours is for this processor")
    if request.param == "own":
        yield "own"
    else:
        with by_torch():
            yield "torch"


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def laid_out(x: Tensor, order: str) -> Tensor:
    """Return matrices that lie in memory by rows, by columns, apart, or are one for all lanes."""
    match order:
        case "columns":
            return x.mT.contiguous().mT
        case "apart":
            wide = x.new_full((x.shape[0], x.shape[1] + 1, 2 * x.shape[2] + 3), torch.nan)
            part = wide[:, 1:, 3 : 3 + x.shape[2]]
            return part.copy_(x)
        case "every other":
            return x.repeat_interleave(2, 2)[..., ::2]
        case "shared":
            return x[:1].expand(x.shape)
        case _:
            return x


ORDERS = ("rows", "columns", "apart", "every other", "shared")


def close(found: Tensor, expected: Tensor, inner: int) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6 * (1 + inner**0.5))


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_products_are_right(size: tuple[int, int, int], order: str) -> None:
    m, k, n = size
    a, b, c = (laid_out(random(3, *shape), order) for shape in ((m, k), (k, n), (m, n)))
    product = a.double() @ b.double()
    close(bmm(a, b), product, k)
    out = torch.full((3, m, n), torch.nan)
    assert bmm(a, b, out=out) is out
    assert torch.equal(out, bmm(a, b))
    close(baddbmm(c, a, b, beta=0.5, alpha=-2.0), 0.5 * c.double() - 2.0 * product, k)
    close(baddbmm(c[0], a, b), c[0].double() + product, k)
    own = c.clone(memory_format=torch.contiguous_format)
    assert baddbmm(own, a, b, beta=0.5, alpha=-2.0, out=own) is own
    assert torch.equal(own, baddbmm(c, a, b, beta=0.5, alpha=-2.0))
    apart = torch.zeros(3, 2, m, n)[:, 1]
    bmm_into(apart, a, b, 0.5)
    close(apart, 0.5 * product, k)


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_what_is_done_to_a_product(size: tuple[int, int, int]) -> None:
    m, k, n = size
    a, b, bias, gate = random(3, m, k), random(3, k, n), random(3, m, 1), random(3, m, n, seed=1)
    product = a.double() @ b.double()
    close(linear(a, b, bias), product + bias.double(), k)
    close(linear(a, b, bias, relu=True), (product + bias.double()).relu(), k)
    close(linear(a, b, relu=True), product.relu(), k)
    gate[0, 0, 0] = 0.0
    joined = bmm_joined([(a, b, 1.0), (-a, b[..., : n // 2 + 1], 0.5)])
    close(joined[..., :n], product, k)
    close(joined[..., n:], -0.5 * product[..., : n // 2 + 1], k)
    close(bmm_gated(a, b, gate), product.where(gate > 0, 0.0), k)
    unset = torch.full_like(gate, torch.nan)
    close(baddbmm(unset, a, b, beta=0, alpha=2.0, out=unset), 2.0 * product, k)


@pytest.mark.usefixtures("maker")
def test_what_is_not_finite_stays_in_its_row_and_lane() -> None:
    a, b = random(3, 10, 16), random(3, 16, 40)
    expected = bmm(a, b)
    a[1, 4, 2] = torch.nan
    a[1, 5, 3] = torch.inf
    for found in (bmm(a, b), linear(a, b, relu=True)):
        assert found[1, 4].isnan().all()
        assert not found[1, 5].isfinite().all()
        found[1, 4:6] = expected[1, 4:6]
        assert torch.equal(found.relu(), expected.relu())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("order", ["rows", "columns"])
def test_a_lane_s_product_does_not_depend_on_the_lanes_beside_it(
    maker: str, size: tuple[int, int, int], order: str
) -> None:
    m, k, n = size
    if maker == "torch" and n == 1:
        pytest.skip("MKL multiplies by vectors otherwise where there are more of them")
    a, b, c = (laid_out(random(40, *shape), order) for shape in ((m, k), (k, n), (m, n)))
    makers = (
        lambda a, b, c: baddbmm(c, a, b, beta=-1.0),
        lambda a, b, c: linear(a, b, c[..., :1]),
        lambda a, b, c: bmm(a, b),  # noqa: ARG005
        lambda a, b, c: by_one(a.double(), torch.linspace(-1, 1, 3 * k).double().view(k, 3)),  # noqa: ARG005
    )
    for make in makers:
        whole = make(a, b, c)
        for lanes in LANES:
            assert torch.equal(make(a[lanes], b[lanes], c[lanes]), whole[lanes]), lanes


@needs_own
@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 70)] * 3),
    orders=st.tuples(*[st.sampled_from(ORDERS)] * 3),
    third=st.sampled_from(Third),
    relu=st.booleans(),
)
def test_every_entry_is_one_chain_whatever_the_tile(
    size: tuple[int, int, int], orders: tuple[str, str, str], third: Third, relu: bool
) -> None:
    """So other processors, whose tiles are others, train the same to the last bit."""
    m, k, n = size
    a, b = laid_out(random(2, m, k), orders[0]), laid_out(random(2, k, n, seed=1), orders[1])
    c = laid_out(random(2, m, n, seed=2), orders[2])
    c = None if third is Third.NONE else c[..., :1] if third is Third.BIAS else c
    expected = torch.zeros(2, m, n)
    for i in range(k):  # in float64 a product of two float32 is exact, and so is the sum, or nearly
        step = a[..., i : i + 1].double() * b[:, i : i + 1].double() + expected.double()
        expected = step.float()
    expected = expected * 0.5
    if c is not None and third is Third.GATE:
        expected = expected.where(c > 0, 0.0)
    elif c is not None:
        expected = (2.0 * c.double() + expected.double()).float()
    expected = expected.relu() if relu else expected
    for tile in USABLE:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dispatch, "processor_tile", lambda tile=tile: tile)
            found = matmul._own(a, b, None, third, c, alpha=0.5, beta=2.0, relu=relu)
        assert found is not None
        assert torch.equal(found, expected), tile


@needs_own
def test_who_multiplies() -> None:
    a, b = random(2, 3, 4), random(2, 4, 5)
    own = matmul._own
    assert own(a, b) is not None
    with by_torch():
        assert own(a, b) is None
    assert own(a, b) is not None
    assert own(a.double(), b.double()) is None
    assert own(a.to("meta"), b.to("meta")) is None
    learned = a.clone().requires_grad_()
    assert own(learned, b) is None
    with torch.no_grad():
        assert own(learned, b) is not None
    assert own(torch.nn.Parameter(a), b) is None
    gradient = torch.autograd.grad(bmm(learned, b).sum(), learned)[0]
    torch.testing.assert_close(gradient, b.sum(2).unsqueeze(1).expand(a.shape))


@pytest.mark.usefixtures("maker")
def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size"):
        bmm(random(1, 2, 3), random(1, 2, 3))
    with pytest.raises(RuntimeError, match="batch"):
        bmm(random(2, 2, 3), random(1, 3, 2))
    with pytest.raises(RuntimeError, match="size"):
        bmm_joined(
            [(random(1, 2, 3), random(1, 3, 2), 1.0), (random(1, 2, 3), random(1, 2, 2), 1.0)]
        )
    with pytest.raises(RuntimeError, match="expand"):
        baddbmm(random(3, 1, 1), random(2, 2, 3), random(2, 3, 2))


@pytest.mark.usefixtures("maker")
@pytest.mark.parametrize("size", [(0, 2, 3), (2, 0, 3), (2, 3, 0)], ids=str)
def test_nothing_is_a_product_too(size: tuple[int, int, int]) -> None:
    m, k, n = size
    assert torch.equal(bmm(random(2, m, k), random(2, k, n)), torch.zeros(2, m, n))
    assert bmm(random(0, 2, 3), random(0, 3, 2)).shape == (0, 2, 2)


def test_without_llvm_torch_multiplies() -> None:
    program = """
import sys
sys.modules["llvmlite"] = None
import torch
from evosearch.training.lane_kernels import quintic
from proxy_tasks.kernels.dispatch import kernels
from proxy_tasks.kernels.matmul import bmm
assert kernels() == "torch's"
assert torch.equal(bmm(torch.ones(2, 3, 4), torch.ones(2, 4, 5)), torch.full((2, 3, 5), 4.0))
assert quintic(torch.eye(3), [(0.5, 0.25, 0.0)]).trace() == 2.25
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_on_other_processors_torch_multiplies(monkeypatch) -> None:
    found = features.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert found() == frozenset()
    monkeypatch.setattr(dispatch, "features", lambda: {"sse2"})
    assert processor_tile.__wrapped__() is None  # type: ignore[attr-defined]
    monkeypatch.setattr(dispatch, "processor_tile", lambda: None)
    assert dispatch.kernels() == "torch's"
    assert matmul._own(random(1, 2, 3), random(1, 3, 2)) is None
