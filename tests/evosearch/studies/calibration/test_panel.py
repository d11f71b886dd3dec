"""The panel is what it says, and every member can be scored."""

import pytest

from evosearch.equivalence.fingerprint import fingerprint
from evosearch.language.known import default_rest, known
from evosearch.language.parse import parse_rules
from evosearch.studies.calibration.panel import Pair, levels, panel

PANEL = panel()


def test_the_panel_is_large_enough_and_decided():
    assert len(PANEL.members) >= 20
    assert all(p.better in PANEL.members and p.worse in PANEL.members for p in PANEL.pairs)
    assert len({(p.better, p.worse) for p in PANEL.pairs}) == len(PANEL.pairs)
    assert {s for p in PANEL.pairs for s in p.sources} == set(PANEL.sources)
    assert all(address.startswith("https://") for address in PANEL.sources.values())


def test_the_named_pairs_are_hard_and_decided():
    hard = {(p.better, p.worse) for p in PANEL.pairs if PANEL.hard(p)}
    assert PANEL.named < hard


@pytest.mark.parametrize("name", PANEL.members)
def test_every_member_updates_and_shares_its_rest(name: str):
    rules = parse_rules(PANEL.programs[name])
    assert rules.rest == default_rest()
    assert fingerprint(rules) is not None


def test_members_are_the_library_s_but_for_those_spelled_out():
    same = [n for n in PANEL.members if n != "spectral_descent" and _matrix(n) == known(n).matrix]
    assert {"muon", "lion", "signum", "soap", "soap_muon", "normuon"} <= set(same)


def _matrix(name: str):
    return parse_rules(PANEL.programs[name]).matrix


def test_steps_are_decided_beyond_two_standard_errors():
    track = PANEL.of("modded-nanogpt track 3")
    pairs = {(p.better, p.worse) for p in track}
    assert ("normuon", "muon") in pairs
    assert not {("contra_muon", "normuon"), ("normuon", "contra_muon")} & pairs
    assert ("adamw", "spectral_descent") in pairs


def test_one_order_agrees_with_pairs_that_agree():
    chain = [Pair("a", "b", ("x",)), Pair("b", "c", ("x",)), Pair("a", "c", ("y",))]
    order = levels("abcd", chain, [("c", "e")])
    assert list(order) == ["a", "b", "c"]
    assert order["a"] > order["b"] > order["c"]
    level = levels("abc", [Pair("a", "b", ("x",))], [("a", "c")])
    assert level == {"a": pytest.approx(0.5), "b": pytest.approx(-0.5)}
