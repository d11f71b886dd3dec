"""The simplifier's adversary: random programs, and longer programs that compute the same.

`bloated` applies semantics-preserving rewrites backwards, the way evolution leaves them behind:
constants split in two, signs and scales moved around, dead and repeated statements, states kept
twice or in other units. `random_rule` grows a program by the search's own edits, without selection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from evosearch.check import check_rule, infer
from evosearch.graph import Graph, Node, Operand, Terms, read, substitute
from evosearch.mutate import EDITS
from evosearch.program import Argument, Rule, State, Statement
from evosearch.rng import Rng
from evosearch.schedule import write
from evosearch.space import Space
from primitives.op import Law
from primitives.shape import FULL
from primitives.table import OPS

__all__ = ["BLOATS", "bloated", "random_rule"]

_GROWING: Final = ("insert", "insert_free", "add_state", "rewire", "change_constant", "move")
_TRIES: Final = 2_000


def random_rule(rng: Rng, statements: int, space: Space | None = None) -> Rule:
    """Return a legal rule with this many statements, grown from nothing by random edits."""
    space = Space(max_statements=statements, max_states=3) if space is None else space
    edits = [edit for edit, _ in EDITS if edit.__name__ in _GROWING]
    rule = Rule("drawn", (), (), "g")
    for _ in range(_TRIES):
        new = rng.pick(edits)(rule, space, rng)
        if new is not None and space.holds(new) and infer(new) is not None:
            rule = new
        if len(rule.body) >= statements:
            break
    return rule


def bloated(rule: Rule, rng: Rng, rewrites: int) -> Rule:
    """Return a longer rule that computes the same, after this many random rewrites."""
    for _ in range(rewrites):
        for _ in range(_TRIES):
            new = rng.pick(BLOATS)(rule, rng)
            if new is not None and infer(new) is not None:
                rule = check_rule(new)
                break
    return rule


Bloat = Callable[[Rule, Rng], Rule | None]


def _in_graph(change: Callable[[Terms, Node, Rng], Operand | None]) -> Bloat:
    """Return the bloat that replaces a value, at all its uses or at the places of one op."""

    def bloat(rule: Rule, rng: Rng) -> Rule | None:
        terms = Terms()
        graph = read(rule, terms)
        node = rng.pick(graph.nodes)
        value = change(terms, node, rng)
        if not isinstance(value, Node) or value is node or value.shape != node.shape:
            return None
        new = substitute(graph, terms, {node: value})
        return None if new is None else write(new, rule.name)

    bloat.__name__ = change.__name__
    return bloat


def _number(rng: Rng) -> float:
    return rng.pick((0.25, 0.5, 2.0, 3.0, 4.0, 0.1, 10.0, 1.7))


def _binary(
    terms: Terms, op: str, x: Operand | None, y: Operand | None, *c: float
) -> Operand | None:
    return None if x is None or y is None else terms.make(op, x, y, *c)


def _unary(terms: Terms, op: str, x: Operand | None, *c: float) -> Operand | None:
    return None if x is None else terms.make(op, x, *c)


def scale_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> (x * c) / c``."""
    c = _number(rng)
    return _binary(terms, "mul", _binary(terms, "mul", node, c), 1.0 / c)


def negate_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> -(-x)``."""
    del rng
    return _unary(terms, "neg", _unary(terms, "neg", node))


def add_nothing(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> x + (y - y)``."""
    leaf = terms.leaf(rng.pick("wg"), FULL)
    if node.shape != FULL:
        return None
    return _binary(terms, "add", node, _binary(terms, "sub", leaf, leaf))


