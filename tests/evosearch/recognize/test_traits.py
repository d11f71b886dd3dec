from __future__ import annotations

import pytest

from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.recognize.traits import PRECONDITIONED, Trait, traits

TWO_SIDED = {"shampoo", "kron", "soap", "soap_muon", "splus"}
MULTIPLIED = {"orthogonal_sgdm", "polargrad"}
"""By matrices of this step's gradient alone."""

LEFT = """
def f(w, g, a: left):
    a = a * 0.9 + g @ g.T
"""


def rule(text: str):
    return parse_rules(text).matrix


@pytest.mark.parametrize("name", KNOWN)
def test_known_optimizers_have_the_traits_they_are_known_for(name: str) -> None:
    found = traits(known(name).matrix)
    sided = {Trait.TWO_SIDED} if name in TWO_SIDED else set()
    assert found & PRECONDITIONED == sided
    assert (Trait.LIVE_MATMUL in found) == (name in TWO_SIDED | MULTIPLIED)
    assert (Trait.REFRESH in found) == (name in {"soap", "splus"})
    statistics = {"adafactor", "came", "adam_mini", "normuon", "scale"}
    if name in statistics - {"scale"}:
        assert {Trait.ROW_OR_COLUMN, Trait.OTHER_STATE} <= found


@pytest.mark.parametrize(
    ("text", "sided"),
    [
        (f"{LEFT}    return inv_sqrt(a) @ g, a", Trait.ONE_SIDED),
        (f"{LEFT}    return g + sign(inv_fourth_root(a) @ g), a", Trait.ONE_SIDED),
        (f"{LEFT}    return (g.T @ eig_basis(a)).T, a", Trait.ONE_SIDED),  # from the left, too
        (f"{LEFT}    return a @ g @ (g.T @ g), a", Trait.ONE_SIDED),  # right: of this step alone
        (f"{LEFT}    return g * norm(a @ g), a", None),  # its direction is lost
        (f"{LEFT}    return g / sqrt((a @ g)**2), a", None),
        (f"{LEFT}    return g * trace(a), a", None),
        (f"{LEFT}    return identity_left(g) * trace(a) @ g, a", None),  # a multiple of g
        (f"{LEFT}    x = a @ g\n    return g, a", None),  # dead
        ("def f(w, g):\n    return inv_sqrt(g @ g.T) @ g", None),  # nothing is kept
        ("def f(w, g, a: left):\n    a = g @ g.T\n    return inv_sqrt(a) @ g, a", None),
        ("def f(w, g, a: left = identity):\n    return a @ g, a", None),  # of no gradient
        ("def f(w, g, m):\n    m = lerp(m, g, 0.1)\n    return m @ m.T @ m, m", None),
    ],
)
def test_sides_follow_the_data(text: str, sided: Trait | None) -> None:
    found = traits(rule(text))
    assert found & PRECONDITIONED == ({sided} if sided else set())


def test_sides_of_different_values_are_not_two_sides_of_one() -> None:
    text = """
def f(w, g, a: left, b: right):
    a = a * 0.9 + g @ g.T
    b = b * 0.9 + g.T @ g
    x = inv_sqrt(a) @ g
    y = g @ inv_sqrt(b)
    return {}, a, b
"""
    assert Trait.ONE_SIDED in traits(rule(text.format("x + y")))
    assert Trait.TWO_SIDED in traits(rule(text.format("x @ inv_sqrt(b)")))
    assert Trait.TWO_SIDED in traits(rule(A_STEP_LATER))


A_STEP_LATER = """
def f(w, g, m, a: left, b: right):
    a = a * 0.9 + g @ g.T
    b = b * 0.9 + g.T @ g
    u = inv_sqrt(a) @ m
    m = lerp(m, g @ inv_sqrt(b), 0.1)
    return u, m, a, b
"""
