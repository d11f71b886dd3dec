"""What `str` gave is read as `parse_rules` reads it, without it; any other text is left to it."""

from __future__ import annotations

import pytest
from evolved_programs import evolved

from evosearch.errors import ProgramError
from evosearch.language import written
from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.language.written import read_written

PROGRAMS = (*evolved(), *map(known, KNOWN))


def refuse(text: str) -> RuleSet:
    raise AssertionError(f"expected to be read line by line: {text}")


def test_programs_are_read_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [str(program) for program in PROGRAMS]
    expected = [parse_rules(text) for text in texts]
    monkeypatch.setattr(written, "parse_rules", refuse)
    for text, program in zip(texts, expected, strict=True):
        found = read_written(text)
        assert found == program
        assert [rule.name for rule in found.rules] == [rule.name for rule in program.rules]
        assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "def f(w, g):\n    u = sign(g)  # a comment\n    return u\n",
        "def f(w,g):\n    u = sign(g)\n    return u\n",
        "def f(w, g):\n    u = sign(neg(g))\n    return u\n",
        "def f(w, g):\n    u = mul(g, 1)\n    return u\n",
        "def f(w, g):\n    u = -g\n    return u",
        'def f(w, g):\n    """About it."""\n    u = sign(g)\n    return u\n',
        "def f(w, g, m):\n    m = lerp(m, g, 1e-1)\n    return m, m\n",
        "def f(w, g):\n    a = 0.5\n    u = sign(g)\n    return u\n",
        "def f(w, g):\n    a = 0.5\n    b = 1 - a\n    u = g * b\n    return u\n",
        "def f(w, g):\n    a = 0.5\n    u = 2.0 * a\n    v = g * u\n    return v\n",
    ],
)
def test_other_spellings_are_left_to_the_parser(text: str) -> None:
    assert read_written(text) == parse_rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f(w, g):\n    return g",
        "def f(w, g):\n    u = sigh(g)\n    return u\n",
        "def f(w, g):\n    u = sign(h)\n    return u\n",
        "def f(w, g):\n    u = sign(g, 2.0)\n    return u\n",
        "def f(w, g):\n    u = mean(g)\n    return u\n",
        "def f(w, g):\n    t = sign(g)\n    return t\n",
        "def f(w, g, m):\n    u = sign(m)\n    return u\n",
        "def f(w, g, m: big):\n    u = sign(m)\n    return u, m\n",
        "def f(w, g, m):\n    m = 0.5\n    u = g * m\n    return u, m\n",
        "def f(w, g):\n    a = 0.5\n    a = g * a\n    return a\n",
        "def f(w, g):\n    a = 0.5\n    u = g * a\n    return a\n",
        "def f(w, g):\n    u = g * inf\n    return u\n",
        "def f(w, g):\n    u = sign(g)\n    return u\n\n\ndef g(w, g):\n    u = g\n    return u\n",
        "def rest(w, g):\n    u = sign(g)\n    return u\n" * 3,
    ],
)
def test_what_is_no_program_is_refused_alike(text: str) -> None:
    def found(read) -> str | RuleSet:
        try:
            return read(text)
        except ProgramError as error:
            return str(error)

    assert found(read_written) == found(parse_rules)
