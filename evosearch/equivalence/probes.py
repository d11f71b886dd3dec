"""Probes: the fixed gradients that a rule is tried on, and what expressions are worth on them.

They are gradients of a tall, a wide and a square matrix, in float64, for a few steps, which tell
smooth functions apart, or for many: a sign says little. The numpy column of the op table does the
work: on tensors this small, torch's dispatch would be the whole cost. What was computed is kept
under the expression that it is the value of, because the programs of a search have most of their
expressions in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONG", "PROBE_SHAPES", "SHORT", "Array", "Key", "ProbeTable", "ProbeValue", "Probes"]

Array = NDArray[np.float64]
Key = tuple[Any, ...]
"""An expression: a function, then a `ProbeValue` for each of its arguments."""

PROBE_SHAPES: Final = ((4, 3), (3, 4), (3, 3))

_KEPT: Final = 32768
"""Steps of values to keep; each takes about a quarter of a kilobyte."""


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
        inputs: the weights, the gradients and the numbers of the steps.
        loops: what a loop over the steps left in its slots, by what the loop is.
    """

    def __init__(self, gradients: tuple[Array, ...], weights: tuple[Array, ...]) -> None:
        self.steps = len(gradients[0])
        steps = np.arange(1.0, self.steps + 1.0).reshape(-1, 1, 1)
        self.shapes = [(g.shape[1], g.shape[2]) for g in gradients]
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
            found = ProbeValue(tuple([function(*column) for column in columns]))
            self._values[expression] = found
        return found

    def number(self, number: float) -> ProbeValue:
        """Return a number, the same on each probe."""
        found = self._numbers.get(number)
        if found is None:
            found = self._numbers[number] = ProbeValue((number,) * len(self.shapes))
        return found

    def tidy(self) -> None:
        """Forget everything if there is too much of it."""
        kept = len(self._values) + len(self._numbers) + 4 * len(self.loops)
        if kept * self.steps > _KEPT:
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
    def of(cls, gradients: Array, weights: Array) -> Probes:
        """Return probes with these entries, (steps, 1, entries)."""
        flat = ProbeTable((gradients,), (weights,))
        return cls(flat, ProbeTable(_folded(gradients), _folded(weights)))


_GRADIENTS, _WEIGHTS = _draw(48)

LONG: Final = Probes.of(_GRADIENTS, _WEIGHTS)
SHORT: Final = Probes.of(_GRADIENTS[:4], _WEIGHTS[:4])
