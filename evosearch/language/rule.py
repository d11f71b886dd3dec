"""Programs: what the search evolves.

A `Rule` is straight-line code over the parameter ``w``, its gradient ``g`` and named states that
persist from step to step, starting at zero. A `RuleSet` is a whole optimizer: a rule for hidden
matrices, and a rule for every other parameter. Both are immutable and hashable, and their text is
what is stored, logged and shown: ``parse_rules(str(p)) == p``.

    def lion(w, g, m):
        c = lerp(m, g, 0.1)
        u = sign(c)
        m = lerp(m, g, 0.01)
        return u, m

A number may have a name, ``beta = 0.9`` at the top: then it is one constant wherever the name or
``1 - beta`` stands, and is shown, tuned, mutated and exported once.

The trainer applies ``w <- w - lr * u``; the learning rate and its schedule are not part of a rule.
Where the update is a step, as ``keep_norm(u)`` is, the weights then get back what they are to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import Final, NamedTuple

from primitives.shape import FULL, SCALAR, SHAPES, Shape
from primitives.table import OPS

__all__ = ["INPUTS", "REST", "Argument", "Rule", "RuleSet", "State", "Statement", "Tie"]

Argument = str | float
"""A variable's name, or a number."""

INPUTS: Final = {"w": FULL, "g": FULL}
"""What every rule receives besides its states."""

REST: Final = "rest"
"""The name of a rule set's second rule in text."""

_RANK_FREE: Final = frozenset(op.name for op in OPS.values() if op.rank_free)
_ELEMENTWISE: Final = frozenset(op.name for op in OPS.values() if op.elementwise)
_KEEPING: Final = {op.name: op.keeps for op in OPS.values() if op.keeps}
_SHAPE_NAMES: Final = {shape: name for name, shape in SHAPES.items()}


class Tie(NamedTuple):
    """What a number in a statement is tied to: a named constant of the rule, or 1 minus it."""

    name: str
    value: float
    """The constant's value, which is the same wherever the rule names it."""
    complement: bool = False

    @property
    def number(self) -> float:
        """The number that stands in the statement."""
        return 1.0 - self.value if self.complement else self.value

    def moved(self, value: float) -> Tie:
        """Return the same tie to the constant's new value."""
        return Tie(self.name, value, self.complement)

    def __str__(self) -> str:
        return f"1 - {self.name}" if self.complement else self.name


@dataclass(frozen=True, slots=True)
class Statement:
    """One assignment, ``target = op(*args)``: tensor arguments first, then the op's constants."""

    target: str
    op: str
    args: tuple[Argument, ...]
    ties: tuple[Tie | None, ...] = ()
    """For each argument, the constant that it is tied to; empty where none is."""

    def __str__(self) -> str:
        op = OPS.get(self.op)
        words = [_word(argument) for argument in self.args]
        infix = op is not None and op.infix
        for i, tie in enumerate(self.ties):
            if tie is not None:
                words[i] = f"({tie})" if infix and tie.complement else str(tie)
        if infix:
            return f"{self.target} = {words[0]} {infix} {words[1]}"
        return f"{self.target} = {self.op}({', '.join(words)})"

    @property
    def reads(self) -> tuple[str, ...]:
        """The variables it uses, in order."""
        return tuple([argument for argument in self.args if isinstance(argument, str)])


@dataclass(frozen=True, slots=True)
class State:
    """A value that persists from step to step; zero before the first."""

    name: str
    shape: Shape = FULL

    def __str__(self) -> str:
        return self.name if self.shape == FULL else f"{self.name}: {_SHAPE_NAMES[self.shape]}"


