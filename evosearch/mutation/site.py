"""Sites: the places in a rule where a value is used, and surgery on them.

Nothing here is random but `draw_site`, and nothing judges: what comes out may be illegal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from evosearch.language.check import infer
from evosearch.language.rule import INPUTS, Argument, Rule, Statement, Tie
from evosearch.mutation.rng import Rng
from primitives.shape import Shape
from primitives.table import OPS

__all__ = [
    "Site",
    "draw_site",
    "fresh",
    "insert_at",
    "padded",
    "put",
    "read_at",
    "rewritten",
    "visible",
    "write_at",
]

Site = tuple[int, int]
"""Statement and argument number; the statement after the last stands for the returned update."""

_ARITY: Final = {op.name: op.arity for op in OPS.values()}


def draw_site(rule: Rule, rng: Rng) -> Site:
    """Draw one of the places where a value is used."""
    arities = [_ARITY[statement.op] for statement in rule.body]
    k = rng.below(sum(arities) + 1)
    for i, arity in enumerate(arities):
        if k < arity:
            return i, k
        k -= arity
    return len(rule.body), 0


def read_at(rule: Rule, site: Site) -> Argument:
    """Return what is used there."""
    i, j = site
    return rule.update if i == len(rule.body) else rule.body[i].args[j]


def write_at(rule: Rule, site: Site, name: str) -> Rule:
    """Return the rule that uses a variable there."""
    i, j = site
    if i == len(rule.body):
        return Rule(rule.name, rule.states, rule.body, name)
    old = rule.body[i]
    args, ties = (*old.args[:j], name, *old.args[j + 1 :]), old.ties
    if ties and ties[j] is not None:
        ties = padded((*ties[:j], None, *ties[j + 1 :]), len(args))
    return put(rule, i, Statement(old.target, old.op, args, ties))


def padded(ties: tuple[Tie | None, ...], count: int) -> tuple[Tie | None, ...]:
    """Return ties for so many arguments; none where no argument has one."""
    return (*ties, *(None,) * (count - len(ties))) if any(ties) else ()


def put(rule: Rule, i: int, statement: Statement) -> Rule:
    """Return the rule with another statement in place of the i-th."""
    return rewritten(rule, (*rule.body[:i], statement, *rule.body[i + 1 :]))


def insert_at(rule: Rule, i: int, *statements: Statement) -> Rule:
    """Return the rule with statements before the i-th."""
    return rewritten(rule, (*rule.body[:i], *statements, *rule.body[i:]))


def rewritten(rule: Rule, body: tuple[Statement, ...]) -> Rule:
    """Return the rule with another body."""
    return Rule(rule.name, rule.states, body, rule.update)


def visible(rule: Rule, position: int) -> dict[str, Shape]:
    """Return the variables and their shapes as the statement at `position` sees them."""
    shapes = dict(INPUTS)
    for state in rule.states:
        shapes[state.name] = state.shape
    for statement, shape in zip(rule.body[:position], _shapes(rule), strict=False):
        shapes[statement.target] = shape
    return shapes


@lru_cache(maxsize=64)
def _shapes(rule: Rule) -> tuple[Shape, ...]:
    shapes = infer(rule)
    assert shapes is not None, f"illegal parent\n{rule}"
    return shapes


def fresh(rule: Rule, stem: str = "x") -> str:
    """Return a name that nothing in the rule has."""
    taken = {state.name for state in rule.states} | {s.target for s in rule.body}
    taken |= rule.constants.keys()
    k = 1
    while f"{stem}{k}" in taken:
        k += 1
    return f"{stem}{k}"
