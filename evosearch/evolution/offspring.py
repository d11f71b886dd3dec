"""From a parent to a child that computes something new.

Most edits change nothing, or lead to a function that was tried before; Lion's search threw away
nine in ten. So an edit is followed by a fingerprint, and edits are repeated until that is new. An
edit without effect is now and then kept as the base of the next one: neutral steps lead to places
that single edits do not reach.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.shrink import outline, shrink
from evosearch.language.liveness import strip_rules
from evosearch.language.rule import RuleSet
from evosearch.mutation.mutate import mutate, retune
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space

__all__ = ["Child", "offspring", "retuned"]

_LONGEST = 5
"""Edits between a parent and its child."""
_GIVE_UP = 20_000
_TRIES = 50
"""Sets of constants to try; with few digits there may be no new one nearby."""


@dataclass(frozen=True)
class Child:
    """A functionally new program and what it took to find it."""

    rules: RuleSet
    fingerprint: str
    mutation: str
    """The edits, in order."""
    proposals: int
    """Programs made, this one included."""
    hits: int
    """Programs among them whose function was known."""


def offspring(
    parent: RuleSet, space: Space, rng: Rng, known: Container[str], drift: float
) -> Child | None:
    """Return a child of `parent` whose fingerprint is not `known`; None where none can be found.

    Args:
        parent: a rule set that keeps the limits of the space.
        space: ops and limits.
        rng: the stream that all choices come from.
        known: fingerprints of what was proposed before.
        drift: probability that an edit without effect is built upon.
    """
    current, edits, hits = parent, [], 0
    for proposals in range(1, _GIVE_UP + 1):
        child, edit = mutate(current, space, rng)
        print_ = fingerprint(child)
        hit = print_ is not None and print_ in known
        if print_ is not None and not hit and _frugal(child, space):
            return Child(child, print_, ", ".join([*edits, edit]), proposals, hits)
        hits += hit
        if hit and len(edits) + 1 < _LONGEST and rng.chance(drift):
            current, edits = child, [*edits, edit]
        else:
            current, edits = parent, []
    return None


def retuned(core: RuleSet, space: Space, rng: Rng, known: Container[str]) -> Child | None:
    """Return a rule set with other constants whose fingerprint is not `known`.

    Args:
        core: what to change; without redundant statements, so that every constant matters.
        space: whose scope says which rules may change.
        rng: the stream that all choices come from.
        known: fingerprints of what was proposed before.

    Returns:
        The child, or None where there are no constants or none with an effect.
    """
    hits = 0
    for proposals in range(1, _TRIES + 1):
        child = retune(core, space, rng)
        if child is None:
            return None
        print_ = fingerprint(child)
        if print_ is not None and print_ not in known:
            return Child(child, print_, "retune", proposals, hits)
        hits += print_ is not None
    return None


def _frugal(child: RuleSet, space: Space) -> bool:
    """Whether the child needs no more states than the space allows, whatever it declares."""
    if not space.spare_states:
        return True

    def small(rules: RuleSet) -> bool:
        stated = rules.rules[: len(child.rules)]
        return all(rule.state_memory <= space.max_states for rule in stated)

    # Taking statements out only takes states away; dead ones are found at once, and whether a core
    # trains as its child does is only asked where that would be small enough.
    return small(strip_rules(child)) or (small(outline(child)) and small(shrink(child)))
