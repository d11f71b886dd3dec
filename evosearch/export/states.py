"""The names of a rule's states, as the optimizers of torch call them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

from evosearch.export.dataflow import Flow
from evosearch.language.rule import Rule, State
from primitives.op import Law
from primitives.shape import COLUMNWISE, ROWWISE, Shape

__all__ = ["conventional"]

_ENDINGS: Final[dict[Shape, str]] = {ROWWISE: "_row", COLUMNWISE: "_col"}
"""What follows the name of a state that has one entry a row, or one a column."""


def conventional(rule: Rule) -> Rule:
    """Return the rule with states that are called what they are, if they are something known.

    A running average of the gradient is ``exp_avg``, of its squares ``exp_avg_sq``; the only
    average of a rule for matrices, and what a heavy ball has gathered, is ``momentum_buffer``.
    """
    flow = Flow.of(rule)
    roles: list[str] = []
    for (start, end), state in zip(flow.states, rule.states, strict=True):
        role = _role(flow, start, end, alone=not rule.elementwise and len(rule.states) == 1)
        roles.append(role + _ENDINGS.get(state.shape, "") if role else state.name)
    counts = Counter(roles)
    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for state, role in zip(rule.states, roles, strict=True):
        seen[role] += 1
        names[state.name] = role if counts[role] == 1 else f"{role}{seen[role]}"
    taken = {s.target for s in rule.body} | {s.name for s in rule.states}
    if any(new in taken for old, new in names.items() if new != old):
        return rule

    def called(name: str) -> str:
        return names.get(name, name)

    return replace(
        rule,
        states=tuple(State(called(state.name), state.shape) for state in rule.states),
        body=tuple(
            replace(
                s,
                target=called(s.target),
                args=tuple(called(a) if isinstance(a, str) else a for a in s.args),
            )
            for s in rule.body
        ),
        update=called(rule.update),
    )


def _role(flow: Flow, start: int, end: int, *, alone: bool) -> str:
    """Return what a state is called, or nothing where the field has no name for it."""
    node = flow.nodes[end]
    if node.op is None or node.op.name not in ("lerp", "heavy_ball") or start not in node.reads:
        return ""
    others = [flow.nodes[x] for x in node.reads if x != start]
    squares = any(x.op is not None and Law.NONNEGATIVE in x.op.exact_laws for x in others)
    if node.op.name == "heavy_ball":
        return "" if squares else "momentum_buffer"
    if squares:
        return "exp_avg_sq"
    return "momentum_buffer" if alone else "exp_avg"
