"""Which constants of a rule are hyperparameters, and what the field calls them.

Every constant becomes one. Decay rates of averages become ``momentum`` or ``betas``, where the
first is one of the gradient itself, which schedulers cycle; ``alpha`` or ``alphas`` where all are
of squares. A small number added to a divisor becomes ``eps``, a multiple of the parameter added to
the update at the end ``weight_decay`` (and leaves the rule: it is applied decoupled, for which the
program is written), the steps of Newton-Schulz ``ns_steps``. What is none of these is named after
its op.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from evosearch.export.dataflow import Flow, FlowNode
from evosearch.language.check import infer
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, Tie
from primitives.op import Law

__all__ = ["ITERATIONS", "ORTHOGONALIZERS", "Hyper", "NamedRule", "Scale", "Word", "name_constants"]

ITERATIONS: Final = {"newton_schulz3": 3, "newton_schulz5": 5}
"""Ops whose number of iterations is an argument of their kernel."""

ORTHOGONALIZERS: Final = frozenset({*ITERATIONS, "polar_express"})
"""Ops that are mostly products of matrices, and that bear a lower precision."""

_DECAYS: Final = ("beta", "momentum", "alpha")

_OPTIONS: Final = frozenset(
    {"params", "lr", "betas", "weight_decay", "maximize", "foreach", "capturable", "differentiable"}
)
"""What every class has besides, and means something else by."""


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter of one rule."""

    name: str
    value: float
    doc: str
    low: float | None = None
    """The least allowed value, if any."""
    high: float | None = None
    """What it must stay below, if anything."""


@dataclass(frozen=True)
class Word:
    """How a constant is written: a hyperparameter, or 1 minus it."""

    name: str
    complement: bool = False

    def __str__(self) -> str:
        return f"1 - {self.name}" if self.complement else self.name

    @property
    def atom(self) -> str:
        """The same where an operator stands beside it."""
        return f"({self})" if self.complement else self.name

    @property
    def other(self) -> Word:
        """1 minus this."""
        return Word(self.name, not self.complement)


class Scale(Enum):
    """What the size of an update's entries follows."""

    OTHER = "whatever the program computes"
    NONE = "an orthogonalized matrix, as it is"
    SPECTRAL = "an orthogonalized matrix times sqrt(max(1, rows / columns))"


@dataclass(frozen=True)
class NamedRule:
    """A rule without its weight decay, and the names of its constants."""

    flow: Flow
    hypers: tuple[Hyper, ...]
    words: dict[tuple[int, int], Word]
    """What stands for a constant: by statement, and by argument."""
    weight_decay: float
    scale: Scale = Scale.OTHER
    keeps: str = ""
    """The op that measures what the weights keep while they move; empty: nothing."""

    @property
    def decays(self) -> tuple[Hyper, ...]:
        """The decay rates, if they are several."""
        found = [h for h in self.hypers if re.fullmatch(r"(beta|alpha)\d+", h.name)]
        same = [h for h in found if h.name[0] == found[0].name[0]]
        return tuple(same) if len(same) > 1 else ()

    @property
    def together(self) -> str:
        """What several decay rates are called: ``betas`` or ``alphas``."""
        return self.decays[0].name.rstrip("0123456789") + "s"

    @property
    def iterated(self) -> bool:
        """Whether Newton-Schulz has its steps as a hyperparameter."""
        return any(h.name == "ns_steps" for h in self.hypers)

    def word(self, node: FlowNode, position: int) -> Word:
        """Return what stands for a constant or literal of a value's op."""
        return self.words[node.statement, position]


def name_constants(rule: Rule, *, scaled: bool = True) -> NamedRule:
    """Take a stripped rule's constants out and give them names: the program's own, if it has.

    Args:
        rule: the rule.
        scaled: whether the update keeps its factor for the shape; otherwise an argument rules it.
    """
    keeps = rule.keeps
    rule, weight_decay = _without_decay(strip(rule.free))
    rule, scale = (rule, Scale.OTHER) if scaled else _without_scale(rule)
    flow = Flow.of(rule)
    hypers: dict[str, Hyper] = {}
    words: dict[tuple[int, int], Word] = {}
    found: list[tuple[tuple[int, int], _Meaning]] = []
    for place, role in _constants(flow):
        tie = _tie(rule, place)
        if tie is None:
            found.append((place, role))
        else:
            name = _free(tie.name, _OPTIONS)
            hypers.setdefault(name, Hyper(name, tie.value, role.doc, role.low, role.high))
            words[place] = Word(name, tie.complement)
    own = frozenset(hypers)
    names = _names([role for _, role in found])
    for (place, role), word in zip(found, names, strict=True):
        name = _free(word, own)
        hypers.setdefault(name, Hyper(name, role.value, role.doc, role.low, role.high))
        words[place] = Word(name, role.complement)
    ordered = tuple(sorted(hypers.values(), key=_place))
    return NamedRule(flow, ordered, words, weight_decay, scale, keeps)


