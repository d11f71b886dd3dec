from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import WIDE, bred, programs, seeds

from evosearch.language.check import check_rules, infer
from evosearch.language.known import KNOWN, default_rest, known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.edits import EDITS
from evosearch.mutation.mutate import crossover, mutate, retune
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import LIBRARY, Space
from evosearch.mutation.statement_edits import bypass

ADAMW = known("adamw")
EVERYTHING = replace(WIDE, edits=tuple(EDITS), donors=(LIBRARY,), by_family=True)
"""Every edit, and every known optimizer as a donor."""


def children(parent: RuleSet, space: Space, count: int, *key: int) -> list[tuple[RuleSet, str]]:
    rng = Rng("children", *key)
    return [mutate(parent, space, rng) for _ in range(count)]


@given(programs().filter(WIDE.contains), seeds, st.booleans())
@settings(max_examples=200)
def test_children_are_legal_and_new_text(parent: RuleSet, seed: int, everything: bool) -> None:
    before = str(parent)
    child, edit = mutate(parent, EVERYTHING if everything else WIDE, Rng(seed))
    check_rules(child)
    assert parse_rules(str(child)) == child
    assert child != parent
    assert WIDE.contains(child)
    assert str(parent) == before
    assert edit.removesuffix(" in rest").removesuffix(" in matrix") in EDITS


@given(seeds)
@settings(max_examples=50)
def test_the_stream_alone_decides(seed: int) -> None:
    parent = bred(seed)
    assert mutate(parent, WIDE, Rng(seed)) == mutate(parent, WIDE, Rng(seed))
    again = parse_rules(str(parent))
    assert mutate(parent, EVERYTHING, Rng(seed)) == mutate(again, EVERYTHING, Rng(seed))


@pytest.mark.parametrize("space", [
    Space(max_statements=12, max_states=2),
    Space(max_statements=10, max_states=3),
    Space(max_states=0),
    Space(ops=("add", "mul", "sign", "lerp", "div")),
    Space(ops=("newton_schulz5", "transpose", "matmul", "sub"), max_statements=6),
], ids=str)  # fmt: skip
def test_limits_hold_over_generations(space: Space) -> None:
    rules, rng = known("sgd"), Rng("limits")
    for _ in range(300):
        rules, _ = mutate(rules, space, rng)
        assert space.contains(rules)
        for rule in filter(None, (rules.matrix, rules.rest)):
            assert rule == default_rest() or {s.op for s in rule.body} <= set(space.ops)
            assert len(rule.body) <= space.max_statements
            assert strip(rule).state_memory <= space.max_states


def test_a_parent_beyond_the_limits_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no legal edit found"):
        mutate(ADAMW, Space(max_statements=3), Rng(0))


def test_every_edit_is_reached() -> None:
    found = Counter(edit for _, edit in children(ADAMW, EVERYTHING, 1500))
    total = sum(row.frequency for row in EDITS.values())
    for name, row in EDITS.items():
        count = found[name] + found[f"{name} in matrix"]
        assert count > 0.2 * 1500 * row.frequency / total, name
    pair = RuleSet(known("muon").matrix, known("adam").matrix)
    found = Counter(edit.rpartition(" in ")[2] for _, edit in children(pair, WIDE, 400))
    assert 0.2 < found["rest"] / 400 < 0.4


def test_edits_are_drawn_by_default_or_where_a_space_names_them() -> None:
    names = {edit.partition(" in ")[0] for _, edit in children(ADAMW, WIDE, 1000)}
    assert names == {name for name, row in EDITS.items() if row.drawn}
    assert len(names) == 8  # histories depend on it


def test_a_space_sets_the_frequencies() -> None:
    often = replace(EVERYTHING, frequencies=(("grow", 30.0), ("insert", 0.0)))
    found = Counter(edit.partition(" in ")[0] for _, edit in children(ADAMW, often, 300))
    assert found["insert"] == 0
    assert found["grow"] > 60


def test_only_the_chosen_edits_are_used() -> None:
    space = Space(edits=("change_constant", "delete"))
    names = {edit.partition(" in ")[0] for _, edit in children(ADAMW, space, 200)}
    assert names == {"change_constant", "delete"}


def test_every_op_is_reached() -> None:
    parent = parse_rules(
        "def f(w, g):\n"
        "    b = transpose(g)\n"
        "    a = gram_left(g)\n"
        "    c = triu(a)\n"
        "    d = triu(c)\n"
        "    u = newton_schulz5(g)\n"
        "    return u\n"
    )
    born = {s.op for child, _ in children(parent, WIDE, 8000) for s in child.matrix.body}
    assert born == set(WIDE.ops)


@pytest.mark.parametrize(
    ("name", "change"),
    [("insert", 1), ("insert_free", 1), ("delete", -1), ("replace_op", 0), ("rewire", 0),
     ("change_constant", 0), ("move", 0), ("add_state", 1)],
)  # fmt: skip
def test_an_edit_changes_what_its_name_says(name: str, change: int) -> None:
    edit = EDITS[name].edit
    rule, rng = known("adamw").matrix, Rng("edit", name)
    found = 0
    for _ in range(300):
        child = edit(rule, WIDE, rng)
        if child is None or child == rule or infer(child) is None:
            continue
        found += 1
        assert len(child.body) == len(rule.body) + change
        assert len(child.states) == len(rule.states) + (name == "add_state")
        old, new = ([str(s) for s in r.body] + [r.update] for r in (rule, child))
        changed = sum(op[0] in "+-" for op in difflib.ndiff(old, new))
        if name in ("rewire", "replace_op", "change_constant"):
            assert changed == 2  # one line taken out, one put in its place
        if name == "insert_free":
            assert changed == 1
        if name == "move":
            assert Counter(old) == Counter(new)
        if name == "change_constant":
            ops = [[s.op for s in r.body] for r in (rule, child)]
            assert ops[0] == ops[1]
    assert found > 50


