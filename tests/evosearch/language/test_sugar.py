"""What pseudo-code is written in, and what it means here; numbers keep their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interpreter import initial_states, run

from evosearch.errors import ProgramError
from evosearch.language.naming import named_rule
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, Tie
from evosearch.language.ties import retied
from evosearch.mutation.edits import EDITS
from evosearch.mutation.mutate import mutate, retune
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.mutation.statement_edits import places, reset
from evosearch.simplify import simplify

DRAFTS = {path.stem: path for path in (Path(__file__).parent / "drafts").glob("*.program")}
REFUSED = {
    "adafactor": "unknown op `row_sum`; did you mean `rows`?",
    "cautious_adamw": "`x > y` is written `select(x - y, 1.0, 0.0)`",
    "muon": "a program has no loops",
    "nadam": "give the value a name in a statement of its own",
    "radam": "a program has no branches",
    "soap": "a program has no branches",
}
"""Drafts that are not taken as printed, and the remedy that the refusal names."""

NAMED = """\
def f(w, g, m, v):
    beta1 = 0.9
    beta2 = 0.99
    m = lerp(m, g, 1 - beta1)
    x = beta2 * v
    y = (1 - beta2) * g
    v = x + y
    u = m / v
    u = u * 3.0
    h = debias(u, beta1)
    return h, m, v
