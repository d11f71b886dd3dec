"""System identification: what a rule does to chosen gradients.

A rule is a black box here: it is fed gradients that answer one question, on matrices of one entry,
a lane for each value that is tried. That finds the filter h of an update f(z_t), z_t = sum of
h_k g_{t-k}, for any f that keeps signs entrywise or, as Newton-Schulz, at least on one-by-one
matrices: the update changes sign where ``h_k x + h_0 y`` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evosearch.language.rule import Rule
from evosearch.simplify.graph import Graph, Terms, read
from evosearch.simplify.probe import FloatArray, Probe, deviation, probe, run

__all__ = ["Box", "Filter", "middle"]

_LANES: Final = 64
_WIDEST: Final = 1e4
_NARROWEST: Final = 1e-5
_ROUNDS: Final = 7
_DECAY_TOLERANCE: Final = 1e-7


@dataclass(frozen=True)
class Filter:
    """z_t = g_t + read * (g_{t-1} + decay g_{t-2} + decay^2 g_{t-3} + ...), up to a factor."""

    read: float
    """Weight of the gradient before relative to the newest."""
    decay: float
    """How the weights of older gradients fall off; 0 where only the newest is read."""

    def apply(self, gradients: FloatArray) -> FloatArray:
        """Return z for gradients (steps, ...)."""
        memory = np.zeros_like(gradients[0])
        result = np.empty_like(gradients)
        for t, g in enumerate(gradients):
            result[t] = g + self.read * memory
            memory = self.decay * memory + g
        return result


class Box:
    """A rule that can be fed."""

    def __init__(self, rule: Rule) -> None:
        self._graph: Graph = read(rule, Terms())
        self.decay = self._decay()
        """The weight decay: the update is a function of gradients plus this times w; or None."""

    def feed(
        self, gradients: Sequence[FloatArray], weights: Sequence[FloatArray] | None = None
    ) -> list[FloatArray]:
        """Return the updates for gradients (steps, lanes, m, n); w is 0 unless given."""
        given = tuple(map(np.zeros_like, gradients)) if weights is None else tuple(weights)
        data = Probe(given, tuple(gradients))
        updates = run(self._graph, data).of(self._graph.update)
        return [np.broadcast_to(u, g.shape) for u, g in zip(updates, gradients, strict=True)]

    def _decay(self) -> float | None:
        """Return c with u(w, g) = u(0, g) + c w on the probe, or None."""
        data = probe(flat=False)
        gradients = [g[:6] for g in data.gradients]
        weights = [w[:6] for w in data.weights]
        with np.errstate(all="ignore"):
            with_w = self.feed(gradients, weights)
            without = self.feed(gradients)
            parts = [a - b for a, b in zip(with_w, without, strict=True)]
            ratios = [p[:, 0] / w[:, 0] for p, w in zip(parts, weights, strict=True)]
        ratio = middle(ratios)
        if not np.isfinite(ratio):
            return None
        model = [b + ratio * w for b, w in zip(without, weights, strict=True)]
        return ratio if deviation(with_w, model) <= _DECAY_TOLERANCE else None

    def filter(self) -> Filter | None:
        """Return the filter whose sign the update has on one-by-one matrices, or None."""
        first, second = self._crossing(2), self._crossing(3)
        if first is None or second is None:
            return None
        if abs(first) < _NARROWEST / _LANES:
            return Filter(0.0, 0.0)
        return Filter(first, second / first)

    def _crossing(self, steps: int) -> float | None:
        """Return s where g = (1, 0, ..., 0, -s) turns the last update's sign: h_{steps-1} / h_0."""
        wide = np.geomspace(_NARROWEST, _WIDEST, _LANES // 2)
        grid = np.concatenate([-wide[::-1], wide])
        for _ in range(_ROUNDS):
            gradients = np.zeros((steps, len(grid), 1, 1))
            gradients[0] = 1.0
            gradients[-1, :, 0, 0] = -grid
            signs = np.sign(self.feed([gradients])[0][-1, :, 0, 0])
            changes = np.flatnonzero(signs[1:] != signs[:-1])
            if not np.isfinite(signs).all() or len(changes) not in (1, 2) or signs[0] <= 0.0:
                return None
            if len(changes) == 2:  # a single lane hit zero itself
                at = int(changes[1])
                return (
                    float(grid[at]) if changes[1] == changes[0] + 1 and signs[at] == 0.0 else None
                )
            grid = np.linspace(grid[changes[0]], grid[changes[0] + 1], _LANES)
        return float((grid[0] + grid[-1]) / 2.0)


def middle(arrays: Sequence[FloatArray]) -> float:
    """Return the median of all finite entries; NaN where there is none."""
    flat = np.concatenate([a.ravel() for a in arrays])
    flat = flat[np.isfinite(flat)]
    return float(np.median(flat)) if len(flat) else math.nan