def test_bypass_hands_readers_the_heir_until_the_name_is_reused() -> None:
    rule = parse_rules(
        "def f(w, g):\n    a = sign(g)\n    b = a * w\n    a = a + b\n    u = a + w\n    return u\n"
    ).matrix
    assert [str(s) for s in bypass(rule, 0, "g").body] == ["b = g * w", "a = g + b", "u = a + w"]
    assert bypass(rule, 3, "a").update == "a"
    step = parse_rules("def f(w, g):\n    s = step()\n    u = g * w\n    return u\n").matrix
    assert [str(s) for s in bypass(step, 0, None).body] == ["u = g * w"]


SCOPES = {"matrix": 0.0, "both": 0.5, "single": 1.0}


@pytest.mark.parametrize("scope", SCOPES)
def test_the_scope_says_which_rules_change(scope: str) -> None:
    space = replace(WIDE, scope=scope)
    single = [child.rest is None for child, _ in children(ADAMW, space, 400)]
    expected = SCOPES[scope]
    assert abs(sum(single) / 400 - expected) < (0.15 if scope == "both" else 1e-9)
    for child, edit in children(ADAMW, space, 100):
        if child.rest is not None:
            assert child.rest.body == ADAMW.matrix.body
            assert edit.endswith(" in matrix")
        else:
            assert child.matrix.rank_free


def test_a_rest_outside_the_scope_stays() -> None:
    pair = RuleSet(known("muon").matrix, known("adam").matrix)
    for child, _ in children(pair, replace(WIDE, scope="matrix"), 100):
        assert child.rest == pair.rest


def test_the_rest_never_needs_a_matrix() -> None:
    pair = RuleSet(known("muon").matrix, known("adam").matrix)
    rng, rules = Rng("rest"), pair
    for _ in range(300):
        rules, _ = mutate(rules, WIDE, rng)
        assert rules.rest is not None
        assert rules.rest.rank_free


def test_a_new_matrix_rule_without_a_rest_gets_adamw() -> None:
    for child, edit in children(RuleSet(known("muon").matrix), WIDE, 200):
        assert child.rest == default_rest() or (child.rest is None and child.matrix.rank_free)
        assert edit.endswith(" in matrix") == (child.rest is not None)


def test_crossover() -> None:
    lion, muon, adam = (known(name).matrix for name in ("lion", "muon", "adam"))
    assert crossover(RuleSet(muon), RuleSet(lion, adam)) == RuleSet(muon, adam)
    assert crossover(RuleSet(muon, lion), RuleSet(adam)) == RuleSet(muon, adam)
    assert crossover(RuleSet(lion, adam), RuleSet(muon)) == RuleSet(lion)
    assert crossover(RuleSet(muon, lion), RuleSet(muon, adam)) == RuleSet(muon, adam)


def test_no_edit_names_an_optimizer() -> None:
    """From scratch, random edits lead to many different rules, legal all along."""
    start = RuleSet(Rule("start", (), (), "g"))
    bodies = set()
    for seed in range(20):
        rules, rng = start, Rng("scratch", seed)
        for _ in range(20):
            rules, _ = mutate(rules, WIDE, rng)
        bodies.add(rules.matrix.body)
    assert len(bodies) > 15
    assert len(set(chain.from_iterable(bodies))) > 60


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_optimizer_can_be_a_parent(name: str) -> None:
    for child, _ in children(known(name), Space(max_statements=60, max_states=9), 50):
        check_rules(child)


def constants(rules: RuleSet) -> list[float]:
    return [a for rule in rules.rules for s in rule.body for a in s.args if type(a) is float]


def test_retuning_changes_one_constant_for_certain_and_every_second_of_the_others() -> None:
    before = constants(ADAMW)
    changed = Counter[int]()
    counts = Counter[int]()
    for k in range(400):
        child = retune(ADAMW, Space(scope="single"), Rng("retune", k))
        assert child is not None
        moved = [i for i, (a, b) in enumerate(zip(before, constants(child), strict=True)) if a != b]
        counts[len(moved)] += 1
        changed.update(moved)
    assert len(before) == 6
    assert 0 not in counts
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert 3.3 < changed.total() / 400 < 3.7  # one, and half of the other five
    assert all(190 < changed[i] < 280 for i in range(6))


def test_retuned_constants_move_a_little_or_far() -> None:
    """A step's scale is drawn anew for each child, and two in five constants are drawn afresh."""
    text = "def r(w, g, m):\n    m = lerp(m, g, 0.1)\n    return m, m\n"
    children = [retune(parse_rules(text), Space(scope="single"), Rng("far", k)) for k in range(600)]
    values = [constants(child)[0] for child in children if child is not None]
    assert len(values) == 600
    near = sum(0.08 < value < 0.125 for value in values)
    high = sum(value > 0.5 for value in values)  # which a move seldom reaches
    assert 80 < near < 200
    assert 110 < high < 200


def test_the_documented_table_is_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concepts.md").read_text(encoding="utf-8")
    for row in EDITS.values():
        mark = "✓" if row.drawn else ""
        assert f"| `{row.name}` | {row.doc} | {row.frequency:g} | {mark} |" in page
    assert page.count("\n| `") == len(EDITS)
