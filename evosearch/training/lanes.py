"""Lanes: many small models trained side by side, each with its own rule and learning rate.

A lane is one model in training: (candidate, trial, seed). A pack is the lanes of several candidates
on one task, trained in lockstep: one batched forward and backward pass for all of them, then each
candidate's own update function over its own lanes. Weights and gradients of all lanes live in two
flat buffers (see `evosearch.training.layout`), so an elementwise rule is one call for all its
parameters in all its lanes.

A lane's result does not depend on the lanes beside it, to the last bit (on a CPU).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from evosearch.training.class_step import ClassStep
from evosearch.training.cuda_graphs import Graphs, Recorder, recording
from evosearch.training.cuda_streams import InTurns, Streams
from evosearch.training.lr_schedule import Clock, DeviceClock, HostClock
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.problem import Problem
from evosearch.training.update import LearningRates, UpdateRules, applications
from proxy_tasks.task import Task, Weights

__all__ = ["Entry", "LearningRates", "OnStep", "TaskFailed", "arithmetic", "rehearse", "train"]

LANES_A_SEED: Final = 24
"""So many lanes of one seed get their gradient on their own on a CPU, because they share a batch:
data that is copied for no lane saves more than the calls for another seed cost."""


class TaskFailed(Exception):
    """A task raised while lanes trained on it; which candidate's weights it could not bear is open.

    Its text begins with the word `task`, which no exception of a rule's does.
    """


@contextmanager
def _blamed(task: Task) -> Iterator[None]:
    """Say of an exception that it is the task's; what memory lacks is not."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        text = f"task {task.family} raised {type(error).__name__}: {error}"
        raise TaskFailed(text) from error


@dataclass(frozen=True)
class Entry:
    """What one candidate trains in a pack: its rules, at each of its trials, for every seed."""

    rules: UpdateRules | OptimizerClass
    """A program's, or a class, whose optimizers then go through the lanes one after another."""
    trials: tuple[LearningRates, ...]


OnStep = Callable[[int, Weights], None]
"""Is shown how many steps are done and the weights of all lanes, after each; it only reads them."""


def train(
    problem: Problem,
    entries: Sequence[Entry],
    watch: OnStep | None = None,
    *,
    record: Recorder | None = None,
) -> list[Tensor | Exception]:
    """Train one pack and return each entry's end values (trials, seeds), float64.

    A value that is not finite belongs to a lane that diverged. Where a rule's update raised, the
    exception stands in place of the values; the other entries are not affected. Where the task
    raised, nobody has values.

    Args:
        problem: The data; its device is where the lanes train.
        entries: The candidates.
        watch: Looks on.
        record: Turns the parts of a step into calls that repeat them. Unless it is given they are
            CUDA graphs on a GPU, with candidates side by side, and nothing of the kind on a CPU.

    Raises:
        TaskFailed: The task raised.
    """
    with arithmetic(), recording(problem.device) as graphs:
        return _train(problem, entries, watch, record or graphs)


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
    problem: Problem, entries: Sequence[Entry], watch: OnStep | None, record: Recorder | None
) -> list[Tensor | Exception]:
    task = problem.task
    classes = any(isinstance(entry.rules, OptimizerClass) for entry in entries)
    if classes and record is not None:
        raise ValueError("expected programs on a GPU, found a class: compare it on a CPU")
    with nullcontext() if classes else _quick(task):
        pack = _Training(problem, entries, resident=record is not None)
        keep: Recorder = record or (lambda work: work)
        gradient = keep(pack.gradient)
        update = (
            Streams(pack.updates, problem.device)
            if isinstance(record, Graphs)
            else InTurns([keep(update) for update in pack.updates])
        )
        failed: dict[int, Exception] = {}
        for step in range(task.steps):
            gradient()
            failed |= update()
            if watch is not None:
                watch(step + 1, pack.weights)

    validation = tuple(_lanes(data, pack.repeats) for data in problem.validation)
    with _blamed(task):
        values = task.evaluate(pack.weights, validation).double()
    return [
        failed.get(index, lanes.view(-1, problem.seeds))
        for index, lanes in enumerate(values.split(pack.counts))
    ]


