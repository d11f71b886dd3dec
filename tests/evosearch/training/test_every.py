"""`every`: what is refreshed now and then costs now and then."""

from __future__ import annotations

import torch
from interpreter import initial_states, run

from evosearch.language.cost import update_cost
from evosearch.language.liveness import periods
from evosearch.language.parse import parse_rules
from evosearch.training.codegen import compile_rule, source

RULES = parse_rules(
    "def f(w, g, l: left, p: left):\n"
    "    l = lerp(l, g @ g.T, 0.1)\n"
    "    b = eig_basis(l)\n"
    "    c = b * 2.0\n"
    "    p = every(c, p, 3)\n"
    "    return p @ g, l, p\n"
)
RULE = RULES.matrix


def test_what_only_a_refresh_needs_is_needed_now_and_then() -> None:
    assert dict(zip([s.target for s in RULE.body], periods(RULE), strict=True)) == {
        "x1": 1.0,
        "l": 1.0,
        "b": 3.0,
        "c": 3.0,
        "p": 1.0,
        "x2": 1.0,
    }
    always = parse_rules(str(RULES).replace("x2 = matmul(p, g)", "x2 = matmul(c, g)")).matrix
    assert set(periods(always)) == {1.0}, "what is read on every step is computed on every step"


def test_generated_code_is_the_interpreter_and_skips_the_refresh(monkeypatch) -> None:
    calls: list[int] = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda x: calls.append(1) or eigh(x))
    gradients = torch.randn(7, 3, 4, dtype=torch.float64)
    w = torch.zeros(3, 4, dtype=torch.float64)
    for clock in (float, lambda t: torch.tensor(float(t), dtype=torch.float64)):
        update = compile_rule(RULE).update
        mine, theirs = initial_states(RULE, w), initial_states(RULE, w)
        calls.clear()
        count = 0
        for t, g in enumerate(gradients, start=1):
            before = len(calls)
            u, *mine = update(w, g, clock(t), *mine)
            count += len(calls) - before
            expected, theirs = run(RULE, w, g, float(t), theirs)
            torch.testing.assert_close(u, expected, rtol=1e-12, atol=1e-12)
        assert count == (3 if clock is float else 7)


def test_its_cost_is_that_of_the_steps_on_which_it_is_paid() -> None:
    rare = update_cost(parse_rules(str(RULES).replace("p, 3.0)", "p, 1000.0)")))
    often = update_cost(parse_rules(str(RULES).replace("p, 3.0)", "p, 1.0)")))
    assert 9.0 * 64 * 0.99 < often - rare < 9.0 * 64 * 1.01 + 4.0
    assert "% 3.0 == 0" in source(RULE, "f")
