"""The reference semantics of a rule: one statement after another, in torch.

Slow and plain on purpose. The generated source, the fingerprint, simplification and exported
optimizers are all tested against it.
"""

from __future__ import annotations

from torch import Tensor, where, zeros

from evosearch.language.rule import Rule
from primitives.table import OPS

__all__ = ["descended", "initial_states", "run"]


def initial_states(rule: Rule, w: Tensor) -> tuple[Tensor, ...]:
    """Return zero states for a parameter w of shape (..., m, n)."""
    *lanes, m, n = w.shape
    return tuple(
        zeros((*lanes, *state.shape.sizes(m, n)), dtype=w.dtype, device=w.device)
        for state in rule.states
    )


def descended(rule: Rule, w: Tensor, update: Tensor, lr: float) -> Tensor:
    """Return the weights (..., m, n) after a step by an update, at what they keep."""
    v = w - lr * update
    if not rule.keeps:
        return v
    size = OPS[rule.keeps].function
    before, after = size(w), size(v)
    return v * where((before == 0) | (after == 0), 1.0, before / after)


def run(
    rule: Rule, w: Tensor, g: Tensor, t: float, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (update, new states) of step t (from 1) for a parameter w (..., m, n)."""
    values: dict[str, Tensor] = {"w": w, "g": g}
    values.update(zip((state.name for state in rule.states), states, strict=True))
    for statement in rule.body:
        arguments = (values[a] if isinstance(a, str) else a for a in statement.args)
        values[statement.target] = OPS[statement.op].function(*arguments, t=t, w=w)
    return values[rule.update], tuple(values[state.name] for state in rule.states)
