"""Warnings of programs that are legal and make no sense."""

import pytest

from evosearch.equivalence.sense import warnings
from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-g", "goes up"),
        ("g - 100 * sign(g)", "goes up"),
        ("0.01 * w", "do not depend on the gradient"),
        ("0 * sign(g) + 1", "the same on every step"),
        ("g - g", "zero"),
        ("g * 1e300 * 1e300", "not finite"),
        ("g**27", "In float32"),
    ],
)
def test_nonsense_is_named(value: str, words: str) -> None:
    (warning,) = warnings(parse_rules(f"def p(w, g):\n    return {value}\n").matrix)
    assert words in warning


def test_no_known_optimizer_is_nonsense() -> None:
    assert [name for name in KNOWN for rule in known(name).rules if warnings(rule)] == []
