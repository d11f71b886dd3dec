"""Random evolved programs: what a search might export, drawn from a seed."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from evosearch.breed import offspring
from evosearch.generate import CompiledRule, compile_rules
from evosearch.library import known
from evosearch.program import RuleSet
from evosearch.rng import Rng
from evosearch.space import Space

_PARENTS = ("adamw", "muon", "lion", "momentum", "rmsprop")
_LONGEST = 12


@cache
def evolved(count: int) -> tuple[RuleSet, ...]:
    """Return programs that some generations of mutation made of known ones, and that still train."""
    found: list[RuleSet] = []
    for seed in range(1000):
        rng = Rng(seed, "exported")
        rules = known(_PARENTS[seed % len(_PARENTS)])
        for _ in range(1 + rng.below(_LONGEST)):
            child = offspring(rules, Space(), rng, (), 0.5)
            rules = rules if child is None else child.rules
        if _trains(rules):
            found.append(rules.renamed(f"evolved_{len(found)}"))
        if len(found) == count:
            return tuple(found)
    raise RuntimeError(f"only {len(found)} of {count} programs train; draw from more seeds")


def _trains(rules: RuleSet) -> bool:
    """Whether both rules bring a least-squares loss down, and are not chaotic."""
    compiled = compile_rules(rules)
    return all(_descends(rule) and _is_stable(rule) for rule in (compiled.matrix, compiled.rest))


def _descends(rule: CompiledRule) -> bool:
    w = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return any(
        _trained(rule, w, torch.zeros(30, 6, 4), lr).square().sum() < 0.99 * w.square().sum()
        for lr in (0.1, 0.01, 1e-3)
    )


def _is_stable(rule: CompiledRule) -> bool:
    """Whether a difference in the last digits stays there: no implementation can follow chaos."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(8, 6, 4, generator=generator)
    noise = torch.randn(200, 8, 6, 4, generator=generator)
    last_digits = 1 + 1e-7 * torch.randn(8, 6, 4, generator=generator).sign()
    one, other = (_trained(rule, x, noise, 1e-3) for x in (w, w * last_digits))
    difference = torch.linalg.vector_norm(one - other, dim=(-2, -1))
    return bool((difference < 3e-7 * torch.linalg.vector_norm(one, dim=(-2, -1))).all())


def _trained(rule: CompiledRule, w: Tensor, noise: Tensor, lr: float) -> Tensor:
    """Return parameters (..., m, n) after the steps that there is noise for, down a quadratic."""
    states = [w.new_zeros(*w.shape[:-2], *shape.sizes(*w.shape[-2:])) for shape in rule.states]
    for step, g in enumerate(noise, start=1):
        u, *states = rule.update(w, w + g, float(step), *states)
        w = w - lr * u
    return w
