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
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.testing import assert_close

from discovered.muon import Muon
from discovered.split import split_parameters

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


def _optimizer(name: str, model: nn.Module) -> Optimizer:
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parents[1] / "support")]
    from exported_optimizers import optimizer_of

    from evosearch.language.known import known
    from evosearch.language.parse import parse_rules

    rules = parse_rules(NORMUON) if name == "normuon" else known(name)
    return optimizer_of(rules)(model.named_parameters(), lr=0.01, weight_decay=0.1)


def _advance(model: nn.Module, optimizer: Optimizer, rows: slice, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        model(_batch(step)[rows]).square().mean().backward()
        optimizer.step()


def _train(name: str, model: nn.Module, rows: slice) -> nn.Module:
    _advance(model, _optimizer(name, model), rows, range(STEPS))
    return model


def _sharded(mesh: DeviceMesh) -> nn.Module:
    model = _model()
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh)
    return model


def _groups(model: nn.Module) -> list[dict]:
    """Return groups that have one rule each, for who copies groups to optimizers of its own."""
    hidden, others = split_parameters(model, head=[])
    matrices = {"params": hidden, "use_matrix_rule": True}
    return [matrices, {"params": others, "use_matrix_rule": False, "lr": 3e-3}]


def _check_split_states(rows: slice) -> None:
    """With ZeroRedundancyOptimizer each process has half of the states."""
    from torch.distributed.optim import ZeroRedundancyOptimizer  # which warns of torch's own code

    alone, shared = _model(), nn.parallel.DistributedDataParallel(_model())
    _advance(alone, Muon(_groups(alone)), slice(None), range(STEPS))
    optimizer = ZeroRedundancyOptimizer(_groups(shared.module), optimizer_class=Muon)
    _advance(shared, optimizer, rows, range(STEPS))
    assert_close(list(shared.parameters()), list(alone.parameters()))


def _check_distributed_checkpoint(name: str, mesh: DeviceMesh, rows: slice, folder: str) -> None:
    """A sharded model and its states go on from a distributed checkpoint as without it."""
    through, again = _sharded(mesh), _sharded(mesh)
    optimizer, other = _optimizer(name, through), _optimizer(name, again)
    _advance(through, optimizer, rows, range(2))
    model, states = get_state_dict(through, optimizer)
    checkpoint.save({"model": model, "optimizer": states}, checkpoint_id=f"{folder}/{name}")
    model, states = get_state_dict(again, other)
    found = {"model": model, "optimizer": states}
    checkpoint.load(found, checkpoint_id=f"{folder}/{name}")
    set_state_dict(
        again, other, model_state_dict=found["model"], optim_state_dict=found["optimizer"]
    )
    for m, o in ((through, optimizer), (again, other)):
        _advance(m, o, rows, range(2, STEPS))
    for p, q in zip(again.parameters(), through.parameters(), strict=True):
        assert isinstance(p, DTensor)
        assert isinstance(q, DTensor)
        assert_close(p.full_tensor(), q.full_tensor())


def _work(rank: int, folder: str) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    mine = slice(4 * rank, 4 * rank + 4)
    for name in NAMES:
        alone = _train(name, _model(), slice(None))
        replicated = _train(name, nn.parallel.DistributedDataParallel(_model()), mine)
        assert_close(list(replicated.parameters()), list(alone.parameters()))
        sharded = _sharded(mesh)
        _train(name, sharded, mine)
        for p, q in zip(sharded.parameters(), alone.parameters(), strict=True):
            assert isinstance(p, DTensor)
            assert_close(p.full_tensor(), q.detach())
        _check_distributed_checkpoint(name, mesh, mine, folder)
    _check_split_states(mine)
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
