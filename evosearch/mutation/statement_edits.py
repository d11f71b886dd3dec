"""Edits of single statements: small random changes of one rule, as likely to break it as not.

They are Lion's insert, delete and modify (arXiv 2302.06675), with modify split into its parts, and
one that adds a state. None knows any optimizer: which op, which operand and which place are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from evosearch.language.check import result_shape
from evosearch.language.rule import INPUTS, Argument, Rule, State, Statement
from evosearch.mutation.constants import draw, perturb
from evosearch.mutation.rng import Rng
from evosearch.mutation.site import (
    Site,
    draw_site,
    fresh,
    insert_at,
    padded,
    put,
    read_at,
    rewritten,
    visible,
    write_at,
)
from evosearch.mutation.space import Space
from primitives.op import Constant, Op
from primitives.shape import SCALAR, SHAPES, Shape
from primitives.table import OPS

__all__ = [
    "add_state",
    "bypass",
    "change_constant",
    "delete",
    "exchange_op",
    "insert",
    "insert_free",
    "move",
    "places",
    "replace_op",
    "reset",
    "rewire",
    "set_number",
    "swap_operands",
]

_DECLARABLE: Final = frozenset(SHAPES.values())
_LITERAL: Final = 0.15
"""How often an operand that may be a number is one."""
_NUMBERS: Final = (0.0, 1.0, -1.0, 0.5, 2.0)
"""What an operand is set to as often as to a fresh gain or a negative one."""


def insert(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put a new op between a value and one of its uses."""
    i, j = site = draw_site(rule, rng)
    value = read_at(rule, site)
    shapes = visible(rule, i)
    op = space.draw(rng)
    arguments = _operands(op, shapes, rng)
    if arguments is None:
        return None
    if op.arity:
        arguments[rng.below(op.arity)] = value
    name = fresh(rule)
    statement = _legal(name, op, arguments, shapes, rng)
    if statement is None:
        return None
    return insert_at(write_at(rule, (i, j), name), i, statement)


