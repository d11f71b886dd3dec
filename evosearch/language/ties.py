"""Names of constants, given back to numbers that a rewrite has carried over without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from evosearch.language.rule import Argument, Rule, Statement, Tie

__all__ = ["retied"]

_SAME: Final = 1e-12
"""Difference up to which a number is what a constant says: rewrites compute ``1 - (1 - beta)``."""


def retied(rule: Rule, original: Rule) -> Rule:
    """Return the rule with the names that the original has for its numbers.

    A number gets a name where it is the value of exactly one named constant of the original, or 1
    minus it, and where the original has no such number without a name.
    """
    constants = original.constants
    if not constants:
        return rule
    loose = [
        a
        for s in original.body
        for j, a in enumerate(s.args)
        if not isinstance(a, str) and (not s.ties or s.ties[j] is None)
    ]
    ties = [Tie(n, v, other) for n, v in constants.items() for other in (False, True)]
    taken = {s.target for s in rule.body} | {state.name for state in rule.states}

    def tie_of(argument: Argument) -> Tie | None:
        if isinstance(argument, str) or any(abs(argument - x) <= _SAME for x in loose):
            return None
        fits = [tie for tie in ties if abs(tie.number - argument) <= _SAME]
        plain = [tie for tie in fits if not tie.complement]  # of 0.5, both fit
        fits = plain if len({tie.name for tie in fits}) == 1 and plain else fits
        return fits[0] if len(fits) == 1 and fits[0].name not in taken else None

    def named(statement: Statement) -> Statement:
        found = tuple(map(tie_of, statement.args))
        if not any(found):
            return statement
        args = tuple(
            a if tie is None else tie.number for a, tie in zip(statement.args, found, strict=True)
        )
        return Statement(statement.target, statement.op, args, found)

    return replace(rule, body=tuple(map(named, rule.body)))
