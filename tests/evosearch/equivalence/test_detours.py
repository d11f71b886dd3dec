from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from random_programs import rules

from evosearch.equivalence.detours import Detours
from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.check import infer
from evosearch.language.known import known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule
from evosearch.mutation.statement_edits import bypass


def verdicts(rule: Rule) -> list[tuple[bool, bool]]:
    """Return, for every detour, whether it is said to differ, and whether it does."""
    wanted, detours = rule_fingerprint(rule), Detours(rule)
    found = []
    for i, statement in enumerate(rule.body):
        for heir in statement.reads:
            shorter = bypass(rule, i, heir)
            same = infer(shorter) is not None and rule_fingerprint(shorter) == wanted
            found.append((detours.surely_differs(i, heir), not same))
    return found


@given(rules())
@settings(max_examples=150)
def test_what_is_said_to_differ_does(rule: Rule) -> None:
    rule = strip(rule)
    assume(rule_fingerprint(rule) is not None)
    assert all(differs for said, differs in verdicts(rule) if said)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_most_detours_after_the_states_are_judged(name: str) -> None:
    rule = known(name).matrix
    states = {state.name for state in rule.states}
    last = max(i for i, s in enumerate(rule.body) if s.target in states)
    reads = [len(statement.reads) for statement in rule.body]
    after = verdicts(rule)[sum(reads[: last + 1]) :]
    assert sum(said for said, _ in after) > len(after) / 2


def test_nothing_is_said_of_a_rule_that_does_not_move() -> None:
    rule = parse_rules("def still(w, g):\n    z = g - g\n    u = z * g\n    return u\n").matrix
    assert not any(said for said, _ in verdicts(rule))
