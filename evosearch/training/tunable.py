"""What of an optimizer may be tuned besides its learning rates: one axis for each constant.

An axis lists the values that are tried first and continues beyond both ends, so that a best value
at the end of the list is not the end of tuning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache, partial
from typing import Final, NamedTuple

from evosearch.language.known import rest_of
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, Statement
from primitives.op import Constant
from primitives.table import OPS

__all__ = ["Axis", "Kind", "Tunable"]

_LEAST: Final = 1e-4
"""How near a decay rate comes to 1."""
_EPSILON: Final = 1e-5
"""Constants smaller than this guard a division, and are no axis."""


class Kind(Enum):
    """How an axis goes on beyond its list."""

    DECAY = "evenly in log(1 - x), from 0 to just below 1"
    RATE = "evenly in log(x / (1 - x))"
    FACTOR = "evenly in log |x|; 0 is an end"
    EXPONENT = "evenly"


_STEP: Final = {
    Kind.DECAY: math.log(2.0),
    Kind.RATE: math.log(2.0),
    Kind.FACTOR: math.log(2.0),
    Kind.EXPONENT: 0.25,
}
"""How far apart the values of an axis are that lists a single one."""


@dataclass(frozen=True)
class Axis:
    """A constant that may be tuned."""

    name: str
    values: tuple[float, ...]
    """In the order of the axis."""
    first: int
    """The position where tuning begins."""
    kind: Kind
    matrix: bool = True
    """Whether it acts on hidden matrices."""
    rest: bool = True
    """Whether it acts on all other parameters."""

    def value(self, position: int) -> float | None:
        """Return the value at a position; None where the axis has ended."""
        last = len(self.values) - 1
        if 0 <= position <= last:
            return self.values[position]
        end, inner = (0, min(1, last)) if position < 0 else (last, max(0, last - 1))
        steps = abs(position - end)
        try:
            at, before = (self._coordinate(self.values[k]) for k in (end, inner))
        except ValueError:  # 0 or 1, where the axis ends
            return None
        gap = at - before if last else math.copysign(_STEP[self.kind], position)
        return self._value(at + steps * gap, position)

    def _coordinate(self, x: float) -> float:
        match self.kind:
            case Kind.DECAY if x < 1.0:
                return -math.log(1.0 - x) if x else _fail()
            case Kind.RATE if 0.0 < x < 1.0:
                return math.log(x / (1.0 - x))
            case Kind.FACTOR if x:
                return math.log(abs(x))
            case Kind.EXPONENT:
                return x
            case _:
                return _fail()

    def _value(self, at: float, position: int) -> float | None:
        match self.kind:
            case Kind.DECAY:
                if at <= 0.0:  # 0 itself once, and nothing beyond
                    nearer = self.value(position + 1)
                    return 0.0 if nearer else None
                return _short(1.0 - math.exp(-at)) if math.exp(-at) >= _LEAST else None
            case Kind.RATE:
                return _short(1.0 / (1.0 + math.exp(-at)))
            case Kind.FACTOR:
                return _short(math.copysign(math.exp(at), self.values[-1]))
            case Kind.EXPONENT:
                return at


def _fail() -> float:
    raise ValueError("the axis has no coordinate there")


def _short(x: float) -> float:
    """Return a number with three digits of its distance from 0, or from 1 where that is less."""
    if 0.5 < x < 1.0:
        return round(1.0 - float(f"{1.0 - x:.3g}"), 12)
    return float(f"{x:.3g}")


@dataclass(frozen=True)
class Tunable:
    """An optimizer as a function of some constants."""

    axes: tuple[Axis, ...]
    write: Callable[[tuple[float, ...]], str]
    """Returns program text, or a class's (`evosearch.training.optimizer_class`), for a value of
    each axis. It crosses processes, so it is a module's function, or a `functools.partial` of
    one."""

    @property
    def start(self) -> str:
        """Program text where tuning begins."""
        return self.text(tuple(axis.first for axis in self.axes)) or ""

    def text(self, positions: tuple[int, ...]) -> str | None:
        """Return program text at a position of each axis; None beyond the end of one."""
        values = self.values(positions)
        return None if values is None else self.write(values)

    def values(self, positions: tuple[int, ...]) -> tuple[float, ...] | None:
        """Return the value of each axis at its position; None beyond the end of one."""
        values = [axis.value(k) for axis, k in zip(self.axes, positions, strict=True)]
        known = tuple(value for value in values if value is not None)
        return known if len(known) == len(values) else None

    def only(self, *names: str) -> Tunable:
        """Return it with these axes alone; the other constants stay where tuning begins.

        Raises:
            ValueError: It has no axis of such a name.
        """
        known = {axis.name for axis in self.axes}
        if missing := set(names) - known:
            raise ValueError(f"no axis {', '.join(sorted(missing))} among {', '.join(known)}")
        return self._with(tuple(axis for axis in self.axes if axis.name in names))

    def on(self, *, matrix: bool, rest: bool) -> Tunable:
        """Return it with the axes alone that act where there are such parameters.

        Args:
            matrix: Whether there are hidden matrices.
            rest: Whether there are other parameters.
        """
        acting = (a for a in self.axes if (a.matrix and matrix) or (a.rest and rest))
        return self._with(tuple(acting))

    def _with(self, axes: tuple[Axis, ...]) -> Tunable:
        """Return it with some of its axes; the other constants stay where tuning begins."""
        if axes == self.axes:
            return self
        held = tuple(None if axis in axes else axis.values[axis.first] for axis in self.axes)
        return Tunable(axes, partial(_completed, self.write, held))

    @classmethod
    def fixed(cls, text: str) -> Tunable:
        """Return a program of which nothing but the learning rates may be tuned."""
        return cls((), partial(_fixed, text))

    @classmethod
    def of(cls, text: str) -> Tunable:
        """Return a program all of whose constants may be tuned, but for tiny ones.

        A `debias` goes with the average that it corrects: the two hold one constant.

        Raises:
            ProgramError: The text is not a program.
        """
        rules = parse_rules(text)
        axes = tuple(axis for axis, _ in _constants(rules))
        return cls(axes, partial(_with_constants, text))


def _fixed(text: str, values: tuple[float, ...]) -> str:
    assert not values
    return text


def _completed(
    write: Callable[[tuple[float, ...]], str],
    held: tuple[float | None, ...],
    values: tuple[float, ...],
) -> str:
    """Return program text for values of the axes that are not held."""
    free = iter(values)
    return write(tuple(next(free) if value is None else value for value in held))


class _ConstantAt(NamedTuple):
    """Where a constant stands."""

    rule: int
    statement: int
    argument: int
    complement: bool = False
    """Whether 1 minus the constant stands there."""


def _constants(rules: RuleSet) -> Iterator[tuple[Axis, tuple[_ConstantAt, ...]]]:
    """Yield each constant that is an axis, and where it stands.

    What the program names, and an average with the correction of its bias, are one constant each.
    """
    everywhere = rest_of(rules) is rules.matrix
    for r, rule in enumerate(rules.rules):
        linked, named = _corrections(rule), set[str]()
        matrix, rest = not r, bool(r) or everywhere
        for i, statement in enumerate(rule.body):
            for j, value in enumerate(statement.args):
                tie = statement.ties[j] if statement.ties else None
                if isinstance(value, str) or abs(value) < _EPSILON or (i, j) in linked.values():
                    continue
                kind, suffix = _kind(statement, j, value), " of the rest" if r else ""
                if tie is None:
                    places = [_ConstantAt(r, i, j)]
                    places += [_ConstantAt(r, *linked[i, j], True)] if (i, j) in linked else []
                    name = f"{statement.op} {statement.target}{suffix}"
                    yield Axis(name, (value,), 0, kind, matrix, rest), tuple(places)
                elif tie.name not in named:
                    named.add(tie.name)
                    places = _named(r, rule, tie.name)
                    kinds = {_kind(rule.body[i], k, tie.value) for _, i, k, _ in places}
                    if tie.complement and kind is Kind.DECAY:
                        kind = Kind.RATE
                    elif kind is Kind.FACTOR and kinds & {Kind.DECAY, Kind.RATE}:
                        kind = Kind.DECAY  # `(1 - beta) * x` beside `debias(m, beta)`
                    name = tie.name + suffix
                    yield Axis(name, (tie.value,), 0, kind, matrix, rest), places


def _named(r: int, rule: Rule, name: str) -> tuple[_ConstantAt, ...]:
    """Return where a constant stands that the program names."""
    return tuple(
        _ConstantAt(r, i, j, tie.complement)
        for i, statement in enumerate(rule.body)
        for j, tie in enumerate(statement.ties)
        if tie is not None and tie.name == name
    )


def _corrections(rule: Rule) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the rate of each average that a `debias` of the same constant corrects: its place."""
    linked: dict[tuple[int, int], tuple[int, int]] = {}
    averages: dict[str, tuple[int, float]] = {}
    for i, statement in enumerate(rule.body):
        if statement.ties:  # what is named is linked by its name
            continue
        if statement.op == "debias" and statement.args[0] in averages:
            at, rate = averages[str(statement.args[0])]
            if math.isclose(float(statement.args[1]), 1.0 - rate, abs_tol=1e-9):
                linked[at, 2] = (i, 1)
        averages.pop(statement.target, None)
        if statement.op == "lerp" and not isinstance(statement.args[2], str):
            averages[statement.target] = i, statement.args[2]
    return linked


