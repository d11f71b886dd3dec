from __future__ import annotations

import torch
from hypothesis import given, settings
from interpreter import initial_states, run
from random_programs import programs, rules
from torch import Tensor

from evosearch.language.known import KNOWN, known
from evosearch.language.liveness import live_statements, strip, strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet


def updates(rule: Rule, steps: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    states, found = initial_states(rule, w), []
    for t in range(1, steps + 1):
        g = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        u, states = run(rule, w, g, float(t), states)
        w = w - 0.01 * u
        found.append(u)
    return found


def rule_of(text: str) -> Rule:
    return parse_rules(text).matrix


@given(rules())
@settings(max_examples=150)
def test_stripping_changes_no_update(rule: Rule) -> None:
    for full, short in zip(updates(rule), updates(strip(rule)), strict=True):
        assert torch.equal(full.nan_to_num(1e99), short.nan_to_num(1e99))


@given(rules())
@settings(max_examples=100)
def test_what_is_left_is_all_live(rule: Rule) -> None:
    short = strip(rule)
    marks, states = live_statements(short)
    assert all(marks)
    assert states == {state.name for state in short.states}
    assert strip(short) == short


@given(programs())
@settings(max_examples=50)
def test_rule_sets_are_stripped_rule_by_rule(program: RuleSet) -> None:
    short = strip_rules(program)
    assert short.matrix == strip(program.matrix)
    assert (short.rest is None) == (program.rest is None)
    assert short.size <= program.size


def test_known_optimizers_have_nothing_to_strip() -> None:
    for name in KNOWN:
        assert strip_rules(known(name)) == known(name), name


def test_within_a_step() -> None:
    rule = rule_of(
        "def f(w, g):\n"
        "    a = sign(g)\n"  # overwritten before it is read
        "    b = square(a)\n"  # feeds only what is dead
        "    c = exp(b)\n"
        "    a = neg(g)\n"
        "    u = tanh(a)\n"
        "    a = cube(u)\n"  # never read again
        "    return u\n"
    )
    marks, _ = live_statements(rule)
    assert marks == (False, False, False, True, True, False)


def test_a_state_that_feeds_only_itself_is_dead() -> None:
    rule = rule_of(
        "def f(w, g, m, v):\n"
        "    m = lerp(m, g, 0.1)\n"
        "    g2 = square(g)\n"
        "    v = lerp(v, g2, 0.1)\n"
        "    return m, m, v\n"
    )
    short = strip(rule)
    assert [state.name for state in short.states] == ["m"]
    assert [str(s) for s in short.body] == ["m = lerp(m, g, 0.1)"]


def test_states_that_feed_only_each_other_are_dead() -> None:
    rule = rule_of(
        "def f(w, g, a, b):\n    a2 = a + b\n    b = a + g\n    a = neg(a2)\n    return g, a, b\n"
    )
    assert strip(rule) == Rule("f", (), (), "g")


def test_a_chain_of_states_is_live_across_steps() -> None:
    """The update reads c, c was b a step ago, b was a two steps ago."""
    rule = rule_of(
        "def f(w, g, a, b, c, d):\n"
        "    u = c * g\n"
        "    d = neg(c)\n"
        "    c = neg(b)\n"
        "    b = neg(a)\n"
        "    a = neg(g)\n"
        "    return u, a, b, c, d\n"
    )
    short = strip(rule)
    assert [state.name for state in short.states] == ["a", "b", "c"]
    assert len(short.body) == 4


def test_a_state_overwritten_before_it_is_read_is_a_variable() -> None:
    rule = rule_of("def f(w, g, m):\n    m = sign(g)\n    u = neg(m)\n    return u, m\n")
    short = strip(rule)
    assert short.states == ()
    assert short.body == rule.body


def test_the_update_may_be_a_state_that_nothing_assigns() -> None:
    rule = rule_of("def f(w, g, m):\n    return m, m\n")
    assert strip(rule) == rule
