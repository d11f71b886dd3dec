"""Lanes: many small models trained side by side, each with its own rule and learning rate.

A lane is one model in training: (candidate, trial, seed). A pack is the lanes of several candidates
on one task, trained in lockstep: one batched forward and backward pass for all of them, then each
candidate's own update function over its own lanes. Weights and gradients of all lanes live in two
flat buffers (see `evosearch.layout`), so an elementwise rule is one call for all its parameters in
all its lanes.

A lane's result does not depend on the lanes beside it, to the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from evosearch.layout import Layout
from evosearch.problem import Problem
from primitives.shape import Shape
from proxy_tasks.task import Weights

__all__ = [
    "Entry",
    "Trial",
    "UpdateRule",
    "UpdateRules",
    "Watch",
    "arithmetic",
    "rehearse",
    "state_entries",
    "train",
]


class UpdateRule(Protocol):
    """One rule as a function on tensors; `evosearch.generate` makes them from programs."""

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

        Leading dimensions are lanes and matrices of a stack; `t` is the step number, from 1. It
        only reads w and g; the states are its own, and it may overwrite and return their memory.
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
class Trial:
    """Learning rates at the first step; both decay linearly to zero."""

    matrix: float
    """Learning rate of the hidden matrices."""
    rest: float
    """Learning rate of all other parameters."""


@dataclass(frozen=True)
class Entry:
    """What one candidate trains in a pack: its rules, at each of its trials, for every seed."""

    rules: UpdateRules
    trials: tuple[Trial, ...]


Watch = Callable[[int, Weights], None]
"""Is shown how many steps are done and the weights of all lanes, which it only reads."""


def train(
    problem: Problem, entries: Sequence[Entry], watch: Watch | None = None
) -> list[Tensor | Exception]:
    """Train one pack and return each entry's end values (trials, seeds), float64.

    A value that is not finite belongs to a lane that diverged. Where a rule's update raised, the
    exception stands in place of the values; the other entries are not affected.
    """
    with arithmetic():
        return _train(problem, entries, watch)


@contextmanager
def arithmetic() -> Iterator[None]:
    """Fix what results depend on beside their inputs, and restore it afterwards.

    One thread, because sums depend on how they are split and a worker owns one core; subnormal
    numbers flushed to zero, because decayed momenta are full of them and slow a CPU ten times.
    """
    threads, flushed = torch.get_num_threads(), sys.float_info.min / 2 == 0.0
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)


def _train(
    problem: Problem, entries: Sequence[Entry], watch: Watch | None
) -> list[Tensor | Exception]:
    task, layout = problem.task, problem.layout
    counts = [len(entry.trials) * problem.seeds for entry in entries]
    repeats = sum(len(entry.trials) for entry in entries)
    flat = problem.initial.repeat(repeats, 1)
    grad = torch.zeros_like(flat)
    weights, gradients = layout.views(flat), layout.views(grad)

    running: dict[int, list[_Application]] = {}
    outcome: list[Tensor | Exception] = [torch.empty(0)] * len(entries)
    rows = zip(flat.split(counts), grad.split(counts), strict=True)
    for index, (entry, (w, g)) in enumerate(zip(entries, rows, strict=True)):
        running[index] = list(_applications(problem, entry, w, g, w))

    for step in range(task.steps):
        batch = tuple(_lanes(data[step], repeats) for data in problem.batches)
        task.gradient(weights, batch, gradients)
        decay = 1 - step / task.steps
        for index in list(running):
            try:
                for application in running[index]:
                    application.step(float(step + 1), decay)
            except Exception as error:  # a candidate's failure is its result
                outcome[index] = error
                del running[index]
        if watch is not None:
            watch(step + 1, weights)

    values = task.evaluate(weights, tuple(_lanes(data, repeats) for data in problem.examination))
    for index, lanes in enumerate(values.double().split(counts)):
        if index in running:
            outcome[index] = lanes.view(-1, problem.seeds)
    return outcome


def _lanes(data: Tensor, repeats: int) -> Tensor:
    """Repeat (S, ...) to (repeats * S, ...); one seed's data is not copied."""
    if data.shape[0] == 1:
        return data.expand(repeats, *data.shape[1:])
    return data.repeat(repeats, *[1] * (data.dim() - 1))


