"""All forms of a space, shortest first: what a search without any selection would go through.

A rule of n statements is a number below the count of such texts, read digit by digit: for each
statement its target, its op and its operands, and in the end the variable that is returned. Numbers
of one size come in an order that is drawn once, each of them once. What is passed over: numbers
that are no rule, rules that hold a statement without effect, and rules that compute what one before
them computed. Constants have no digits: rules are told apart with the same constants for all, and
come with constants that are drawn for each, as an edit draws them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.check import result_shape
from evosearch.language.liveness import strip
from evosearch.language.rule import INPUTS, Argument, Rule, State, Statement
from evosearch.mutation.constants import draw
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from primitives.op import Constant, Op
from primitives.shape import FULL, SCALAR, Shape
from primitives.table import OPS

__all__ = ["Enumeration", "Ordinal"]

_LITERAL: Final = ""
"""Stands for an operand that is a number."""


class Ordinal(NamedTuple):
    """Where a rule stands in an enumeration."""

    size: int
    """Statements."""
    number: int
    """In the drawn order of its size."""

    def __str__(self) -> str:
        return f"size {self.size}, number {self.number}"

    @classmethod
    def read(cls, text: str) -> Ordinal | None:
        """Read what `str` wrote; None where it is something else."""
        words = text.replace(",", "").split()
        if len(words) != 4 or words[0] != "size" or words[2] != "number":
            return None
        return cls(int(words[1]), int(words[3]))


class _Choice(NamedTuple):
    """An op that a statement may have, with the digits that stand for it."""

    op: Op
    operands: tuple[str, ...]
    first: int
    end: int


@dataclass(frozen=True)
class Enumeration:
    """The forms of a space in an order that depends on a seed."""

    space: Space
    seed: int

    def __iter__(self) -> Iterator[tuple[Ordinal, Rule]]:
        """Yield rules that are optimizers and differ in more than constants, each with its place.

        They are as many as the space has, which may be more than anybody can wait for.
        """
        seen: set[str] = set()
        for size in range(self.space.max_statements + 1):
            count = self.count(size)
            rng = Rng(self.seed, "enumeration", size)
            step, offset = _coprime(rng.below(count), count), rng.below(count)
            for number in range(count):
                rule = self._rule(size, (number * step + offset) % count)
                if rule is None:
                    continue
                print_ = rule_fingerprint(_with_constants(rule, Rng("enumeration")))
                if print_ is not None and print_ not in seen:
                    seen.add(print_)
                    here = Ordinal(size, number)
                    yield here, _with_constants(rule, Rng(self.seed, "enumeration", *here))

    def count(self, size: int) -> int:
        """Return how many texts of a size there are, those included that are no rule."""
        texts = math.prod(self._radix(i) for i in range(size))
        return texts * len(self._names(size))

    @cached_property
    def _states(self) -> tuple[State, ...]:
        return tuple(State(f"s{k + 1}", FULL) for k in range(self.space.max_states))

    def _names(self, i: int) -> tuple[str, ...]:
        """Return the variables that statement i may read, if it is legal."""
        states = (state.name for state in self._states)
        return (*INPUTS, *states, *(f"x{k + 1}" for k in range(i)))

    @cached_property
    def _menus(self) -> dict[int, list[_Choice]]:
        return {}

    def _menu(self, i: int) -> list[_Choice]:
        """Return the ops of statement i, each with the number of ways up to and with it."""
        if i not in self._menus:
            ways, names = 0, self._names(i)
            menu = self._menus[i] = []
            for op in self.space.rows:
                literal = (_LITERAL,) if op.broadcasts and op.arity > 1 else ()
                first, operands = ways, (*names, *literal)
                ways += len(operands) ** op.arity
                menu.append(_Choice(op, operands, first, ways))
        return self._menus[i]

    def _radix(self, i: int) -> int:
        """Return the number of ways to write statement i."""
        return self._menu(i)[-1].end * (1 + len(self._states))

    def _rule(self, size: int, number: int) -> Rule | None:
        """Return the rule of a number, its constants 0; None where it is none."""
        shapes: dict[str, Shape] = dict(INPUTS) | {s.name: s.shape for s in self._states}
        body: list[Statement] = []
        for i in range(size):
            number, digits = divmod(number, self._radix(i))
            statement, shape = self._statement(i, digits, shapes)
            if statement is None or shape is None:
                return None
            shapes[statement.target] = shape
            body.append(statement)
        update = self._names(size)[number]
        whole = all(shapes[state.name] == state.shape for state in self._states)
        if shapes.get(update) != FULL or not whole:
            return None
        rule = strip(Rule("found", self._states, tuple(body), update))
        in_order = rule.states == self._states[: len(rule.states)]
        return rule if len(rule.body) == size and in_order else None

    def _statement(
        self, i: int, digits: int, shapes: dict[str, Shape]
    ) -> tuple[Statement | None, Shape | None]:
        """Return a statement and its shape; None where it is not legal after those before it."""
        digits, target = divmod(digits, 1 + len(self._states))
        menu = self._menu(i)
        op, operands, first, _ = menu[bisect_right(menu, digits, key=lambda choice: choice.end)]
        digits -= first
        arguments: list[Argument] = []
        found: list[Shape] = []
        for _ in range(op.arity):
            digits, k = divmod(digits, len(operands))
            name = operands[k]
            if name != _LITERAL and name not in shapes:
                return None, None
            arguments.append(name or 0.0)
            found.append(shapes[name] if name else SCALAR)
        if arguments and not any(isinstance(a, str) for a in arguments):
            return None, None
        shape = result_shape(op.name, tuple(found))
        name = self._states[target - 1].name if target else f"x{i + 1}"
        constants = (0.0,) * len(op.constants)
        return Statement(name, op.name, (*arguments, *constants)), shape


def _with_constants(rule: Rule, rng: Rng) -> Rule:
    """Return the rule with constants that are drawn."""
    body: list[Statement] = []
    for statement in rule.body:
        op = OPS[statement.op]
        kinds = (*(Constant.GAIN,) * op.arity, *op.constants)
        args = tuple(
            a if isinstance(a, str) else draw(kind, rng)
            for a, kind in zip(statement.args, kinds, strict=True)
        )
        body.append(Statement(statement.target, statement.op, args))
    return Rule(rule.name, rule.states, tuple(body), rule.update)


def _coprime(start: int, count: int) -> int:
    """Return the first number from a start on that shares no factor with a count."""
    return next(n for n in range(start, start + count + 1) if math.gcd(n, count) == 1)
