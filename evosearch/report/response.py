"""What a rule does to a gradient, computed from the rule alone.

An elementwise rule is shown as a function: after a hundred gradients of some mean, with noise of
size 1, which update does the next gradient bring? A rule for matrices is shown by what it does to
singular values: a gradient with a falling spectrum goes in, and the update's spectrum comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from evosearch.runs.svg import ChartAxis, ChartLine, chart

if TYPE_CHECKING:
    from torch import Tensor

    from evosearch.language.rule import Rule

__all__ = ["response_chart", "spectrum_chart", "state_chart"]

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
    import torch

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(_HISTORY, 1, _HISTORIES, 1, generator=generator)
    means = torch.tensor(_MEANS).view(1, -1, 1, 1)
    states = _follow(rule, list(noise + means))
    last = torch.linspace(-_SPAN, _SPAN, _POINTS)
    shape = (len(_MEANS), _HISTORIES, _POINTS)
    update = _update(
        rule,
        last.view(1, 1, -1).expand(shape).contiguous(),
        _HISTORY + 1,
        [state.expand(shape).contiguous() for state in states],
    )
    middle = update.mean(dim=1).double()
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
    import torch

    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(_ROWS, _COLS, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(_COLS, _COLS, generator=generator))
    falling = torch.arange(1, _COLS + 1).float().pow(-1.5)
    signal = left @ torch.diag(falling) @ right.T
    noise = torch.randn(_STEPS, _ROWS, _COLS, generator=generator) * 0.002
    gradients = list((signal + noise)[:, None])
    spectra = [("gradient", gradients[-1])]
    for name, rule in rules:
        *before, last = gradients
        states = _follow(rule, before)
        spectra.append((name, _update(rule, last, _STEPS, states)))
    lines: list[ChartLine] = []
    for number, (name, matrix) in enumerate(spectra):
        values = torch.linalg.svdvals(matrix[0].double())
        if not bool(values.isfinite().all()) or float(values[0]) <= 0.0:
            continue
        shares = (values / values[0]).clamp(min=1e-4).tolist()
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
    import torch

    from evosearch.training.codegen import compile_rule

    compiled = compile_rule(rule)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2 * _TURN, 1, _ROWS, _COLS, generator=generator)
    means = torch.ones(2 * _TURN).index_fill(0, torch.arange(_TURN, 2 * _TURN), -1.0)
    states = [noise.new_zeros(1, *s.sizes(_ROWS, _COLS)) for s in compiled.states]
    names = [state.name for state in rule.states]
    rows: dict[str, list[tuple[float, float]]] = {"gradient": [], "update": []}
    rows |= {name: [] for name in names if name not in rows}

    def size(tensor: Tensor) -> float:
        return float(tensor.mean() if rule.elementwise else tensor.square().mean().sqrt())

    for step in range(1, 2 * _TURN + 1):
        gradient = noise[step - 1] + means[step - 1]
        update, *states = compiled.update(gradient * 0.0, gradient, float(step), *states)
        shown = {"gradient": gradient, "update": update, **dict(zip(names, states, strict=True))}
        for name, tensor in shown.items():
            value = size(tensor)
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


def _follow(rule: Rule, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Return the states after some gradients (lanes, rows, columns), the parameter being 0."""
    from evosearch.training.codegen import compile_rule

    compiled = compile_rule(rule)
    lanes, rows, columns = gradients[0].shape
    states = [gradients[0].new_zeros(lanes, *s.sizes(rows, columns)) for s in compiled.states]
    for step, gradient in enumerate(gradients, start=1):
        _, *states = compiled.update(gradient * 0.0, gradient, float(step), *states)
    return states


def _update(rule: Rule, gradient: Tensor, step: int, states: Sequence[Tensor]) -> Tensor:
    from evosearch.training.codegen import compile_rule

    return compile_rule(rule).update(gradient * 0.0, gradient, float(step), *states)[0]
