"""Edits: small random changes of one rule, as likely to break it as not.

Each edit takes (rule, space, rng) and returns a rule, or None where the dice asked for something
impossible; `mutate` judges what comes out and throws again until it is legal. The edits are Lion's
insert, delete and modify (arXiv 2302.06675), with modify split into its parts, and one that adds a
state. None knows any optimizer: which op, which operand and which place are drawn uniformly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from evosearch.language.check import infer, result_shape
from evosearch.language.rule import INPUTS, Argument, Rule, State, Statement, Tie
from evosearch.mutation.constants import draw, perturb
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from primitives.op import Constant, Op
from primitives.shape import SCALAR, SHAPES, Shape
from primitives.table import OPS

__all__ = ["EDITS", "Edit", "Site", "bypass", "places", "reset"]

Edit = Callable[[Rule, Space, Rng], Rule | None]
Site = tuple[int, int]
"""Statement and argument number; the statement after the last stands for the returned update."""

_DECLARABLE: Final = frozenset(SHAPES.values())
_ARITY: Final = {op.name: op.arity for op in OPS.values()}
_LITERAL: Final = 0.15
"""How often an operand that may be a number is one."""


def insert(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put a new op between a value and one of its uses."""
    i, j = site = _site(rule, rng)
    value = _read(rule, site)
    shapes = _visible(rule, i)
    op = rng.pick(space.rows)
    arguments = _operands(op, shapes, rng)
    if arguments is None:
        return None
    if op.arity:
        arguments[rng.below(op.arity)] = value
    name = _fresh(rule)
    statement = _legal(name, op, arguments, shapes, rng)
    if statement is None:
        return None
    return _insert_at(_write(rule, (i, j), name), i, statement)


def insert_free(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put a new statement anywhere; it may overwrite a variable, a state or nothing in use."""
    i = rng.below(len(rule.body) + 1)
    shapes = _visible(rule, i)
    op = rng.pick(space.rows)
    arguments = _operands(op, shapes, rng)
    if arguments is None:
        return None
    names = [name for name in shapes if name not in INPUTS]
    target = rng.pick(names) if names and rng.chance(0.7) else _fresh(rule)
    statement = _legal(target, op, arguments, shapes, rng)
    return None if statement is None else _insert_at(rule, i, statement)


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
        return _rewritten(rule, rule.body[:i] + rule.body[i + 1 :])
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
        return _put(rule, i, Statement(old.target, op.name, old.args, old.ties))
    constants = tuple(draw(kind, rng) for kind in op.constants)
    args, ties = old.args[: op.arity] + constants, old.ties[: op.arity]
    return _put(rule, i, Statement(old.target, op.name, args, _padded(ties, len(args))))


def rewire(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Let an argument read another value."""
    del space
    site = _site(rule, rng)
    shapes = _visible(rule, site[0])
    name = rng.pick([n for n in shapes if n != _read(rule, site)])
    return _write(rule, site, name)


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
    return _put(rule, i, Statement(statement.target, statement.op, tuple(args), statement.ties))


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
    return _rewritten(rule, tuple(body))


def move(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Run a statement earlier or later; what it reads and who reads it may change."""
    del space
    if len(rule.body) < 2:
        return None
    body = list(rule.body)
    statement = body.pop(rng.below(len(body)))
    body.insert(rng.below(len(body) + 1), statement)
    return _rewritten(rule, tuple(body))


def add_state(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Let a use of a value read a new state into which that value is folded by some op."""
    site = _site(rule, rng)
    value = _read(rule, site)
    shapes = _visible(rule, site[0])
    if not isinstance(value, str) or not space.stateful:
        return None
    op = rng.pick(space.stateful)
    name = _fresh(rule, "s")
    operands: list[Argument] = [name, value] if rng.chance(0.5) else [value, name]
    shape = shapes[value]
    if shape not in _DECLARABLE:
        return None
    statement = _legal(name, op, operands, {**shapes, name: shape}, rng)
    if statement is None:
        return None
    grown = replace(rule, states=(*rule.states, State(name, shape)))
    return _insert_at(_write(grown, site, name), site[0], statement)


EDITS: Final[tuple[tuple[Edit, float], ...]] = (
    (insert, 3.0),
    (insert_free, 1.0),
    (delete, 3.0),
    (replace_op, 1.5),
    (rewire, 2.0),
    (change_constant, 1.5),
    (move, 1.0),
    (add_state, 1.0),
)
"""The edits of a rule and their relative frequencies; insertion and deletion balance."""


def _site(rule: Rule, rng: Rng) -> Site:
    """Draw one of the places where a value is used."""
    arities = [_ARITY[statement.op] for statement in rule.body]
    k = rng.below(sum(arities) + 1)
    for i, arity in enumerate(arities):
        if k < arity:
            return i, k
        k -= arity
    return len(rule.body), 0


def _read(rule: Rule, site: Site) -> Argument:
    i, j = site
    return rule.update if i == len(rule.body) else rule.body[i].args[j]


def _write(rule: Rule, site: Site, name: str) -> Rule:
    i, j = site
    if i == len(rule.body):
        return Rule(rule.name, rule.states, rule.body, name)
    old = rule.body[i]
    args, ties = (*old.args[:j], name, *old.args[j + 1 :]), old.ties
    if ties and ties[j] is not None:
        ties = _padded((*ties[:j], None, *ties[j + 1 :]), len(args))
    return _put(rule, i, Statement(old.target, old.op, args, ties))


def _padded(ties: tuple[Tie | None, ...], count: int) -> tuple[Tie | None, ...]:
    """Return ties for so many arguments; none where no argument has one."""
    return (*ties, *(None,) * (count - len(ties))) if any(ties) else ()


def _put(rule: Rule, i: int, statement: Statement) -> Rule:
    return _rewritten(rule, (*rule.body[:i], statement, *rule.body[i + 1 :]))


def _insert_at(rule: Rule, i: int, statement: Statement) -> Rule:
    return _rewritten(rule, (*rule.body[:i], statement, *rule.body[i:]))


def _rewritten(rule: Rule, body: tuple[Statement, ...]) -> Rule:
    return Rule(rule.name, rule.states, body, rule.update)


def _visible(rule: Rule, position: int) -> dict[str, Shape]:
    """Return the variables and their shapes as the statement at `position` sees them."""
    shapes = dict(INPUTS)
    for state in rule.states:
        shapes[state.name] = state.shape
    for statement, shape in zip(rule.body[:position], _shapes(rule), strict=False):
        shapes[statement.target] = shape
    return shapes


@lru_cache(maxsize=64)
def _shapes(rule: Rule) -> tuple[Shape, ...]:
    shapes = infer(rule)
    assert shapes is not None, f"illegal parent\n{rule}"
    return shapes


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


def _fresh(rule: Rule, stem: str = "x") -> str:
    taken = {state.name for state in rule.states} | {s.target for s in rule.body}
    taken |= rule.constants.keys()
    k = 1
    while f"{stem}{k}" in taken:
        k += 1
    return f"{stem}{k}"
