"""Machine code made for other processors than this one computes the same, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from proxy_tasks.kernels import dispatch, gemm_calls, row_calls
from proxy_tasks.kernels.abi import TILES
from proxy_tasks.kernels.attention_rows import softmax_, softmax_backward_
from proxy_tasks.kernels.jit import compile_function, features
from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_gated, linear
from proxy_tasks.models.norm import rms_norm_backward, rms_norm_forward

pytestmark = pytest.mark.skipif(not features(), reason="no kernel of ours is for this processor")

OLDER = {"haswell": "fma", "skylake-avx512": "avx512f"}
"""Processors, as LLVM calls them, and the feature whose tile is theirs."""


@pytest.fixture(params=[p for p, feature in OLDER.items() if feature in features()])
def _older(request, monkeypatch) -> Iterator[None]:
    """Have code made for an older processor, with none of what this one can do beyond it."""
    from llvmlite import binding

    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: request.param)
    monkeypatch.setattr(binding, "get_host_cpu_features", binding.FeatureMap)
    monkeypatch.setattr(dispatch, "processor_tile", lambda: TILES[OLDER[request.param]])
    caches = (gemm_calls._kernel, row_calls._kernel)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def results() -> list[Tensor]:
    a, b, c, x = random(3, 21, 34), random(3, 34, 45), random(3, 21, 45), random(3, 5, 48)
    normed, inverse = rms_norm_forward(x)
    probabilities = softmax_(x.clone())
    return [
        *(bmm(a, b), bmm(a, b.mT.contiguous().mT), baddbmm(c, a, b, beta=0.3, alpha=0.7)),
        *(linear(a, b, c[..., :1], relu=True), bmm_gated(a, b, c)),
        *(normed, inverse, rms_norm_backward(random(3, 5, 48, seed=1), normed, inverse)),
        *(probabilities, softmax_backward_(random(3, 5, 48, seed=1), probabilities)),
    ]


@pytest.fixture
def here() -> list[Tensor]:
    """What this processor computes; asked for before the older one."""
    return results()


@pytest.mark.usefixtures("here", "_older")
def test_processors_agree_to_the_last_bit(here: list[Tensor]) -> None:
    for number, (own, other) in enumerate(zip(here, results(), strict=True)):
        assert torch.equal(own, other), number


def test_text_that_is_wrong_is_refused() -> None:
    with pytest.raises(RuntimeError, match="parsing"):
        compile_function("define void @f(ptr %x) { nonsense }", "f")
