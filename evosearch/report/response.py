"""What a rule does to a gradient, computed from the rule alone.

An elementwise rule is shown as a function: after a hundred gradients of some mean, with noise of
size 1, which update does the next gradient bring? A rule for matrices is shown by what it does to
singular values: a gradient with a falling spectrum goes in, and the update's spectrum comes out.

The numpy column of the op table computes it: to import torch would take longer, and three times the
memory, than all else that a report of a long run needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evosearch.language.rule import Rule
from evosearch.runs.svg import ChartAxis, ChartLine, chart
from primitives.table import OPS

__all__ = ["response_chart", "spectrum_chart", "state_chart"]

_Array = NDArray[np.floating[Any]]
_States = dict[str, Any]
"""Arrays, or numbers where a rule makes such of a state, by name."""

_HISTORY: Final = 100
_HISTORIES: Final = 256
_MEANS: Final = (-1.0, 0.0, 1.0)
_SPAN: Final = 4.0
_POINTS: Final = 81
_ROWS: Final = 32
_COLS: Final = 20
_STEPS: Final = 30
_TURN: Final = 50
"""Steps after which the gradient's mean changes its sign."""


def response_chart(rule: Rule) -> str:
    """Return the mean update over the next gradient, for three kinds of gradients before.

    Args:
        rule: An elementwise rule.
    """
    noise = _noise(_HISTORY, 1, _HISTORIES, 1)
    states = _follow(rule, noise + _column(_MEANS))
    last = np.linspace(-_SPAN, _SPAN, _POINTS)
    shape = (len(_MEANS), _HISTORIES, _POINTS)
    wide = np.broadcast_to(last.astype(np.float32), shape)
    update, _ = _step(rule, wide, _HISTORY + 1, states)
    middle = np.broadcast_to(update, shape).mean(axis=1, dtype=np.float64)
    lines = [
        ChartLine(
            [(g, u) for g, u in zip(last.tolist(), row.tolist(), strict=True) if abs(u) < 1e30],
            f"mean {mean:g}".replace("-", "\N{MINUS SIGN}"),
            f"c{number}",
        )
        for number, (mean, row) in enumerate(zip(_MEANS, middle, strict=True), start=1)
    ]
    return chart(
        ChartAxis("next gradient", level=0.0), ChartAxis("mean update", level=0.0), (), lines
    )


def spectrum_chart(rules: Sequence[tuple[str, Rule]]) -> str:
    """Return the singular values of a gradient and of the updates that rules make of it.

    Gradients are a fixed matrix of falling spectrum plus noise; each spectrum is divided by its
    largest value.

    Args:
        rules: Names and rules for matrices.
    """
    noise = 0.002 * _noise(_STEPS, 1, _ROWS, _COLS)
    left, right = (np.linalg.qr(_noise(n, _COLS))[0] for n in (_ROWS, _COLS))
    falling = np.arange(1.0, _COLS + 1, dtype=np.float32) ** -1.5
    gradients = (left * falling) @ right.T + noise
    spectra = [("gradient", gradients[-1])]
    for name, rule in rules:
        update, _ = _step(rule, gradients[-1], _STEPS, _follow(rule, gradients[:-1]))
        spectra.append((name, update))
    lines: list[ChartLine] = []
    for number, (name, matrix) in enumerate(spectra):
        if not np.isfinite(matrix).all():
            continue
        values = np.linalg.svd(matrix[0].astype(np.float64), compute_uv=False)
        if values[0] <= 0.0:
            continue
        shares = np.maximum(values / values[0], 1e-4).tolist()
        kind = ("c5 dash", "c1", "c2", "c3")[min(number, 3)]
        lines.append(ChartLine(list(enumerate(shares, start=1)), name, kind))
    return chart(
        ChartAxis("singular value, by rank"), ChartAxis("share of the largest", log=True), (), lines
    )


def state_chart(rule: Rule) -> str:
    """Return states and update over the steps while the gradient's mean turns from 1 to -1.

    Of an elementwise rule means are drawn, of another one root mean squares: its states may be
    rotated. Gradients have noise of size 1.

    Args:
        rule: A rule with states.
    """
    means = np.repeat(_column((1.0, -1.0)).ravel(), _TURN).reshape(-1, 1, 1, 1)
    gradients = _noise(2 * _TURN, 1, _ROWS, _COLS) + means
    states = _zeros(rule, gradients[0])
    names = list(states)
    rows: dict[str, list[tuple[float, float]]] = {"gradient": [], "update": []}
    rows |= {name: [] for name in names if name not in rows}

    for step, gradient in enumerate(gradients, start=1):
        update, states = _step(rule, gradient, step, states)
        for name, array in {"gradient": gradient, "update": update, **states}.items():
            wide = np.asarray(array, np.float64)
            with np.errstate(all="ignore"):
                value = float(wide.mean() if rule.elementwise else np.sqrt(np.square(wide).mean()))
            # Neither infinite nor NaN, nor 0 where equal factors are equally far.
            if abs(value) < 1e30 and (rule.elementwise or value > 0):
                rows[name].append((float(step), value))
    kinds = {"gradient": "c5 dash", "update": "c1"}
    lines = [
        ChartLine(points, name, kinds.get(name, f"c{2 + i % 3}"))
        for i, (name, points) in enumerate(rows.items(), start=-2)
    ]
    up = ChartAxis("mean", level=0.0)
    up = up if rule.elementwise else ChartAxis("root mean square", log=True)
    return chart(ChartAxis("step", low=0.0), up, (), lines)


def _noise(*shape: int) -> _Array:
    """Return standard normal numbers, the same at each call."""
    return np.random.Generator(np.random.PCG64(0)).standard_normal(shape, np.float32)


def _column(means: Sequence[float]) -> _Array:
    return np.array(means, np.float32).reshape(1, -1, 1, 1)


def _zeros(rule: Rule, gradient: _Array) -> _States:
    """Return the states that a rule begins with on gradients (lanes, rows, columns)."""
    lanes, rows, columns = gradient.shape
    return {
        s.name: np.zeros((lanes, *s.shape.sizes(rows, columns)), np.float32) for s in rule.states
    }


def _follow(rule: Rule, gradients: _Array) -> _States:
    """Return the states after some gradients (steps, lanes, rows, columns)."""
    states = _zeros(rule, gradients[0])
    for step, gradient in enumerate(gradients, start=1):
        _, states = _step(rule, gradient, step, states)
    return states


def _step(rule: Rule, gradient: _Array, step: int, states: _States) -> tuple[_Array, _States]:
    """Return a rule's update of a parameter that is 0, and its next states."""
    free = rule.free
    values: dict[str, Any] = {"w": np.zeros_like(gradient), "g": gradient, **states}
    with np.errstate(all="ignore"):
        for statement in free.body:
            op = OPS[statement.op]
            arguments = [values[a] if isinstance(a, str) else a for a in statement.args]
            time = (float(step),) if op.uses_step else ()
            values[statement.target] = op.numpy(*arguments, *time)
    update = np.broadcast_to(values[free.update], gradient.shape)
    return update, {name: values[name] for name in states}
