"""Fifty random evolved programs: what a search might export.

They are kept in a file, so that tests speak of the same programs whatever becomes of the mutations.
Run this module from the root of the repository to draw them anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from interpreter import descended
from torch import Tensor

from evosearch.evolution.offspring import offspring
from evosearch.language.known import known
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.training.codegen import CompiledRule, compile_rules

RATE = 0.01
"""The learning rate at which they train."""

_FILE = Path(__file__).parent / "evolved_programs.txt"
_SEPARATOR = "\n---\n"
_PARENTS = ("adamw", "muon", "lion", "momentum", "rmsprop")
_LONGEST = 30


@cache
def evolved() -> tuple[RuleSet, ...]:
    """Return the programs."""
    return tuple(map(parse_rules, _FILE.read_text(encoding="utf-8").split(_SEPARATOR)))


def draw() -> Iterator[RuleSet]:
    """Yield programs without end: known ones after some generations, as long as they train."""
    found = 0
    for seed in itertools.count():
        rng = Rng(seed, "exported")
        rules = known(_PARENTS[seed % len(_PARENTS)])
        for _ in range(1 + rng.below(_LONGEST)):
            child = offspring(rules, Space(), rng, (), 0.5)
            rules = rules if child is None else child.rules
        if _trains(rules):
            yield strip_rules(rules).renamed(f"evolved_{found}")
            found += 1


def rests(rules: RuleSet) -> bool:
    """Whether a parameter whose gradient was always zero does not move."""
    compiled = compile_rules(rules)
    w = torch.randn(10, 5, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(2, 10, 5)
    return all(
        torch.equal(_trained(rule, w, lambda _, g: g, zeros), w)
        for rule in (compiled.matrix, compiled.rest)
    )


def _trains(rules: RuleSet) -> bool:
    """Whether both rules go down a quadratic, up with its sign turned, and are not chaotic."""
    compiled = compile_rules(rules)
    return all(_descends(rule) and _is_stable(rule) for rule in (compiled.matrix, compiled.rest))


def _descends(rule: CompiledRule) -> bool:
    """Whether it goes down bowls, steep and flat ones, from wherever it starts; or up."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(16, 10, 5, generator=generator)
    bottom = torch.randn(16, 10, 5, generator=generator)
    steepness = torch.logspace(-1, 1, 16)[:, None, None]
    for dtype in (torch.float32, torch.bfloat16):
        w, goal, steep = start.to(dtype), bottom.to(dtype), steepness.to(dtype)
        for steps in (5, 20):
            still = torch.zeros(steps, 1, 1, 1, dtype=dtype)
            down = _trained(
                rule, w, lambda w, g, goal=goal, steep=steep: g + steep * (w - goal), still
            )
            up = _trained(
                rule, w, lambda w, g, goal=goal, steep=steep: g - steep * (w - goal), still
            )
            lower, level, higher = (_heights(x, goal) for x in (down, w, up))
            if not ((lower < level) & (level < higher)).all():
                return False
    return True


@dataclass
class _Bowl:
    goal: Tensor
    steep: Tensor

    def __call__(self, w: Tensor, g: Tensor) -> Tensor:
        return g + self.steep * (w - self.goal)


def _heights(w: Tensor, goal: Tensor) -> Tensor:
    return (w - goal).double().square().sum((-2, -1))


def _is_stable(rule: CompiledRule) -> bool:
    """Whether a difference in the last digits stays there: no implementation can follow chaos."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(64, 6, 4, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, 64, 6, 4, generator=generator, dtype=torch.float64)
    last_digits = 1 + 1e-15 * torch.randn(w.shape, generator=generator, dtype=w.dtype).sign()
    one, other = (_trained(rule, x, lambda w, g: w + g, noise, 1e-3) for x in (w, w * last_digits))
    difference = torch.linalg.vector_norm(one - other, dim=(-2, -1))
    return bool((difference < 4e-15 * torch.linalg.vector_norm(one, dim=(-2, -1))).all())


def _trained(
    rule: CompiledRule,
    w: Tensor,
    slope: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    lr: float = RATE,
) -> Tensor:
    """Return parameters (..., m, n) after a step along slope(w, g) for each g of the noise."""
    states = [w.new_zeros(*w.shape[:-2], *shape.sizes(*w.shape[-2:])) for shape in rule.states]
    for step, g in enumerate(noise, start=1):
        u, *states = rule.update(w, slope(w, g), float(step), *states)
        w = descended(rule.rule, w, u, lr)
    return w


if __name__ == "__main__":
    _FILE.write_text(_SEPARATOR.join(map(str, itertools.islice(draw(), 50))), encoding="utf-8")
