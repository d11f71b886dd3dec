"""Ideas that a search can be asked to find: what they are is fixed in docs/adr/0014.

They are recognized by what a rule answers to one gradient that comes again and again, whose
singular values are spread: whether it brings them together, and keeps its directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from evosearch.equivalence.probes import Array, Probes, ProbeTable
from evosearch.equivalence.trajectory import Course
from evosearch.language.rule import Rule
from evosearch.recognize.traits import PRECONDITIONED, Trait, traits

__all__ = ["CONDITION", "RecognizedIdea", "orthogonalization", "preconditioner"]

CONDITION: Final = 10.0
"""Of the gradients: largest over smallest singular value."""
_SHAPES: Final = ((6, 6), (9, 6), (6, 9))
_SIZES: Final = (0.1, 1.0, 10.0)
"""Factors of the gradients; the largest singular value is as large."""
_STEPS: Final = 12


@dataclass(frozen=True)
class RecognizedIdea:
    """What a rule makes of the gradients, at worst; a recognized rule as targets ask for it."""

    name: str
    constants: Mapping[str, float]
    """``spread``: largest over smallest singular value of the last update; ``cosine``: of the last
    update and the gradient's polar factor."""
    residual: float = 0.0


def orthogonalization(rule: Rule) -> RecognizedIdea | None:
    """Return how well a rule orthogonalizes a gradient; None where it does not at all."""
    return _judged("orthogonalization", rule)


def preconditioner(rule: Rule) -> RecognizedIdea | None:
    """Return how well a rule that has a preconditioner whitens a gradient; None without one."""
    found = traits(rule)
    if not found & PRECONDITIONED:
        return None
    sides = 2.0 if Trait.TWO_SIDED in found else 1.0
    judged = _judged("preconditioner", rule)
    return judged and RecognizedIdea(judged.name, {**judged.constants, "sides": sides})


def _judged(name: str, rule: Rule) -> RecognizedIdea | None:
    """Return a rule's worst spread and cosine; None where an update is not finite or zero."""
    spreads: list[float] = []
    cosines: list[float] = []
    with np.errstate(all="ignore"):
        updates = Course(rule, _probes()).run().arrays
    for update, polar in zip(updates, _polars(), strict=True):
        last = np.asarray(update)[-1]
        if not np.isfinite(last).all() or not last.any():
            return None
        values = np.linalg.svd(last, compute_uv=False)
        spreads.append(float(values[0] / values[-1]) if values[-1] > 0.0 else np.inf)
        size = np.linalg.norm(last) * np.linalg.norm(polar)
        cosines.append(float((last * polar).sum() / size))
    return RecognizedIdea(name, {"spread": max(spreads), "cosine": min(cosines)})


@cache
def _gradients() -> tuple[tuple[Array, Array], ...]:
    """Return gradients and their polar factors."""
    rng = np.random.Generator(np.random.PCG64(20241208))  # the date of Muon's post
    found: list[tuple[Array, Array]] = []
    for m, n in _SHAPES:
        rank = min(m, n)
        left = np.linalg.qr(rng.standard_normal((m, rank)))[0]
        right = np.linalg.qr(rng.standard_normal((n, rank)))[0]
        values = np.geomspace(1.0, 1.0 / CONDITION, rank)
        polar = left @ right.T
        found += [(size * (left * values) @ right.T, polar) for size in _SIZES]
    return tuple(found)


@cache
def _probes() -> Probes:
    """Return probes on which each gradient comes on every step; weights stay zero."""
    stacks = tuple(np.repeat(g[None], _STEPS, axis=0) for g, _ in _gradients())
    weights, times = tuple(map(np.zeros_like, stacks)), range(1, _STEPS + 1)
    table = ProbeTable(stacks, weights, tuple(times))
    return Probes(table, table)


def _polars() -> tuple[Array, ...]:
    return tuple(polar for _, polar in _gradients())
