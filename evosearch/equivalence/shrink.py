"""The core of a program: what is left when nothing can be taken out.

Evolution keeps statements that do nothing, as stepping stones; what is evaluated, measured and
shown is the core. Dead code goes first. Then every statement whose readers might as well read one
of its operands goes too, as long as the fingerprint stays: ``sign(m / sqrt(v))`` is ``sign(m)``,
and the average v is not needed. A fingerprint is blind to positive factors and to what is too small
to matter on the probes, such as Adam's epsilon; the core is evaluated as it stands. So a core is
taken only where it trains as its program does over a thousand steps in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from evosearch.equivalence.agreement import agree
from evosearch.equivalence.detours import Detours
from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.check import infer
from evosearch.language.known import default_rest, rest_of
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.statement_edits import bypass

__all__ = ["outline", "shrink"]


def shrink(rules: RuleSet) -> RuleSet:
    """Return the core of a rule set: its fingerprint is the same, and its late steps are."""
    return _by_rule(rules, _core)


def outline(rules: RuleSet) -> RuleSet:
    """Return what a core may be, judged by its fingerprint alone: quick, for proposals."""
    return _by_rule(rules, _outline)


def _by_rule(rules: RuleSet, reduced: Callable[[Rule], Rule]) -> RuleSet:
    matrix = reduced(rules.matrix)
    if rules.rest is not None:
        return RuleSet(matrix, reduced(rules.rest))
    default = rest_of(rules) is default_rest()
    return RuleSet(matrix, default_rest() if default and matrix.rank_free else None)


@lru_cache(maxsize=4096)
def _outline(rule: Rule) -> Rule:
    rule = strip(rule)
    wanted = rule_fingerprint(rule)
    while (smaller := _smaller(rule, wanted)) is not None:
        rule = smaller
    return rule


@lru_cache(maxsize=4096)
def _core(rule: Rule) -> Rule:
    """Return the outline where it agrees with the rule, else what is left by steps that agree."""
    rule, found = strip(rule), _outline(rule)
    if len(found.body) == len(rule.body) or agree(rule, found):
        return found
    original, wanted = rule, rule_fingerprint(rule)
    while (smaller := _smaller(rule, wanted, original)) is not None:
        rule = smaller
    return rule


def _smaller(rule: Rule, wanted: str | None, original: Rule | None = None) -> Rule | None:
    """Return an equivalent rule with fewer statements, or None; late statements are tried first.

    Args:
        rule: without dead code.
        wanted: its fingerprint.
        original: what the result has to agree with late, if anything.
    """
    detours = None if wanted is None else Detours(rule)
    for i in range(len(rule.body) - 1, -1, -1):
        for heir in dict.fromkeys(rule.body[i].reads):
            if detours and detours.surely_differs(i, heir):
                continue
            shorter = bypass(rule, i, heir)
            if infer(shorter) is None or rule_fingerprint(shorter) != wanted:
                continue
            if original is None or agree(original, shorter):
                return strip(shorter)
    return None
