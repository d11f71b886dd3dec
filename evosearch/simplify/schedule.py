"""Graphs to rules: an order of statements, and names.

A state's next value is written to the state's own name, so whatever reads the old value must run
before. Where two states need each other's old value, or two states get the same value, one of them
is copied (``m = x1 * 1.0``); the language has no shorter copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from evosearch.language.rule import INPUTS, Rule, State, Statement
from evosearch.simplify.graph import Graph, Node, Operand

__all__ = ["write"]


@dataclass(eq=False)
class _Item:
    """A statement to be: the value of a node, or a copy of it."""

    op: str
    args: tuple[Operand, ...]
    value: Node
    home: str = ""
    """The state that it is written to."""

    @property
    def children(self) -> tuple[Node, ...]:
        return tuple(a for a in self.args if isinstance(a, Node))


def write(graph: Graph, name: str) -> Rule:
    """Return a rule of this name that computes the graph."""
    update, items = _items(graph)
    ordered = _order(items)
    taken = {*INPUTS, *(state for state, _ in graph.states)}
    names = {leaf: leaf.name for leaf in graph.leaves.values()}
    body: list[Statement] = []
    final: dict[_Item, str] = {}
    for item in ordered:
        target = item.home or _fresh(taken, "u" if item is update else "x")
        args = tuple(names[a] if isinstance(a, Node) else a for a in item.args)
        body.append(Statement(target, item.op, args))
        final[item] = target
        if item.op and item.value not in names:
            names[item.value] = target
    shapes = {state: node.shape for state, node in graph.states}
    states = tuple(State(state, shapes[state]) for state, _ in graph.states)
    result = names[graph.update] if update is None else final[update]
    return Rule(name, states, tuple(body), result)


def _items(graph: Graph) -> tuple[_Item | None, list[_Item]]:
    """Return the update's item, if it has one, and all items in the order of the graph."""
    made = {node: _Item(node.op, node.args, node) for node in graph.nodes if node.op}
    items = list(made.values())
    for state, node in graph.states:
        item = made.get(node)
        if item is not None and not item.home:
            item.home = state
        elif node.name != state:
            items.append(_copy(node, state))
    update = made.get(graph.update)
    overwritten = {item.home for item in items}
    if update is None and graph.update.name in overwritten:
        update = _copy(graph.update, "")
        items.insert(0, update)
    return update, items


def _copy(node: Node, home: str) -> _Item:
    return _Item("mul", (node, 1.0), node, home)


def _order(items: list[_Item]) -> list[_Item]:
    waiting = list(items)
    done: set[Node] = set()
    ordered: list[_Item] = []
    computed = {item.value for item in items if item.op and item.value.op}
    while waiting:
        ready = [i for i in waiting if all(c in done or c not in computed for c in i.children)]
        free = next((i for i in ready if not _blocked(i, waiting)), None)
        if free is None:  # states want each other's old values: one goes by way of a copy
            free = ready[0]
            if free.value.op:
                waiting.append(_copy(free.value, free.home))
                free.home = ""
            else:  # it is but a copy itself: what helps is to keep what it would overwrite
                free = _kept(free.home, waiting)
        if free in waiting:
            waiting.remove(free)
        ordered.append(free)
        done.add(free.value)
    return ordered


def _kept(state: str, waiting: list[_Item]) -> _Item:
    """Return a copy of a state's old value, which all who wait for that value now read instead."""
    leaf = next(c for item in waiting for c in item.children if c.name == state)
    value = Node("mul", (leaf, 1.0), leaf.shape)
    for item in waiting:
        item.args = tuple(value if a is leaf else a for a in item.args)
    return _Item(value.op, value.args, value)


def _blocked(item: _Item, waiting: list[_Item]) -> bool:
    """Whether something else still has to read the old value of the state that it overwrites."""
    return item.home != "" and any(
        child.name == item.home
        for other in waiting
        if other is not item
        for child in other.children
    )


def _fresh(taken: set[str], stem: str) -> str:
    name, k = stem, 0
    while name in taken or name == "x":
        k += 1
        name = f"{stem}{k}"
    taken.add(name)
    return name
