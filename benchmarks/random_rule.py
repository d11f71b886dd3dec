"""Random programs, drawn without selection."""

from __future__ import annotations

from typing import Final

from evosearch.language.check import infer
from evosearch.language.rule import Rule
from evosearch.mutation.edits import EDITS
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space

__all__ = ["random_rule"]

_GROWING: Final = ("insert", "insert_free", "add_state", "rewire", "change_constant", "move")
_TRIES: Final = 2_000


def random_rule(rng: Rng, statements: int, space: Space | None = None) -> Rule:
    """Return a legal rule with this many statements, grown from nothing by random edits."""
    space = Space(max_statements=statements, max_states=3) if space is None else space
    edits = [row.edit for name, row in EDITS.items() if name in _GROWING]
    rule = Rule("drawn", (), (), "g")
    for _ in range(_TRIES):
        new = rng.pick(edits)(rule, space, rng)
        if new is not None and space.holds(new) and infer(new) is not None:
            rule = new
        if len(rule.body) >= statements:
            break
    return rule