def _place(hyper: Hyper) -> tuple[bool, int]:
    """Return where a hyperparameter stands: decay rates first, in the order of their numbers."""
    decay = hyper.name.startswith(_DECAYS)
    return not decay, int(re.sub(r"\D", "", hyper.name) or 0) if decay else 0


def _without_scale(rule: Rule) -> tuple[Rule, Scale]:
    """Return the rule without a factor for the shape that comes last, and what its size follows."""
    flow = Flow.of(rule)
    last = flow.nodes[flow.update]
    if last.op is None or last.index in {end for _, end in flow.states}:
        return rule, Scale.OTHER
    if last.op.name in ORTHOGONALIZERS:
        return rule, Scale.NONE
    first = flow.nodes[last.reads[0]] if last.reads else last
    if last.op.name != "spectral_scale" or not first.op or first.op.name not in ORTHOGONALIZERS:
        return rule, Scale.OTHER
    body = rule.body[: last.statement] + rule.body[last.statement + 1 :]
    bare = replace(rule, body=body, update=first.name)
    if any(last.index in node.reads for node in flow.nodes) or Flow.of(bare).update != first.index:
        return rule, Scale.OTHER
    return bare, Scale.SPECTRAL


def _free(word: str, taken: frozenset[str]) -> str:
    """Return a name that no constant of the program has."""
    name, k = word, 1
    while name in taken:
        name, k = f"{word}_{k}", k + 1
    return name


def _tie(rule: Rule, place: tuple[int, int]) -> Tie | None:
    """Return the named constant that a number is, if it is one."""
    statement, position = rule.body[place[0]], place[1]
    return statement.ties[position] if position < len(statement.ties) else None


def _without_decay(rule: Rule) -> tuple[Rule, float]:
    """Return the rule without a final ``u + c * w``, and c (0 if there is none)."""
    flow = Flow.of(rule)
    last = flow.nodes[flow.update]
    ends = {end for _, end in flow.states}
    readers = Counter(read for node in flow.nodes for read in node.reads)
    if last.op is None or last.op.name != "add" or last.index in ends or readers[last.index]:
        return rule, 0.0
    for term, rest in (last.operands, last.operands[::-1]):
        if not isinstance(term, int) or not isinstance(rest, int):
            continue
        literal = _multiple(flow.nodes[term])
        if literal <= 0 or (term and (readers[term] != 1 or term in ends)):
            continue
        body = rule.body[: last.statement] + rule.body[last.statement + 1 :]
        bare = replace(rule, body=body, update=flow.nodes[rest].name)
        legal = infer(bare) is not None  # w may be what gives the update its shape
        if legal and Flow.of(bare).update == rest:  # no later statement takes its name
            return strip(bare), literal
    return rule, 0.0


def _multiple(node: FlowNode) -> float:
    """Return c if a value is the parameter times c, else 0."""
    if node.index == 0:
        return 1.0
    literal = next((x for x in node.operands if not isinstance(x, int)), 0.0)
    product = node.op is not None and node.op.name == "mul" and 0 in node.reads
    return literal if product else 0.0


@dataclass(frozen=True)
class _Meaning:
    stem: str
    """The hyperparameter's name, before a number tells it from others."""
    value: float
    doc: str
    low: float | None = None
    high: float | None = None
    complement: bool = False
    root: str = ""
    """The state that a decay rate is about; constants of one root and value are one."""


def _constants(flow: Flow) -> Iterator[tuple[tuple[int, int], _Meaning]]:
    """Yield the place and the role of every constant, in the order of the program."""
    kinds = {n.op.name for n in flow.computed if n.op and n.op.name in ITERATIONS}
    divisors = {n.operands[1] for n in flow.computed if n.op and n.op.name == "div"}
    divisors |= {n.operands[0] for n in flow.computed if n.op and n.op.name == "rsqrt"}
    for node in flow.computed:
        assert node.op is not None
        arity = node.op.arity
        for i, operand in enumerate(node.operands):
            if not isinstance(operand, int):
                yield (node.statement, i), _literal(node, operand, node.index in divisors)
        for i, constant in enumerate(node.constants, start=arity):
            yield (node.statement, i), _constant(flow, node, constant)
        if len(kinds) == 1 and node.op.name in ITERATIONS:
            steps = ITERATIONS[node.op.name]
            doc = "iterations of Newton-Schulz"
            yield (node.statement, arity), _Meaning("ns_steps", steps, doc, low=1, root="ns")


