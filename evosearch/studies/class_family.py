"""What may be tuned of an optimizer class besides its learning rates: its arguments of known names.

Only names whose meaning is the same everywhere are axes; other arguments stay as they are given.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Final

from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.tunable import Axis, Kind, Tunable

__all__ = ["class_family"]

_MEMORIES: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
_SQUARES: Final = (0.9, 0.95, 0.98, 0.99, 0.999)
_AXES: Final = {
    "momentum": (_MEMORIES, Kind.DECAY),
    "alpha": (_SQUARES, Kind.DECAY),
    "weight_decay": ((0.0, 0.01, 0.1), Kind.FACTOR),
}
"""By argument, the values that are tried first."""
_BETAS: Final = (_MEMORIES, _SQUARES, _SQUARES)
"""The same for each of ``betas``."""


def class_family(made: OptimizerClass) -> Tunable:
    """Return a class with an axis for each argument of a known name that has a number."""
    axes, names = [], []
    for name, value in made.defaults().items():
        if name == "betas" and isinstance(value, tuple | list):
            for k, (beta, values) in enumerate(zip(value, _BETAS, strict=False)):
                axes.append(_axis(f"betas[{k}]", float(beta), values, Kind.DECAY))
            names.append((name, min(len(value), len(_BETAS))))
        elif name in _AXES and isinstance(value, int | float) and not isinstance(value, bool):
            axes.append(_axis(name, float(value), *_AXES[name]))
            names.append((name, 0))
    return Tunable(tuple(axes), partial(_written, made, tuple(names)))


def _axis(name: str, value: float, values: tuple[float, ...], kind: Kind) -> Axis:
    at = bisect_left(values, value)
    if value not in values:
        values = (*values[:at], value, *values[at:])
    return Axis(name, values, at, kind)


def _written(
    made: OptimizerClass, names: tuple[tuple[str, int], ...], values: tuple[float, ...]
) -> str:
    """Return the text of the class with these values of its axes."""
    left = iter(values)
    given = {
        name: tuple(next(left) for _ in range(count)) if count else next(left)
        for name, count in names
    }
    return str(made.having(**given))
