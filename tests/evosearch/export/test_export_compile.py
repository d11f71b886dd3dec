"""A step under torch.compile: no graph breaks, and where eager steps lead."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache

import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import optimizer_of
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.testing import assert_close

from evosearch.language.known import known
from evosearch.language.rule import RuleSet

Step = Callable[[], object]


def _params() -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((6, 4), (6, 4), (4,), (3, 2, 2, 2))
    return [Parameter(torch.randn(*shape, generator=generator)) for shape in shapes]


def _check(rules: RuleSet, backend: str, **options) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    cls = optimizer_of(rules, lr=1e-2, rest_lr=1e-2)
    eager, compiled = _params(), _params()
    one, other = cls(eager), cls(compiled, **options)
    step = torch.compile(other.step, backend=backend, fullgraph=True)
    for _ in range(5):
        for params in (eager, compiled):
            for p in params:
                p.grad = p.detach().sin()
        one.step()
        step()
    assert_close(compiled, eager, rtol=1e-4, atol=1e-4)
    assert not torch._dynamo.utils.counters["graph_break"]
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs <= 2, "one graph makes the states, one serves all later steps"


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("name", ["sgd", "lion", "adamw", "muon"])
def test_steps_are_one_graph(name: str, foreach: bool) -> None:
    _check(known(name), "aot_eager", foreach=foreach)


_BACKENDS = [
    "aot_eager",
    pytest.param("inductor", marks=pytest.mark.slow),
]


def _graphs(optimizer: Optimizer, params: list[Parameter], backend: str, step: Step) -> int:
    """Return how many graphs six steps make, of which each has another rate."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(optimizer.step, backend=backend)
    for _ in range(6):
        for p in params:
            p.grad = p.detach().sin()
        compiled()
        step()
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def _scheduled(cls: Callable[..., Optimizer], backend: str) -> tuple[int, list[Parameter]]:
    params = _params()
    optimizer = cls(params, lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    return _graphs(optimizer, params, backend, schedule.step), params


@cache
def _graphs_of_adamw(backend: str) -> int:
    return _scheduled(torch.optim.AdamW, backend)[0]


@pytest.mark.filterwarnings("ignore")  # torch's own, while it traces AdamW
@pytest.mark.parametrize("backend", _BACKENDS)
@pytest.mark.parametrize("name", ["lion", "adamw", "muon"])
def test_a_scheduler_makes_no_more_graphs_than_for_adamw(name: str, backend: str) -> None:
    """A rate that is a float, and another in every step."""
    if backend == "inductor" and shutil.which("c++") is None:
        pytest.skip("inductor needs a C++ compiler")
    cls = optimizer_of(known(name))
    graphs, compiled = _scheduled(cls, backend)
    assert graphs <= _graphs_of_adamw(backend)
    _, eager = _scheduled(cls, "eager")
    assert_close(compiled, eager, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_tensor_learning_rate_needs_no_new_graph(shape: tuple[int, ...]) -> None:
    """A schedule that writes into the learning rate does not compile again."""
    params = _params()
    lr = torch.full(shape, 1e-2)
    optimizer = optimizer_of(known("muon"))(params, lr=lr, backup_adamw_lr=lr)
    assert _graphs(optimizer, params, "aot_eager", lambda: lr.mul_(0.9)) <= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "rules", [*map(known, ("lion", "adamw", "muon")), *evolved()], ids=lambda rules: rules.name
)
def test_inductor_computes_the_same(rules: RuleSet) -> None:
    _check(rules, "inductor", foreach=True)
