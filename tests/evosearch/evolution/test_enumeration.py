"""Enumeration: every form of a small space once, shortest first, and nothing that is no rule."""

from __future__ import annotations

from itertools import islice

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.evolution.enumeration import Enumeration, Ordinal
from evosearch.language.check import infer
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule
from evosearch.mutation.space import Space
from evosearch.recognize.recognize import recognize_rule

SMALL = Space(ops=("lerp", "sign", "neg"), max_statements=2, max_states=1)


def forms(space: Space, seed: int = 0) -> list[tuple[Ordinal, Rule]]:
    return list(Enumeration(space, seed))


def test_a_small_space_is_gone_through_shortest_first() -> None:
    found = forms(SMALL)
    places = [place for place, _ in found]
    assert places == sorted(set(places))
    for place, rule in found:
        assert infer(rule) is not None
        assert strip(rule) == rule
        assert len(rule.body) == place.size
        assert rule_fingerprint(rule) is not None
    sizes = {place.size for place in places}
    assert sizes == {0, 1, 2}


def test_all_seeds_go_through_as_many_forms_in_orders_of_their_own() -> None:
    first, second = forms(SMALL, 0), forms(SMALL, 1)
    sizes = [[place.size for place, _ in found] for found in (first, second)]
    assert sizes[0] == sizes[1]
    assert [rule.body for _, rule in first] != [rule.body for _, rule in second]
    assert forms(SMALL, 0) == first


def test_what_has_two_statements_is_met() -> None:
    def met(space: Space) -> set[str]:
        found = (recognize_rule(rule) for _, rule in forms(space, seed=1))
        return {form.name for form in found if form is not None}

    assert {"sgd", "momentum", "signum"} <= met(SMALL)
    assert "muon" in met(Space(("lerp", "newton_schulz5"), max_statements=2, max_states=1))


def test_no_form_comes_twice() -> None:
    """Of `sign(-g)` and `-sign(g)` one is met, and neither `-(-g)` nor `sign(sign(g))`."""
    space = Space(("sign", "neg"), max_statements=2, max_states=0)
    words = [sorted(statement.op for statement in rule.body) for _, rule in forms(space)]
    assert [*words[:1], *sorted(words[1:3]), *words[3:]] == [[], ["neg"], ["sign"], ["neg", "sign"]]


def test_an_ordinal_is_read_back() -> None:
    assert Ordinal.read(str(Ordinal(3, 12))) == Ordinal(3, 12)
    for text in ("insert, delete", "start", "retune", "size"):
        assert Ordinal.read(text) is None


def test_large_sizes_are_reached_lazily() -> None:
    space = Space(max_statements=3, max_states=2)
    assert Enumeration(space, 0).count(3) > 10**9
    assert len(list(islice(Enumeration(space, 0), 20))) == 20
