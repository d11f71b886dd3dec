"""Text to programs, through Python's own grammar and a whitelist; nothing is ever executed.

The accepted language is a small subset of Python: function definitions whose bodies are assignments
of op calls, arithmetic, names and numbers, ended by one return. Nested expressions are taken apart
into one op a statement, numbers are folded, and a name for a number is kept (`Tie`). It also takes
what pseudo-code is written in: ``t``, ``x**2``, ``x @ y.T``, ``max(x, y)``, ``m / (1 - beta**t)``,
``return sign(m), m``. Everything else is refused with its line and column, and with what to write.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import operator
import re
from collections.abc import Callable
from functools import cached_property
from typing import Final, NamedTuple, NoReturn

import numpy as np

from evosearch.errors import ProgramError
from evosearch.language.check import check_rule, check_rules
from evosearch.language.rule import INPUTS, REST, Argument, Rule, RuleSet, State, Statement, Tie
from primitives.shape import FULL, LEFT, RIGHT, SHAPES, Shape
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
    ast.MatMult: "matmul",
    ast.Pow: "power",
}
_FOLDED: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_POWERS: Final = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -0.5: "rsqrt"}
"""Exponents that have an op of their own."""
_IDENTITIES: Final = {LEFT: "identity_left", RIGHT: "identity_right"}
"""What makes an identity matrix of a shape."""
_ALIASES: Final = {"max": "maximum", "min": "minimum"}
"""Names of Python's for ops."""
_REMEDIES: Final[tuple[tuple[tuple[type[ast.AST], ...], str], ...]] = (
    (
        (ast.If, ast.IfExp),
        "a program has no branches; compute both values and choose entry by entry with "
        "`select(condition, x, y)`, which is x where condition > 0 and y elsewhere",
    ),
    (
        (ast.Compare,),
        "a program has no comparisons; `x > y` is written `select(x - y, 1.0, 0.0)`, and where it "
        "chooses between two values, `select(x - y, value, other)`",
    ),
    (
        (ast.For, ast.While, ast.ListComp, ast.GeneratorExp),
        "a program has no loops; write the steps one after another",
    ),
    ((ast.NamedExpr,), "give the value a name in a statement of its own"),
    ((ast.BoolOp, ast.Not), "a program has no truth values; use `select`, `minimum`, `maximum`"),
    (
        (ast.Subscript,),
        "a program has no indices; states are whole tensors and reductions such as `row_mean` "
        "make the others",
    ),
)
"""What to write instead of what is often tried."""
_CALLS: Final = {
    "where": "select(condition, x, y)",
    "qr": "basis_step(x, basis)",
    "eigh": "eig_basis(x)",
    "clamp": "clip(x, bound)",
    "pow": "x**2",
    "outer": "x @ y",
    "eye": "identity_left(g)",
}
"""Functions of libraries, and what there is here."""
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
        module = ast.parse(text.removeprefix("\ufeff"))
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
    readers: list[_Reader] = []
    rules: list[Rule] = []
    for node in body:
        if not isinstance(node, ast.FunctionDef):
            _refuse(node, "expected only function definitions at the top level")
        readers.append(_Reader(node))
        rules.append(check_rule(readers[-1].rule(), readers[-1].positions))
    if len(rules) > 2:
        _refuse(
            body[2], f"{len(rules)} rules; expected one, and optionally a second named `{REST}`"
        )
    if len(rules) == 2 and rules[1].name != REST:
        _refuse(body[1], f"the second rule is named `{rules[1].name}`; it must be `{REST}`")
    return check_rules(RuleSet(*rules), readers[-1].positions)


def valid_name(name: str) -> bool:
    """Whether a variable or a rule may have this name."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED and name not in OPS


class _Number(NamedTuple):
    """A number in a program, and the constant that it is tied to."""

    value: float
    tie: Tie | None = None

    @property
    def complement(self) -> _Number:
        """1 minus it, tied to the same constant."""
        tie = self.tie
        if tie is None:
            return _Number(1.0 - self.value)
        other = Tie(tie.name, tie.value, not tie.complement)
        return _Number(other.number, other)


_Value = str | _Number
"""A variable's name, or a number."""