def insert_free(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put a new statement anywhere; it may overwrite a variable, a state or nothing in use."""
    i = rng.below(len(rule.body) + 1)
    shapes = visible(rule, i)
    op = space.draw(rng)
    arguments = _operands(op, shapes, rng)
    if arguments is None:
        return None
    names = [name for name in shapes if name not in INPUTS]
    target = rng.pick(names) if names and rng.chance(0.7) else fresh(rule)
    statement = _legal(target, op, arguments, shapes, rng)
    return None if statement is None else insert_at(rule, i, statement)


def delete(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Remove a statement; its readers get one of its operands instead."""
    del space
    if not rule.body:
        return None
    i = rng.below(len(rule.body))
    heirs = rule.body[i].reads
    return bypass(rule, i, rng.pick(heirs) if heirs else None)


def bypass(rule: Rule, i: int, heir: str | None) -> Rule:
    """Return the rule without statement i, whose readers read the variable `heir` instead."""
    gone = rule.body[i]
    if heir is None:
        return rewritten(rule, rule.body[:i] + rule.body[i + 1 :])
    body = list(rule.body[:i])
    update = rule.update
    for k, statement in enumerate(rule.body[i + 1 :], start=i + 1):
        if gone.target in statement.args:
            args = tuple(heir if a == gone.target else a for a in statement.args)
            body.append(Statement(statement.target, statement.op, args, statement.ties))
        else:
            body.append(statement)
        if statement.target == gone.target:
            body.extend(rule.body[k + 1 :])
            break
    else:
        update = heir if update == gone.target else update
    return Rule(rule.name, rule.states, tuple(body), update)


def replace_op(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Exchange an op for another with the same signature."""
    if not rule.body:
        return None
    i = rng.below(len(rule.body))
    old = rule.body[i]
    choices = space.replacements[old.op]
    if not choices:
        return None
    op = rng.pick(choices)
    if op.constants == OPS[old.op].constants:
        return put(rule, i, Statement(old.target, op.name, old.args, old.ties))
    constants = tuple(draw(kind, rng) for kind in op.constants)
    args, ties = old.args[: op.arity] + constants, old.ties[: op.arity]
    return put(rule, i, Statement(old.target, op.name, args, padded(ties, len(args))))


def rewire(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Let an argument read another value."""
    del space
    site = draw_site(rule, rng)
    shapes = visible(rule, site[0])
    name = rng.pick([n for n in shapes if n != read_at(rule, site)])
    return write_at(rule, site, name)


def change_constant(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Move a constant, in the metric of its kind."""
    del space
    found = places(rule)
    return reset(rule, rng.pick(found), perturb, rng) if found else None


def places(rule: Rule) -> list[Site]:
    """Return where the rule's constants are; of a named one, where it is used first."""
    found: list[Site] = []
    seen: set[str] = set()
    for i, s in enumerate(rule.body):
        for j, a in enumerate(s.args):
            if type(a) is not float:
                continue
            tie = s.ties[j] if s.ties else None
            if tie is None:
                found.append((i, j))
            elif tie.name not in seen:
                seen.add(tie.name)
                found.append((i, j))
    return found


def reset(
    rule: Rule, place: Site, change: Callable[[Constant, float, Rng], float], rng: Rng
) -> Rule:
    """Return the rule with one constant changed, a named one wherever it is used."""
    i, j = place
    statement = rule.body[i]
    tie = statement.ties[j] if statement.ties else None
    if tie is not None:
        return _renumbered(rule, tie.name, change(_kind_of(rule, tie.name), tie.value, rng))
    args = list(statement.args)
    args[j] = change(_kind(statement, j), float(statement.args[j]), rng)
    return put(rule, i, Statement(statement.target, statement.op, tuple(args), statement.ties))


def _kind(statement: Statement, j: int) -> Constant:
    """Return what a number means where it stands; a literal operand is a gain."""
    op = OPS[statement.op]
    return op.constants[j - op.arity] if j >= op.arity else Constant.GAIN


def _kind_of(rule: Rule, name: str) -> Constant:
    """Return what a named constant means: one that is used with its complement is a decay rate."""
    uses = [
        (_kind(s, j), tie.complement)
        for s in rule.body
        for j, tie in enumerate(s.ties)
        if tie is not None and tie.name == name
    ]
    kinds = {kind for kind, _ in uses}
    if Constant.DECAY in kinds or (Constant.RATE, True) in uses:
        return Constant.DECAY
    if Constant.RATE in kinds:
        return Constant.RATE
    if Constant.EXPONENT in kinds:
        return Constant.EXPONENT
    return Constant.DECAY if any(complement for _, complement in uses) else Constant.GAIN


def _renumbered(rule: Rule, name: str, value: float) -> Rule:
    """Return the rule with another value for a named constant."""
    body: list[Statement] = []
    for s in rule.body:
        if not any(tie is not None and tie.name == name for tie in s.ties):
            body.append(s)
            continue
        args, ties = list(s.args), list(s.ties)
        for j, tie in enumerate(s.ties):
            if tie is not None and tie.name == name:
                ties[j] = moved = tie.moved(value)
                args[j] = moved.number
        body.append(Statement(s.target, s.op, tuple(args), tuple(ties)))
    return rewritten(rule, tuple(body))


def move(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Run a statement earlier or later; what it reads and who reads it may change."""
    del space
    if len(rule.body) < 2:
        return None
    body = list(rule.body)
    statement = body.pop(rng.below(len(body)))
    body.insert(rng.below(len(body) + 1), statement)
    return rewritten(rule, tuple(body))


def add_state(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Let a use of a value read a new state into which that value is folded by some op."""
    site = draw_site(rule, rng)
    value = read_at(rule, site)
    shapes = visible(rule, site[0])
    if not isinstance(value, str) or not space.stateful:
        return None
    op = rng.pick(space.stateful)
    name = fresh(rule, "s")
    operands: list[Argument] = [name, value] if rng.chance(0.5) else [value, name]
    shape = shapes[value]
    if shape not in _DECLARABLE:
        return None
    statement = _legal(name, op, operands, {**shapes, name: shape}, rng)
    if statement is None:
        return None
    grown = replace(rule, states=(*rule.states, State(name, shape)))
    return insert_at(write_at(grown, site, name), site[0], statement)


def exchange_op(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Exchange an op for any other that takes its operands, some dropped or drawn where need be."""
    if not rule.body:
        return None
    i = rng.below(len(rule.body))
    old, shapes = rule.body[i], visible(rule, i)
    op = space.draw(rng)
    operands = list(old.args[: OPS[old.op].arity])
    while len(operands) > op.arity:
        del operands[rng.below(len(operands))]
    while len(operands) < op.arity:
        operands.insert(rng.below(len(operands) + 1), rng.pick(list(shapes)))
    statement = _legal(old.target, op, operands, shapes, rng)
    return None if statement is None else put(rule, i, statement)


def swap_operands(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Exchange two operands of a statement."""
    del space
    found = [i for i, s in enumerate(rule.body) if OPS[s.op].arity > 1]
    if not found:
        return None
    i = rng.pick(found)
    old = rule.body[i]
    order = list(range(len(old.args)))
    j = rng.below(OPS[old.op].arity - 1)
    k = j + 1 + rng.below(OPS[old.op].arity - 1 - j)
    order[j], order[k] = k, j
    args = tuple(old.args[position] for position in order)
    ties = tuple(old.ties[position] for position in order) if old.ties else ()
    return put(rule, i, Statement(old.target, old.op, args, ties))


def set_number(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put a number in an operand's place; it may be zero or negative."""
    del space
    found = [
        (i, j)
        for i, s in enumerate(rule.body)
        if OPS[s.op].broadcasts
        for j in range(OPS[s.op].arity)
    ]
    if not found:
        return None
    i, j = rng.pick(found)
    old, gain = rule.body[i], draw(Constant.GAIN, rng)
    number = rng.pick((*_NUMBERS, gain, -gain))
    args = (*old.args[:j], number, *old.args[j + 1 :])
    if not any(isinstance(a, str) for a in args):
        return None
    ties = padded((*old.ties[:j], None, *old.ties[j + 1 :]), len(args)) if old.ties else ()
    return put(rule, i, Statement(old.target, old.op, args, ties))


def _operands(op: Op, shapes: dict[str, Shape], rng: Rng) -> list[Argument] | None:
    names = list(shapes)
    operands: list[Argument] = []
    for pattern in op.signature.inputs:
        if pattern == "*" and op.arity > 1 and rng.chance(_LITERAL):
            operands.append(draw(Constant.GAIN, rng))
        else:
            operands.append(rng.pick(names))
    if operands and not any(isinstance(a, str) for a in operands):
        return None
    return operands


def _legal(
    target: str, op: Op, operands: list[Argument], shapes: dict[str, Shape], rng: Rng
) -> Statement | None:
    if operands and not any(isinstance(a, str) for a in operands):
        return None
    if "*" not in op.signature.inputs and not all(isinstance(a, str) for a in operands):
        return None
    found = tuple(shapes[a] if isinstance(a, str) else SCALAR for a in operands)
    if result_shape(op.name, found) is None:
        return None
    return Statement(target, op.name, (*operands, *(draw(kind, rng) for kind in op.constants)))
