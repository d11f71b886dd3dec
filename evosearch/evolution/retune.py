"""Retuning: a form is judged by its best constants, so promising forms get theirs tried.

A form is a program without its constants. Most edits make a new one, with constants drawn blindly,
and the right form with the wrong constants loses to a worse one that has had time. So now and then
the search changes nothing but constants: of the form that scores best among those of some size,
where each trial that failed since the form's best was found counts against it. In the same spirit
AutoNumerics-Zero fits constants (Real et al., arXiv 2312.08472), and PySR those of a share of its
population (Cranmer, arXiv 2305.01582).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from evosearch.equivalence.core import Core
from evosearch.mutation.rng import Rng

__all__ = ["Retuning"]

Priority = tuple[float, int]
"""Score less fatigue, and negative id, of a form's best: greater is better."""


@dataclass(slots=True)
class _KnownForm:
    size: int
    best: int
    score: float
    failures: int = 0
    """Trials of other constants since the best was found."""


class Retuning:
    """What is known of each form, and which is worth the next trial."""

    def __init__(self, fatigue: float) -> None:
        """Take the score that each failed trial in a row counts against a form."""
        self._fatigue = fatigue
        self._forms: dict[str, _KnownForm] = {}
        self._open: dict[int, list[Priority]] = {}

    def put(self, id_: int, core: Core, score: float, *, first: bool) -> None:
        """Take in an individual's score.

        Args:
            id_: of the individual.
            core: its program.
            score: on the first tier, where all are evaluated; with the wrong constants a form
                seldom gets further.
            first: whether it is its first score, or one that has changed.
        """
        known = self._forms.get(core.form)
        if known is None:
            known = self._forms[core.form] = _KnownForm(core.size, id_, score)
        else:
            self.close(core.form)
            if known.best == id_:
                known.score = score
            elif score > known.score:
                known.best, known.score, known.failures = id_, score, 0
            elif first:
                known.failures += 1
        insort(self._open.setdefault(known.size, []), self._place(known))

    def close(self, key: str) -> None:
        """Try no more constants of a form, until an individual of it does better."""
        known = self._forms[key]
        places, place = self._open[known.size], self._place(known)
        at = bisect_left(places, place)
        if at < len(places) and places[at] == place:
            del places[at]

    def drop(self, id_: int, key: str) -> None:
        """Close a form of which an individual failed; without its best it is as good as new."""
        if (known := self._forms.get(key)) is None:
            return
        self.close(key)
        if known.best == id_:
            del self._forms[key]

    def pick(self, largest: int, rng: Rng) -> int | None:
        """Return the best individual of the form that is worth most among those of some size.

        Args:
            largest: Statements of the largest forms to consider.
            rng: Draws the size; every one is as likely, and so simple forms, of which there are
                few, are tried most.
        """
        sizes = sorted(size for size, places in self._open.items() if places and size <= largest)
        return -self._open[rng.pick(sizes)][-1][1] if sizes else None

    def _place(self, known: _KnownForm) -> Priority:
        return known.score - self._fatigue * known.failures, -known.best
