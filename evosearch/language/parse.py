"""Text to programs, through Python's own grammar and a whitelist; nothing is ever executed.

The accepted language is a small subset of Python: function definitions whose bodies are assignments
of op calls, infix arithmetic, names and numbers, ended by one return. Nested expressions are taken
apart into one op a statement. Everything else is refused with its line and column.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import re
from functools import cached_property
from typing import Final, NoReturn

from evosearch.errors import ProgramError
from evosearch.language.check import check_rule, check_rules
from evosearch.language.rule import INPUTS, REST, Argument, Rule, RuleSet, State, Statement
from primitives.shape import FULL, SHAPES, Shape
from primitives.table import OPS

__all__ = ["MAX_STATEMENTS", "parse_rules", "valid_name"]

MAX_STATEMENTS: Final = 256
"""A program is something a person can read; text beyond this is a mistake or an attack."""
_MAX_CHARACTERS: Final = 100_000
_MAX_NESTING: Final = 50
_INFIX: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_CALLED: Final = re.compile(r"(?<![.\w])[A-Za-z_]\w*(?=\()")
"""What a template of the op table calls by name: kernels and builtins."""
_RESERVED: Final = frozenset(
    {"t", "lr", "torch", "math", "self", "group", *keyword.kwlist}
    | {name for op in OPS.values() for name in _CALLED.findall(op.torch)}
)


def parse_rules(text: str) -> RuleSet:
    """Parse and check program text: one rule, or a rule and a second one named ``rest``.

    Raises:
        ProgramError: the text is not a program; says where and what was expected.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ProgramError(
            f"program text of {len(text)} characters; expected at most {_MAX_CHARACTERS}"
        )
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, column = getattr(error, "lineno", None), getattr(error, "offset", None)
        deep = isinstance(error, RecursionError | MemoryError)
        reason = "nested too deeply" if deep else getattr(error, "msg", None) or str(error)
        raise ProgramError(f"not Python syntax: {reason}", line=line, column=column) from None
    body = module.body
    if body and _is_docstring(body[0]):
        body = body[1:]
    if not body:
        raise ProgramError("no program found; expected `def name(w, g, ...):`")
    rules: list[Rule] = []
    for node in body:
        if not isinstance(node, ast.FunctionDef):
            _refuse(node, "expected only function definitions at the top level")
        reader = _Reader(node)
        rules.append(check_rule(reader.rule(), reader.positions))
    if len(rules) > 2:
        _refuse(
            body[2], f"{len(rules)} rules; expected one, and optionally a second named `{REST}`"
        )
    if len(rules) == 2 and rules[1].name != REST:
        _refuse(body[1], f"the second rule is named `{rules[1].name}`; it must be `{REST}`")
    try:
        return check_rules(RuleSet(*rules))
    except ProgramError as error:  # each rule is legal; they do not fit together
        _refuse(body[-1], str(error))


