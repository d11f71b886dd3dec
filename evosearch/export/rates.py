"""Default learning rates of exported optimizers: about AdamW's, whatever the size of the updates.

A search tunes rates on models of a few thousand parameters, where large ones win; the file must not
diverge on an ordinary model. So the size of the entries of a rule's updates is measured, and the
rate makes a step as long as AdamW's at 1e-3 is.
"""

from __future__ import annotations

from typing import Final

import torch

from evosearch.export.hyper import NamedRule, Scale
from evosearch.language.rule import Rule
from evosearch.training.codegen import CompiledRule, compile_rule

__all__ = ["ADAMW", "RMS", "default_lr"]

ADAMW: Final = 1e-3
"""The rate of AdamW on an ordinary model."""
RMS: Final = 0.2
"""Root of the mean square of AdamW's updates, after Liu et al. 2025, arxiv.org/abs/2502.16982."""

_SIZE: Final = 64
_STEPS: Final = 20
_GRADIENT: Final = 1e-2
"""The size of a gradient's entries, for a rule whose updates neither follow it nor ignore it."""
_GRADIENT_RATE: Final = 0.1
"""The rate of updates that follow the gradient, as of torch.optim.SGD in common recipes."""


def default_lr(named: NamedRule) -> float:
    """Return a learning rate for ordinary models, rounded to 1, 2 or 5 times a power of ten.

    An orthogonalized matrix is scaled to AdamW's size where it is applied, so it has AdamW's rate.
    """
    if named.scale is not Scale.OTHER:
        return ADAMW
    rule = named.flow.rule
    size, double = _update_size(rule, _GRADIENT), _update_size(rule, 2 * _GRADIENT)
    if not 0 < size < float("inf"):
        return ADAMW
    if 1.8 < double / size < 2.2:
        return _rounded(_GRADIENT_RATE * _GRADIENT / _update_size(rule, _GRADIENT, constant=True))
    rate = ADAMW * RMS / size
    return ADAMW if ADAMW / 2.5 < rate < 2.5 * ADAMW else _rounded(rate)


def _update_size(rule: Rule, gradient: float, *, constant: bool = False) -> float:
    """Return the root of the mean square of the last of some updates by noise of a size.

    Args:
        rule: the rule.
        gradient: the size of the gradient's entries.
        constant: whether the gradient is the same in every step.
    """
    generator = torch.Generator().manual_seed(0)

    def draw() -> torch.Tensor:
        return torch.randn(_SIZE, _SIZE, generator=generator, dtype=torch.float64)

    compiled: CompiledRule = compile_rule(rule)
    w, g = draw() / _SIZE**0.5, gradient * draw()
    states = [w.new_zeros(shape.sizes(_SIZE, _SIZE)) for shape in compiled.states]
    u = torch.zeros_like(w)
    for t in range(1, _STEPS + 1):
        u, *states = compiled.update(w, g, float(t), *states)
        g = g if constant else gradient * draw()
    return u.expand_as(w).square().mean().sqrt().item()


def _rounded(rate: float) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten, by ratio."""
    exponent = int(f"{rate:e}".partition("e")[2])
    choices = [float(f"{digit}e{exponent + k}") for k in (-1, 0, 1) for digit in (1, 2, 5)]
    return min(choices, key=lambda x: max(x / rate, rate / x))