"""


def body(expression: str, head: str = "") -> list[str]:
    lines = "".join(f"    {line}\n" for line in head.splitlines())
    text = f"def f(w, g, m):\n{lines}    u = {expression}\n    return u, m\n"
    return [str(s) for s in parse_rules(text).matrix.body]


def named() -> Rule:
    return parse_rules(NAMED).matrix


@pytest.mark.parametrize("name", sorted(DRAFTS))
def test_drafts_are_taken_as_printed_or_refused_with_the_remedy(name: str) -> None:
    text = DRAFTS[name].read_text(encoding="utf-8")
    if name in REFUSED:
        with pytest.raises(ProgramError) as caught:
            parse_rules(text)
        assert REFUSED[name] in str(caught.value)
        assert caught.value.line
    else:
        rules = parse_rules(text)
        assert parse_rules(str(rules)) == rules
        assert rules.matrix.doc


def test_there_are_twenty_drafts() -> None:
    assert len(DRAFTS) == 20


@pytest.mark.parametrize(
    ("expression", "statements"),
    [
        ("g", ["u = g * 1.0"]),
        ("-g", ["u = neg(g)"]),
        ("+sign(g)", ["u = sign(g)"]),
        ("g**2", ["u = square(g)"]),
        ("g**0.5", ["u = sqrt(g)"]),
        ("g**-1", ["u = 1.0 / g"]),
        ("g**1.5", ["u = power(g, 1.5)"]),
        ("g**4", ["x1 = square(g)", "u = power(x1, 2.0)"]),
        ("g * t**-0.8", ["x1 = step()", "x2 = power(x1, -0.8)", "u = g * x2"]),
        ("m / (1 - 0.9**t)", ["u = debias(m, 0.9)"]),
        ("g @ g.T @ g", ["x1 = gram_left(g)", "u = matmul(x1, g)"]),
        ("g @ (g.T @ g)", ["x1 = gram_right(g)", "u = matmul(g, x1)"]),
        ("max(g, min(m, 2))", ["x1 = minimum(m, 2.0)", "u = maximum(g, x1)"]),
        ("g * (1 + 2) * sqrt(4)", ["x1 = g * 3.0", "u = x1 * 2.0"]),
        ("lerp(m, g, rate=0.1)", ["u = lerp(m, g, 0.1)"]),
        ("lerp(x=m, y=g, rate=0.1)", ["u = lerp(m, g, 0.1)"]),
    ],
)
def test_pseudo_code_has_a_meaning(expression: str, statements: list[str]) -> None:
    assert body(expression) == statements


def test_results_may_be_expressions() -> None:
    rules = parse_rules("def f(w, g, m, p):\n    return -sign(m), m + g, g\n")
    assert [str(s) for s in rules.matrix.body] == [
        "x1 = sign(m)",
        "x2 = neg(x1)",
        "m = m + g",
        "p = g * 1.0",
    ]
    assert rules.matrix.update == "x2"


def test_assignments_in_place_are_taken() -> None:
    rules = parse_rules("def f(w, g, m):\n    m *= 0.9\n    m += g\n    return m, m\n")
    assert [str(s) for s in rules.matrix.body] == ["m = m * 0.9", "m = m + g"]


def test_a_constant_has_a_name_and_is_one() -> None:
    rule = named()
    assert str(rule) == NAMED
    assert rule.constants == {"beta1": 0.9, "beta2": 0.99}
    assert rule.body[0].ties == (None, None, Tie("beta1", 0.9, complement=True))
    assert rule.body[0].args == ("m", "g", 1.0 - 0.9)
    plain = parse_rules(NAMED.replace("beta1 = 0.9\n    ", "").replace("beta1", "0.9")).matrix
    assert rule != plain, "a constant of its own is another program than two that may drift apart"


def test_complements_and_folded_numbers() -> None:
    lines = body("lerp(m, g, 1 - (1 - beta)) * (2 * beta)", "beta = 0.9")
    assert lines == ["x1 = lerp(m, g, beta)", "u = x1 * 1.8"]
    lines = body("lerp(m, g, decay)", "beta1, beta2 = 0.9, 0.99\ndecay = 1 - beta1")
    assert lines == ["u = lerp(m, g, 1 - beta1)"]


def test_a_named_constant_changes_everywhere() -> None:
    rule = named()
    assert len(places(rule)) == 3  # beta1, beta2 and 3.0
    moved = reset(rule, places(rule)[0], lambda *_: 0.5, Rng(0))
    assert str(moved) == NAMED.replace("0.9\n", "0.5\n")
    assert moved.body[0].args[2] == 0.5
    kinds = [kind.name for place in places(rule) for kind in _kinds(rule, place)]
    assert kinds == ["DECAY", "DECAY", "GAIN"]


def _kinds(rule: Rule, place: tuple[int, int]):
    seen = []
    reset(rule, place, lambda kind, value, _: seen.append(kind) or value, Rng(0))
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_mutation_never_lets_a_constant_drift_apart(seed: int) -> None:
    rules, rng = parse_rules(NAMED), Rng(seed, "ties")
    for _ in range(15):
        rules, _ = mutate(rules, Space(max_statements=40, max_states=4), rng)
        rules = retune(rules, Space(), rng) or rules
        assert parse_rules(str(rules)) == rules
        for statement in rules.matrix.body:
            for argument, tie in zip(statement.args, statement.ties, strict=False):
                assert tie is None or tie.number == argument
    assert sum(row.drawn for row in EDITS.values()) == 8


def test_names_survive_renaming_and_simplification() -> None:
    assert named_rule(named()).constants == named().constants
    text = NAMED.replace("u = u * 3.0", "u = u * 1.0").replace("x = beta2", "z = g\n    x = beta2")
    found = simplify(parse_rules(text)).program.matrix
    assert found.constants == {"beta1": 0.9, "beta2": 0.99}
    assert "= lerp(m, g, 1 - beta2)" in str(found)
    assert parse_rules(str(found)).matrix == found


def test_a_number_of_two_names_gets_neither() -> None:
    original = parse_rules(
        "def f(w, g):\n    a = 0.9\n    b = 0.9\n    x = g * a\n    u = x + b\n    return u\n"
    ).matrix
    bare = parse_rules("def f(w, g):\n    u = g * 0.9\n    return u\n").matrix
    assert retied(bare, original) == bare


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("beta = 0.9\nbeta = m * 1.0", "3:5", "`beta` is a constant already"),
        ("m = 0.5", "2:9", "which a number cannot replace"),
        ("u = clip(g, -1.0)", "2:17", "from 0 to 1e+30; found -1"),
        ("u = debias(m, 1e38)", "2:19", "`debias` takes a decay rate beta in (0, 1)"),
        ("u = debias(m, 1.0)", "2:19", "found 1"),
        ("u = lerp(m, m, 1e300)", "2:20", "`lerp` takes an interpolation weight"),
        ("u = g * (1 / 0)", "2:14", "finite number"),
        ("u = g * (-2)**0.5", "2:13", "finite number"),
        ("u = (-2)**g", "2:10", "a positive number under `**`"),
        ("u = where(g, m, w)", "2:9", "here it is `select(condition, x, y)`"),
        ("u = sign(q)", "2:9", "name it in the signature and in the return"),
        ("a, b = g, m", "2:5", "several at once are for numbers"),
    ],
)
def test_refusals_name_the_remedy(text: str, place: str, message: str) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    with pytest.raises(ProgramError) as caught:
        parse_rules(f"def f(w, g, m):\n{lines}    return g, m\n")
    assert message in str(caught.value)
    assert f"{caught.value.line}:{caught.value.column}" == place


def test_results_that_would_overwrite_each_other_are_refused() -> None:
    with pytest.raises(ProgramError, match="assign `b` in a statement before it"):
        parse_rules("def f(w, g, a, b):\n    return g, b, a\n")


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_rules("\ufeffdef f(w, g):\n    return g\n").name == "f"


def test_a_state_starts_with_what_its_default_says() -> None:
    rules = parse_rules(
        "def f(w, g, m=g, z=w, q: left = identity, k: scalar = 2):\n    return m, m, z, q, k\n"
    )
    w, g = torch.randn(2, 3, 4, dtype=torch.float64)
    states = initial_states(rules.matrix, w)
    _, states = run(rules.matrix, w, g, 1.0, states)
    expected = (g, w, torch.eye(3, dtype=torch.float64), torch.tensor([[2.0]]).double())
    for found, value in zip(states, expected, strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=0)
    update, states = run(rules.matrix, 2 * w, 2 * g, 2.0, states)
    torch.testing.assert_close(update, g, rtol=0, atol=0)
    assert [str(s) for s in parse_rules("def f(w, g, m=0):\n    return g, m\n").matrix.body] == []
