"""Two processes (gloo): replicated and sharded training go where one process goes."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.testing import assert_close

STEPS = 4
NAMES = ("lion", "adamw", "muon", "normuon")
NORMUON = """
def normuon(w, g, m, v: rowwise):
    m = lerp(m, g, 0.05)
    o = newton_schulz5(m)
    o2 = square(o)
    r = row_mean(o2)
    v = lerp(v, r, 0.05)
    s = sqrt(v)
    d = s + 1e-08
    u = o / d
    return u, m, v
"""


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))


def _batch(step: int) -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(step))


def _optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parents[1] / "support")]
    from exported_optimizers import optimizer_of

    from evosearch.language.known import known
    from evosearch.language.parse import parse_rules

    rules = parse_rules(NORMUON) if name == "normuon" else known(name)
    return optimizer_of(rules)(model.named_parameters(), lr=0.01, weight_decay=0.1)


def _train(name: str, model: nn.Module, rows: slice) -> nn.Module:
    optimizer = _optimizer(name, model)
    for step in range(STEPS):
        optimizer.zero_grad()
        model(_batch(step)[rows]).square().mean().backward()
        optimizer.step()
    return model


def _work(rank: int, folder: str) -> None:
    """What each of the two processes does."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    mine = slice(4 * rank, 4 * rank + 4)
    for name in NAMES:
        alone = _train(name, _model(), slice(None))
        replicated = _train(name, nn.parallel.DistributedDataParallel(_model()), mine)
        assert_close(list(replicated.parameters()), list(alone.parameters()))
        sharded = _model()
        for layer in (sharded[0], sharded[2], sharded):
            fully_shard(layer, mesh=mesh)
        _train(name, sharded, mine)
        for p, q in zip(sharded.parameters(), alone.parameters(), strict=True):
            assert isinstance(p, DTensor)
            assert_close(p.full_tensor(), q.detach())
    del replicated, sharded, p
    gc.collect()
    dist.barrier()
    (Path(folder) / f"done{rank}").touch()
    dist.destroy_process_group()
    # gloo's threads now and then abort a process that tears its interpreter down under them
    os._exit(0)


@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_work, args=(str(tmp_path),), nprocs=2)
    assert {path.name for path in tmp_path.glob("done*")} == {"done0", "done1"}