def valid_name(name: str) -> bool:
    """Whether a variable or a rule may have this name."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED and name not in OPS


class _Reader:
    """Reads one function definition."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.node = node
        self.body: list[Statement] = []
        self.positions: list[tuple[int, int]] = []

    def rule(self) -> Rule:
        node = self.node
        if not valid_name(node.name):
            _refuse(node, f"`{node.name}` cannot name a rule: it is reserved or not a plain name")
        if node.decorator_list or node.returns or getattr(node, "type_params", None):
            _refuse(node, "a rule takes no decorators, type parameters or return annotation")
        states = self._states()
        statements = node.body[1:] if _is_docstring(node.body[0]) else node.body
        if not statements or not isinstance(statements[-1], ast.Return):
            _refuse(statements[-1] if statements else node, "a rule must end with `return`")
        for statement in statements[:-1]:
            self._assignment(statement)
        update = self._result(statements[-1], states)
        self.positions.append(_place(statements[-1]))
        return Rule(node.name, states, tuple(self.body), update)

    def _states(self) -> tuple[State, ...]:
        arguments = self.node.args
        extra = arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg
        if extra or arguments.kwarg or arguments.defaults:
            _refuse(self.node, "a rule takes plain parameters only: `w, g` and its states")
        names = [a.arg for a in arguments.args]
        if names[:2] != list(INPUTS):
            _refuse(
                self.node,
                f"a rule's parameters must begin with `w, g`; found `{', '.join(names[:2])}`",
            )
        for a in arguments.args[:2]:
            if a.annotation is not None:
                _refuse(a, f"`{a.arg}` has the parameter's shape; only states are annotated")
        states = []
        for a in arguments.args[2:]:
            if not valid_name(a.arg) or a.arg in INPUTS:
                _refuse(a, f"`{a.arg}` cannot name a state: it is reserved or taken")
            states.append(State(a.arg, self._shape(a)))
        if len({s.name for s in states}) < len(states):
            _refuse(self.node, "two states have the same name")
        return tuple(states)

    def _shape(self, node: ast.arg) -> Shape:
        if node.annotation is None:
            return FULL
        if isinstance(node.annotation, ast.Name) and node.annotation.id in SHAPES:
            return SHAPES[node.annotation.id]
        _refuse(node, f"the shape of a state must be one of {', '.join(SHAPES)}")

    def _assignment(self, node: ast.stmt) -> None:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            _refuse(node, "expected an assignment `name = op(...)`")
        target = node.targets[0]
        if not isinstance(target, ast.Name):
            _refuse(target, "expected one plain name to the left of `=`")
        if not valid_name(target.id) and target.id not in INPUTS:
            _refuse(target, f"`{target.id}` cannot name a variable: reserved or not a plain name")
        if not isinstance(node.value, ast.Call | ast.BinOp | ast.UnaryOp):
            _refuse(node.value, "expected one op, such as `lerp(m, g, 0.1)` or `m / v`")
        self._expression(node.value, target.id, 0)

    def _expression(self, node: ast.expr, target: str | None, depth: int) -> Argument:
        """Append what computes the expression; return what stands for its value."""
        if depth > _MAX_NESTING:
            _refuse(node, "expressions are nested too deeply")
        if isinstance(node, ast.Name):
            return node.id
        number = _number(node)
        if number is not None:
            return number
        if isinstance(node, ast.BinOp) and type(node.op) in _INFIX:
            op, operands = _INFIX[type(node.op)], [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            op, operands = "neg", [node.operand]
        elif isinstance(node, ast.Call):
            op, operands = self._called(node), node.args
        else:
            _refuse(node, "expected an op call, + - * /, a name or a number")
        arguments = tuple(self._expression(operand, None, depth + 1) for operand in operands)
        name = target if target is not None else self._fresh()
        if len(self.body) >= MAX_STATEMENTS:
            _refuse(node, f"a rule may have at most {MAX_STATEMENTS} statements")
        self.body.append(Statement(name, op, arguments))
        self.positions.append(_place(node))
        return name

    def _called(self, node: ast.Call) -> str:
        if not isinstance(node.func, ast.Name) or node.keywords:
            _refuse(node, "expected a call of an op by name with positional arguments")
        name = node.func.id
        if name not in OPS:
            near = difflib.get_close_matches(name, OPS, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            _refuse(node, f"unknown op `{name}`; {hint}`evosearch primitives` lists them")
        return name

    @cached_property
    def taken(self) -> set[str]:
        """Names in use; asked for only where an expression is nested."""
        return {node.id for node in ast.walk(self.node) if isinstance(node, ast.Name)}

    def _fresh(self) -> str:
        k = 1
        while f"x{k}" in self.taken:
            k += 1
        self.taken.add(f"x{k}")
        return f"x{k}"

    def _result(self, node: ast.stmt, states: tuple[State, ...]) -> str:
        value = node.value if isinstance(node, ast.Return) else None
        names = value.elts if isinstance(value, ast.Tuple) else [value]
        words = [n.id if isinstance(n, ast.Name) else "?" for n in names]
        expected = [state.name for state in states]
        if not words or "?" in words or words[1:] != expected:
            wanted = ", ".join(["update", *expected])
            _refuse(node, f"expected `return {wanted}`: the update, then each state in order")
        return words[0]


def _number(node: ast.expr) -> float | None:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1.0, node.operand
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        _refuse(node, f"expected a number, found {type(node.value).__name__}")
    try:
        value = sign * float(node.value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        _refuse(node, "expected a finite number")
    return value


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _place(node: ast.stmt | ast.expr | ast.arg) -> tuple[int, int]:
    """Return line and column, both from 1."""
    return node.lineno, node.col_offset + 1


def _refuse(node: ast.stmt | ast.expr | ast.arg, message: str) -> NoReturn:
    line, column = _place(node)
    raise ProgramError(message, line=line, column=column)
