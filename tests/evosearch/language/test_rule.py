from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from random_programs import programs

from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import REST, Rule, RuleSet, State, Statement
from primitives.shape import FULL, RIGHT, ROWWISE, SCALAR

LION = """\
def lion(w, g, m):
    c = lerp(m, g, 0.1)
    u = sign(c)
    m = lerp(m, g, 0.01)
    return u, m
"""


def test_text_is_one_op_a_line() -> None:
    assert str(known("lion")) == LION


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (Statement("u", "add", ("a", 1e-08)), "u = a + 1e-08"),
        (Statement("u", "sub", (-0.5, "a")), "u = -0.5 - a"),
        (Statement("u", "mul", (3, "a")), "u = 3.0 * a"),
        (Statement("u", "div", ("a", "b")), "u = a / b"),
        (Statement("u", "clip", ("a", 1e22)), "u = clip(a, 1e+22)"),
        (Statement("u", "step", ()), "u = step()"),
    ],
)
def test_statement_text(statement: Statement, text: str) -> None:
    assert str(statement) == text


def test_shapes_of_states_are_annotations() -> None:
    rule = Rule("f", (State("m"), State("v", ROWWISE), State("r", RIGHT)), (), "g")
    assert str(rule).splitlines()[0] == "def f(w, g, m, v: rowwise, r: right):"
    assert rule.state_memory == 2  # a vector counts as nothing


@given(programs())
def test_programs_are_values(rules: RuleSet) -> None:
    again = parse_rules(str(rules))
    assert again == rules
    assert hash(again) == hash(rules)
    assert again.size == rules.size
    with pytest.raises(FrozenInstanceError):
        rules.matrix = again.matrix  # type: ignore[misc]


def test_the_second_rule_has_one_name() -> None:
    lion, adam = known("lion").matrix, known("adam").matrix
    rules = RuleSet(lion, adam)
    assert rules.rest is not None
    assert rules.rest.name == REST
    assert rules == RuleSet(lion, adam.renamed("something"))
    assert rules.renamed("new").matrix.name == "new"
    assert rules.renamed("new").rest == rules.rest


@pytest.mark.parametrize(
    ("body", "state", "rank_free", "elementwise"),
    [
        (Statement("u", "sign", ("g",)), FULL, True, True),
        (Statement("u", "normalize", ("g",)), FULL, True, False),
        (Statement("u", "newton_schulz5", ("g",)), FULL, False, False),
        (Statement("u", "sign", ("g",)), SCALAR, True, False),
        (Statement("u", "sign", ("g",)), ROWWISE, False, False),
    ],
)
def test_where_a_rule_applies(body, state, rank_free: bool, elementwise: bool) -> None:
    rule = Rule("f", (State("m", state),), (body,), "u")
    assert rule.rank_free is rank_free
    assert rule.elementwise is elementwise
