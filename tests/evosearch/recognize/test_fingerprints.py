"""The table of fingerprints is what the library and the fingerprint of today make it."""

from __future__ import annotations

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.recognize.fingerprints import FORMLESS


def test_the_table_is_as_computed() -> None:
    formless = [name for name, row in LIBRARY.items() if not row.form]
    assert {name: rule_fingerprint(known(name).matrix) for name in formless} == FORMLESS


def test_no_two_are_one_function() -> None:
    assert len(set(FORMLESS.values())) == len(FORMLESS)
