"""Identities as text: ``"x / norm(x) -> normalize(x)"`` becomes something that can be applied.

In an identity, x, y and z stand for any nodes, a and b for any numbers, and f and h for any op of a
stated set with its constants, the same one at each place. Ops that are commutative by the table
match in both orders; numbers on the right may be computed (``a * b``, ``min(a, b)``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from evosearch.simplify.graph import Node, Operand, Terms
from primitives.op import Law
from primitives.table import INFIX, OPS

__all__ = ["Bindings", "Pattern"]

Bindings = dict[str, "Operand | tuple[str, tuple[float, ...]]"]
"""Letter to what it stands for; an op with its constants for f and h."""

_NUMBERS: Final = frozenset("ab")
_SYMBOLS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}
_COMPUTED: Final = {"min": min, "max": max, "abs": abs}


@dataclass(frozen=True)
class Pattern:
    """Both sides of an identity."""

    left: ast.expr
    right: ast.expr
    families: Mapping[str, frozenset[str]]
    """The ops that f and h range over."""

    @classmethod
    def parse(cls, text: str, families: Mapping[str, frozenset[str]]) -> Pattern:
        """Read ``left -> right``."""
        left, _, right = text.partition("->")
        sides = [ast.parse(side.strip(), mode="eval").body for side in (left, right)]
        return cls(sides[0], sides[1], families)

    @property
    def heads(self) -> frozenset[str]:
        """The ops that the left side's outermost node may have."""
        name = _head(self.left)
        return self.families.get(name, frozenset({name}))

    def matches(self, node: Node) -> Iterator[Bindings]:
        """Yield every way in which the left side is the node."""
        yield from _match(self.left, node, {}, self.families)

    def build(self, terms: Terms, bindings: Bindings) -> Operand | None:
        """Return the right side; None where it is not legal."""
        return _build(self.right, terms, bindings)


def _head(pattern: ast.expr) -> str:
    if isinstance(pattern, ast.BinOp):
        return INFIX[_SYMBOLS[type(pattern.op)]].name
    assert isinstance(pattern, ast.Call)
    assert isinstance(pattern.func, ast.Name)
    return pattern.func.id


def _arguments(pattern: ast.expr) -> list[ast.expr]:
    if isinstance(pattern, ast.BinOp):
        return [pattern.left, pattern.right]
    assert isinstance(pattern, ast.Call)
    return pattern.args


def _match(
    pattern: ast.expr, operand: Operand, bound: Bindings, families: Mapping[str, frozenset[str]]
) -> Iterator[Bindings]:
    if isinstance(pattern, ast.Constant):
        if not isinstance(operand, Node) and operand == pattern.value:
            yield bound
        return
    if isinstance(pattern, ast.Name):
        wanted = float if pattern.id in _NUMBERS else Node
        known = bound.get(pattern.id)
        if isinstance(operand, wanted) and known in (None, operand):
            yield bound if known is not None else {**bound, pattern.id: operand}
        return
    if not isinstance(operand, Node) or not operand.op:
        return
    name, arguments = _head(pattern), _arguments(pattern)
    row = OPS[operand.op]
    given = operand.args
    if name in families:
        value = (operand.op, operand.constants)
        if operand.op not in families[name] or bound.get(name, value) != value:
            return
        bound = {**bound, name: value}
        given = operand.tensors
    elif name != operand.op:
        return
    if len(given) != len(arguments):
        return
    orders = [given]
    if Law.COMMUTATIVE in row.exact_laws and len(given) == 2:
        orders.append(given[::-1])
    for order in orders:
        yield from _match_all(list(zip(arguments, order, strict=True)), bound, families)


def _match_all(
    pairs: list[tuple[ast.expr, Operand]], bound: Bindings, families: Mapping[str, frozenset[str]]
) -> Iterator[Bindings]:
    if not pairs:
        yield bound
        return
    for found in _match(*pairs[0], bound, families):
        yield from _match_all(pairs[1:], found, families)


def _build(pattern: ast.expr, terms: Terms, bound: Bindings) -> Operand | None:
    if isinstance(pattern, ast.Constant):
        assert isinstance(pattern.value, float)
        return pattern.value
    if isinstance(pattern, ast.Name):
        value = bound[pattern.id]
        assert not isinstance(value, tuple)
        return value
    arguments = [_build(argument, terms, bound) for argument in _arguments(pattern)]
    numbers = [a for a in arguments if isinstance(a, float)]
    if isinstance(pattern, ast.Call) and len(numbers) == len(arguments):
        assert isinstance(pattern.func, ast.Name)
        if pattern.func.id in _COMPUTED:
            return float(_COMPUTED[pattern.func.id](*numbers))
    given: list[Operand] = []
    for argument in arguments:
        if argument is None:
            return None
        given.append(argument)
    head = bound.get(name := _head(pattern))
    if isinstance(head, tuple):
        return terms.make(head[0], *given, *head[1])
    return terms.make(name, *given)
