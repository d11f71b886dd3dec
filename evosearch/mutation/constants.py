"""How constants are drawn and moved, by what they mean.

A decay rate moves in log(1 - beta) and a gain in its logarithm: half-way between 0.9 and 0.999 is
0.99. Values are kept to three significant digits; nobody wants to read 0.09837465.
"""

from __future__ import annotations

import math

from evosearch.mutation.rng import Rng
from primitives.op import Constant

__all__ = ["draw", "perturb", "tidy"]

_SPREAD = 0.7
"""Standard deviation of a move, in natural logarithms: about a factor of two."""


def draw(kind: Constant, rng: Rng) -> float:
    """Return a fresh constant of a kind."""
    small = 10.0 ** -(0.3 + 2.7 * rng.random())  # 0.001 to 0.5, log-uniform
    match kind:
        case Constant.RATE:
            return tidy(small if rng.chance(0.5) else 1.0 - small)
        case Constant.DECAY:
            return tidy(1.0 - small)
        case Constant.GAIN:
            return tidy(10.0 ** (1.5 * rng.normal()))
        case Constant.EXPONENT:
            return rng.pick((-1.0, -0.5, 0.25, 0.5, 0.75, 1.5, 2.0))
        case Constant.COEFFICIENT:
            return tidy(math.copysign(10.0 ** (0.5 * rng.normal()), rng.normal()))
        case Constant.PERIOD:
            return rng.pick((2.0, 5.0, 10.0, 20.0, 50.0, 100.0))


def perturb(kind: Constant, value: float, rng: Rng, scale: float = 1.0) -> float:
    """Return a constant near `value`, in the metric of its kind; `scale` multiplies the step."""
    if rng.chance(0.1):
        return draw(kind, rng)
    move = scale * _SPREAD * rng.normal()
    if kind is Constant.EXPONENT:
        return tidy(value + 0.5 * move)
    if kind is Constant.PERIOD:
        return float(max(1, round(value * math.exp(move))))
    if kind in (Constant.GAIN, Constant.COEFFICIENT) or not 0.0 < value < 1.0:
        return draw(kind, rng) if value == 0.0 else tidy(value * math.exp(move))
    if kind is Constant.DECAY:
        return tidy(1.0 - min(1.0, (1.0 - value) * math.exp(move)))
    logit = math.log(value / (1.0 - value)) + move
    return tidy(1.0 / (1.0 + math.exp(-logit)))


def tidy(value: float) -> float:
    """Return the value to three significant digits of its distance from 0 or 1."""
    if 0.5 < value < 1.0:
        return round(1.0 - float(f"{1.0 - value:.3g}"), 12)
    return float(f"{value:.3g}")