def _quick(task: Task) -> AbstractContextManager[None]:
    """Return the mode to train in: without what autograd asks of each call, where it is not used.

    That is a seventh of the time of a call, and there are a hundred small ones in a step.
    """
    return torch.inference_mode() if task.inference else nullcontext()


class _Training:
    """Lanes in training: their buffers, and what a step does to them."""

    def __init__(self, problem: Problem, entries: Sequence[Entry], *, resident: bool) -> None:
        task, layout, seeds = problem.task, problem.layout, problem.seeds
        self.problem = problem
        self.repeats = sum(len(entry.trials) for entry in entries)
        self.counts = [len(entry.trials) * seeds for entry in entries]
        self.clock: Clock = (
            DeviceClock(task.steps, problem.device) if resident else HostClock(task.steps)
        )
        flat = problem.initial.repeat(self.repeats, 1)
        grad = torch.zeros_like(flat)
        self.weights = layout.views(flat)
        self.passes = [(slice(None), self.weights, layout.views(grad))]
        if seeds > 1 and self.repeats >= LANES_A_SEED and problem.device.type == "cpu":
            self.passes = [
                (slice(i, i + 1), layout.views(flat[i::seeds]), layout.views(grad[i::seeds]))
                for i in range(seeds)
            ]
        blocks = zip(entries, flat.split(self.counts), grad.split(self.counts), strict=True)
        self.updates = [self._update(entry, w, g) for entry, w, g in blocks]

    def gradient(self) -> None:
        """Begin a step: every lane's gradient on its next batch."""
        self.clock.tick()
        data = [self.clock.at(data) for data in self.problem.batches]
        with _blamed(self.problem.task):
            for seeds, weights, out in self.passes:
                batch = tuple(_lanes(part[seeds], self.repeats) for part in data)
                self.problem.task.gradient(weights, batch, out)

    def _update(self, entry: Entry, w: Tensor, g: Tensor) -> Callable[[], None]:
        """Return what moves a candidate's lanes, to be called after the gradient."""
        clock = self.clock
        if isinstance(entry.rules, OptimizerClass):
            try:
                optimizers = ClassStep(entry.rules, self.problem.layout, entry.trials, w, g)
            except RuntimeError as error:
                return partial(_fail, error)
            return lambda: optimizers.step(float(clock.decay))
        calls = list(applications(self.problem.layout, entry.rules, entry.trials, w, g))

        def update() -> None:
            for call in calls:
                call.step(clock.t, clock.decay)

        def update_in_place() -> None:
            for call in calls:
                call.step_in_place(clock.t, clock.decay)

        return update if isinstance(clock, HostClock) else update_in_place


def _fail(error: Exception) -> None:
    raise error


def _lanes(data: Tensor, repeats: int) -> Tensor:
    """Repeat (S, ...) to (repeats * S, ...); one seed's data is not copied."""
    if data.shape[0] == 1:
        return data.expand(repeats, *data.shape[1:])
    return data.repeat(repeats, *[1] * (data.dim() - 1))


def rehearse(problem: Problem, rules: UpdateRules | OptimizerClass, gradients: Tensor) -> Tensor:
    """Run rules over recorded gradients (K, P) at the first seed's initial weights, held fixed.

    Returns the last update as a buffer (1, P).
    """
    if isinstance(rules, OptimizerClass):
        with arithmetic():
            return ClassStep.rehearse(rules, problem.layout, problem.initial[:1], gradients)
    w = problem.initial[:1].clone()
    g, out = torch.empty_like(w), torch.zeros_like(w)
    with arithmetic():
        calls = list(
            applications(problem.layout, rules, (LearningRates(-1.0, -1.0),), w, g, out=out)
        )
        *first, last = gradients
        for t, gradient in enumerate(first, start=1):
            g.copy_(gradient)
            for call in calls:
                call.advance(float(t))
        g.copy_(last)
        for call in calls:
            call.step(float(len(gradients)), 1.0)
    return out