def _kind(statement: Statement, j: int, value: float) -> Kind:
    op = OPS[statement.op]
    kind = op.constants[j - op.arity] if j >= op.arity else Constant.GAIN
    if kind is Constant.EXPONENT:
        return Kind.EXPONENT
    if kind is Constant.DECAY and 0.0 <= value < 1.0:
        return Kind.DECAY
    return Kind.RATE if kind is Constant.RATE and 0.0 < value < 1.0 else Kind.FACTOR


@lru_cache(maxsize=1 << 12)
def _with_constants(text: str, values: tuple[float, ...]) -> str:
    """Return program text with these values of its axes."""
    rules = parse_rules(text)
    found = list(rules.rules)
    for (_, places), value in zip(_constants(rules), values, strict=True):
        for r, i, j, complement in places:
            rule = found[r]
            statement = rule.body[i]
            args, ties = list(statement.args), list(statement.ties)
            args[j] = round(1.0 - value, 12) if complement else value
            if ties and (tie := ties[j]) is not None:
                ties[j] = moved = tie.moved(value)
                args[j] = moved.number
            changed = replace(statement, args=tuple(args), ties=tuple(ties))
            found[r] = replace(rule, body=(*rule.body[:i], changed, *rule.body[i + 1 :]))
    return str(RuleSet(*found))
