"""Probes: the fixed gradients that a rule is tried on, and what expressions are worth on them.

They are gradients of a tall, a wide and a square matrix, in float64, for a few steps, which tell
smooth functions apart, or for many: a sign says little. The numbers of the last steps are large, so
that what a rule does late shows early. A core is tried on a thousand steps in float32 besides, as
lanes compute. The numpy column of the op table does the
work: on tensors this small, torch's dispatch would be the whole cost. What was computed is kept
under the expression that it is the value of, because the programs of a search have most of their
expressions in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, starmap
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LATE",
    "LONG",
    "NUMBERED",
    "PROBE_SHAPES",
    "SHORT",
    "Array",
    "Key",
    "ProbeTable",
    "ProbeValue",
    "Probes",
]

Array = NDArray[np.floating[Any]]
Key = tuple[Any, ...]
"""An expression: a function, then a `ProbeValue` for each of its arguments."""

PROBE_SHAPES: Final = ((4, 3), (3, 4), (3, 3))

_KEPT: Final = 32768
"""Steps of values to keep; each takes about a quarter of a kilobyte."""
_MANY: Final = 1000
NUMBERED: Final = 36
"""Steps of the long probes whose numbers follow each other from 1."""


class ProbeValue:
    """What an expression is on each probe; the same expression is the same object, while kept.

    Attributes:
        arrays: for each probe, an array (steps, rows, columns) or a number.
    """

    __slots__ = ("arrays",)

    def __init__(self, arrays: tuple[Any, ...]) -> None:
        self.arrays = arrays

    def entries(self) -> Array:
        """Return the entries on all probes side by side, (steps, entries)."""
        return np.concatenate([a.reshape(len(a), -1) for a in self.arrays], axis=1)


class ProbeTable:
    """Values by their expressions, on some probes.

    A value depends on its expression alone, so what happened to be kept never shows in a result.

    Attributes:
        steps: how many there are.
        shapes: rows and columns of each probe.
        lanes: leading dimensions of a matrix: gradients of one course at several scales.
        times: the numbers of the steps.
        dtype: of all values.
        filters: whether averages may be computed for all steps at once, and round otherwise.
        inputs: the weights, the gradients and the numbers of the steps.
        loops: what a loop over the steps left in its slots, by what the loop is.
    """

    def __init__(
        self, gradients: tuple[Array, ...], weights: tuple[Array, ...], times: Sequence[float]
    ) -> None:
        self.steps = len(gradients[0])
        self.lanes = gradients[0].shape[1:-2]
        self.times = tuple(times)
        self.dtype = gradients[0].dtype
        self.filters = self.dtype == np.float32
        steps = np.array(times, self.dtype).reshape(-1, *[1] * (gradients[0].ndim - 1))
        self.shapes = [(g.shape[-2], g.shape[-1]) for g in gradients]
        self.inputs = (
            ProbeValue(weights),
            ProbeValue(gradients),
            ProbeValue((steps,) * len(gradients)),
        )
        self.loops: dict[Key, list[ProbeValue]] = {}
        self._values: dict[Key, ProbeValue] = {}
        self._numbers: dict[float, ProbeValue] = {}

    def value(self, expression: Key) -> ProbeValue:
        """Return what the function makes of its arguments."""
        found = self._values.get(expression)
        if found is None:
            function, *arguments = expression
            columns = zip(*[argument.arrays for argument in arguments], strict=True)
            found = ProbeValue(tuple(starmap(self.rounded(function), columns)))
            self._values[expression] = found
        return found

    def rounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with results in the table's precision.

        Ops without a tensor do not know of it, and compute in float64.
        """
        if not self.filters:
            return function
        return lambda *arguments: np.asarray(function(*arguments), self.dtype)

    def number(self, number: float) -> ProbeValue:
        """Return a number, the same on each probe."""
        found = self._numbers.get(number)
        if found is None:
            found = self._numbers[number] = ProbeValue((number,) * len(self.shapes))
        return found

    def tidy(self) -> None:
        """Forget everything if there is too much of it."""
        kept = len(self._values) + len(self._numbers) + 4 * len(self.loops)
        if kept * self.steps > (_KEPT if self.steps < _MANY else 16 * _KEPT):
            self._values.clear()
            self._numbers.clear()
            self.loops.clear()


