from __future__ import annotations

import pytest
from hypothesis import given
from random_programs import rules

from evosearch.errors import ProgramError
from evosearch.language.known import known
from evosearch.language.parse_cache import Parsed
from evosearch.language.rule import Rule, RuleSet


@given(rules())
def test_what_is_kept_is_what_would_be_read(rule: Rule) -> None:
    """A search must not depend on what is still remembered."""
    program = RuleSet(rule)
    text = str(program)
    kept, read = Parsed(2), Parsed(2)
    kept.keep(text, program)
    assert kept(text) is program
    assert read(text) == program
    assert str(read(text)) == text


def test_the_oldest_is_forgotten_first_and_asking_refreshes() -> None:
    programs = {str(p): p for p in map(known, ("lion", "adamw", "muon"))}
    lion, adamw, muon = programs
    parsed = Parsed(2)
    parsed.keep(lion, programs[lion])
    parsed.keep(adamw, programs[adamw])
    assert parsed(lion) is programs[lion]
    parsed.keep(muon, programs[muon])
    assert parsed(lion) is programs[lion]
    again = parsed(adamw)
    assert again == programs[adamw]
    assert again is not programs[adamw]


def test_a_text_that_is_no_program_is_refused_every_time() -> None:
    parsed = Parsed(2)
    for _ in range(2):
        with pytest.raises(ProgramError):
            parsed("def f(w, g):\n    return h\n")
