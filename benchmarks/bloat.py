"""The simplifier's adversary: longer programs that compute the same.

Semantics-preserving rewrites are applied backwards, which leaves what evolution leaves behind:
constants split in two, signs and scales moved around, dead and repeated statements, states kept
twice or in other units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from evosearch.language.check import check_rule, infer
from evosearch.language.rule import Argument, Rule, State, Statement
from evosearch.mutation.rng import Rng
from evosearch.simplify.graph import Graph, Node, Terms, read, substitute
from evosearch.simplify.schedule import write
from evosearch.simplify.spelling import SPELLINGS, Spelling, number

__all__ = ["bloated"]

_TRIES: Final = 2_000


def bloated(rule: Rule, rng: Rng, rewrites: int) -> Rule:
    """Return a longer rule that computes the same, after this many random rewrites."""
    late = rewrites // 3
    for kinds, times in ((_VALUES, rewrites - late), (_STATEMENTS, late)):
        for _ in range(times):
            for _ in range(_TRIES):
                new = rng.pick(kinds)(rule, rng)
                if new is not None and infer(new) is not None:
                    rule = check_rule(new)
                    break
    return rule


Bloat = Callable[[Rule, Rng], Rule | None]


def _in_graph(spell: Spelling) -> Bloat:
    """Return the bloat that replaces a value, at all its uses or at the places of one op."""

    def bloat(rule: Rule, rng: Rng) -> Rule | None:
        terms = Terms()
        graph = read(rule, terms)
        node = rng.pick(graph.nodes)
        value = spell(terms, node, rng)
        if not isinstance(value, Node) or value is node or value.shape != node.shape:
            return None
        new = substitute(graph, terms, {node: value})
        return None if new is None else write(new, rule.name)

    bloat.__name__ = spell.__name__
    return bloat


def dead_statement(rule: Rule, rng: Rng) -> Rule | None:
    """Compute something that nobody reads."""
    op = rng.pick(("cosh", "square", "sign", "abs", "tanh"))
    name = _unused(rule, "dead")
    at = rng.below(len(rule.body) + 1)
    return _insert(rule, at, Statement(name, op, (rng.pick("wg"),)))


def dead_state(rule: Rule, rng: Rng) -> Rule | None:
    """Keep a state that never reaches the update."""
    if len(rule.states) >= 4:
        return None
    name = _unused(rule, "s")
    grown = replace(rule, states=(*rule.states, State(name)))
    at = rng.below(len(rule.body) + 1)
    return _insert(grown, at, Statement(name, "lerp", (name, rng.pick("wg"), 0.1)))


def state_twice(rule: Rule, rng: Rng) -> Rule | None:
    """Keep a state a second time, scaled, and read the copy at all places of one statement."""
    terms = Terms()
    graph = read(rule, terms)
    if not graph.states or len(graph.states) >= 3:
        return None
    name, _ = rng.pick(graph.states)
    leaf = graph.leaves[name]
    c, twin = number(rng), _unused(rule, "s")
    copy = terms.leaf(twin, leaf.shape)
    inside = terms.make("mul", copy, 1.0 / c)
    if not isinstance(inside, Node):
        return None
    other = substitute(graph, terms, {leaf: inside})
    if other is None or name not in dict(other.states):
        return None
    scaled = terms.make("mul", dict(other.states)[name], c)
    if not isinstance(scaled, Node):
        return None
    states = (*graph.states, (twin, scaled))
    update = rng.pick((graph.update, other.update))
    return write(Graph(update, states).alive(), rule.name)


def other_units(rule: Rule, rng: Rng) -> Rule | None:
    """Keep a state in other units: s becomes c s."""
    terms = Terms()
    graph = read(rule, terms)
    if not graph.states:
        return None
    name, _ = rng.pick(graph.states)
    leaf, c = graph.leaves[name], number(rng)
    inside = terms.make("mul", leaf, 1.0 / c)
    new = substitute(graph, terms, {leaf: inside}) if isinstance(inside, Node) else None
    if new is None or not isinstance(scaled := terms.make("mul", dict(new.states)[name], c), Node):
        return None
    states = tuple((s, scaled if s == name else node) for s, node in new.states)
    return write(Graph(new.update, states), rule.name)


def chain_lerps(rule: Rule, rng: Rng) -> Rule | None:
    """Compute one average of two values by way of another one, as the Lion paper's raw program."""
    terms = Terms()
    graph = read(rule, terms)
    averages = [node for node in graph.nodes if node.op == "lerp"]
    if len(averages) < 2:
        return None
    node, other = rng.pick(averages), rng.pick(averages)
    (x, y, a), (p, q, b) = node.args, other.args
    assert isinstance(a, float)
    assert isinstance(b, float)
    if node is other or (x, y) != (p, q) or b == 1.0:
        return None
    value = terms.make("lerp", y, other, (1.0 - a) / (1.0 - b))
    new = substitute(graph, terms, {node: value}) if isinstance(value, Node) else None
    return None if new is None else write(new, rule.name)


def repeat(rule: Rule, rng: Rng) -> Rule | None:
    """Compute a value twice; one of its readers reads the second."""
    if not rule.body:
        return None
    i = rng.below(len(rule.body))
    statement = rule.body[i]
    name = _unused(rule, "x")
    if statement.target in statement.reads or statement.target in {s.name for s in rule.states}:
        return None
    for k in range(i + 1, len(rule.body)):
        reader = rule.body[k]
        if statement.target in reader.reads:
            args: tuple[Argument, ...] = tuple(
                name if a == statement.target else a for a in reader.args
            )
            body = list(rule.body)
            body[k] = replace(reader, args=args)
            body.insert(i + 1, replace(statement, target=name))
            return replace(rule, body=tuple(body))
        if reader.target == statement.target:
            return None
    return None


def _insert(rule: Rule, at: int, statement: Statement) -> Rule:
    return replace(rule, body=(*rule.body[:at], statement, *rule.body[at:]))


def _unused(rule: Rule, stem: str) -> str:
    taken = {s.name for s in rule.states} | {s.target for s in rule.body}
    k = 1
    while f"{stem}{k}" in taken:
        k += 1
    return f"{stem}{k}"


_VALUES: Final[tuple[Bloat, ...]] = (
    *map(_in_graph, SPELLINGS),
    state_twice,
    other_units,
    chain_lerps,
)
"""What reads a rule as a graph, and hence loses what is dead or repeated in it."""
_STATEMENTS: Final[tuple[Bloat, ...]] = (dead_statement, dead_state, repeat)
