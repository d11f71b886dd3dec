"""A rule as the few lines of arithmetic that its documentation shows.

Values that are used once are written where they are used, as long as lines stay short and no
variable in them changes in between.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from evosearch.export.dataflow import FlowNode
from evosearch.export.hyper import ITERATIONS, NamedRule, Word

__all__ = ["formula"]

_WIDTH: Final = 72
_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4
"""How tightly an expression binds."""

_FORMS: Final[dict[str, tuple[str, int, int]]] = {
    "add": ("{0} + {1}", _SUM, _SUM),
    "sub": ("{0} - {1:+}", _SUM, _SUM),
    "mul": ("{0} * {1}", _PRODUCT, _PRODUCT),
    "div": ("{0} / {1:+}", _PRODUCT, _PRODUCT),
    "neg": ("-{0:+}", _PRODUCT, _PRODUCT),
    "square": ("{0:+}**2", _POWER, _POWER),
    "cube": ("{0:+}**3", _POWER, _POWER),
    "lerp": ("{rest} * {0} + {2} * {1}", _SUM, _PRODUCT),
    "heavy_ball": ("{2} * {0} + {1}", _SUM, _PRODUCT),
    "debias": ("{0} / (1 - {1}**t)", _PRODUCT, _PRODUCT),
    "step": ("t", _ATOM, _ATOM),
}
"""Op to (text, how tightly it binds, how tightly operands must; ``+``: more tightly than that)."""


class _Text:
    """An expression that puts itself into parentheses where its place asks for them."""

    def __init__(self, text: str, binding: int, needed: int = _SUM) -> None:
        self.text, self.binding, self.needed = text, binding, needed

    def __format__(self, specification: str) -> str:
        needed = self.needed + (specification == "+")
        return self.text if self.binding >= needed else f"({self.text})"


def formula(named: NamedRule) -> list[str]:
    """Return assignments that compute a rule's update, named ``u``, and its states."""
    flow = named.flow
    uses = Counter(read for node in flow.nodes for read in node.reads)
    ends = {end for _, end in flow.states}
    texts: dict[int, _Text] = {n.index: _Text(n.name, _ATOM) for n in flow.nodes if n.op is None}
    inputs: dict[int, set[str]] = {n.index: {n.name} for n in flow.nodes if n.op is None}
    lines: list[str] = []
    for node in flow.computed:
        text = _expression(named, node, texts)
        reads = set().union(*(inputs[x] for x in node.reads)) if node.reads else set()
        reader = next((n for n in flow.nodes if node.index in n.reads), None)
        inline = (
            uses[node.index] == 1
            and node.index not in ends
            and node.index != flow.update
            and reader is not None
            and len(_expression(named, reader, texts | {node.index: text}).text) < _WIDTH
            and not _changes(named, reads, node.index, reader.index)
        )
        if inline:
            texts[node.index], inputs[node.index] = text, reads
        else:
            name = _name(named, node)
            lines.append(f"{name} = {text.text}")
            texts[node.index], inputs[node.index] = _Text(name, _ATOM), {name}
    update = texts[flow.update].text
    return lines if update == "u" else [*lines, f"u = {update}"]


def _name(named: NamedRule, node: FlowNode) -> str:
    states = {state.name for state in named.flow.rule.states}
    if node.index == named.flow.update and node.name not in states:
        return "u"
    return node.name


def _changes(named: NamedRule, names: set[str], start: int, stop: int) -> bool:
    """Whether one of these variables is assigned between two values."""
    return any(_name(named, n) in names for n in named.flow.nodes[start + 1 : stop])


def _expression(named: NamedRule, node: FlowNode, texts: dict[int, _Text]) -> _Text:
    op = node.op
    assert op is not None
    form, binding, needed = _FORMS.get(op.name, ("", _ATOM, _SUM))
    parts = [
        texts[x] if isinstance(x, int) and x in texts else _word(named, node, i)
        for i, x in enumerate(node.operands)
    ]
    words = [named.word(node, op.arity + i) for i in range(len(node.constants))]
    if form:
        operands = [_Text(p.text, p.binding, needed) for p in parts]
        constants = [_Text(str(w), _SUM if w.complement else _ATOM, _PRODUCT) for w in words]
        rest = words[-1].other if words else Word("")
        tail = _Text(str(rest), _SUM if rest.complement else _ATOM, _PRODUCT)
        return _Text(form.format(*operands, *constants, rest=tail), binding)
    name, arguments = op.name, [p.text for p in parts] + [str(w) for w in words]
    if name in ITERATIONS and named.iterated:
        name, arguments = "newton_schulz", [*arguments, "ns_steps"]
    return _Text(f"{name}({', '.join(arguments)})", _ATOM)


def _word(named: NamedRule, node: FlowNode, position: int) -> _Text:
    if isinstance(node.operands[position], int):
        return _Text(named.flow.nodes[int(node.operands[position])].name, _ATOM)
    word = named.word(node, position)
    return _Text(str(word), _SUM if word.complement else _ATOM)
