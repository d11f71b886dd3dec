"""A step under torch.compile: no graph breaks, and where eager steps lead."""

from __future__ import annotations

import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import optimizer_of
from torch.nn import Parameter
from torch.testing import assert_close

from evosearch.language.known import known
from evosearch.language.rule import RuleSet


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


def test_a_tensor_learning_rate_needs_no_new_graph() -> None:
    """A schedule that writes into the learning rate does not compile again."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    params = _params()
    lr = torch.tensor(1e-2)
    optimizer = optimizer_of(known("muon"))(params, lr=lr, backup_adamw_lr=lr)
    step = torch.compile(optimizer.step, backend="aot_eager", fullgraph=True)
    for _ in range(6):
        for p in params:
            p.grad = p.detach().sin()
        step()
        lr.mul_(0.9)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "rules", [*map(known, ("lion", "adamw", "muon")), *evolved()], ids=lambda rules: rules.name
)
def test_inductor_computes_the_same(rules: RuleSet) -> None:
    _check(rules, "inductor", foreach=True)
