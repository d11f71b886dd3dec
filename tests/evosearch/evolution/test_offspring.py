from __future__ import annotations

from collections.abc import Iterator

from hypothesis import assume, given, settings
from random_programs import WIDE, bred, seeds

from evosearch.equivalence.core import form
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.shrink import shrink
from evosearch.evolution.offspring import Child, offspring, retuned
from evosearch.language.check import check_rules
from evosearch.language.known import default_rest, known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.mutation.edits import EDITS
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space

ADAMW = known("adamw")


class Everything:
    """Knows every fingerprint."""

    def __contains__(self, item: object) -> bool:
        return True


class KnownFor(Everything):
    """Knows every fingerprint, for so many questions."""

    def __init__(self, questions: int) -> None:
        self.questions = questions

    def __contains__(self, item: object) -> bool:
        self.questions -= 1
        return self.questions >= 0


def child_of(parent: RuleSet, known_prints, *key: int, drift: float = 0.5) -> Child:
    child = offspring(parent, WIDE, Rng("child", *key), known_prints, drift)
    assert child is not None
    return child


@given(seeds)
@settings(max_examples=50)
def test_a_child_is_legal_and_computes_something_new(seed: int) -> None:
    parent = bred(seed, edits=4)
    assume(fingerprint(parent) is not None)
    seen = {fingerprint(parent)}
    child = child_of(parent, seen, seed)
    check_rules(child.rules)
    assert child.fingerprint == fingerprint(child.rules)
    assert child.fingerprint not in seen
    assert 0 <= child.hits < child.proposals
    assert child == child_of(parent, seen, seed)
    for edit in child.mutation.split(", "):
        assert edit.partition(" in ")[0] in EDITS


def test_no_function_is_proposed_twice() -> None:
    seen = {fingerprint(ADAMW)}
    children = []
    for k in range(300):
        children.append(child_of(ADAMW, seen, k))
        seen.add(children[-1].fingerprint)
    assert len({child.fingerprint for child in children}) == 300
    assert sum(child.hits for child in children) > 20


def test_with_drift_edits_without_effect_are_built_upon() -> None:
    """A chain of hits grows to five edits and starts again from the parent."""
    mutations = [child_of(ADAMW, KnownFor(5 + k % 9), k, drift=1.0).mutation for k in range(80)]
    lengths = [len(mutation.split(", ")) for mutation in mutations]
    assert set(lengths) == {1, 2, 3, 4, 5}
    mutations = [child_of(ADAMW, KnownFor(9), k, drift=0.0).mutation for k in range(20)]
    assert all(", " not in mutation for mutation in mutations)


def test_proposals_and_hits_are_counted() -> None:
    """Of the programs made, those without a fingerprint are neither new nor hits."""
    one = child_of(ADAMW, set(), 1)
    assert one.hits == 0
    many = child_of(ADAMW, {child_of(ADAMW, set(), 1).fingerprint}, 1)
    assert many.proposals > one.proposals
    assert many.hits >= 1


def prints(monkeypatch, *found: str | None) -> Iterator[str | None]:
    """Let fingerprints be these, one after the other; return those that are left."""
    left = iter(found)
    monkeypatch.setattr("evosearch.evolution.offspring.fingerprint", lambda _: next(left))
    return left


def test_what_has_no_fingerprint_is_passed_over_and_what_is_known_is_a_hit(monkeypatch) -> None:
    prints(monkeypatch, None, "known", None, "known", "new")
    child = offspring(ADAMW, WIDE, Rng(0), {"known"}, 1.0)
    assert child is not None
    assert (child.fingerprint, child.proposals, child.hits) == ("new", 5, 2)
    assert len(child.mutation.split(", ")) == 2  # built upon the last hit, and on no other
    prints(monkeypatch, None, "known", None, "new")
    child = retuned(ADAMW, WIDE, Rng(0), {"known"})
    assert child is not None
    assert (child.fingerprint, child.proposals, child.hits) == ("new", 4, 1)


