"""Detours: what a rule would compute if the readers of a statement read one of its operands.

Nearly every detour changes the function, and most of them plainly so: it is enough to compute what
comes after the detour, from values that are known already.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from evosearch.equivalence.trajectory import Course
from evosearch.language.rule import Rule

__all__ = ["Detours"]

_TOLERANCE: Final = 3e-6
"""Updates of one fingerprint, divided by the largest, differ by less: they agree when scaled to
unit size and rounded to six decimals, and the largest is at least the unit."""


class Detours:
    """Judges detours of a rule that has no dead code, and a fingerprint.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Rule) -> None:
        self._body = rule.body
        self._course = Course(rule)
        self._values = self._course.values()
        updates = self._values[self._course.update].entries().ravel()
        self._largest = int(np.argmax(np.abs(updates)))
        self._scale = updates[self._largest]
        with np.errstate(all="ignore"):
            self._shares = updates / self._scale
        self._usable = bool(np.isfinite(self._shares).all())

    def surely_differs(self, i: int, heir: str) -> bool:
        """Whether the fingerprint is another if what reads statement i reads its operand `heir`.

        Only what does not reach the states is looked into; False means that it is not known, as it
        never is of a rule that does not move on the probes, or not finitely.
        """
        if not self._usable:
            return False
        course, values, statement = self._course, self._values, self._body[i]
        slot, _, reads = course.code[i]
        if course.carried >> slot & 1:
            return False
        if heir != statement.target and any(s.target == heir for s in self._body[i + 1 :]):
            return False  # later readers would get a later value of that name
        value = values[reads[statement.args.index(heir)]]
        if any(a.shape != b.shape for a, b in zip(value.arrays, values[slot].arrays, strict=True)):
            return False
        new = {slot: value}
        with np.errstate(all="ignore"):
            for k in range(i + 1, len(self._body)):
                if course.made_of[k] >> slot & 1:
                    later, function, reads = course.code[k]
                    arguments = [new[r] if r in new else values[r] for r in reads]
                    new[later] = course.table.value((function, *arguments))
            updates = new.get(course.update, value).entries().ravel()
            scale = updates[self._largest]
            apart = np.abs(updates / scale - self._shares).max()
        return not (scale / self._scale > 0.0 and apart < _TOLERANCE)
