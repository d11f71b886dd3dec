"""Probe trajectories: on what a rewrite has to agree before it is believed.

Fifty steps of gradients and weights in float64, for a tall, a wide and a square matrix, each at
three scales: gradients around 1, tiny (1e-6) and huge (1e6) ones. Among them are entries that are
always zero, single zeros, and whole steps of zeros, the first one included at the tiny scale.
Gradients have a mean, so that averages differ from gradients; weights drift.

Only what a state's recursion needs is run step by step; everything else is one numpy call for all
steps. A value is therefore a list of arrays (steps, scales, rows, columns), one for each matrix; a
rule without matrix ops runs on all entries laid side by side in one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evosearch.language.rule import Rule
from evosearch.simplify.graph import Graph, Node, Operand
from primitives.table import OPS

__all__ = [
    "SHAPES",
    "STEPS",
    "TOLERANCE",
    "FloatArray",
    "Probe",
    "Values",
    "deviation",
    "probe",
    "replay",
    "run",
]

FloatArray = NDArray[np.float64]

STEPS: Final = 50
SHAPES: Final = ((4, 3), (3, 4), (3, 3))
SCALES: Final = (1.0, 1e-6, 1e6)
TOLERANCE: Final = 1e-9
"""Largest relative deviation of an exact rewrite."""


@dataclass(frozen=True)
class Probe:
    """Inputs of all steps for some matrices, each array (steps, scales, rows, columns)."""

    weights: tuple[FloatArray, ...]
    gradients: tuple[FloatArray, ...]
    stride: float = 1.0
    """How far step numbers are apart; 1 for a trajectory, more for unrelated steps."""

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.gradients[0])

    @property
    def times(self) -> FloatArray:
        """The step numbers from 1, (steps, 1, 1, 1)."""
        steps = [1.0 + self.stride * k for k in range(self.steps)]
        return np.array(steps, dtype=np.float64).reshape(-1, 1, 1, 1)


@cache
def probe(flat: bool, steps: int = STEPS) -> Probe:
    """Return the probe of matrices, or the same entries in one row."""
    rng = np.random.Generator(np.random.PCG64(20241208))  # the date of Muon's announcement
    weights, gradients = [], []
    for m, n in SHAPES:
        size = (steps, len(SCALES), m, n)
        scale = 10.0 ** rng.uniform(-1.5, 0.7, (1, len(SCALES), m, n))
        mean = 0.6 * rng.standard_normal((1, len(SCALES), m, n))
        g = scale * (mean + rng.standard_normal(size))
        g[rng.random(size) < 0.04] = 0.0
        g[:, 0, 0, 0] = 0.0  # an entry without a gradient
        g[20:23] = 0.0
        g[:2, 1] = 0.0
        g *= np.array(SCALES).reshape(1, -1, 1, 1)
        w = rng.standard_normal((1, len(SCALES), m, n))
        w = w + 0.05 * np.cumsum(rng.standard_normal(size), axis=0)
        w[:, :, -1, -1] = 0.0
        weights.append(w)
        gradients.append(g)
    if flat:
        weights, gradients = [_row(weights)], [_row(gradients)]
    return Probe(tuple(weights), tuple(gradients))


def _row(arrays: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([a.reshape(len(a), len(SCALES), 1, -1) for a in arrays], axis=-1)


class Values:
    """What every node of a graph is worth on a probe; more nodes can be asked for later."""

    def __init__(self, data: Probe, known: dict[Node, list[FloatArray]]) -> None:
        self.data = data
        self._known = known

    def of(self, operand: Operand) -> list[FloatArray]:
        """Return an operand's value, computing what is missing from leaves whose value is known.

        Raises:
            KeyError: It reads a state that this graph does not have.
        """
        if not isinstance(operand, Node):
            return [np.full((1, 1, 1, 1), operand)] * len(self.data.weights)
        stack = [operand]
        while stack:
            node = stack[-1]
            if node in self._known:
                stack.pop()
                continue
            if not node.op:
                raise KeyError(node.name)
            missing = [child for child in node.children if child not in self._known]
            stack += missing
            if not missing:
                self._known[node] = self._apply(node)
        return self._known[operand]

    def _apply(self, node: Node) -> list[FloatArray]:
        row = OPS[node.op]
        if not row.arity:  # the step number
            return [self.data.times] * len(self.data.weights)
        extra = (*node.constants, self.data.times) if row.uses_step else node.constants
        results: list[FloatArray] = []
        for i in range(len(self.data.weights)):
            inputs = [self._known[a][i] if isinstance(a, Node) else a for a in node.tensors]
            with np.errstate(all="ignore"):
                results.append(np.asarray(row.numpy(*inputs, *extra)))
        return results


def run(graph: Graph, data: Probe) -> Values:
    """Run a graph over a probe from states of zero."""
    known: dict[Node, list[FloatArray]] = {}
    leaves = graph.leaves
    if "w" in leaves:
        known[leaves["w"]] = list(data.weights)
    if "g" in leaves:
        known[leaves["g"]] = list(data.gradients)
    values = Values(data, known)
    if not graph.states:
        return values
    moving = _moving(graph)
    for node in graph.nodes:  # what the recursion reads and does not move
        if node in moving:
            for child in node.children:
                if child not in moving and child.op:
                    values.of(child)
    for column in _recur(graph, moving, values):
        for node, array in column.items():
            known.setdefault(node, []).append(array)
    return values


def replay(rule: Rule, data: Probe) -> list[FloatArray]:
    """Return a rule's updates on a probe, one statement after another, as its text says.

    What simplification is held against: dead code and repetitions are run as well.
    """
    results: list[FloatArray] = []
    for weights, gradients in zip(data.weights, data.gradients, strict=True):
        lanes, m, n = weights.shape[1:]
        values: dict[str, Any] = {
            s.name: np.zeros((lanes, *s.shape.sizes(m, n))) for s in rule.states
        }
        history: list[Any] = []
        for step in range(data.steps):
            values |= {"w": weights[step], "g": gradients[step]}
            with np.errstate(all="ignore"):
                for s in rule.body:
                    row = OPS[s.op]
                    arguments = [values[a] if isinstance(a, str) else a for a in s.args]
                    time = (step + 1.0,) if row.uses_step else ()
                    values[s.target] = row.numpy(*arguments, *time)
            history.append(np.broadcast_to(values[rule.update], (lanes, m, n)))
        results.append(np.stack(history))
    return results


def _moving(graph: Graph) -> set[Node]:
    """Return the nodes and leaves that depend on a state and that a state depends on."""
    states = dict(graph.states)
    moved = {node for node in graph.nodes if not node.op and node.name in states}
    for node in graph.nodes:
        if any(child in moved for child in node.children):
            moved.add(node)
    needed: set[Node] = set()
    stack = [node for node in states.values() if node in moved]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack += [child for child in node.children if child in moved]
    return needed | {node for node in moved if not node.op}


def _recur(graph: Graph, moving: set[Node], values: Values) -> list[dict[Node, FloatArray]]:
    """Run the recursion of the states; return the moving nodes' values for each matrix."""
    order = [node for node in graph.nodes if node in moving]
    slots = {node: i for i, node in enumerate(order)}
    fixed: dict[Node, int] = {}
    code: list[tuple[int, Any, list[tuple[bool, Any]], tuple[float, ...], bool]] = []
    for node in order:
        if not node.op:
            continue
        arguments: list[tuple[bool, Any]] = []
        for a in node.tensors:
            if isinstance(a, Node) and a not in slots:
                fixed.setdefault(a, len(order) + len(fixed))
            place = slots.get(a, fixed.get(a)) if isinstance(a, Node) else a
            arguments.append((isinstance(a, Node), place))
        row = OPS[node.op]
        code.append((slots[node], row.numpy, arguments, node.constants, row.uses_step))
    states = [(slots[leaf], node) for leaf, node in _pairs(graph) if leaf in slots]
    for _, node in states:
        if node not in slots:
            fixed.setdefault(node, len(order) + len(fixed))
    results: list[dict[Node, FloatArray]] = []
    for i, weights in enumerate(values.data.weights):
        outside = [values.of(node)[i] for node in fixed]
        m, n = weights.shape[-2:]
        current: list[Any] = [None] * (len(order) + len(fixed))
        for slot, _ in states:
            current[slot] = np.zeros((weights.shape[1], *order[slot].shape.sizes(m, n)))
        history: list[list[Any]] = []
        with np.errstate(all="ignore"):
            for step in range(values.data.steps):
                for k, array in enumerate(outside, start=len(order)):
                    current[k] = array[step] if len(array) > 1 else array[0]
                for target, function, arguments, constants, timed in code:
                    inputs = [current[a] if tensor else a for tensor, a in arguments]
                    extra = (*constants, step + 1.0) if timed else constants
                    current[target] = function(*inputs, *extra)
                history.append(current[: len(order)])
                after = [_next(node, slots, fixed, current) for _, node in states]
                for (slot, _), value in zip(states, after, strict=True):
                    current[slot] = value
        results.append({node: _stack([h[s] for h in history]) for node, s in slots.items()})
    return results