def average_with_itself(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x -> lerp(x, x, c)``."""
    return terms.make("lerp", node, node, rng.pick((0.1, 0.3, 0.9)))


def spell_lerp(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``lerp(x, y, a) -> (1 - a) x + a y``, in one of several ways."""
    if node.op != "lerp":
        return None
    x, y, a = node.args
    assert isinstance(a, float)
    match rng.below(4):
        case 0:
            left, right = _binary(terms, "mul", x, 1.0 - a), _binary(terms, "mul", y, a)
            return _binary(terms, "add", left, right)
        case 1:
            return _binary(terms, "add", x, _binary(terms, "mul", terms.make("sub", y, x), a))
        case 2:
            return _binary(terms, "heavy_ball", x, _binary(terms, "mul", y, a), 1.0 - a)
        case _:
            return _binary(terms, "lerp", y, x, 1.0 - a)


def lerp_in_two(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``lerp(x, y, a) -> lerp(lerp(x, y, b), y, c)``, as the Lion paper's raw program has it."""
    if node.op != "lerp":
        return None
    x, y, a = node.args
    assert isinstance(a, float)
    b = rng.pick((0.02, 0.2, 0.5))
    return _binary(terms, "lerp", terms.make("lerp", x, y, b), y, 1.0 - (1.0 - a) / (1.0 - b))


def spell_heavy_ball(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``heavy_ball(x, y, a) -> a x + y``."""
    del rng
    if node.op != "heavy_ball":
        return None
    x, y, a = node.args
    return _binary(terms, "add", terms.make("mul", x, a), y)


def spell_square(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``square(x) -> x * x``, ``abs(x) * abs(x)`` or ``cube(x) / x``."""
    if node.op != "square":
        return None
    x = node.args[0]
    match rng.below(3):
        case 0:
            return terms.make("mul", x, x)
        case 1:
            size = terms.make("abs", x)
            return _binary(terms, "mul", size, size)
        case _:
            return _binary(terms, "div", terms.make("cube", x), x)


def spell_sign(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``sign(x) -> x / sqrt(x * x)``, ``x / abs(x)``, ``sign(f(x))``, ..."""
    if node.op != "sign":
        return None
    x = node.args[0]
    match rng.below(6):
        case 0:
            size = _unary(terms, "sqrt", terms.make("mul", x, x))
            return _binary(terms, "div", x, size)
        case 1:
            return _binary(terms, "div", x, terms.make("abs", x))
        case 2:
            return _binary(terms, "mul", x, _unary(terms, "rsqrt", terms.make("square", x)))
        case 3:
            op = rng.pick(("cube", "cbrt", "arctan", "tanh", "arcsinh"))
            return _unary(terms, "sign", terms.make(op, x))
        case 4:
            return _unary(terms, "sign", terms.make("mul", x, _number(rng)))
        case _:
            return _binary(terms, "div", terms.make("abs", x), x)


def spell_quotient(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``x / y -> x * (1 / y)``, ``(c x) / (c y)`` or ``-x / -y``."""
    if node.op != "div":
        return None
    x, y = node.args
    match rng.below(3):
        case 0:
            return _binary(terms, "mul", x, terms.make("div", 1.0, y))
        case 1:
            c = _number(rng)
            return _binary(terms, "div", terms.make("mul", x, c), terms.make("mul", y, c))
        case _:
            return _binary(terms, "div", _unary(terms, "neg", x), _unary(terms, "neg", y))


def swap(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x, y) -> f(y, x)`` where f is commutative."""
    del rng
    if not node.op or Law.COMMUTATIVE not in OPS[node.op].exact_laws:
        return None
    x, y = node.args
    return terms.make(node.op, y, x)


def pass_through(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x) -> -f(-x)`` for odd f, ``f(-x)`` for even f, ``f(f(x))`` for idempotent f."""
    if not node.op or len(node.tensors) != 1:
        return None
    laws = OPS[node.op].exact_laws
    x, constants = node.args[0], node.constants
    choice = rng.pick((Law.ODD, Law.EVEN, Law.IDEMPOTENT))
    if choice not in laws:
        return None
    if choice is Law.IDEMPOTENT:
        return terms.make(node.op, node, *constants)
    inside = _unary(terms, node.op, terms.make("neg", x), *constants)
    return inside if choice is Law.EVEN else _unary(terms, "neg", inside)


def transpose_twice(terms: Terms, node: Node, rng: Rng) -> Operand | None:
    """``f(x) -> f(x^T)^T`` where f is transpose-equivariant."""
    del rng
    if not node.op or Law.TRANSPOSE_EQUIVARIANT not in OPS[node.op].exact_laws:
        return None
    inside = _unary(terms, node.op, terms.make("transpose", node.args[0]), *node.constants)
    return _unary(terms, "transpose", inside)


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
    c, twin = _number(rng), _unused(rule, "s")
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
    leaf, c = graph.leaves[name], _number(rng)
    inside = terms.make("mul", leaf, 1.0 / c)
    new = substitute(graph, terms, {leaf: inside}) if isinstance(inside, Node) else None
    if new is None or not isinstance(scaled := terms.make("mul", dict(new.states)[name], c), Node):
        return None
    states = tuple((s, scaled if s == name else node) for s, node in new.states)
    return write(Graph(new.update, states), rule.name)


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


BLOATS: Final[tuple[Bloat, ...]] = (
    *map(
        _in_graph,
        (
            scale_twice,
            negate_twice,
            add_nothing,
            average_with_itself,
            spell_lerp,
            lerp_in_two,
            spell_heavy_ball,
            spell_square,
            spell_sign,
            spell_quotient,
            swap,
            pass_through,
            transpose_twice,
        ),
    ),
    dead_statement,
    dead_state,
    state_twice,
    other_units,
    repeat,
)
"""The rewrites, backwards; each returns a rule that computes the same, or None where it cannot."""
