"""Known optimizers as program text, one file each in `evosearch/language/programs/`."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from typing import Final

from evosearch.errors import UsageError
from evosearch.language.library import LIBRARY
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet

__all__ = ["KNOWN", "default_rest", "known", "resolve", "rest_of"]

KNOWN: Final = tuple(LIBRARY)
"""The names of the known optimizers, simplest first."""

_FOLDER: Final = "evosearch.language.programs"


@cache
def known(name: str) -> RuleSet:
    """Return a known optimizer.

    Raises:
        UsageError: no optimizer of that name is in the library.
    """
    if name not in KNOWN:
        near = difflib.get_close_matches(name, KNOWN, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise UsageError(f"unknown optimizer `{name}`; {hint}known are {', '.join(KNOWN)}")
    return parse_rules(files(_FOLDER).joinpath(f"{name}.program").read_text(encoding="utf-8"))


def resolve(program: str) -> RuleSet:
    """Return a known optimizer by name, or parse program text.

    Raises:
        UsageError: neither a known name nor a legal program.
    """
    return parse_rules(program) if "def " in program else known(program)


@cache
def default_rest() -> Rule:
    """Return the rule for what is not a hidden matrix, where a rule set has none: Muon's AdamW.

    Source: the recipe in https://github.com/KellerJordan/Muon (betas 0.9 and 0.95, eps 1e-10).
    """
    return parse_rules(files(_FOLDER).joinpath("rest.program").read_text(encoding="utf-8")).matrix


def rest_of(rules: RuleSet) -> Rule:
    """Return the rule that serves all but the hidden matrices, whether or not it is spelled out."""
    if rules.rest is not None:
        return rules.rest
    return rules.matrix if strip(rules.matrix).rank_free else default_rest()
