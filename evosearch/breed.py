"""From a parent to a child that computes something new.

Most edits change nothing, or lead to a function that was tried before; Lion's search threw away
nine in ten. So an edit is followed by a fingerprint, and edits are repeated until that is new. An
edit without effect is now and then kept as the base of the next one: neutral steps lead to places
that single edits do not reach.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from evosearch.fingerprint import fingerprint
from evosearch.mutate import mutate
from evosearch.program import RuleSet
from evosearch.rng import Rng
from evosearch.space import Space

__all__ = ["Child", "offspring"]

_LONGEST = 5
"""Edits between a parent and its child."""
_GIVE_UP = 20_000


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
        if print_ is not None and print_ not in known:
            return Child(child, print_, ", ".join([*edits, edit]), proposals, hits)
        hits += print_ is not None
        if print_ is not None and len(edits) + 1 < _LONGEST and rng.chance(drift):
            current, edits = child, [*edits, edit]
        else:
            current, edits = parent, []
    return None
