"""Batched products: right whichever library makes them, and the same for a lane in any company."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from proxy_tasks import products
from proxy_tasks.products import OneDnn, baddbmm, bmm, by_one, fast

LARGER = [(64, 64, 64), (128, 48, 96), (512, 32, 96), (67, 65, 63)]
SMALLER = [(10, 32, 64), (32, 32, 32), (64, 63, 64), (5, 7, 9), (1, 32, 32)]
SIZES = [*LARGER, *SMALLER]
"""Rows, inner, columns; some large enough for oneDNN, some just not."""
LANES = (slice(0, 1), slice(3, 5), slice(4, 18), slice(7, 40))


@pytest.fixture(params=[True, False], ids=["oneDNN", "MKL"])
def library(request, monkeypatch) -> bool:
    """Allow oneDNN, whatever this processor does inside of its products, or forbid it."""
    monkeypatch.setattr(products, "_exact", lambda: request.param)
    return request.param


def factors(size: tuple[int, int, int], lanes: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    rows, inner, columns = size
    random = torch.Generator().manual_seed(0)
    a = torch.randn(lanes, inner, rows, generator=random).transpose(1, 2)
    b = torch.randn(lanes, inner, columns, generator=random)
    return a, b, torch.randn(lanes, rows, columns, generator=random)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_are_right(size: tuple[int, int, int]) -> None:
    a, b, c = factors(size)
    product = a.double() @ b.double()
    close = {"rtol": 0.0, "atol": 1e-2 * float(product.abs().max())}  # bfloat16's where AMX is used
    torch.testing.assert_close(bmm(a, b).double(), product, **close)
    out = torch.empty_like(c)
    assert bmm(a, b, out=out) is out
    assert torch.equal(out, bmm(a, b))
    expected = 0.5 * c.double() - 2.0 * product
    torch.testing.assert_close(baddbmm(c, a, b, beta=0.5, alpha=-2.0).double(), expected, **close)
    own = c.clone()
    assert baddbmm(own, a, b, beta=0.5, alpha=-2.0, out=own) is own
    assert torch.equal(own, baddbmm(c, a, b, beta=0.5, alpha=-2.0))
    unset = torch.full_like(c, torch.nan)
    torch.testing.assert_close(
        baddbmm(unset, a, b, beta=0, alpha=2.0, out=unset).double(), 2.0 * product, **close
    )


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_lane_s_product_does_not_depend_on_the_lanes_beside_it(
    size: tuple[int, int, int],
) -> None:
    a, b, c = factors(size)
    alone = [f(a, b, c) for f in (_product, _sum, _shared)]
    for lanes in LANES:
        for f, whole in zip((_product, _sum, _shared), alone, strict=True):
            assert torch.equal(f(a[lanes], b[lanes], c[lanes]), whole[lanes]), (f, lanes)


def _product(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    del c
    return bmm(a, b)


def _sum(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return baddbmm(c, a, b, beta=-1.0)


def _shared(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    del b, c
    return by_one(a.double(), torch.linspace(-1, 1, a.shape[2] * 24).double().view(-1, 24))


def test_the_choice_is_made_by_the_sizes_of_a_lane(library: bool) -> None:
    single, double = torch.empty(1), torch.empty(1, dtype=torch.float64)
    assert all(fast(*size, single) is library for size in LARGER)
    assert not any(fast(*size, single) for size in SMALLER)
    assert not fast(64, 64, 64, double)
    assert not fast(64, 64, 64, single.to("meta"))


def test_the_setting_is_put_back_even_after_an_error() -> None:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    with pytest.raises(RuntimeError, match="size"), OneDnn():
        torch.bmm(torch.ones(1, 2, 3), torch.ones(1, 2, 3))
    assert settings.fp32_precision == before


def test_products_that_lose_digits_are_left_to_mkl(monkeypatch) -> None:
    exact = products._exact.__wrapped__  # type: ignore[attr-defined]
    multiply = torch.bmm

    def rounding(a: Tensor, b: Tensor) -> Tensor:
        return multiply(a.bfloat16().to(a.dtype) if a.dtype == torch.float32 else a, b)

    monkeypatch.setattr(torch, "bmm", rounding)
    assert exact() is False
    monkeypatch.setattr(torch, "bmm", multiply)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert exact() is False
