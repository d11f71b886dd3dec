"""Tuning: a form is judged by its best constants, so promising forms get theirs tried.

A form is a program without its constants. Most edits make a new one, with constants drawn blindly,
and the right form with the wrong constants loses to a worse one that has had time. So now and then
the search changes nothing but constants: of the best forms of each size, until a form's trials fail
several times in a row. AutoML-Zero's successor fits constants in the same spirit (Real et al.,
AutoNumerics-Zero, arXiv 2312.08472), PySR a share of its population (Cranmer, arXiv 2305.01582).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from dataclasses import dataclass

from evosearch.program import INPUTS, Argument, Rule, RuleSet
from evosearch.rng import Rng
from evosearch.standing import Standing

__all__ = ["Tuning", "form"]

Place = tuple[Standing, int]
"""A form's best standing and the negative id: greater is better, and of equals the first counts."""


def form(rules: RuleSet) -> bytes:
    """Return a digest of a rule set but for its constants and the names of its variables."""
    both = (rules.matrix,) if rules.rest is None else (rules.matrix, rules.rest)
    return hashlib.blake2b("\n".join(map(_blanked, both)).encode(), digest_size=16).digest()


def _blanked(rule: Rule) -> str:
    names = {name: name for name in INPUTS}

    def word(argument: Argument) -> str:
        return names.setdefault(argument, f"x{len(names)}") if isinstance(argument, str) else "#"

    lines = [f"{word(state.name)}: {state.shape}" for state in rule.states]
    for statement in rule.body:
        arguments = ", ".join(map(word, statement.args))
        lines.append(f"{statement.op}({arguments}) -> {word(statement.target)}")
    return "\n".join([*lines, word(rule.update)])


@dataclass
class _Form:
    size: int
    best: int
    standing: Standing
    failures: int = 0
    """Trials of other constants since the best was found."""

    @property
    def place(self) -> Place:
        return self.standing, -self.best


class Tuning:
    """What is known of each form, and which are worth more trials."""

    def __init__(self, tries: int) -> None:
        """Take how many trials in a row may fail."""
        self._tries = tries
        self._forms: dict[bytes, _Form] = {}
        self._of: dict[int, bytes] = {}
        self._open: dict[int, list[Place]] = {}

    def put(self, id_: int, core: RuleSet, standing: Standing) -> None:
        """Take in an individual's standing, at first or when it has changed."""
        first = id_ not in self._of
        key = self._of.setdefault(id_, form(core) if first else b"")
        known = self._forms.get(key)
        if known is None:
            known = self._forms[key] = _Form(len(core.matrix.body), id_, standing)
        else:
            self._leave(known)
            if known.best == id_:
                known.standing = standing
            elif standing > known.standing:
                known.best, known.standing, known.failures = id_, standing, 0
            elif first:
                known.failures += 1
        if known.failures < self._tries:
            insort(self._open.setdefault(known.size, []), known.place)

    def drop(self, id_: int) -> None:
        """Forget an individual that failed; a form whose best it was is not tried further."""
        known = self._forms.get(self._of.get(id_, b""))
        if known is not None and known.best == id_:
            self.close(id_)

    def close(self, id_: int) -> None:
        """Try no more constants of an individual's form."""
        known = self._forms[self._of[id_]]
        self._leave(known)
        known.failures = self._tries

    def pick(self, largest: int, rng: Rng) -> int | None:
        """Return the best individual of the best form of some size that is worth more trials.

        Args:
            largest: Statements of the largest forms to consider; every size is as likely.
            rng: Draws the size.
        """
        sizes = sorted(size for size, places in self._open.items() if places and size <= largest)
        return -self._open[rng.pick(sizes)][-1][1] if sizes else None

    def _leave(self, known: _Form) -> None:
        """Take a form from those worth more trials, if it is among them."""
        places = self._open.get(known.size, [])
        at = bisect_left(places, known.place)
        if at < len(places) and places[at] == known.place:
            del places[at]
