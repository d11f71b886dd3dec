"""Fragments: part of a rule that makes one value, with the states that it needs and open inputs.

A slice of a rule is a fragment whose input is the gradient; a motif is one whose inputs are
whatever it reads. A fragment is put into another rule by saying what its inputs are there. Its
variables are numbered, so fragments that differ in names alone are equal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from evosearch.language.check import infer
from evosearch.language.rule import INPUTS, Argument, Rule, State, Statement, Tie
from evosearch.mutation.site import Site, insert_at, write_at
from primitives.op import Law
from primitives.shape import COLUMNWISE, LEFT, RIGHT, ROWWISE, Shape
from primitives.table import OPS

__all__ = ["Fragment", "cut", "graft", "slices"]

_TWINS: Final = {
    op: twin
    for op in OPS
    for a, b in (("left", "right"), ("right", "left"), ("row", "col"), ("col", "row"))
    if (twin := op.replace(a, b)) != op and twin in OPS
}
"""The op that does to columns what an op does to rows."""
_TURNED: Final = {LEFT: RIGHT, RIGHT: LEFT, ROWWISE: COLUMNWISE, COLUMNWISE: ROWWISE}


@dataclass(frozen=True)
class Fragment:
    """Statements, each with a target of its own but for the last of each state."""

    inputs: tuple[State, ...]
    """What it reads and does not make, by name and shape."""
    states: tuple[State, ...]
    body: tuple[Statement, ...]
    result: str
    shape: Shape
    """Of the result."""

    @cached_property
    def ops(self) -> frozenset[str]:
        """The ops that it uses."""
        return frozenset(statement.op for statement in self.body)

    @cached_property
    def lasting(self) -> tuple[bool, ...]:
        """For each statement, whether the next step's states are made of it."""
        needed = {state.name for state in self.states}
        marks = [False] * len(self.body)
        for k in range(len(self.body) - 1, -1, -1):
            if self.body[k].target in needed:
                marks[k] = True
                needed.update(self.body[k].reads)
        return tuple(marks)

    @property
    def mirrored(self) -> Fragment | None:
        """What does to rows what this does to columns: ``f(x.T).T``; None where no op does."""
        body: list[Statement] = []
        for s in self.body:
            op = OPS[s.op]
            args, ties, name = s.args, s.ties, _TWINS.get(s.op, s.op)
            if s.op == "matmul":
                args, ties = args[::-1], ties[::-1]
            elif name == s.op and not (op.rank_free or Law.TRANSPOSE_EQUIVARIANT in op.exact_laws):
                return None
            body.append(Statement(s.target, name, args, ties))
        shape = _TURNED.get(self.shape, self.shape)
        return Fragment(_turned(self.inputs), _turned(self.states), tuple(body), self.result, shape)


def cut(rule: Rule, k: int, depth: int | None = None) -> Fragment:
    """Return the fragment that makes the value of a legal rule's k-th statement.

    Args:
        rule: Where it is cut from.
        k: The statement.
        depth: Of how many statements in a row it is made at most; what those before them make are
            inputs. By default all that is needed, states included, and inputs are the rule's own.
    """
    shapes = infer(rule)
    assert shapes is not None, f"illegal rule\n{rule}"
    reads, last = _definitions(rule)
    declared = {state.name: state for state in rule.states}
    chosen = _needed(k, depth, reads, last, declared)
    states = _kept(chosen, reads, last, declared, whole=depth is None)
    names = {last[name]: name for name in states if isinstance(last[name], int)}
    given: dict[int | str, State] = {}

    def word(source: int | str) -> str:
        if source in chosen or source in states:
            return names.get(source, f"#{source}") if isinstance(source, int) else source
        if source not in given:
            shape = shapes[source] if isinstance(source, int) else _of(source, declared)
            name = source if isinstance(source, str) else f"@{source}"
            given[source] = State(name, shape)
        return given[source].name

    body: list[Statement] = []
    for j in sorted(chosen):
        old = rule.body[j]
        pairs = zip(old.args, reads[j], strict=True)
        args = tuple(a if source is None else word(source) for a, source in pairs)
        body.append(Statement(names.get(j, f"#{j}"), old.op, args, old.ties))
    kept = tuple(declared[name] for name in declared if name in states)
    return _numbered(Fragment(tuple(given.values()), kept, tuple(body), word(k), shapes[k]))


def slices(rule: Rule) -> tuple[Fragment, ...]:
    """Return the slices of a rule that read the gradient, each once."""
    found = (cut(rule, k) for k in range(len(rule.body)))
    return tuple(dict.fromkeys(f for f in found if any(i.name == "g" for i in f.inputs)))


