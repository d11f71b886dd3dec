"""Exported optimizers on a GPU: the loop's result, CUDA graphs, no waiting, memory."""

from __future__ import annotations

import copy

import pytest
import torch
from exported_optimizers import optimizer_of
from torch.nn import Parameter
from torch.testing import assert_close

from evosearch.language.known import KNOWN, known

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SHAPES = ((64, 32), (64, 32), (32, 64), (32,), (8, 4, 3, 3))


def _params(device: str = "cuda") -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    params = [Parameter(torch.randn(*s, generator=generator).to(device)) for s in SHAPES]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator).to(device)
    return params


@pytest.mark.parametrize("name", KNOWN)
def test_fast_path_is_the_loop_and_the_cpu(name: str) -> None:
    cls = optimizer_of(known(name), lr=1e-3)
    ends = []
    for device, foreach in (("cuda", True), ("cuda", False), ("cpu", None)):
        params = _params(device)
        optimizer = cls(params, foreach=foreach)
        for _ in range(5):
            optimizer.step()
        ends.append([p.detach().cpu() for p in params])
    assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)
    assert_close(ends[0], ends[2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", KNOWN)
def test_a_cuda_graph_replays_the_step(name: str) -> None:
    cls = optimizer_of(known(name))
    lr = torch.tensor(1e-3, device="cuda")
    captured, eager = _params(), _params()
    one, other = cls(captured, lr=lr, capturable=True), cls(eager, lr=1e-3)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        one.step()  # makes the states
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        one.step()  # recorded, not run
    for _ in range(4):
        graph.replay()
    for _ in range(5):
        other.step()
    assert_close(captured, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("tensor_lr", [False, True])
@pytest.mark.parametrize("name", KNOWN)
def test_a_step_waits_for_nothing(name: str, tensor_lr: bool) -> None:
    lr = torch.tensor(1e-3, device="cuda") if tensor_lr else 1e-3
    optimizer = optimizer_of(known(name))(_params(), lr=lr)
    optimizer.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["adamw", "lion", "muon"])
def test_checkpoints_move_between_devices(name: str) -> None:
    cls = optimizer_of(known(name), lr=1e-3)
    on_gpu, on_cpu = _params("cuda"), _params("cpu")
    one, other = cls(on_gpu), cls(on_cpu)
    one.step()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for p in on_cpu:
        states = [v for v in other.state[p].values() if torch.is_tensor(v)]
        assert all(v.device.type == "cpu" for v in states)
    other.step()


def test_temporaries_are_bounded() -> None:
    """Lion needs no more memory in a step than twice its largest batch of 8 million entries."""
    params = [Parameter(torch.zeros(2**22, device="cuda")) for _ in range(32)]
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer = optimizer_of(known("lion"))(params)
    optimizer.step()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    optimizer.step()
    assert torch.cuda.max_memory_allocated() - before <= 2 * 4 * 2**23
