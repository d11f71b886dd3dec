"""Typeset programs: well-formed, and with every equation that LaTeX has."""

from xml.etree import ElementTree

import pytest

from evosearch.language.known import KNOWN, known
from evosearch.language.latex import equations
from evosearch.language.liveness import strip
from evosearch.language.mathml import mathml
from evosearch.language.naming import named_rule


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_optimizer_is_typeset(name):
    rules = known(name)
    root = ElementTree.fromstring(mathml(rules))
    rows = root.findall("div")
    assert len(rows) == sum(len(equations(named_rule(strip(r)))) + 1 for r in rules.rules)
    plain = [row for row in rows if row.find("code") is not None]
    assert len(plain) <= 2, "only what is too long to read stays text"
    assert root.findall("div/math")
    assert "\\" not in "".join(root.itertext()), "no command is left over"


def test_numbers_names_and_signs_are_in_the_equations():
    text = "".join(ElementTree.fromstring(mathml(known("lion"))).itertext())
    for part in ("sign", "0.01", "0.99", "0.1", "0.9", "\N{MINUS SIGN}"):
        assert part in text
    assert "w" not in "".join(ElementTree.fromstring(mathml(known("lion"), step=False)).itertext())
