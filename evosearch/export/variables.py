"""Names of the variables in generated code."""

from __future__ import annotations

import itertools
import keyword
from typing import Final

from evosearch.export.hyper import NamedRule

__all__ = ["STACK", "choose_names"]

_TAKEN: Final = frozenset({"abs", "closure", "list", "loss", "map", "max", "min"}) | frozenset(
    {"group", "lr", "ns_dtype", "p", "params", "rate", "sizes", "states", "t", "torch", "zip"}
    | {"weight_decay"}
)
"""Names that mean something else in the exported file."""
STACK: Final = "_all"
"""Ends the names of variables that hold the stack of a list."""


def choose_names(named: NamedRule, memory: dict[int, int]) -> dict[int, str]:
    """Choose a variable for every memory: the name of the last value in it, made unique."""
    nodes = named.flow.nodes
    taken = set(_TAKEN) | {h.name for h in named.hypers} | set(keyword.kwlist)
    taken |= {k for node in named.flow.computed if node.op for k in node.op.kernels}
    last = {memory[node.index]: node.name for node in nodes}
    last |= {node.index: node.name for node in nodes if node.op is None}
    chosen: dict[int, str] = {}
    for root, name in last.items():
        names = itertools.chain([name], (f"{name}_{k}" for k in itertools.count(1)))
        free = (n for n in names if n not in taken)
        chosen[root] = next(n for n in free if not n.endswith(STACK))
        taken.add(chosen[root])
    return chosen