def _stack(arrays: list[Any]) -> FloatArray:
    first, last = arrays[0], arrays[-1]
    return np.stack(arrays if first.shape == last.shape else np.broadcast_arrays(*arrays))


def _pairs(graph: Graph) -> list[tuple[Node, Node]]:
    leaves = graph.leaves
    return [(leaves[name], node) for name, node in graph.states if name in leaves]


def _next(node: Node, slots: dict[Node, int], fixed: dict[Node, int], current: list[Any]) -> Any:
    return current[slots[node] if node in slots else fixed[node]]


def deviation(before: Sequence[FloatArray], after: Sequence[FloatArray]) -> float:
    """Return the largest relative difference of two values, infinite where one is not finite.

    Each entry is measured by its own largest magnitude so far: an entry that was 1 and is now
    1e-20 is as good as 0. Infinities and NaNs must agree in place and kind.
    """
    worst = 0.0
    for a, b in zip(before, after, strict=True):
        a, b = np.broadcast_arrays(a, b)  # noqa: PLW2901
        with np.errstate(all="ignore"):
            difference = np.abs(a - b)
            scale = np.maximum.accumulate(np.where(np.isfinite(a), np.abs(a), 0.0), axis=0)
            ratio = np.where(difference == 0.0, 0.0, difference / scale)
        odd = ~(np.isfinite(a) & np.isfinite(b))
        if odd.any():
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            ratio = np.where(odd, np.where(same, 0.0, np.inf), ratio)
        worst = max(worst, float(ratio.max(initial=0.0)))
    return worst