def graft(
    rule: Rule,
    site: Site,
    fragment: Fragment,
    inputs: Mapping[str, str],
    kept: Collection[str] = (),
) -> Rule:
    """Return the rule that uses a fragment's result at a site; it may be illegal.

    Args:
        rule: What it is put into.
        site: Where its result is used; its statements stand right before that.
        fragment: What is put there.
        inputs: For each of its inputs, the variable that it is.
        kept: Inputs that the next step's states go on reading by their own names.
    """
    taken = {state.name for state in rule.states} | {s.target for s in rule.body}
    taken |= set(rule.constants) | set(INPUTS) | set(inputs.values())
    names: dict[str, str] = {}
    for stem, olds in (("s", [s.name for s in fragment.states]), ("x", _made(fragment))):
        for old, new in zip(olds, _free(stem, len(olds), taken), strict=True):
            names[old] = new
    tied = {tie.name for s in fragment.body for tie in s.ties if tie is not None}
    constants = dict(zip(sorted(tied), _free("c", len(tied), taken), strict=True))
    body: list[Statement] = []
    for s, lasting in zip(fragment.body, fragment.lasting, strict=True):
        here = {**inputs, **({name: name for name in kept} if lasting else {})}
        args = tuple((names | here)[a] if isinstance(a, str) else a for a in s.args)
        ties = tuple(None if t is None else t._replace(name=constants[t.name]) for t in s.ties)
        body.append(Statement(names[s.target], s.op, args, ties))
    states = tuple(State(names[s.name], s.shape) for s in fragment.states)
    grown = replace(rule, states=(*rule.states, *states))
    return insert_at(write_at(grown, site, names[fragment.result]), site[0], *body)


def _definitions(
    rule: Rule,
) -> tuple[list[list[int | str | None]], dict[str, int | str]]:
    """Return what each argument reads, and what each variable is in the end.

    That is a statement's number, or the name of an input or of a state as the step found it.
    """
    current: dict[str, int | str] = {name: name for name in INPUTS}
    current |= {state.name: state.name for state in rule.states}
    reads: list[list[int | str | None]] = []
    for k, s in enumerate(rule.body):
        reads.append([current[a] if isinstance(a, str) else None for a in s.args])
        current[s.target] = k
    return reads, current


def _needed(
    k: int,
    depth: int | None,
    reads: Sequence[Sequence[int | str | None]],
    last: Mapping[str, int | str],
    declared: Mapping[str, State],
) -> set[int]:
    """Return the statements that a fragment consists of."""
    chosen, edge, level = {k}, {k}, 1
    while edge and (depth is None or level < depth):
        sources = {source for j in edge for source in reads[j]}
        ends = [last[name] for name in declared if name in sources and depth is None]
        edge = {source for source in (*sources, *ends) if isinstance(source, int)} - chosen
        chosen |= edge
        level += 1
    return chosen


def _kept(
    chosen: Collection[int],
    reads: Sequence[Sequence[int | str | None]],
    last: Mapping[str, int | str],
    declared: Mapping[str, State],
    *,
    whole: bool,
) -> set[str]:
    """Return the states that come along: those whose next value is made here, or all."""
    read = {source for j in chosen for source in reads[j] if source in declared}
    return {name for name in map(str, read) if whole or last[name] in chosen}


def _of(name: str, declared: Mapping[str, State]) -> Shape:
    return declared[name].shape if name in declared else INPUTS[name]


def _numbered(fragment: Fragment) -> Fragment:
    """Return the fragment with names by order; inputs that are the rule's own keep theirs."""
    names = {i.name: i.name if i.name in INPUTS else f"i{k}" for k, i in enumerate(fragment.inputs)}
    names |= {state.name: f"s{k}" for k, state in enumerate(fragment.states)}
    tied: dict[str, str] = {}
    body: list[Statement] = []
    for s in fragment.body:
        args: tuple[Argument, ...] = tuple(names[a] if isinstance(a, str) else a for a in s.args)
        names.setdefault(s.target, f"v{len(names)}")
        body.append(
            Statement(names[s.target], s.op, args, tuple(_renamed(t, tied) for t in s.ties))
        )
    return Fragment(
        tuple(State(names[i.name], i.shape) for i in fragment.inputs),
        tuple(State(names[s.name], s.shape) for s in fragment.states),
        tuple(body),
        names[fragment.result],
        fragment.shape,
    )


def _renamed(tie: Tie | None, tied: dict[str, str]) -> Tie | None:
    return None if tie is None else tie._replace(name=tied.setdefault(tie.name, f"c{len(tied)}"))


def _made(fragment: Fragment) -> list[str]:
    """Return the names of its variables, which states are not."""
    states = {state.name for state in fragment.states}
    return list(dict.fromkeys(s.target for s in fragment.body if s.target not in states))


def _free(stem: str, count: int, taken: Collection[str]) -> list[str]:
    found: list[str] = []
    k = 1
    while len(found) < count:
        if f"{stem}{k}" not in taken:
            found.append(f"{stem}{k}")
        k += 1
    return found


def _turned(states: tuple[State, ...]) -> tuple[State, ...]:
    return tuple(State(s.name, _TURNED.get(s.shape, s.shape)) for s in states)
