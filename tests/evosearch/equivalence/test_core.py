from __future__ import annotations

import pickle

import pytest

from evosearch.equivalence.core import Core
from evosearch.equivalence.shrink import shrink
from evosearch.language.cost import update_cost
from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet

REDUNDANT = parse_rules("""
def r(w, g, m, v):
    m = lerp(m, g, 0.1)
    g2 = square(g)
    v = lerp(v, g2, 0.01)
    d = sqrt(v)
    x = m / d
    u = sign(x)
    return u, m, v
""")


def rules_of(expression: str):
    return parse_rules(f"def f(w, g):\n    u = {expression}\n    return u\n")


def test_a_core_says_what_a_search_has_to_know() -> None:
    core = Core.of(REDUNDANT)
    assert core.rules == shrink(REDUNDANT)
    assert (
        core.text == "def r(w, g, m):\n    m = lerp(m, g, 0.1)\n    u = sign(m)\n    return u, m\n"
    )
    assert (core.statements, core.size, core.states, core.memory) == (2, 2, 1, 1)
    assert core.cost == update_cost(core.rules)


def test_both_rules_count_as_statements_and_one_as_size() -> None:
    core = Core.of(RuleSet(known("lion").matrix, known("signsgd").matrix))
    assert (core.statements, core.size) == (4, 3)


def test_a_core_can_be_described_from_its_text_alone() -> None:
    core = Core.of(REDUNDANT)
    assert Core.known(parse_rules(core.text)) == core
    assert pickle.loads(pickle.dumps(core)) == core


def test_cost_is_per_entry_and_from_the_table() -> None:
    assert update_cost(rules_of("sign(g)")) == 1.0
    assert update_cost(rules_of("sign(neg(abs(g)))")) == 3.0
    assert update_cost(rules_of("g * norm(g)")) < 4.0
    matmul = update_cost(rules_of("matmul(matmul(g, transpose(g)), g)"))
    assert matmul == pytest.approx(2 * 2 * 64, rel=0.02)  # two products, 2 n a multiply-add
    assert update_cost(known("muon")) > 10 * update_cost(known("adamw"))


def test_a_scalar_costs_next_to_nothing() -> None:
    assert update_cost(rules_of("g * exp(sqrt(square(norm(g))))")) == pytest.approx(
        update_cost(rules_of("g * norm(g)")), abs=0.01
    )