def _literal(node: FlowNode, value: float, divisor: bool) -> _Meaning:
    assert node.op is not None
    match node.op.name:
        case "add" if divisor and 0 < value <= 1e-3:
            return _Meaning("eps", value, "added to a divisor, so that it is not 0", low=0.0)
        case "add" | "sub":
            return _Meaning("offset", value, "a number that is added or subtracted")
        case "mul" | "div":
            return _Meaning("scale", value, "a factor or divisor")
        case "minimum" | "maximum" | "clip_to":
            return _Meaning("limit", value, "a bound on a value")
    return _Meaning("constant", value, f"a constant of `{node.op.name}`")


def _constant(flow: Flow, node: FlowNode, value: float) -> _Meaning:
    assert node.op is not None
    names = [flow.nodes[x].name if isinstance(x, int) else "" for x in node.operands]
    states = {state.name for state in flow.rule.states}
    match node.op.name:
        case "lerp" if 0 < value <= 1 and names[0] in states:
            return _decay(flow, names[0], round(1 - value, 12), True)
        case "lerp" if 0 <= value < 1 and names[1] in states:
            return _decay(flow, names[1], value, False)
        case "lerp":
            return _Meaning("weight", value, "weight of the second of two averaged values")
        case "heavy_ball" if 0 <= value < 1 and names[0] in states:
            return _decay(flow, names[0], value, False)
        case "heavy_ball":
            return _Meaning("weight", value, "weight of the first of two added values")
        case "debias" if 0 <= value < 1:
            return _decay(flow, _root(flow, node.operands[0]), value, False)
        case "clip":
            return _Meaning("clip", value, "bound on the magnitude of a value", low=0.0)
        case "power":
            return _Meaning("power", value, "exponent of a magnitude")
    return _Meaning("constant", value, f"constant of `{node.op.name}`")


def _decay(flow: Flow, root: str, value: float, complement: bool) -> _Meaning:
    """Return the role of a decay rate: a momentum, or the beta of an average of squares."""
    averaged = [n.operands[1] for n in flow.computed if n.name == root and len(n.operands) == 2]
    ops = [flow.nodes[x].op for x in averaged if isinstance(x, int)]
    squares = any(op is not None and Law.NONNEGATIVE in op.exact_laws for op in ops)
    stem = "beta" if squares else "momentum"
    return _Meaning(
        stem, value, "decay rate of the running average per step", 0.0, 1.0, complement, root or "?"
    )


def _root(flow: Flow, operand: int | float) -> str:
    """Return the state that a value is, or is computed from by its first operand."""
    states = {state.name for state in flow.rule.states}
    while isinstance(operand, int):
        node = flow.nodes[operand]
        if node.name in states:
            return node.name
        operand = node.operands[0] if node.operands else 0.0
    return ""


def _names(roles: list[_Meaning]) -> list[str]:
    """Return a name for each role; roles of one root and value share one."""
    keys = [
        (role.stem, role.root, role.value) if role.root else (role.stem, i, role.value)
        for i, role in enumerate(roles)
    ]
    decays = [k for k in dict.fromkeys(keys) if k[0] in ("momentum", "beta")]
    merged: dict[tuple[object, object], tuple[object, object, object]] = {}
    for key in decays:  # a bias correction has the stem of what it corrects
        merged.setdefault(key[1:], key)
    distinct = list(dict.fromkeys(merged.values()))
    distinct.sort(key=lambda key: key[0] != "momentum")  # schedulers cycle the first
    first = str(distinct[0][0]) if distinct else ""
    stem = "beta" if first == "momentum" else "alpha"
    names: dict[object, str] = {key: f"{stem}{i}" for i, key in enumerate(distinct, start=1)}
    if len(distinct) == 1:
        names[distinct[0]] = "momentum" if stem == "beta" else "alpha"
    others = [k for k in dict.fromkeys(keys) if k not in decays]
    counts = Counter(k[0] for k in others)
    seen: Counter[str] = Counter()
    for key in others:
        stem = str(key[0])
        seen[stem] += 1
        names[key] = stem if counts[stem] == 1 else f"{stem}{seen[stem]}"
    return [names[merged[k[1:]] if k in decays else k] for k in keys]
