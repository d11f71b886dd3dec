"""Random programs over random models: a step is taken, or refused by a ValueError with a name."""

from __future__ import annotations

import itertools

import pytest
import torch
from exported_optimizers import optimizer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evosearch.evolution.offspring import offspring
from evosearch.language.known import known
from evosearch.language.rule import RuleSet
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space


def _mutant(seed: int) -> RuleSet:
    """Return what a few mutations make of a known optimizer; it need not train anything."""
    rng = Rng(seed, "shapes")
    rules = known(rng.pick(("adamw", "muon", "lion", "rmsprop", "sgd")))
    for _ in range(1 + rng.below(10)):
        child = offspring(rules, Space(), rng, (), 0.5)
        rules = rules if child is None else child.rules
    return rules.renamed(f"mutant_{seed}")


class _Zoo(nn.Module):
    """One of everything: convolution, embedding, scalar, empty, tied and unused weights."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, width)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.empty = nn.Parameter(torch.empty(0, width))
        self.unused = nn.Parameter(torch.ones(2, 3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        x = self.convolution(x.mT).mT
        for layer in self.hidden:
            x = x + torch.tanh(layer(x))
        return self.head(x) * self.scale + self.empty.sum()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 6),
    depth=st.integers(0, 3),
    foreach=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_any_program_steps_any_model(
    seed: int, width: int, depth: int, foreach: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(seed)
    model = _Zoo(width, depth).to(dtype)
    optimizer = optimizer_of(_mutant(seed))(model.named_parameters(), foreach=foreach)
    tokens = torch.arange(7).view(1, 7)
    for _ in range(3):
        optimizer.zero_grad()
        model(tokens).square().mean().backward()
        optimizer.step()
    assert all(p.dtype == dtype for p in model.parameters())
    assert (model.unused == 1).all()
    assert model.head.weight is model.embedding.weight


@pytest.mark.parametrize("seed", range(8))
def test_any_program_refuses_what_it_cannot_update(seed: int) -> None:
    embedding = nn.Embedding(4, 3, sparse=True)
    optimizer = optimizer_of(_mutant(seed))(embedding.named_parameters())
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="parameter weight of shape"):
        optimizer.step()


def test_mutants_differ() -> None:
    """The programs are not all the same few."""
    bodies = {str(_mutant(seed).renamed("x")) for seed in range(20)}
    assert len(bodies) == 20
    ops = set(
        itertools.chain.from_iterable((s.op for s in _mutant(i).matrix.body) for i in range(40))
    )
    assert len(ops) > 25
