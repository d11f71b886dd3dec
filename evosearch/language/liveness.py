"""Which statements matter: dead code within a step and across steps.

A statement is live when its value reaches the update, in this step or, through a state, in a later
one. A state is live when some live statement of a later step reads it; a state that is overwritten
before it is read is an ordinary variable. What is not live cannot change any update, so `strip`
preserves a rule's function exactly.
"""

from __future__ import annotations

from functools import lru_cache

from evosearch.language.rule import Argument, Rule, RuleSet

__all__ = ["live_statements", "periods", "strip", "strip_rules"]


def live_statements(rule: Rule) -> tuple[tuple[bool, ...], frozenset[str]]:
    """Return which statements are live, and the names of the live states."""
    states = {state.name for state in rule.states}
    live_states: frozenset[str] = frozenset()
    while True:
        marks = [False] * len(rule.body)
        needed: set[Argument] = {rule.update, *live_states}  # numbers in it match no target
        for i in range(len(rule.body) - 1, -1, -1):
            statement = rule.body[i]
            if statement.target in needed:
                marks[i] = True
                needed.discard(statement.target)
                needed.update(statement.args)
        reached = states & needed  # read at the start of a step: from the step before
        if reached <= live_states:
            return tuple(marks), live_states
        live_states = live_states | reached


def periods(rule: Rule) -> tuple[float, ...]:
    """Return, for each statement, on every how many steps its value is needed; 1: on all.

    What only the first operand of `every` is made of is needed on the steps on which that is taken.
    """
    result = [0.0] * len(rule.body)  # not needed at all, as far as is known
    needed: dict[str, float] = {state.name: 1.0 for state in rule.states} | {rule.update: 1.0}
    for i in range(len(rule.body) - 1, -1, -1):
        statement = rule.body[i]
        own = result[i] = needed.pop(statement.target, 1.0)
        for j, name in enumerate(statement.args):
            if not isinstance(name, str):
                continue
            rare = own == 1.0 and statement.op == "every" and j == 0
            period = float(statement.args[2]) if rare else own
            needed[name] = period if needed.get(name, period) == period else 1.0
    return tuple(result)


@lru_cache(maxsize=4096)
def strip(rule: Rule) -> Rule:
    """Return the rule without its dead statements and states."""
    marks, live_states = live_statements(rule)
    if all(marks) and len(live_states) == len(rule.states):
        return rule
    return Rule(
        name=rule.name,
        states=tuple(state for state in rule.states if state.name in live_states),
        body=tuple(s for s, live in zip(rule.body, marks, strict=True) if live),
        update=rule.update,
        doc=rule.doc,
    )


def strip_rules(rules: RuleSet) -> RuleSet:
    """Return the rule set with both rules stripped."""
    return RuleSet(strip(rules.matrix), None if rules.rest is None else strip(rules.rest))
