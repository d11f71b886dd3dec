"""Meaningful names: m for a running average of g, v for one of g squared, c, u, ...

A name says what a value is, so it is derived from how the value is computed; the order of
statements and everything else stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from evosearch.language.parse import valid_name
from evosearch.language.rule import INPUTS, Rule, RuleSet, State, Statement
from primitives.op import Law
from primitives.table import OPS

__all__ = ["named", "named_rule"]

_STEMS: Final = {
    "sqrt": "root",
    "clip": "clipped",
    "clip_to": "clipped",
    "sign": "s",
    "abs": "size",
    "normalize": "unit",
    "rms_normalize": "unit",
    "newton_schulz3": "o",
    "newton_schulz5": "o",
    "polar_express": "o",
    "gram_left": "gram",
    "gram_right": "gram",
    "mean": "average",
    "norm": "size",
    "rms": "size",
}
"""Op to the name of its result, where the op alone says enough."""
_AVERAGES: Final = frozenset({"lerp", "heavy_ball"})


def named(rules: RuleSet) -> RuleSet:
    """Return the same program with meaningful names."""
    rest = None if rules.rest is None else named_rule(rules.rest)
    return RuleSet(named_rule(rules.matrix), rest)


def named_rule(rule: Rule) -> Rule:
    """Return the same rule with meaningful names of states and values."""
    values = _versions(rule)
    taken = {*INPUTS, "u", *rule.constants}
    states: dict[str, str] = {}
    for state in sorted(rule.states, key=lambda s: _state_stem(values, s.name)):
        states[state.name] = _fresh(_state_stem(values, state.name), taken)
    names: dict[str, str] = {name: name for name in INPUTS} | states
    last = {statement.target: i for i, statement in enumerate(rule.body)}
    body: list[Statement] = []
    for i, statement in enumerate(rule.body):
        args = tuple(names[a] if isinstance(a, str) else a for a in statement.args)
        final = last[statement.target] == i
        if final and statement.target in states:
            target = states[statement.target]
        elif final and statement.target == rule.update:
            target = "u"
        else:
            target = _fresh(_stem(replace(statement, args=args), set(states.values())), taken)
        names[statement.target] = target
        body.append(Statement(target, statement.op, args, statement.ties))
    shapes = {state.name: state.shape for state in rule.states}
    renamed = tuple(State(new, shapes[old]) for old, new in states.items())
    return Rule(rule.name, renamed, tuple(body), names[rule.update], rule.doc)


_Versions = list[tuple[Statement, dict[str, Statement]]]


def _versions(rule: Rule) -> _Versions:
    """Return each statement with the definitions of what it reads."""
    seen: dict[str, Statement] = {}
    result: _Versions = []
    for statement in rule.body:
        result.append((statement, {n: seen[n] for n in statement.reads if n in seen}))
        seen[statement.target] = statement
    return result


def _state_stem(values: _Versions, state: str) -> str:
    """Return m, v or s for an average of g, of its squares, or of something else."""
    writes = [item for item in values if item[0].target == state]
    if not writes:
        return "s"
    statement, reads = writes[-1]
    others = [a for a in statement.reads if a != state]
    old = state in statement.reads and state not in reads  # as the step before left it
    if statement.op not in _AVERAGES or not old or len(others) != 1:
        return "s"
    source = others[0]
    if source == "g" and source not in reads:
        return "m"
    return "v" if source in reads and _squares(source, reads, values) else _kind(source, reads)


def _squares(name: str, reads: dict[str, Statement], values: _Versions) -> bool:
    """Whether a variable is g squared, possibly averaged over rows or columns."""
    statement = reads[name]
    if statement.op == "square" or (statement.op == "mul" and len(set(statement.args)) == 1):
        return True
    if not statement.reads:
        return False
    inner = next((r for s, r in values if s is statement), {})
    reduces = OPS[statement.op].arity == 1 and Law.LINEAR in OPS[statement.op].laws
    source = statement.reads[0]
    return reduces and source in inner and _squares(source, inner, values)


def _kind(name: str, reads: dict[str, Statement]) -> str:
    """Return m where what is averaged is a function of g alone, entry by entry; else s."""
    statement = reads.get(name)
    plain = statement is not None and OPS[statement.op].elementwise and len(statement.reads) == 1
    return "m" if plain else "s"


def _stem(statement: Statement, states: set[str]) -> str:
    first = statement.reads[0] if statement.reads else ""
    match statement.op:
        case "square" if first == "g":
            return "g2"
        case "debias":
            return f"{first}_hat"
        case "mul" if first == "w" and len(statement.reads) == 1:
            return "decay"
        case "add" if len(statement.reads) == 1:
            return "d"
        case "lerp" | "heavy_ball" if states & set(statement.reads):
            return "c"
    return _STEMS.get(statement.op, "x")


def _fresh(stem: str, taken: set[str]) -> str:
    k = 1
    name = "x1" if stem == "x" else stem
    while name in taken or not valid_name(name):
        k += 1
        name = f"{stem}{k}"
    taken.add(name)
    return name
