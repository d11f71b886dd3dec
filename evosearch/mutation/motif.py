"""Motifs: small fragments that programs have in common more often than chance would have it.

A motif is cut two or three statements deep, and constants are left out of the comparison. Chance is
programs of the same ops, wired at random: each op is in a program as often as it is in theirs, and
each wire leads from a value to one of the others that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Final

from evosearch.language.rule import Rule, Statement
from evosearch.mutation.fragment import Fragment, cut

__all__ = ["harvest"]

_DEPTHS: Final = (2, 3)
_SHARED: Final = 2
"""Programs that a motif has to occur in, at least."""


def harvest(rules: Sequence[Rule]) -> tuple[Fragment, ...]:
    """Return the motifs of some legal rules without redundant statements, those of most first."""
    seen: Counter[Fragment] = Counter()
    examples: dict[Fragment, Fragment] = {}
    for rule in rules:
        found = {_blank(f): f for f in _fragments(rule)}
        seen.update(found.keys())
        examples = found | examples  # constants are of the rule that came first
    chance = _chances(rules)
    shared = [f for f, n in seen.items() if n >= _SHARED and n > len(rules) * chance(f)]
    shared.sort(key=lambda f: -seen[f])  # stable: otherwise in the order of rules
    return tuple(examples[f] for f in shared)


def _fragments(rule: Rule) -> list[Fragment]:
    cuts = (cut(rule, k, depth) for k in range(len(rule.body)) for depth in _DEPTHS)
    return [fragment for fragment in cuts if len(fragment.body) > 1 and fragment.inputs]


def _blank(fragment: Fragment) -> Fragment:
    """Return a fragment without constants, to be compared."""
    body = tuple(
        Statement(s.target, s.op, tuple(a if isinstance(a, str) else 0.0 for a in s.args))
        for s in fragment.body
    )
    return Fragment(fragment.inputs, fragment.states, body, fragment.result, fragment.shape)


def _chances(rules: Sequence[Rule]) -> Callable[[Fragment], float]:
    """Return how likely a rule has a fragment by chance."""
    ops = Counter(op for rule in rules for op in {s.op for s in rule.body})
    variables = sum(2 + len(rule.states) + len(rule.body) for rule in rules)

    def chance(fragment: Fragment) -> float:
        made = {s.target for s in fragment.body}
        wires = sum(name in made for s in fragment.body for name in s.reads)
        shares = (ops[s.op] / len(rules) for s in fragment.body)
        return prod(shares) * (len(rules) / variables) ** wires

    return chance
