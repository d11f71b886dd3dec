"""Elementwise rules as programs of the register machine.

An op's torch template is all that is known of it, here too: the template is parsed, and what it
computes becomes instructions, as long as it only calls what is listed here. Numbers are worked out
in Python at each step, in double precision, as they are when torch runs the template.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from evosearch.language.rule import INPUTS, Argument, Rule
from evosearch.training.vm.allocate import Instruction, Slot, allocate
from primitives.table import OPS

__all__ = ["Assembly", "assemble"]


@dataclass(frozen=True)
class Assembly:
    """A rule for the machine.

    Slots are numbered: w, g, the states, the update, then numbers, then registers.
    """

    states: int
    update: int
    """The slot where the update is in the end: its own, or another that it shares."""
    numbers: Callable[[float], Sequence[float]]
    """Step number to the numbers in the slots after the update."""
    number_count: int
    registers: int
    instructions: tuple[Instruction, ...]

    @property
    def streams(self) -> int:
        """How many slots are parts of tensors."""
        return len(INPUTS) + self.states + 1


class _Unknown(Exception):
    """A template computes what the machine does not know."""


class _Literal(NamedTuple):
    """An expression in Python, of the step number ``t``."""

    text: str


_LiteralOrSlot = _Literal | Slot


def assemble(rule: Rule) -> Assembly | None:
    """Return a rule for the machine; None if it is not elementwise or has ops beyond it."""
    if not rule.elementwise:
        return None
    try:
        return _Assembler(rule).assembly()
    except _Unknown:
        return None


class _Assembler:
    """Translates one rule: each result gets a number of its own, then a slot."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.code: list[tuple[str, tuple[Slot, ...]]] = []
        self.numbers: dict[str, int] = {}
        names = [*INPUTS, *(state.name for state in rule.states)]
        self.values: dict[str, _LiteralOrSlot] = {
            name: Slot("stream", i) for i, name in enumerate(names)
        }

    def assembly(self) -> Assembly:
        for statement in self.rule.body:
            arguments = {f"x{i}": self._value(a) for i, a in enumerate(statement.args)}
            self.values[statement.target] = self._slot(
                self._expression(_parsed(statement.op), arguments)
            )
        # Statements only name results. What lies where is decided now that all readers are known.
        ends = [self._slot(self.values[state.name]) for state in self.rule.states]
        ends.append(self._slot(self.values[self.rule.update]))
        homes = [Slot("stream", len(INPUTS) + i) for i in range(len(ends))]
        home = _found(ends[-1], ends[:-1], homes)
        targets = self._targets(ends, [*homes[:-1], home])
        streams = len(INPUTS) + len(self.rule.states) + 1
        fixed = streams + len(self.numbers)
        places = {Slot("stream", i): i for i in range(streams)}
        places |= {Slot("number", i): streams + i for i in range(len(self.numbers))}
        instructions, registers = allocate(self.code, targets, places, fixed)
        # Only what the op table's templates say, on numbers as `repr` writes them.
        function = eval(f"lambda t: ({''.join(f'{text}, ' for text in self.numbers)})")
        return Assembly(
            states=len(self.rule.states),
            update=home.place,
            numbers=function,
            number_count=len(self.numbers),
            registers=registers,
            instructions=instructions,
        )

    def _targets(self, ends: list[Slot], homes: list[Slot]) -> dict[int, int]:
        """Return the streams that results go to, and append copies of what else must go there."""
        moved = list(
            dict.fromkeys(pair for pair in zip(ends, homes, strict=True) if len({*pair}) > 1)
        )
        # What one state hands to another is set aside, before its own home is written.
        aside = {end: end for end, _ in moved}
        aside |= {end: self._emit("copy", end) for end in aside if end.kind == "stream"}
        targets: dict[int, int] = {}
        for end, home in ((aside[end], home) for end, home in moved):
            # Its home still holds the state of the last step. A result is computed right there
            # only if nobody reads that afterwards, and only the first of two homes it may have.
            late = any(home in operands for _, operands in self.code[end.place + 1 :])
            if end.kind == "result" and end.place not in targets and not late:
                targets[end.place] = home.place
            else:
                targets[self._emit("copy", end).place] = home.place
        return targets

    def _value(self, argument: Argument) -> _LiteralOrSlot:
        return self.values[argument] if isinstance(argument, str) else _Literal(f"({argument!r})")

    def _slot(self, operand: _LiteralOrSlot) -> Slot:
        """Return an operand as a vector."""
        if isinstance(operand, Slot):
            return operand
        return Slot("number", self.numbers.setdefault(operand.text, len(self.numbers)))

    def _emit(self, name: str, *operands: _LiteralOrSlot) -> Slot:
        self.code.append((name, tuple(map(self._slot, operands))))
        return Slot("result", len(self.code) - 1)

    def _expression(self, node: ast.expr, arguments: dict[str, _LiteralOrSlot]) -> _LiteralOrSlot:
        def value(node: ast.expr) -> _LiteralOrSlot:
            return self._expression(node, arguments)

        match node:
            case ast.Name(name):
                return _Literal("t") if name == "t" else arguments[name]
            case ast.Constant(number):
                return _Literal(repr(number))
            case ast.UnaryOp(ast.USub(), inner):
                operand = value(inner)
                if isinstance(operand, _Literal):
                    return _Literal(f"(-{operand.text})")
                return self._emit("negate", operand)
            case ast.BinOp(left, operator, right):
                return self._arithmetic(type(operator), value(left), value(right))
            case ast.Call(ast.Attribute(ast.Name("w"), "new_ones")):
                return self._slot(_Literal("1.0"))
            case ast.Call(ast.Attribute(ast.Name("torch"), name), inner, keywords=[]):
                return self._call(name, [value(x) for x in inner])
            case ast.Call(ast.Attribute(inner, "add_"), [other], keywords=[]):
                return self._emit("add", value(inner), value(other))
            # torch rounds x.add_(y, alpha=a) once, so it is no multiplication and an addition.
            case ast.Call(ast.Attribute(inner, "add_"), [other], [ast.keyword("alpha", factor)]):
                return self._emit("multiply_add", value(other), value(factor), value(inner))
            case ast.Call(ast.Name(name), inner, keywords=[]):
                return self._call(name, [value(x) for x in inner])
        raise _Unknown

    def _arithmetic(
        self, operator: type[ast.operator], x: _LiteralOrSlot, y: _LiteralOrSlot
    ) -> _LiteralOrSlot:
        if operator not in _OPERATORS:
            raise _Unknown
        sign, name = _OPERATORS[operator]
        if isinstance(x, _Literal) and isinstance(y, _Literal):
            return _Literal(f"({x.text} {sign} {y.text})")
        if not name:
            raise _Unknown
        if name == "divide" and isinstance(x, _Literal):  # torch multiplies by the reciprocal
            return self._emit("multiply", self._emit("divide", _Literal("1.0"), y), x)
        return self._emit(name, x, y)

    def _call(self, name: str, arguments: list[_LiteralOrSlot]) -> _LiteralOrSlot:
        """Translate a call of torch or of a function of `primitives.kernels`."""
        match name, arguments:
            case "abs", [x]:
                return self._emit("absolute", x)
            case "sign", [x]:
                return self._emit("sign", x)
            case "sqrt", [x]:
                return self._emit("root", x)
            case "square", [x]:
                return self._emit("multiply", x, x)
            # In this order: where the bounds are the wrong way round, torch gives the upper one.
            case "clamp", [Slot() as x, _Literal() as low, _Literal() as high]:
                return self._emit("at_most", self._emit("at_least", x, low), high)
            case "safe_div", [x, Slot() as y]:  # all are divided, and what is infinite replaced
                quotient = self._arithmetic(ast.Div, x, y)
                return self._emit("where_not_zero", y, quotient, _Literal("0.0"))
            case "safe_div", [Slot() as x, _Literal() as y]:
                zero = float(ast.literal_eval(y.text)) == 0
                return self._slot(_Literal("0.0")) if zero else self._emit("divide", x, y)
            case ("maximum" | "minimum") as name, [x, y]:
                return self._extreme(name, x, y)
            case "clip_to", [x, _Literal() as bound]:
                low, high = _Literal(f"(-abs({bound.text}))"), _Literal(f"abs({bound.text})")
                return self._emit("at_most", self._emit("at_least", x, low), high)
            case "clip_to", [x, Slot() as y]:
                bound = self._emit("absolute", y)
                least = self._emit("maximum", x, self._emit("negate", bound))
                return self._emit("minimum", least, bound)
            case "select", [condition, x, y]:
                return self._emit("where_positive", condition, x, y)
        raise _Unknown

    def _extreme(self, name: str, x: _LiteralOrSlot, y: _LiteralOrSlot) -> Slot:
        if isinstance(x, Slot) and isinstance(y, Slot):
            return self._emit(name, x, y)
        vector, bound = (x, y) if isinstance(x, Slot) else (y, x)
        return self._emit("at_least" if name == "maximum" else "at_most", vector, bound)


def _found(update: Slot, states: list[Slot], homes: list[Slot]) -> Slot:
    """Return where the update will be found: it need not be copied from an input or a state."""
    if update.kind == "stream" and update.place < len(INPUTS):
        return update
    return homes[states.index(update)] if update in states else homes[-1]


_OPERATORS: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "add"),
    ast.Sub: ("-", "subtract"),
    ast.Mult: ("*", "multiply"),
    ast.Div: ("/", "divide"),
    ast.Pow: ("**", ""),
}
"""Python's sign for numbers, and the instruction for vectors."""


@cache
def _parsed(op: str) -> ast.expr:
    """Return the template of an op over arguments x0, x1, ..."""
    row = OPS[op]
    names = [f"x{i}" for i in range(row.arity + len(row.constants))]
    return ast.parse(row.torch.format(*names), mode="eval").body
