"""How much a step allocates besides parameters, gradients and states."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from exported_optimizers import optimizer_of
from torch.nn import Parameter
from torch.profiler import ProfilerActivity, profile

from evosearch.language.known import known

FLOAT = 4
BATCH = 2**18
"""Entries of parameters that share a call on a CPU, unless one alone has more."""


def _peak(step: Callable[[], object]) -> int:
    """Return how many bytes more than before are allocated at some moment of a step."""
    step()  # makes the states
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = recorded.profiler.kineto_results.events()
    memory = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return max(itertools.accumulate(nbytes for _, nbytes in memory), default=0)


def _params(*shapes: tuple[int, ...]) -> list[Parameter]:
    params = [Parameter(torch.ones(shape)) for shape in shapes]
    for p in params:
        p.grad = torch.ones_like(p)
    return params


@pytest.mark.parametrize("foreach", [False, True])
def test_lion_needs_one_batch(foreach: bool) -> None:
    params = _params(*[(BATCH // 4,)] * 12)  # three batches
    optimizer = optimizer_of(known("lion"))(params, foreach=foreach)
    batch = BATCH if foreach else BATCH // 4
    assert _peak(optimizer.step) == pytest.approx(FLOAT * batch, rel=0.01)


def test_a_large_parameter_is_alone() -> None:
    """What is larger than a batch is not joined by what comes before or after."""
    params = _params((BATCH // 8,), (BATCH + 1,), (BATCH // 8,))
    optimizer = optimizer_of(known("lion"))(params, foreach=True)
    assert _peak(optimizer.step) == pytest.approx(FLOAT * BATCH, rel=0.01)


def test_muon_needs_no_more_than_torchs_for_a_model_with_an_embedding() -> None:
    shapes = ((20_000, 64), (64,), *[(64, 64), (256, 64), (64, 256)] * 4)
    ours, theirs = _params(*shapes), _params(*shapes)
    optimizer = optimizer_of(known("muon"))(ours, ns_dtype=torch.bfloat16)
    muon = torch.optim.Muon([p for p in theirs[1:] if p.ndim == 2])
    adamw = torch.optim.AdamW([p for p in theirs if p.ndim != 2 or p is theirs[0]], foreach=True)

    def reference() -> None:
        muon.step()
        adamw.step()

    assert _peak(optimizer.step) <= 1.01 * _peak(reference)


def test_muon_needs_no_more_than_torchs_for_large_matrices() -> None:
    """A batch is one matrix of these, as everything is to torch's.

    A tenth is left for what a product takes for itself, which depends on the processor: 0.80 to
    0.95 of torch's peak on an Intel Xeon, 1.03 to 1.05 on an AMD EPYC.
    """
    shapes = [(1024, 256), (256, 1024), (768, 256)] * 2
    ours, theirs = _params(*shapes), _params(*shapes)
    optimizer = optimizer_of(known("muon"))(ours, ns_dtype=torch.bfloat16)
    assert _peak(optimizer.step) <= 1.1 * _peak(torch.optim.Muon(theirs).step)
