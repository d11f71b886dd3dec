"""Edits that carry ideas, and what they draw on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from random_programs import WIDE

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.check import check_rule, infer
from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.edits import EDITS
from evosearch.mutation.idea_edits import recombined
from evosearch.mutation.motif import harvest
from evosearch.mutation.mutate import mutate
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import ELITES, LIBRARY, Space
from evosearch.recognize.traits import PRECONDITIONED, Trait, traits
from primitives.shape import FULL

ADAMW = known("adamw").matrix
PLAIN = [name for name in KNOWN if not traits(known(name).matrix) & PRECONDITIONED]


def children(name: str, rule: Rule, space: Space, tries: int = 400) -> list[Rule]:
    """Return the legal children that an edit makes of a rule."""
    rng, edit = Rng("ideas", name), EDITS[name].edit
    made = (edit(rule, space, rng) for _ in range(tries))
    return [child for child in made if child is not None and infer(child) is not None]


def test_a_donors_ideas_come_in_one_edit() -> None:
    space = replace(WIDE, donors=("shampoo",))
    found = [traits(child) for child in children("graft_slice", ADAMW, space)]
    assert sum(Trait.TWO_SIDED in t for t in found) > 10
    own = replace(WIDE, donors=(ELITES,), elites=(known("shampoo").matrix,))
    found = [traits(child) for child in children("graft_slice", ADAMW, own)]
    assert sum(Trait.TWO_SIDED in t for t in found) > 10


def test_without_donors_there_is_nothing_to_graft() -> None:
    assert children("graft_slice", ADAMW, WIDE) == []
    assert children("graft_motif", ADAMW, replace(WIDE, donors=(ELITES,))) == []


def test_nothing_is_grafted_that_a_space_cannot_say() -> None:
    ops = tuple(op for op in WIDE.ops if op not in ("matmul", "newton_schulz5"))
    space = replace(WIDE, ops=ops, donors=(LIBRARY,))
    for name in ("graft_slice", "graft_motif"):
        found = children(name, known("sgd").matrix, space)
        assert len(found) > 50
        assert {s.op for child in found for s in child.body} <= set(ops)


def test_withheld_donors_give_no_preconditioner_and_growth_finds_some() -> None:
    space = replace(WIDE, donors=tuple(PLAIN))
    grafted = [traits(c) for name in ("graft_slice", "graft_motif")
               for c in children(name, ADAMW, space)]  # fmt: skip
    assert not any(t & PRECONDITIONED for t in grafted)
    grown = [traits(child) for child in children("grow", ADAMW, WIDE, 1500)]
    assert sum(Trait.ONE_SIDED in t for t in grown) > 20
    assert sum(Trait.TWO_SIDED in t for t in grown) > 5
    assert sum(Trait.ROW_OR_COLUMN in t for t in grown) > 50


def test_growth_adds_states_where_no_other_state_has_room() -> None:
    """AdamW fills the default space; a state for each row costs nothing there."""
    space, rng = Space(edits=("grow",)), Rng("room")
    found = [mutate(known("adamw"), space, rng)[0].matrix for _ in range(150)]
    assert sum(len(child.states) > 2 for child in found) > 30
    assert all(space.holds(child) for child in found)


def test_a_copy_is_mirrored_or_has_another_constant() -> None:
    left = parse_rules("""
def f(w, g, a: left):
    a = lerp(a, g @ g.T, 0.05)
    return inv_sqrt(a) @ g, a
""").matrix
    found = children("duplicate", left, WIDE, 600)
    assert any(Trait.TWO_SIDED in traits(child) for child in found)
    averages = [
        c for c in children("duplicate", known("momentum").matrix, WIDE) if len(c.states) > 1
    ]
    numbers = {a for c in averages for s in c.body for a in s.args if isinstance(a, float)}
    assert len(numbers) > 5


def test_a_slice_of_a_second_parent_keeps_the_first_ones_rest() -> None:
    first, second = RuleSet(ADAMW, known("lion").matrix), known("muon")
    made = [recombined(first, second, WIDE, Rng("mates", k)) for k in range(60)]
    found = [child for child in made if child is not None]
    assert len(found) > 20
    assert all(child.rest == first.rest for child in found)
    assert any("newton_schulz5" in str(child) for child in found)
    alone = [recombined(RuleSet(ADAMW), second, WIDE, Rng("mates", k)) for k in range(60)]
    assert all(child.matrix.rank_free for child in alone if child is not None)


@pytest.mark.parametrize("name", ["exchange_op", "swap_operands", "set_number"])
def test_small_edits_change_one_statement(name: str) -> None:
    found = children(name, ADAMW, WIDE)
    assert len(found) > 20
    for child in found:
        pairs = zip(child.body, ADAMW.body, strict=True)
        assert sum(a != b for a, b in pairs) <= 1
    if name == "exchange_op":
        arities = {len(s.args) for child in found for s in child.body}
        assert arities >= {1, 2, 3}
    if name == "set_number":
        numbers = {a for c in found for s in c.body for a in s.args if isinstance(a, float)}
        assert 0.0 in numbers
        assert min(numbers) < 0.0


def test_a_family_of_ops_is_drawn_before_the_op() -> None:
    space, rng = Space(by_family=True), Rng("families")
    drawn = [space.draw(rng).name for _ in range(4000)]
    assert set(drawn) == set(space.ops)
    for family in space.families:
        share = sum(name in {op.name for op in family} for name in drawn) / 4000
        assert abs(share - 1 / len(space.families)) < 0.03


A = "def f(w, g, m):\n    m = lerp(m, g, 0.1)\n    return sign(m), m\n"
B = "def f(w, g, a):\n    a = lerp(a, g, 0.2)\n    return sign(a) * sqrt(square(g)), a\n"
C = "def f(w, g):\n    return tanh(g)\n"


def test_motifs_are_what_several_programs_share() -> None:
    rules = [parse_rules(text).matrix for text in (A, B, C)]
    (motif,) = harvest(rules)
    assert [str(s) for s in motif.body] == ["s0 = lerp(s0, g, 0.1)", "v2 = sign(s0)"]
    assert harvest(rules[1:]) == ()
    child = children("graft_motif", rules[2], replace(WIDE, donors=(ELITES,), elites=tuple(rules)))[
        0
    ]
    assert check_rule(child).states


def test_the_librarys_motifs_hold_the_ideas_of_the_field() -> None:
    found = harvest([known(name).matrix for name in KNOWN])
    bodies = [[s.op for s in motif.body] for motif in found if motif.shape == FULL]
    for idea in (["square", "lerp"], ["lerp", "debias"], ["sqrt", "add"]):
        assert idea in bodies
    assert found == harvest([known(name).matrix for name in KNOWN])


def test_grafts_change_what_a_program_computes() -> None:
    space = replace(WIDE, donors=(LIBRARY,))
    before = rule_fingerprint(ADAMW)
    found = [rule_fingerprint(child) for child in children("graft_slice", ADAMW, space, 100)]
    assert sum(print_ not in (before, None) for print_ in found) > 30
