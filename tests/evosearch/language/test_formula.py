"""Forms for people: names, pseudo-code, LaTeX."""

import pytest

from benchmarks.random_rule import random_rule
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.language.formula import latex, pseudo_code
from evosearch.language.known import KNOWN, known
from evosearch.language.naming import named, named_rule
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", "for t = 1, 2, ..., with gradient g:\n    w ← w - η g\n"),
        (
            "lion",
            "m ← 0\nfor t = 1, 2, ..., with gradient g:\n"
            "    u ← sign(0.9 m + 0.1 g)\n    m ← 0.99 m + 0.01 g\n    w ← w - η u\n",
        ),
        (
            "adamw",
            "m, v ← 0\nfor t = 1, 2, ..., with gradient g:\n"
            "    m ← 0.9 m + 0.1 g\n    v ← 0.999 v + 0.001 g²\n"
            "    w ← w - η (m / (1 - 0.9^t) / (√(v / (1 - 0.999^t)) + 1e-08) + 0.01 w)\n",
        ),
    ],
)
def test_pseudo_code(name: str, expected: str) -> None:
    assert pseudo_code(known(name)) == expected


def test_pseudo_code_does_not_move_a_value_past_a_state_it_reads() -> None:
    body = "    a = m * 2.0\n    m = lerp(m, g, 0.1)\n    u = a + m\n"
    text = f"def f(w, g, m):\n{body}    return u, m\n"
    assert "    x1 ← 2 m\n    m ← 0.9 m + 0.1 g\n    w ← w - η (x1 + m)" in pseudo_code(
        parse_rules(text)
    )


def test_pseudo_code_of_two_rules() -> None:
    both = parse_rules(f"{known('muon')}\n\n{known('lion').matrix.renamed('rest')}")
    text = pseudo_code(both)
    assert text.startswith("for hidden matrices:\n    m ← 0\n")
    assert "for everything else:\n    m ← 0\n" in text


def test_latex() -> None:
    assert latex(known("lion")) == "\n".join(
        [
            r"\begin{aligned}",
            r"  m_t &= 0.01 g_t + 0.99 m_{t-1} \\",
            r"  u_t &= \operatorname{sign}{\left(0.1 g_t + 0.9 m_{t-1} \right)} \\",
            r"  w_t &= w_{t-1} - \eta_t u_t",
            r"\end{aligned}",
        ]
    )


@pytest.mark.parametrize(
    ("body", "states", "expected"),
    [
        ("a = lerp(a, g, 0.1); z = a * 1.0", "a", {"m"}),
        ("q = g * g; a = heavy_ball(a, q, 0.9); z = g / a", "a", {"v"}),
        ("q = square(g); q = row_mean(q); a = lerp(a, q, 0.1); z = g / a", "a: rowwise", {"v"}),
        ("q = clip(g, 1.0); a = lerp(a, q, 0.1); z = a * 1.0", "a", {"m"}),
        ("z = a + g; a = w * 1.0", "a", {"s"}),
        ("z = a + g; a = log(w); a = lerp(a, g, 0.1)", "a", {"s"}),  # an average of another value
        ("a = lerp(a, g, 0.1); b = lerp(b, g, 0.01); z = a + b", "a b", {"m", "m2"}),
    ],
)
def test_states_are_named_by_what_they_average(body: str, states: str, expected: set[str]) -> None:
    parameters = states if ":" in states else ", ".join(states.split())
    results = ", ".join(word for word in states.replace(":", " ").split() if word != "rowwise")
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    rules = parse_rules(f"def f(w, g, {parameters}):\n{lines}    return z, {results}\n")
    assert {state.name for state in named(rules).matrix.states} == expected


def test_names_change_nothing_else() -> None:
    for name in KNOWN:
        assert fingerprint(named(known(name))) == fingerprint(known(name))
    for seed in range(300):
        rng = Rng(seed, "naming")
        rule = random_rule(rng, 1 + rng.below(20))
        new = parse_rules(str(named_rule(rule))).matrix  # legal, and reads back as it is
        assert len(new.body) == len(rule.body)
        assert [s.op for s in new.body] == [s.op for s in rule.body]
        assert named_rule(new) == new