class _Application:
    """One rule over one block of weights, with its states."""

    def __init__(
        self, rule: UpdateRule, w: Tensor, g: Tensor, states: list[Tensor], targets: list[_Target]
    ) -> None:
        self.update = rule.update
        self.w, self.g, self.states = w, g, states
        self.targets = targets
        self.borrowed: list[int] | None = None

    def advance(self, t: float) -> Tensor:
        """Update the states and return the update of step `t`."""
        u, *states = self.update(self.w, self.g, t, *self.states)
        if self.borrowed is None:
            # A rule may return its input as a state, but the buffers of w and g are overwritten.
            shared = {x.untyped_storage().data_ptr() for x in (self.w, self.g)}
            self.borrowed = [
                i for i, s in enumerate(states) if s.untyped_storage().data_ptr() in shared
            ]
        for i in self.borrowed:
            states[i] = states[i].clone()
        self.states = states
        return u

    def step(self, t: float, decay: float) -> None:
        """Advance and move the weights."""
        u = self.advance(t)
        for weights, rate, columns in self.targets:
            weights.addcmul_(u if columns is None else u[:, columns], rate, value=-decay)


_Target = tuple[Tensor, Tensor, slice | None]
"""Weights to move, their learning rates (broadcasting), and the columns of the update they take."""


def _applications(
    problem: Problem, entry: Entry, w: Tensor, g: Tensor, out: Tensor
) -> Iterator[_Application]:
    """Yield the calls that update an entry's lanes in `out`, as few as its rules allow."""
    rules, layout = entry.rules, problem.layout
    lanes_per_trial = w.shape[0] // len(entry.trials)
    rates = torch.tensor([(t.matrix, t.rest) for t in entry.trials], dtype=torch.float64)
    columns = rates.to(w.dtype).repeat_interleave(lanes_per_trial, 0).unbind(1)
    parts = list(zip((rules.matrix, rules.rest), layout.regions, columns, strict=True))
    if rules.matrix == rules.rest and rules.matrix.elementwise:
        targets: list[_Target] = [
            (region.slice(out), rate[:, None], slice(region.start, region.stop))
            for _, region, rate in parts
            if region.size
        ]
        states = [torch.zeros_like(w) for _ in rules.matrix.states]
        yield _Application(rules.matrix, w, g, states, targets)
        return
    for rule, region, rate in parts:
        if rule.elementwise and region.size:
            part = region.slice(w)
            states = [torch.zeros_like(part) for _ in rule.states]
            target = (region.slice(out), rate[:, None], None)
            yield _Application(rule, part, region.slice(g), states, [target])
        elif not rule.elementwise:
            for stack in region.stacks:
                states = [
                    w.new_zeros(w.shape[0], stack.count, *shape.sizes(stack.rows, stack.cols))
                    for shape in rule.states
                ]
                target = (stack.view(out), rate[:, None, None, None], None)
                yield _Application(rule, stack.view(w), stack.view(g), states, [target])


def rehearse(problem: Problem, rules: UpdateRules, gradients: Tensor) -> Tensor:
    """Run rules over recorded gradients (K, P) at the first seed's initial weights, held fixed.

    Returns the last update as a buffer (1, P).
    """
    w = problem.initial[:1].clone()
    g, out = torch.empty_like(w), torch.zeros_like(w)
    entry = Entry(rules, (Trial(-1.0, -1.0),))
    with arithmetic():
        applications = list(_applications(problem, entry, w, g, out))
        *first, last = gradients
        for t, gradient in enumerate(first, start=1):
            g.copy_(gradient)
            for application in applications:
                application.advance(float(t))
        g.copy_(last)
        for application in applications:
            application.step(float(len(gradients)), 1.0)
    return out


def state_entries(layout: Layout, rules: UpdateRules) -> int:
    """Return how many entries of state one lane has under these rules."""
    total = 0
    for rule, region in zip((rules.matrix, rules.rest), layout.regions, strict=True):
        for shape in rule.states:
            total += sum(stack.entries(shape) for stack in region.stacks)
    return total
