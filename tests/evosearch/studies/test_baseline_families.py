"""Families of known optimizers."""

from __future__ import annotations

import pytest

from evosearch.language.known import known
from evosearch.language.library import LIBRARY, Use
from evosearch.language.parse import parse_rules
from evosearch.recognize.recognize import recognize, recognize_rule
from evosearch.studies.baseline_families import FAMILIES

WIDTHS = {
    "adamw": {"beta 1": {0.0, 0.5, 0.8, 0.9, 0.95}, "beta 2": {0.9, 0.95, 0.98, 0.99, 0.999}},
    "muon": {"momentum": {0.5, 0.8, 0.9, 0.95, 0.98}, "gradient's share": {0.0, 0.25, 0.5}},
    "lion": {"beta 1": {0.5, 0.8, 0.9, 0.95}, "beta 2": {0.9, 0.95, 0.98, 0.99}},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_begins_with_the_library(name):
    start = recognize(parse_rules(FAMILIES[name].start))
    textbook = recognize(known(name))
    assert start is not None
    assert textbook is not None
    assert (start.name, dict(start.constants)) == (textbook.name, dict(textbook.constants))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_keeps_to_its_form(name):
    family = FAMILIES[name]
    forms = {"adamw": {"adam", "adamw", "rmsprop"}, "lion": {"lion", "signum"}}.get(name, {name})
    forms |= {"momentum": {"sgd"}, "nesterov": {"sgd"}, "signum": {"signsgd", "tiger"}}.get(
        name, set()
    )
    middle = [axis.first for axis in family.axes]
    for k, axis in enumerate(family.axes):
        if axis.name == "warm-up":  # a schedule, which no form has
            continue
        for position in range(-1, len(axis.values) + 1):
            text = family.text((*middle[:k], position, *middle[k + 1 :]))
            if text is not None:
                found = recognize_rule(parse_rules(text).matrix)
                assert found is not None, text
                assert found.name in forms


@pytest.mark.parametrize("name", WIDTHS)
def test_families_are_as_wide_as_they_say(name):
    axes = {axis.name: set(axis.values) for axis in FAMILIES[name].axes}
    for axis, values in WIDTHS[name].items():
        assert values <= axes[axis]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_memory_may_grow_beyond_its_list(name):
    for axis in FAMILIES[name].axes:
        assert axis.value(len(axis.values)) is not None


def test_what_serves_as_a_baseline_has_a_family():
    for name, row in LIBRARY.items():
        if {Use.PROMOTION, Use.SCALE_TEST} & row.uses:
            assert name in FAMILIES


def test_warm_up_is_linear_and_ends():
    text = FAMILIES["adamw"].write((0.9, 0.999, 0.0, 10.0))
    assert "k = k * 0.1" in text
    assert "k = minimum(k, 1.0)" in text
