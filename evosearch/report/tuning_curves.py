"""Tuning curves: what an optimizer reaches at each learning rate, with the best of all else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from evosearch.runs.svg import ChartAxis, ChartLine, chart

__all__ = ["tuning_curve", "tuning_curves"]

_SHOWN: Final = 2.5
"""Of the levels above the best that are drawn; the rest of a diverging curve says no more."""


def tuning_curve(trials: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the best level at each learning rate, smallest rate first.

    Args:
        trials: Learning rates and levels, lower is better.
    """
    best: dict[float, float] = {}
    for lr, level in trials:
        best[lr] = min(level, best.get(lr, math.inf))
    return sorted(best.items())


def tuning_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return an SVG element with a line for each optimizer.

    Rates are relative to each one's best, because an update's size has no common unit; the name
    says which it is.

    Args:
        curves: By the optimizer's name, learning rates and mean log excess losses.
    """
    lowest = min((level for curve in curves.values() for _, level in curve), default=0.0)
    lines = []
    for number, (name, curve) in enumerate(curves.items(), start=1):
        best_lr, _ = min(curve, key=lambda corner: corner[1])
        shown = [(lr / best_lr, level) for lr, level in curve if level < lowest + _SHOWN]
        lines.append(ChartLine(shown, f"{name}, {best_lr:.2g}", f"c{min(number, 5)}"))
    rates = ChartAxis("learning rate / its best", log=True)
    return chart(rates, ChartAxis("log excess loss"), (), lines)