def test_no_child_where_everything_is_known(monkeypatch) -> None:
    monkeypatch.setattr("evosearch.evolution.offspring._GIVE_UP", 50)
    for print_ in ("known", None):
        left = prints(monkeypatch, *[print_] * 50)
        assert offspring(ADAMW, WIDE, Rng(0), {"known"}, 0.5) is None
        assert list(left) == []  # so many were tried, and no more
        left = prints(monkeypatch, *[print_] * 50)
        assert retuned(ADAMW, WIDE, Rng(0), {"known"}) is None
        assert list(left) == []


def test_a_child_stays_within_the_space() -> None:
    space = Space(max_statements=11, max_states=2, scope="single")
    seen = {fingerprint(ADAMW)}
    for k in range(100):
        child = offspring(ADAMW, space, Rng("space", k), seen, 0.5)
        assert child is not None
        assert space.contains(child.rules)
        assert child.rules.rest is None


def test_retuned_children_differ_in_constants_alone() -> None:
    parent, seen, children = known("lion"), set(), []
    for k in range(40):
        child = retuned(parent, WIDE, Rng("retune", k), seen)
        assert child is not None
        assert child.fingerprint == fingerprint(child.rules)
        assert form(child.rules) == form(parent)
        seen.add(child.fingerprint)
        children.append(child)
    assert len(seen) == 40
    changed = [
        sum(a != b for a, b in zip(child.rules.matrix.body, parent.matrix.body, strict=True))
        for child in children
    ]
    assert set(changed) == {1, 2}


def test_nothing_is_retuned_where_there_is_no_constant_or_all_is_known() -> None:
    assert retuned(known("signsgd"), WIDE, Rng(0), set()) is None
    assert retuned(known("lion"), WIDE, Rng(0), Everything()) is None


def test_the_scope_says_whose_constants_are_retuned() -> None:
    muon = RuleSet(known("muon").matrix, default_rest())
    matrix = Space(scope="matrix")
    rests = [retuned(muon, matrix, Rng(k), set()) for k in range(20)]
    assert all(child is not None and child.rules.rest == muon.rest for child in rests)
    both = [retuned(muon, Space(), Rng(k), set()) for k in range(20)]
    assert any(child is not None and child.rules.rest != muon.rest for child in both)


def test_a_spare_state_may_stay_while_it_has_no_effect() -> None:
    """From AdamW to the sign of its momentum is one edit, and the second average hangs on."""
    frugal = Space(max_states=1, spare_states=1, scope="single")
    seen = {fingerprint(ADAMW)}
    declared = set()
    for k in range(60):
        child = offspring(ADAMW, frugal, Rng("frugal", k), seen, 0.5)
        assert child is not None
        assert shrink(child.rules).matrix.state_memory <= 1
        declared.add(strip(child.rules.matrix).state_memory)
    assert 2 in declared


def test_states_of_a_rest_that_nobody_asked_for_do_not_count(monkeypatch) -> None:
    """What is left of this needs no matrices, so the others get AdamW, which has two states."""
    text = """
def r(w, g, m):
    a = transpose(g)
    x = transpose(a)
    m = lerp(m, g, 0.1)
    d = sub(m, m)
    z = sub(x, x)
    e = add(d, z)
    u = add(g, e)
    return u, m
"""
    rules = parse_rules(text)
    assert [rule.state_memory for rule in shrink(rules).rules] == [0, 2]
    monkeypatch.setattr("evosearch.evolution.offspring.mutate", lambda *_: (rules, "an edit"))
    monkeypatch.setattr("evosearch.evolution.offspring._GIVE_UP", 3)
    child = offspring(ADAMW, Space(max_states=0, spare_states=1), Rng(0), set(), 0.5)
    assert child is not None
    assert (child.rules, child.proposals) == (rules, 1)
