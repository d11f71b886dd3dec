"""Elementwise parts of a graph, cut out for sympy and put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from evosearch.simplify.algebra import Tree
from evosearch.simplify.graph import Graph, Node, Operand, Terms
from evosearch.simplify.linear import LINEAR_OPS, snap
from evosearch.simplify.monomial import PRODUCT_OPS, Bounds
from primitives.table import OPS

__all__ = ["Subexpression", "regions"]

_SMALLEST: Final = 3
_LARGEST: Final = 40
"""Ops in a part that sympy is asked about."""
_OPAQUE: Final = frozenset({"select", "clip", "clip_to", "arctan2", "power", "debias"})
"""Elementwise ops that sympy's answers cannot be read back from."""
_SAYABLE: Final = frozenset(
    name for name, op in OPS.items() if op.elementwise and op.arity and op.sympy
) - (_OPAQUE)


@dataclass(frozen=True)
class Subexpression:
    """An expression whose leaves are any nodes."""

    root: Node
    tree: Tree
    leaves: dict[str, Node]
    signs: dict[str, str]

    def build(self, terms: Terms, tree: Tree) -> Operand | None:
        """Return a tree over this region's leaves as a node; None where that is not legal."""
        if isinstance(tree, str):
            return self.leaves.get(tree)
        if not isinstance(tree, list):
            return snap(float(tree))
        args: list[Operand] = []
        for part in tree[1:]:
            made = self.build(terms, part)
            if made is None:
                return None
            args.append(made)
        return terms.make(str(tree[0]), *args)


def regions(graph: Graph, bounds: Bounds) -> Iterator[Subexpression]:
    """Yield the largest elementwise parts that may hide something.

    A part ends at other ops, at states' next values and where shapes change. Parts of sums alone or
    of products alone are left out: they have canonical forms already.
    """
    inner: set[Node] = set()
    ends = {node for _, node in graph.states}
    for node in reversed(graph.nodes):
        if node.op not in _SAYABLE or node in inner:
            continue
        reader = _TreeReader(node, ends)
        tree = reader.read(node)
        inner |= reader.seen - {node}
        if reader.promising and _SMALLEST <= reader.size <= _LARGEST:
            leaves = {name: leaf for leaf, name in reader.names.items()}
            signs = {name: _sign(leaf, bounds) for name, leaf in leaves.items()}
            yield Subexpression(node, tree, leaves, signs)


def _sign(node: Node, bounds: Bounds) -> str:
    if bounds.positive(node):
        return "positive"
    return "nonnegative" if bounds.nonnegative(node) else "real"


class _TreeReader:
    """Reads a part of a graph into a tree, no further than it may be."""

    def __init__(self, root: Node, ends: set[Node]) -> None:
        self.root = root
        self.ends = ends
        self.names: dict[Node, str] = {}
        self.seen: set[Node] = set()
        self.size = 0
        self._repeats = False
        self._kinds: set[str] = set()
        self._functions = 0

    @property
    def promising(self) -> bool:
        """Whether something occurs twice in sums and products, or functions meet functions."""
        return (self._repeats and len(self._kinds) > 1) or self._functions > 1

    def read(self, operand: Operand) -> Tree:
        if not isinstance(operand, Node):
            return operand
        inside = operand.op in _SAYABLE and operand.shape == self.root.shape
        if operand is not self.root and (operand in self.ends or not inside):
            self._repeats |= operand in self.names
            return self.names.setdefault(operand, f"x{len(self.names)}")
        if self.size > _LARGEST:  # shared parts are written out: never mind the rest
            return 0.0
        self.size += 1
        self.seen.add(operand)
        self._classify(operand)
        return [operand.op, *map(self.read, operand.args)]

    def _classify(self, node: Node) -> None:
        by_number = not all(isinstance(a, Node) for a in node.tensors)
        if node.op in LINEAR_OPS and (by_number or node.op not in PRODUCT_OPS):
            self._kinds.add("sum")
        elif node.op in PRODUCT_OPS:
            self._kinds.add("product")
        else:
            self._kinds.add("function")
            self._functions += 1
