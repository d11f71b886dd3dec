"""Mutations: a random edit of a rule set that keeps it legal and within the space."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from evosearch.language.check import infer
from evosearch.language.known import default_rest
from evosearch.language.liveness import strip
from evosearch.language.rule import RuleSet
from evosearch.mutation.constants import draw, perturb
from evosearch.mutation.edits import menu
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.mutation.statement_edits import places, reset
from primitives.op import Constant

__all__ = ["crossover", "mutate", "retune"]

_FRESH: Final = 0.4
"""How often a constant that is retuned is drawn afresh instead of moved."""
_TRIES: Final = 10_000
"""Edits to try before giving up: where a parent is at its limits, few keep them."""


def mutate(parent: RuleSet, space: Space, rng: Rng) -> tuple[RuleSet, str]:
    """Return a legal, textually different child and the name of the edit that made it.

    Where both rules may change (`Space.scope`), an edit of the only rule of a parent acts on all
    parameters or, as often, on the matrices alone, the rest keeping the parent's rule; it must
    where the new rule needs matrices.

    Raises:
        RuntimeError: no edit fits the space; the parent is larger than its limits allow.
    """
    for _ in range(_TRIES):
        row = rng.weighted(*menu(space.edits, space.frequencies))
        in_rest = space.scope == "both" and parent.rest is not None and rng.chance(0.3)
        old = parent.rest if in_rest and parent.rest is not None else parent.matrix
        new = row.edit(old, space, rng)
        if new is None or new == old or infer(new) is None or not space.holds(new):
            continue
        name = row.name
        if in_rest:
            if new.rank_free:
                return replace(parent, rest=new), f"{name} in rest"
        elif space.scope == "single":
            if new.rank_free:
                return RuleSet(new), name
        elif parent.rest is not None:
            return replace(parent, matrix=new), name
        elif space.scope == "both" and new.rank_free and rng.chance(0.5):
            return RuleSet(new), name
        else:
            kept = old if old.rank_free else strip(old)  # what is dead may need matrices
            rest = kept if kept.rank_free else default_rest()
            return RuleSet(new, rest), f"{name} in matrix"
    raise RuntimeError(f"no legal edit found in {_TRIES} tries of\n{parent}")


def retune(parent: RuleSet, space: Space, rng: Rng) -> RuleSet | None:
    """Return the parent with one constant or several changed, or None where there are none.

    One is drawn that changes for certain, and each of the others does as likely as not: what one
    average should remember depends on what the other does. Steps are small or large.
    """
    rules = list(parent.rules)
    tuned = rules if space.scope == "both" else rules[:1]
    found = [(k, place) for k, rule in enumerate(tuned) for place in places(rule)]
    if not found:
        return None
    certain, scale = rng.pick(found), math.exp(rng.normal())

    def change(kind: Constant, value: float, rng: Rng) -> float:
        fresh = rng.chance(_FRESH)
        return draw(kind, rng) if fresh else perturb(kind, value, rng, scale)

    for k, place in found:
        if (k, place) == certain or rng.chance(0.5):
            rules[k] = reset(rules[k], place, change, rng)
    return RuleSet(*rules)


def crossover(first: RuleSet, second: RuleSet) -> RuleSet:
    """Return the first's rule for matrices with the second's rule for the rest."""
    if second.rest is not None:
        return RuleSet(first.matrix, second.rest)
    return RuleSet(first.matrix, second.matrix if second.matrix.rank_free else None)
