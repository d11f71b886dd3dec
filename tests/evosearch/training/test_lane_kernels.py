"""Kernels as lanes run them against those that are exported."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evosearch.training import lane_kernels as lane_kernels_module
from evosearch.training.lane_kernels import lane_kernels, quintic
from primitives import kernels
from proxy_tasks.kernels.dispatch import by_torch, processor_tile

SHAPES = [(2, 3, 32, 64), (3, 64, 32), (7, 5), (3, 10, 17), (2, 1, 33, 20), (1, 1, 1), (2, 1, 9)]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strided", [False, True])
def test_iterations_agree_but_for_rounding(shape: tuple[int, ...], strided: bool) -> None:
    x = random(*shape)
    x = x.mT.contiguous().mT if strided else x
    lanes = lane_kernels()
    for steps in (0, 1, 2, 5):
        exact = kernels.newton_schulz(x.double(), steps)
        found = lanes["newton_schulz"](x, steps)
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=3e-6)
    exact = kernels.polar_express(x.double())
    torch.testing.assert_close(lanes["polar_express"](x).double(), exact, rtol=0, atol=3e-5)


def test_a_matrix_does_not_depend_on_those_beside_it() -> None:
    x, coefficients = random(40, 2, 24, 40) / 40, [(3.4, -4.7, 2.0)] * 3
    whole = quintic(x, coefficients)
    for part in (slice(0, 1), slice(3, 5), slice(7, 40)):
        assert torch.equal(quintic(x[part], coefficients), whole[part])
    x[3, 1, 2, 3] = torch.nan
    disturbed = quintic(x, coefficients)
    assert disturbed[3, 1].isnan().any()
    disturbed[3, 1] = whole[3, 1]
    assert torch.equal(disturbed, whole)


def test_it_only_reads_its_argument() -> None:
    x = random(3, 8, 8)
    before = x.clone()
    result = quintic(x, [(1.5, -0.5, 0.0)])
    assert torch.equal(x, before)
    assert result.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_elsewhere_the_kernel_itself_runs() -> None:
    x, coefficients = random(2, 4, 6), [(1.5, -0.5, 0.1)] * 2
    with by_torch():
        assert torch.equal(quintic(x, coefficients), kernels.quintic(x, coefficients))
    assert torch.equal(quintic(x.double(), coefficients), kernels.quintic(x.double(), coefficients))
    assert quintic(x.to("meta"), coefficients).shape == x.shape
    assert quintic(x[:0], coefficients).shape == (0, 4, 6)


def test_every_kernel_is_there_and_only_the_iteration_differs() -> None:
    lanes = lane_kernels()
    ours = {name: getattr(kernels, name).__code__ for name in kernels.__all__}
    assert {name for name in ours if lanes[name].__code__ != ours[name]} == {"quintic"}
    assert lanes["newton_schulz"].__globals__["quintic"] is quintic
    assert kernels.newton_schulz.__globals__["quintic"] is kernels.quintic


@pytest.mark.skipif(processor_tile() is None, reason="no kernel of ours is for this processor")
def test_updates_are_made_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from evosearch.training.evaluate import compile_text

    rule = compile_text("def p(w, g):\n    u = newton_schulz5(g)\n    return u\n").matrix
    g = random(3, 32, 64)
    expected = lane_kernels()["newton_schulz"](g, 5)
    calls: list[int] = []
    own = lane_kernels_module.run
    monkeypatch.setattr(lane_kernels_module, "run", lambda *job: calls.append(1) or own(*job))
    (update,) = rule.update(g, g, 1)
    assert torch.equal(update, expected)
    assert calls, "torch multiplied, not a kernel of ours"