class _Reader:
    """Reads one function definition."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.node = node
        self.body: list[Statement] = []
        self.positions: list[tuple[int, int]] = []
        self.numbers: dict[str, _Number] = {}
        """The named constants."""
        self.variables: set[str] = set(INPUTS)
        """What has been assigned, and what every step begins with."""

    def rule(self) -> Rule:
        node = self.node
        if not valid_name(node.name):
            _refuse(node, f"`{node.name}` cannot name a rule: it is reserved or not a plain name")
        if node.decorator_list or node.returns or getattr(node, "type_params", None):
            _refuse(node, "a rule takes no decorators, type parameters or return annotation")
        states = self._states()
        self.variables |= {state.name for state in states}
        documented = _is_docstring(node.body[0])
        statements = node.body[1:] if documented else node.body
        if not statements or not isinstance(statements[-1], ast.Return):
            _refuse(statements[-1] if statements else node, "a rule must end with `return`")
        for statement in statements[:-1]:
            self._statement(statement)
        update = self._result(statements[-1], states)
        self.positions.append(_place(statements[-1]))
        doc = ast.get_docstring(node) or "" if documented else ""
        return Rule(node.name, states, tuple(self.body), update, doc)

    def _states(self) -> tuple[State, ...]:
        arguments = self.node.args
        extra = arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg
        if extra or arguments.kwarg or len(arguments.defaults) > max(0, len(arguments.args) - 2):
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
        defaults = arguments.defaults
        started = states[len(states) - len(defaults) :] if defaults else []
        for state, start in zip(started, defaults, strict=True):
            self._start(state, start)
        return tuple(states)

    def _start(self, state: State, node: ast.expr) -> None:
        """Let a state begin with a value: on the first step, that is what is read in its place."""
        value = self._constant(node, 0)
        if value is not None:
            if value.value == 0.0:
                return
            start: _Value = value
        elif isinstance(node, ast.Name) and node.id in INPUTS and state.shape == FULL:
            start = node.id
        elif isinstance(node, ast.Name) and node.id == "identity" and state.shape in _IDENTITIES:
            start = self._emit(node, None, _IDENTITIES[state.shape], ["g"])
        else:
            _refuse(
                node,
                f"`{state.name}` of shape {state.shape} may start as a number, "
                "as `g` or `w` where it has the parameter's shape, "
                "or as `identity` where it is square",
            )
        clock = self._emit(node, None, "step", [])
        first = self._emit(node, None, "sub", [_Number(1.5), clock])
        self._emit(node, state.name, "select", [first, start, state.name])

    def _shape(self, node: ast.arg) -> Shape:
        if node.annotation is None:
            return FULL
        if isinstance(node.annotation, ast.Name) and node.annotation.id in SHAPES:
            return SHAPES[node.annotation.id]
        _refuse(node, f"the shape of a state must be one of {', '.join(SHAPES)}")

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            value = ast.copy_location(ast.BinOp(read, node.op, node.value), node)
            self._assign(node.target, value)
        elif not isinstance(node, ast.Assign) or len(node.targets) != 1:
            _refuse(node, "expected an assignment `name = op(...)`")
        elif not isinstance(node.targets[0], ast.Tuple):
            self._assign(node.targets[0], node.value)
        else:
            names, values = node.targets[0].elts, getattr(node.value, "elts", ())
            if len(names) != len(values) or None in [self._constant(v, 0) for v in values]:
                _refuse(
                    node.targets[0],
                    "expected one plain name to the left of `=`; several at once are for numbers, "
                    "as in `beta1, beta2 = 0.9, 0.99`",
                )
            for name, value in zip(names, values, strict=True):
                self._assign(name, value)

    def _assign(self, target: ast.expr, node: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            _refuse(target, "expected one plain name to the left of `=`")
        name = target.id
        if not valid_name(name) and name not in INPUTS:
            _refuse(target, f"`{name}` cannot name a variable: reserved or not a plain name")
        if name in self.numbers:
            _refuse(target, f"`{name}` is a constant already; give what changes another name")
        value = self._expression(node, name, 0)
        if isinstance(value, _Number):
            if name in self.variables:
                what = "an input or a state" if name in INPUTS else "a variable or a state"
                _refuse(node, f"`{name}` is {what}, which a number cannot replace; `{name} * 0.0`")
            tie = value.tie or Tie(name, value.value)
            self.numbers[name] = _Number(value.value, tie)
        elif isinstance(node, ast.Name) and value != name:
            self._emit(node, name, "mul", [value, _Number(1.0)])  # a copy
        self.variables.add(name) if name not in self.numbers else None

    def _expression(self, node: ast.expr, target: str | None, depth: int) -> _Value:
        """Append what computes the expression; return what stands for its value."""
        if depth > _MAX_NESTING:
            _refuse(node, "expressions are nested too deeply")
        number = self._constant(node, depth)
        if number is not None:
            return number
        match node:
            case ast.Name(id="t"):
                return self._emit(node, target, "step", [])
            case ast.Name():
                return node.id
            case ast.UnaryOp(op=ast.UAdd()):
                return self._expression(node.operand, target, depth + 1)
            case ast.UnaryOp(op=ast.USub()):
                return self._emit(node, target, "neg", self._values([node.operand], depth))
            case ast.BinOp() if type(node.op) in _INFIX:
                return self._infix(node, target, depth)
            case ast.Attribute(attr="T"):
                return self._emit(node, target, "transpose", self._values([node.value], depth))
            case ast.Call():
                op, operands = self._called(node)
                values = self._values(operands, depth)
                if op == "lerp" and len(values) == 3 and isinstance(values[2], str):
                    op = "blend"
                self._within(node, op, operands, values)
                return self._emit(node, target, op, values)
        _refuse(node, "expected an op call, arithmetic, a name or a number")

    def _values(self, nodes: list[ast.expr], depth: int) -> list[_Value]:
        return [self._expression(node, None, depth + 1) for node in nodes]

    def _infix(self, node: ast.BinOp, target: str | None, depth: int) -> _Value:
        op, left, right = _INFIX[type(node.op)], node.left, node.right
        if op == "matmul" and isinstance(left, ast.Name) and _is_transpose(right, left):
            return self._emit(node, target, "gram_left", [left.id])
        if op == "matmul" and isinstance(right, ast.Name) and _is_transpose(left, right):
            return self._emit(node, target, "gram_right", [right.id])
        decay = self._correction(right, depth) if op == "div" else None
        if decay is not None:
            (value,) = self._values([left], depth)
            if isinstance(value, str):
                return self._emit(node, target, "debias", [value, decay])
        if op == "power":
            return self._power(node, target, depth)
        return self._emit(node, target, op, self._values([left, right], depth))

    def _correction(self, node: ast.expr, depth: int) -> _Number | None:
        """Return beta where the expression is ``1 - beta**t``."""
        match node:
            case ast.BinOp(
                left=ast.Constant(value=1 | 1.0),
                op=ast.Sub(),
                right=ast.BinOp(left=base, op=ast.Pow(), right=ast.Name(id="t")),
            ):
                beta = self._constant(base, depth + 2)
                return beta if beta is not None and 0.0 <= beta.value < 1.0 else None
        return None

    def _power(self, node: ast.BinOp, target: str | None, depth: int) -> _Value:
        base, exponent = self._values([node.left, node.right], depth)
        if isinstance(exponent, _Number) and isinstance(base, str):
            k = exponent.value
            if k == 1.0:
                return base
            if k == -1.0:
                return self._emit(node, target, "div", [_Number(1.0), base])
            if k in _POWERS:
                return self._emit(node, target, _POWERS[k], [base])
            if k % 2.0 == 0.0:
                base, exponent = self._emit(node, None, "square", [base]), _Number(k / 2.0)
            return self._emit(node, target, "power", [base, exponent])
        if isinstance(base, _Number):
            if base.value <= 0.0:
                _refuse(node.left, f"expected a positive number under `**`, found {base.value}")
            logarithm: _Value = _Number(math.log(base.value))
        else:
            logarithm = self._emit(node, None, "log", [base])
        product = self._emit(node, None, "mul", [exponent, logarithm])
        return self._emit(node, target, "exp", [product])

    def _emit(self, node: ast.expr, target: str | None, op: str, values: list[_Value]) -> str:
        name = target if target is not None else self._fresh()
        if len(self.body) >= MAX_STATEMENTS:
            _refuse(node, f"a rule may have at most {MAX_STATEMENTS} statements")
        args: tuple[Argument, ...] = tuple(v if isinstance(v, str) else v.value for v in values)
        ties = tuple(None if isinstance(v, str) else v.tie for v in values)
        self.body.append(Statement(name, op, args, ties if any(ties) else ()))
        self.positions.append(_place(node))
        return name

    def _called(self, node: ast.Call) -> tuple[str, list[ast.expr]]:
        """Return a call's op and its arguments in the op's order."""
        if not isinstance(node.func, ast.Name):
            _refuse(node, "expected a call of an op by name, such as `sqrt(x)`")
        name = _ALIASES.get(node.func.id, node.func.id)
        if name not in OPS:
            near = difflib.get_close_matches(name, OPS, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            if name in _CALLS:
                hint = f"here it is `{_CALLS[name]}`; "
            _refuse(node, f"unknown op `{name}`; {hint}`evosearch primitives` lists them")
        operands = list(node.args)
        names = OPS[name].parameters
        for word in node.keywords:
            if len(operands) >= len(names) or word.arg != names[len(operands)]:
                shown = ", ".join(names)
                _refuse(
                    word.value,
                    f"`{name}` has no argument `{word.arg}` there; its arguments are {shown}",
                )
            operands.append(word.value)
        return name, operands

    def _within(
        self, node: ast.expr, name: str, operands: list[ast.expr], values: list[_Value]
    ) -> None:
        """Refuse a constant that is none of its kind."""
        op = OPS[name]
        for i, kind in enumerate(op.constants, start=op.arity):
            value = values[i] if i < len(values) else None
            low, high = op.limits or kind.limits
            if isinstance(value, _Number) and not low <= value.value <= high:
                at = operands[i] if i < len(operands) else node
                _refuse(
                    at,
                    f"`{name}` takes {kind.value.partition(';')[0]} from {low:g} to {high:g}; "
                    f"found {value.value:g}",
                )

    def _constant(self, node: ast.expr, depth: int) -> _Number | None:
        """Return the value of an expression of numbers alone, or None where it holds a variable."""
        if depth > _MAX_NESTING:
            _refuse(node, "expressions are nested too deeply")
        match node:
            case ast.Constant():
                return _Number(_literal(node))
            case ast.Name():
                return self.numbers.get(node.id)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                inner = self._constant(node.operand, depth + 1)
                if inner is None or isinstance(node.op, ast.UAdd):
                    return inner
                return _Number(-inner.value)
            case ast.BinOp() if type(node.op) in _FOLDED:
                left = self._constant(node.left, depth + 1)
                right = None if left is None else self._constant(node.right, depth + 1)
                if left is None or right is None:
                    return None
                if isinstance(node.op, ast.Sub) and left == (1.0, None):
                    return right.complement
                return _Number(_folded(node, _FOLDED[type(node.op)], left.value, right.value))
            case ast.Call(func=ast.Name(id=name), keywords=[]) if node.args:
                op = OPS.get(_ALIASES.get(name, name))
                if op is None or not op.elementwise or op.constants or len(node.args) != op.arity:
                    return None
                values = [self._constant(a, depth + 1) for a in node.args]
                if not all(values):
                    return None
                numbers = [np.float64(v.value) for v in values if v is not None]
                return _Number(_folded(node, op.numpy, *numbers))
        return None

    @cached_property
    def taken(self) -> set[str]:
        """Names in use; asked for only where an expression is nested."""
        found = {node.id for node in ast.walk(self.node) if isinstance(node, ast.Name)}
        return found | {argument.arg for argument in self.node.args.args}

    def _fresh(self, stem: str = "x") -> str:
        k = 1
        while f"{stem}{k}" in self.taken:
            k += 1
        self.taken.add(f"{stem}{k}")
        return f"{stem}{k}"

    def _result(self, node: ast.stmt, states: tuple[State, ...]) -> str:
        value = node.value if isinstance(node, ast.Return) else None
        results = value.elts if isinstance(value, ast.Tuple) else [value] if value else []
        wanted = ", ".join(["update", *(state.name for state in states)])
        expected = f"expected `return {wanted}`: the update, then each state in order"
        if len(results) != len(states) + 1:
            _refuse(node, expected)
        update = self._expression(results[0], None, 0)
        if isinstance(update, _Number):
            _refuse(results[0], "the update is a number; it must be a tensor, such as `g`")
        changed: set[str] = set()
        for state, result in zip(states, results[1:], strict=True):
            if isinstance(result, ast.Name) and result.id == state.name:
                continue
            reads = {n.id for n in ast.walk(result) if isinstance(n, ast.Name)}
            if reads & changed or update == state.name:
                _refuse(node, f"{expected}; assign `{state.name}` in a statement before it")
            self._assign(ast.copy_location(ast.Name(state.name, ast.Store()), result), result)
            changed.add(state.name)
        return update


def _literal(node: ast.Constant) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        _refuse(node, f"expected a number, found {type(node.value).__name__}")
    try:
        value = float(node.value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        _refuse(node, "expected a finite number")
    return value


def _folded(node: ast.expr, function: Callable[..., float], *values: float) -> float:
    """Return what numbers make."""
    try:
        with np.errstate(all="ignore"):
            result = function(*values)
    except (ArithmeticError, ValueError):
        result = math.nan
    if isinstance(result, complex) or not math.isfinite(result):
        _refuse(node, "expected a finite number")
    return float(result)


def _is_transpose(node: ast.expr, of: ast.Name) -> bool:
    """Whether an expression is ``x.T`` of this variable x."""
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr="T"):
            return name == of.id
    return False


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
    for kinds, remedy in _REMEDIES:
        if isinstance(node, kinds) or isinstance(getattr(node, "op", None), kinds):
            message = f"{message}; {remedy}"
            break
    raise ProgramError(message, line=line, column=column)
