"""Well-formedness: the only place that says whether a program is legal.

A rule is legal when every op exists and gets arguments that fit its signature, every variable is
assigned before it is read, each state ends with the shape it was declared with, and the update has
the parameter's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from evosearch.errors import ProgramError
from evosearch.language.rule import INPUTS, Argument, Rule, RuleSet, Statement
from primitives.shape import FULL, SCALAR, STEP, Shape
from primitives.table import OPS

__all__ = ["check_rule", "check_rules", "infer", "result_shape"]

Shapes = tuple[Shape, ...]


def infer(rule: Rule) -> Shapes | None:
    """Return the result shape of every statement, or None where the rule is not legal."""
    shapes = _inputs(rule)
    results: list[Shape] = []
    try:
        for statement in rule.body:
            arguments = [shapes[a] if isinstance(a, str) else None for a in statement.args]
            shape = _applied(statement.op, tuple(arguments))
            if shape is None:
                return None
            shapes[statement.target] = shape
            results.append(shape)
    except KeyError:
        return None  # read before it is assigned
    if shapes.get(rule.update) not in (FULL, STEP):
        return None
    if any(shapes[state.name] != state.shape for state in rule.states):
        return None
    return tuple(results)


@lru_cache(maxsize=1 << 16)
def result_shape(op: str, shapes: Shapes) -> Shape | None:
    """Return the shape of an op's result, or None where the arguments do not fit."""
    return OPS[op].signature.infer(shapes)


@lru_cache(maxsize=1 << 16)
def _applied(name: str, arguments: tuple[Shape | None, ...]) -> Shape | None:
    """Return the shape of an op's result, None standing for an argument that is a number."""
    op = OPS.get(name)
    if op is None or len(arguments) != op.arity + len(op.constants):
        return None
    tensors, constants = arguments[: op.arity], arguments[op.arity :]
    if any(shape is not None for shape in constants):
        return None
    if tensors and not any(tensors):
        return None  # a number alone is no tensor
    if None in tensors and not op.broadcasts:
        return None
    return result_shape(name, tuple(shape or SCALAR for shape in tensors))


def check_rule(rule: Rule, positions: Sequence[tuple[int, int]] = ()) -> Rule:
    """Return the rule unchanged if it is legal.

    Args:
        rule: the rule to judge.
        positions: line and column, in the text it came from, of each statement and of the return.

    Raises:
        ProgramError: names the first statement at fault and what is wrong with it.
    """
    shapes = _inputs(rule)
    for index, statement in enumerate(rule.body):
        shape = _statement_shape(statement, shapes)
        if shape is None:
            message = f"in `{rule.name}`: `{statement}`: {_fault(statement, shapes)}"
            raise _at(positions, index, message)
        shapes[statement.target] = shape
    fault = _ending_fault(rule, shapes)
    if fault:
        raise _at(positions, len(rule.body), fault)
    return rule


def check_rules(rules: RuleSet, positions: Sequence[tuple[int, int]] = ()) -> RuleSet:
    """Return the rule set unchanged if both rules are legal and the rest is rank-free.

    Args:
        rules: the rule set to judge.
        positions: as in `check_rule`, of the last rule.

    Raises:
        ProgramError: says which rule is at fault and why.
    """
    check_rule(rules.matrix)
    if rules.rest is not None:
        check_rule(rules.rest)
        states, body = rules.rest.states, rules.rest.body
        faults = [(f"`{s.op}`", i) for i, s in enumerate(body) if not OPS[s.op].rank_free]
        small = (s.shape for s in states if s.shape not in (FULL, SCALAR))
        faults += [(f"a state of shape {shape}", len(body)) for shape in small]
        if faults:
            what, index = faults[0]
            message = (
                f"the `rest` rule uses {what}, which needs a matrix; the rest holds vectors "
                "and embeddings, so only elementwise ops and whole-tensor reductions fit there"
            )
            raise _at(positions, index, message)
    return rules


def _inputs(rule: Rule) -> dict[str, Shape]:
    return {**INPUTS, **{state.name: state.shape for state in rule.states}}


def _statement_shape(statement: Statement, shapes: dict[str, Shape]) -> Shape | None:
    try:
        found = [shapes[a] if isinstance(a, str) else None for a in statement.args]
    except KeyError:
        return None  # read before it is assigned
    return _applied(statement.op, tuple(found))


def _at(positions: Sequence[tuple[int, int]], index: int, message: str) -> ProgramError:
    line, column = positions[index] if positions else (None, None)
    return ProgramError(message, line=line, column=column)


def _ending_fault(rule: Rule, shapes: dict[str, Shape]) -> str:
    """Return what is wrong with what a rule returns; empty where nothing is."""
    if rule.update not in shapes:
        return f"`{rule.name}` returns `{rule.update}`, which is never assigned"
    if shapes[rule.update] not in (FULL, STEP):
        return (
            f"`{rule.name}` returns `{rule.update}` of shape {shapes[rule.update]} as its update; "
            f"the update must have the parameter's shape {FULL}, or be a step"
        )
    for state in rule.states:
        if shapes[state.name] != state.shape:
            return (
                f"in `{rule.name}`: state `{state.name}` is declared {state.shape} but ends the "
                f"step as {shapes[state.name]}; annotate it with the shape that it is given"
            )
    return ""


def _fault(statement: Statement, shapes: dict[str, Shape]) -> str:
    op = OPS.get(statement.op)
    if op is None:
        return f"unknown op `{statement.op}`; `evosearch primitives` lists them"
    expected = op.arity + len(op.constants)
    if len(statement.args) != expected:
        constants = f" and {len(op.constants)} constants" if op.constants else ""
        found = len(statement.args)
        return f"`{op.name}` takes {op.arity} tensors{constants}, found {found} arguments"
    for name in statement.reads:
        if name not in shapes:
            return (
                f"`{name}` is read before it is assigned; to keep it from step to step, make it a "
                f"state: name it in the signature and in the return"
            )
    for position, constant in enumerate(statement.args[op.arity :], start=op.arity + 1):
        if isinstance(constant, str):
            return f"argument {position} must be a number, found the variable `{constant}`"
    tensors = statement.args[: op.arity]
    if tensors and not any(isinstance(a, str) for a in tensors):
        return "at least one argument must be a variable"
    if "*" not in op.signature.inputs and any(not isinstance(a, str) for a in tensors):
        return f"`{op.name}` takes tensors, found a number"
    for name in statement.reads:
        if shapes[name] == STEP:
            return f"`{name}` is a step of the weights, which a rule can only return"
    shown = ", ".join(str(_shape_of(a, shapes)) for a in tensors)
    return f"`{op.name}` has signature {op.signature.text}, found shapes {shown}"


def _shape_of(argument: Argument, shapes: dict[str, Shape]) -> Shape:
    return shapes[argument] if isinstance(argument, str) else SCALAR