@dataclass(frozen=True)
class Rule:
    """The update rule of one kind of parameter."""

    name: str
    states: tuple[State, ...]
    body: tuple[Statement, ...]
    update: str
    """The variable that holds the update when the body has run."""
    doc: str = field(default="", compare=False)
    """What its author says of it; no part of what it is, and of its text."""

    def __str__(self) -> str:
        parameters = ", ".join([*INPUTS, *map(str, self.states)])
        results = ", ".join([self.update, *(state.name for state in self.states)])
        named = [f"{name} = {value!r}" for name, value in self.constants.items()]
        head = f"def {self.name}({parameters}):"
        lines = [head, *named, *map(str, self.body), f"return {results}"]
        return "\n    ".join(lines) + "\n"

    @property
    def constants(self) -> dict[str, float]:
        """The named constants and their values, in the order in which they are first used."""
        return {
            tie.name: tie.value
            for statement in self.body
            if statement.ties
            for tie in statement.ties
            if tie is not None
        }

    @cached_property
    def _hash(self) -> int:
        return hash((self.states, self.body, self.update))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def rank_free(self) -> bool:
        """Whether it means the same for a tensor of any rank."""
        return _RANK_FREE.issuperset([s.op for s in self.body]) and all(
            state.shape in (FULL, SCALAR) for state in self.states
        )

    @cached_property
    def elementwise(self) -> bool:
        """Whether it may run on a flat buffer that holds many parameters."""
        return _ELEMENTWISE.issuperset([s.op for s in self.body]) and all(
            state.shape == FULL for state in self.states
        )

    @cached_property
    def keeps(self) -> str:
        """The op that measures what the weights keep while they move; empty: nothing."""
        last = next((s for s in reversed(self.body) if s.target == self.update), None)
        return "" if last is None or last.op not in _KEEPING else _KEEPING[last.op]

    @cached_property
    def free(self) -> Rule:
        """The rule without what the weights keep: its update is an ordinary one."""
        if not self.keeps:
            return self
        i = max(i for i, s in enumerate(self.body) if s.target == self.update)
        update = self.body[i].reads[0]
        body = list(self.body[:i] + self.body[i + 1 :])
        if any(s.target == update for s in body[i:]):  # it is overwritten before the end
            taken = {s.target for s in body} | {state.name for state in self.states} | {*INPUTS}
            name = next(n for k in range(len(taken) + 1) if (n := f"u{k}") not in taken)
            body.insert(i, Statement(name, "mul", (update, 1.0)))
            update = name
        return replace(self, body=tuple(body), update=update)

    @property
    def state_memory(self) -> int:
        """The number of parameter-sized buffers; smaller states count as none."""
        return sum(state.shape not in _SMALL for state in self.states)

    def renamed(self, name: str) -> Rule:
        """Return the same rule under another name."""
        return replace(self, name=name)


@dataclass(frozen=True)
class RuleSet:
    """An optimizer: `matrix` for hidden matrices, `rest` for everything else.

    Without a `rest`, the matrix rule serves all parameters when what is live in it is rank-free;
    otherwise the rest is trained by AdamW (`evosearch.language.known.rest_of`).
    """

    matrix: Rule
    rest: Rule | None = None
    """Always named ``rest``, whatever it was called before."""

    def __post_init__(self) -> None:
        if self.rest is not None and self.rest.name != REST:
            object.__setattr__(self, "rest", self.rest.renamed(REST))

    def __str__(self) -> str:
        return str(self.matrix) if self.rest is None else f"{self.matrix}\n\n{self.rest}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the equations, typeset."""
        # By name: how a program is shown lies above what it is, and is asked for by notebooks only.
        return import_module("evosearch.language.mathml").mathml(self)

    @property
    def name(self) -> str:
        """The name of the first rule, which is the optimizer's."""
        return self.matrix.name

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that it states: one or two."""
        return (self.matrix,) if self.rest is None else (self.matrix, self.rest)

    @property
    def size(self) -> int:
        """The number of statements in both rules."""
        return sum(len(rule.body) for rule in self.rules)

    def renamed(self, name: str) -> RuleSet:
        """Return the same optimizer under another name."""
        return replace(self, matrix=self.matrix.renamed(name))


_SMALL: Final = frozenset({SCALAR, SHAPES["rowwise"], SHAPES["columnwise"]})


def _word(argument: Argument) -> str:
    return argument if isinstance(argument, str) else repr(float(argument))
