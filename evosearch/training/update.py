"""Rules at work: calls of update functions over blocks of weights, as few as the rules allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from evosearch.training.layout import Layout
from primitives.kernels import kept
from primitives.shape import Shape

__all__ = [
    "Application",
    "LearningRates",
    "UpdateRule",
    "UpdateRules",
    "applications",
    "state_entries",
]


class UpdateRule(Protocol):
    """One rule as a function on tensors; `evosearch.training.codegen` makes them from programs."""

    @property
    def states(self) -> tuple[Shape, ...]:
        """Shapes of the states, which start at zero."""
        ...

    @property
    def elementwise(self) -> bool:
        """Whether each entry is updated alone, so that one call may serve many parameters."""
        ...

    @property
    def update(self) -> Any:
        """A function ``(w, g, t, *states) -> (u, *states)`` on tensors (..., m, n).

        Leading dimensions are lanes and matrices of a stack; `t` is the step number, from 1: a
        number, or a tensor without dimensions. It only reads w and g; the states are its own, and
        it may overwrite and return their memory.
        """
        ...

    @property
    def kept(self) -> Callable[[Tensor], Tensor] | None:
        """A function of the weights (..., m, n) that says what they keep while they move."""
        ...

    def bound(self, w: Tensor, g: Tensor, states: list[Tensor]) -> Callable[[float], Tensor] | None:
        """Return what does the same as `update` to these tensors again and again, but quicker.

        A function of the step number that updates the states in place and returns the update; None
        where there is none.
        """
        ...


class UpdateRules(Protocol):
    """A rule for hidden matrices and one for all other parameters."""

    @property
    def matrix(self) -> UpdateRule:
        """The rule for hidden matrices."""
        ...

    @property
    def rest(self) -> UpdateRule:
        """The rule for the other parameters: elementwise, or at least indifferent to rank."""
        ...


@dataclass(frozen=True)
class LearningRates:
    """Learning rates at the first step; both decay linearly to zero."""

    matrix: float
    """Learning rate of the hidden matrices."""
    rest: float
    """Learning rate of all other parameters."""


_Destination = tuple[Tensor, Tensor, slice | None]
"""Weights to move, their learning rates (broadcasting), and the columns of the update they take."""


class Application:
    """One rule over one block of weights, with its states."""

    def __init__(
        self,
        rule: UpdateRule,
        w: Tensor,
        g: Tensor,
        states: list[Tensor],
        targets: list[_Destination],
    ) -> None:
        self._update = rule.update
        self._bound = rule.bound(w, g, states)
        self._w, self._g, self._states = w, g, states
        self._targets = targets
        self._kept = rule.kept
        self._borrowed: list[int] | None = None

    def advance(self, t: float | Tensor) -> Tensor:
        """Update the states and return the update of step `t`."""
        if self._bound is not None and not isinstance(t, Tensor):
            return self._bound(t)
        u, *states = self._update(self._w, self._g, t, *self._states)
        if self._borrowed is None:
            # A rule may return its input as a state, but the buffers of w and g are overwritten.
            shared = {_memory(self._w), _memory(self._g)}
            self._borrowed = [i for i, s in enumerate(states) if _memory(s) in shared]
        for i in self._borrowed:
            states[i] = states[i].clone()
        self._states = states
        return u

    def step(self, t: float | Tensor, decay: float | Tensor) -> None:
        """Advance and move the weights."""
        u = self.advance(t)
        for weights, rate, columns in self._targets:
            part = u if columns is None else u[:, columns]
            before = None if self._kept is None else self._kept(weights)
            if isinstance(decay, Tensor):
                weights.addcmul_(part, rate * decay, value=-1)
            else:
                weights.addcmul_(part, rate, value=-decay)
            if self._kept is not None and before is not None:
                weights.copy_(kept(weights, before, self._kept(weights)))

    def step_in_place(self, t: float | Tensor, decay: float | Tensor) -> None:
        """Step, and leave the states in the memory where they were.

        What is recorded once and repeated, as a CUDA graph is, finds them there again.
        """
        homes = self._states
        self.step(t, decay)
        taken = {_memory(home) for home in homes}
        moved = [(home, s) for home, s in zip(homes, self._states, strict=True) if s is not home]
        values = [s.clone() if _memory(s) in taken else s for _, s in moved]
        for (home, _), value in zip(moved, values, strict=True):
            home.copy_(value)
        self._states = homes


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def applications(
    layout: Layout,
    rules: UpdateRules,
    trials: Sequence[LearningRates],
    w: Tensor,
    g: Tensor,
    *,
    out: Tensor | None = None,
) -> Iterator[Application]:
    """Yield the calls that update one candidate's lanes.

    Args:
        layout: Of the buffers' columns.
        rules: The candidate's.
        trials: Their learning rates; each has equally many lanes, one trial after another.
        w: Weights (L, P).
        g: Gradients (L, P).
        out: Weights to move in the place of `w`, (L, P).
    """
    out = w if out is None else out
    rates = torch.tensor([(t.matrix, t.rest) for t in trials], dtype=torch.float64)
    rates = rates.to(w.dtype).repeat_interleave(w.shape[0] // len(trials), 0).to(w.device)
    parts = list(zip((rules.matrix, rules.rest), layout.regions, rates.unbind(1), strict=True))
    if rules.matrix == rules.rest and rules.matrix.elementwise:
        targets: list[_Destination] = [
            (region.slice(out), rate[:, None], slice(region.start, region.stop))
            for _, region, rate in parts
            if region.size
        ]
        states = [torch.zeros_like(w) for _ in rules.matrix.states]
        yield Application(rules.matrix, w, g, states, targets)
        return
    for rule, region, rate in parts:
        if rule.elementwise and region.size:
            part = region.slice(w)
            states = [torch.zeros_like(part) for _ in rule.states]
            target = (region.slice(out), rate[:, None], None)
            yield Application(rule, part, region.slice(g), states, [target])
        elif not rule.elementwise:
            for stack in region.stacks:
                states = [
                    w.new_zeros(w.shape[0], stack.count, *shape.sizes(stack.rows, stack.cols))
                    for shape in rule.states
                ]
                target = (stack.view(out), rate[:, None, None, None], None)
                yield Application(rule, stack.view(w), stack.view(g), states, [target])


def state_entries(layout: Layout, rules: UpdateRules) -> int:
    """Return how many entries of state one lane has under these rules."""
    total = 0
    for rule, region in zip((rules.matrix, rules.rest), layout.regions, strict=True):
        for shape in rule.states:
            total += sum(stack.entries(shape) for stack in region.stacks)
    return total
