"""Families of known optimizers."""

from __future__ import annotations

import pytest

from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.recognize.recognize import recognize
from evosearch.studies.baseline_families import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_begins_with_the_library_and_keeps_to_its_form(name):
    members = [parse_rules(text) for text in FAMILIES[name]]
    assert members[0] == known(name)
    assert len(set(members)) == len(members)
    forms = {"adamw": {"adam", "adamw"}, "lion": {"lion", "signum"}}.get(name, {name})
    for member in members:
        found = recognize(member)
        assert found is not None
        assert found.name in forms


def test_families_are_as_large_as_adamws():
    sizes = {name: len(members) for name, members in FAMILIES.items()}
    assert sizes.pop("sgd") == 2  # it has no rate to choose
    assert set(sizes.values()) == {10}
