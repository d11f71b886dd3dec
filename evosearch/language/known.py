"""Known optimizers as program text, one file each in `evosearch/language/programs/`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from evosearch.errors import UsageError
from evosearch.language.library import LIBRARY
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import INPUTS, Argument, Rule, RuleSet, Statement
from primitives.table import OPS

__all__ = ["KNOWN", "default_rest", "family", "known", "resolve", "rest_of", "variant"]

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


def variant(rule: Rule, constants: Iterable[float], decay: float = 0.0) -> Rule:
    """Return a rule with other constants and, unless it is 0, with a weight decay added.

    Args:
        rule: The rule.
        constants: What stands for its first constants, in their order; the others stay.
        decay: The update becomes ``u + decay * w``.
    """
    values = iter(constants)

    def put(place: int, argument: Argument, arity: int) -> Argument:
        constant = isinstance(argument, float) and place >= arity
        return next(values, argument) if constant else argument

    body = [
        Statement(s.target, s.op, tuple(put(i, a, OPS[s.op].arity) for i, a in enumerate(s.args)))
        for s in rule.body
    ]
    if not decay:
        return Rule(rule.name, rule.states, tuple(body), rule.update)
    taken = {*INPUTS, *(s.target for s in body), *(state.name for state in rule.states)}
    name = next(name for name in ("d", "r", "decay") if name not in taken)
    body += [Statement(name, "mul", ("w", decay)), Statement("u", "add", (rule.update, name))]
    return Rule(rule.name, rule.states, tuple(body), "u")


def family(name: str) -> tuple[str, ...]:
    """Return the program texts over which a known optimizer is tuned; none: it has no family.

    The first has the library's constants.
    """
    row = LIBRARY[name]
    if row.family is None:
        return ()
    plain = known(row.family.without_decay or name).matrix.renamed(name)
    return tuple(
        str(variant(plain, constants, decay))
        for decay in row.family.decays
        for constants in row.family.constants
    )


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
