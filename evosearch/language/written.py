"""Programs as this package writes them, read in a fraction of the time that `parse_rules` takes.

What `str` of a program gives has one statement a line, and lines recur: a child has most of its
parent's. So each line is read once. Nothing is taken on trust: a program that does not give the
very same text again is left to `parse_rules`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from evosearch.errors import ProgramError
from evosearch.language.check import check_rule, check_rules
from evosearch.language.parse import parse_rules, valid_name
from evosearch.language.rule import INPUTS, Argument, Rule, RuleSet, State, Statement, Tie
from primitives.shape import FULL, SHAPES
from primitives.table import OPS

__all__ = ["read_written"]

_HEAD: Final = re.compile(r"def (\w+)\(w, g((?:, \w+(?:: \w+)?)*)\):")
_CALL: Final = re.compile(r"    (\w+) = (\w+)\(([^()]*)\)")
_INFIX: Final = re.compile(r"    (\w+) = (\S+|\(1 - \w+\)) ([-+*/]) (\S+|\(1 - \w+\))")
_CONSTANT: Final = re.compile(r"    (\w+) = ([-+.\w]+)")
_COMPLEMENT: Final = "1 - "
_SIGNS: Final = {op.infix: name for name, op in OPS.items() if op.infix}


class _Unusual(Exception):
    """A text that is not quite what `str` gives."""


def read_written(text: str) -> RuleSet:
    """Return the program in a text that `str` of one gave; any other text is parsed.

    Raises:
        ProgramError: The text is not a program.
    """
    try:
        parts = text.split("\n\n\n")
        rules = [_rule(part if part.endswith("\n") else part + "\n") for part in parts]
        found = RuleSet(*rules[:2])
        if str(found) != text:
            raise _Unusual
        for rule in found.rules:
            check_rule(rule)
        return check_rules(found)
    except (_Unusual, ProgramError, ValueError):
        return parse_rules(text)  # which says where what is wrong


def _rule(text: str) -> Rule:
    head, *body, last, end = text.split("\n")
    match = _HEAD.fullmatch(head)
    if match is None or end or not last.startswith("    return ") or not valid_name(match[1]):
        raise _Unusual
    states = tuple([_state(word) for word in match[2].split(", ")[1:]])
    update = last.removeprefix("    return ").partition(",")[0]
    named = _constants(body, {*INPUTS, *(state.name for state in states)})
    statements = tuple([_statement(line, named) for line in body[len(named) :]])
    if named and not {name for name, _ in named}.isdisjoint([s.target for s in statements]):
        raise _Unusual
    return Rule(match[1], states, statements, update)


def _constants(body: list[str], taken: set[str]) -> tuple[tuple[str, float], ...]:
    """Return the named constants that a body begins with, and their values."""
    found: dict[str, float] = {}
    for line in body:
        match = _CONSTANT.fullmatch(line)
        if match is None:
            break
        name = match[1]
        if name in taken or name in found or not valid_name(name):
            raise _Unusual
        found[name] = float(match[2])
    return tuple(found.items())


@lru_cache(maxsize=1 << 10)
def _state(text: str) -> State:
    name, _, shape = text.partition(": ")
    if not valid_name(name) or (shape and shape not in SHAPES):
        raise _Unusual
    return State(name, SHAPES[shape] if shape else FULL)


@lru_cache(maxsize=1 << 16)
def _statement(line: str, named: tuple[tuple[str, float], ...]) -> Statement:
    if match := _CALL.fullmatch(line):
        target, op, words = match[1], match[2], match[3].split(", ") if match[3] else []
    elif match := _INFIX.fullmatch(line):
        words = [word[1:-1] if word.startswith("(") else word for word in (match[2], match[4])]
        target, op = match[1], _SIGNS[match[3]]
    else:
        raise _Unusual
    if op not in OPS or not (target in INPUTS or valid_name(target)):
        raise _Unusual
    constants = dict(named)
    ties = tuple([_tie(word, constants) for word in words])
    if not any(ties):
        return Statement(target, op, tuple(map(_argument, words)))
    pairs = zip(words, ties, strict=True)
    args = tuple([_argument(word) if tie is None else tie.number for word, tie in pairs])
    if not any(isinstance(argument, str) for argument in args):
        raise _Unusual  # a constant made of constants
    return Statement(target, op, args, ties)


def _tie(word: str, constants: dict[str, float]) -> Tie | None:
    name = word.removeprefix(_COMPLEMENT)
    return Tie(name, constants[name], name != word) if name in constants else None


def _argument(word: str) -> Argument:
    return word if valid_name(word) or word in INPUTS else float(word)