def _draw(steps: int) -> tuple[Array, Array]:
    """Return gradients and weights, each (steps, 1, entries), all shapes side by side.

    Entries differ in scale by some orders of magnitude, so that thresholds and epsilons in a
    program show, and gradients have a mean, so that averages differ from single gradients.
    """
    rng = np.random.Generator(np.random.PCG64(20230213))  # the date of Lion's preprint
    entries = sum(m * n for m, n in PROBE_SHAPES)
    scale = 10.0 ** rng.uniform(-2.0, 0.7, entries)
    mean = rng.standard_normal(entries)
    gradients = scale * (0.5 * mean + rng.standard_normal((steps, entries)))
    weights = rng.standard_normal((steps, entries))
    return gradients[:, None, :], weights[:, None, :]


def _folded(flat: Array) -> tuple[Array, ...]:
    """Return the entries (steps, 1, entries) as one array (steps, m, n) for each probe shape."""
    ends = accumulate(m * n for m, n in PROBE_SHAPES)
    return tuple(
        np.ascontiguousarray(flat[:, 0, end - m * n : end]).reshape(len(flat), m, n)
        for end, (m, n) in zip(ends, PROBE_SHAPES, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Probes:
    """The same gradients in two layouts."""

    flat: ProbeTable
    """For elementwise rules: a row stands for all three matrices."""
    matrices: ProbeTable

    @classmethod
    def of(cls, gradients: Array, weights: Array, times: Sequence[float]) -> Probes:
        """Return probes with these entries, (steps, 1, entries), on steps of these numbers."""
        flat = ProbeTable((gradients,), (weights,), times)
        return cls(flat, ProbeTable(_folded(gradients), _folded(weights), times))


def _late() -> Probes:
    """Return a thousand steps of a tall matrix in float32, at gradients of two scales."""
    steps, (m, n) = _MANY, PROBE_SHAPES[0]
    rng = np.random.Generator(np.random.PCG64(20260201))
    scale = 10.0 ** rng.uniform(-1.5, 0.5, (m, n))
    fading = np.linspace(1.0, 0.2, steps).reshape(-1, 1, 1, 1)  # as gradients do in training
    noise = rng.standard_normal((steps, 1, m, n))
    gradients = fading * scale * (0.5 * rng.standard_normal((m, n)) + noise)
    gradients = gradients * np.array([1.0, 1e-3]).reshape(1, 2, 1, 1)
    drift = 0.02 * np.cumsum(rng.standard_normal((steps, 1, m, n)), axis=0)
    weights = np.broadcast_to(rng.standard_normal((m, n)) + drift, gradients.shape)
    g, w = (np.ascontiguousarray(x, dtype=np.float32) for x in (gradients, weights))
    times = [float(t) for t in range(1, steps + 1)]
    flat = [x.reshape(steps, 2, 1, m * n) for x in (g, w)]
    return Probes(ProbeTable((flat[0],), (flat[1],), times), ProbeTable((g,), (w,), times))


_LARGE: Final = (50, 64, 100, 128, 200, 256, 400, 512, 800, 1000, 1500, 2500)
_GRADIENTS, _WEIGHTS = _draw(NUMBERED + len(_LARGE))

LONG: Final = Probes.of(_GRADIENTS, _WEIGHTS, [*range(1, NUMBERED + 1), *_LARGE])
SHORT: Final = Probes.of(_GRADIENTS[:4], _WEIGHTS[:4], [1.0, 2.0, 3.0, 1000.0])
LATE: Final = _late()
