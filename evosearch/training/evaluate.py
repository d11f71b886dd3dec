"""Evaluation: a job in, an outcome for each of its candidates out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from evosearch.equivalence.core import Core
from evosearch.errors import DataError
from evosearch.language.parse import parse_rules
from evosearch.training.allocator import keep_freed_memory
from evosearch.training.batching import TEMPORARIES, train_entries
from evosearch.training.job import Job, Outcome, Status, TaskRef, TaskResult, TrialResult
from evosearch.training.lanes import Entry, TaskFailed, arithmetic
from evosearch.training.layout import Layout
from evosearch.training.lr_grid import Grid, GridPoint, UpdateSize, measure, recorded
from evosearch.training.score import BOUND, Score, best_trial, combine, mean_score, paired
from evosearch.training.seeds import evaluation_seed
from evosearch.training.update import UpdateRules, state_entries
from proxy_tasks.task import Task

__all__ = ["Compile", "Lookup", "TunedProgram", "compile_text", "evaluate", "evaluate_baseline"]

_ROUNDING: Final = 1e-4
"""Of a loss in float32, relative and absolute."""

Compile = Callable[[str], UpdateRules]
"""Program text to update functions."""
Lookup = Callable[..., Task]
"""Task name and overrides to a task."""


def compile_text(text: str) -> UpdateRules:
    """Compile program text.

    Raises:
        ProgramError: The text is not a program.
    """
    from evosearch.training.codegen import compile_rules

    return compile_rules(parse_rules(text))


def _registered(name: str, **overrides: object) -> Task:
    from proxy_tasks.registry import get

    return get(name, **overrides)


@dataclass
class _Lanes:
    """A candidate on its way through the stages."""

    rules: UpdateRules
    core: Core | None = None
    status: Status = Status.OK
    message: str = ""
    tier: int = 0
    scores: list[Score] = field(default_factory=list)
    results: list[TaskResult] = field(default_factory=list)

    def fail(self, status: Status, message: str) -> None:
        self.status, self.message = status, message

    def catch(self, error: Exception) -> None:
        told = isinstance(error, TaskFailed)
        text = str(error) if told else f"{type(error).__name__}: {error}"
        memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
            "can't allocate memory" in text
        )
        self.fail(Status.MEMORY if memory else Status.RAISED, text)

    def outcome(self) -> Outcome:
        failed = self.status is not Status.OK or not self.scores
        total = Score(-BOUND, None) if failed else combine(self.scores)
        results = tuple(self.results)
        return Outcome(
            self.status, self.message, self.tier, total.mean, total.se, results, self.core
        )


def evaluate(
    job: Job,
    *,
    compile_rules: Compile = compile_text,
    lookup: Lookup = _registered,
    device: str = "cpu",
) -> tuple[Outcome, ...]:
    """Return the outcome of each of a job's candidates, in their order.

    Lanes train on the device; update sizes are measured on the CPU, so grids are the same anywhere.

    Raises:
        ProgramError: A candidate's text is not a program.
        ValueError: There is no such task, or a setting it does not have.
        DataError: A task fails whatever the candidate, or its floor is wrong.
    """
    keep_freed_memory()
    candidates = [_candidate(text, job.shrink, compile_rules) for text in job.candidates]
    with arithmetic():
        alive = candidates
        for tier, stage in enumerate(job.stages):
            for candidate in alive:
                candidate.tier = tier
            for ref in stage.tasks:
                alive = [c for c in alive if c.status is Status.OK]
                _run_task(job, ref, lookup(ref.name, **ref.overrides), alive, device)
            n = len(stage.tasks)
            alive = [
                c
                for c in alive
                if c.status is Status.OK and combine(c.scores[-n:]).mean >= stage.hurdle
            ]
    return tuple(candidate.outcome() for candidate in candidates)


def _candidate(text: str, shrink: bool, compile_rules: Compile) -> _Lanes:
    core = Core.of(parse_rules(text)) if shrink else None
    return _Lanes(compile_rules(core.text if core else text), core)


@dataclass(frozen=True)
class TunedProgram:
    """An optimizer's tuned end values on a task, which others are compared with."""

    values: tuple[float, ...]
    """End value of each replicate, at the best trial."""
    trials: tuple[tuple[TrialResult, ...], ...]
    """All trials of each replicate."""
    best: int
    edge: bool


def evaluate_baseline(
    text: str,
    task: TaskRef,
    replicates: Sequence[int],
    run_seed: int,
    grid: Grid,
    *,
    compile_rules: Compile = compile_text,
    lookup: Lookup = _registered,
    device: str = "cpu",
) -> TunedProgram:
    """Tune an optimizer on a task exactly as candidates are, with the same trials.

    Raises:
        DataError: It fails on the task, so it cannot be a baseline, or the task's floor is wrong.
    """
    candidate = _Lanes(compile_rules(text))
    with arithmetic():
        problem = lookup(task.name, **task.overrides)
        seeds = [evaluation_seed(run_seed, str(task), r) for r in replicates]
        (tuned,) = _tune(problem, seeds, grid, [candidate], 1 << 40, device=device)
    if tuned is None or not all(math.isfinite(v) for v in tuned.values[tuned.best]):
        failed = candidate.message or "no learning rate gave a finite value"
        raise DataError(
            f"AdamW, which all are compared with, fails on task {task}: {failed}. Correct "
            "the task, or take another one"
        )
    _require_floor(str(task), tuned.values[tuned.best], problem.floor)
    rows = tuple(tuned.rows(seed) for seed in range(len(seeds)))
    return TunedProgram(tuple(tuned.values[tuned.best]), rows, tuned.best, tuned.edge)


def _run_task(
    job: Job, ref: TaskRef, task: Task, candidates: Sequence[_Lanes], device: str
) -> None:
    """Add one task's results to each candidate."""
    key = str(ref)
    seeds = [evaluation_seed(job.run_seed, key, r) for r in job.replicates]
    tuned = _tune(task, seeds, job.grid, candidates, job.memory_limit, device=device)
    for candidate, result in zip(candidates, tuned, strict=True):
        if result is None:
            continue
        _require_floor(key, result.values[result.best], task.floor)
        scores = paired(result.values[result.best], job.references[key], task.floor, ref.elasticity)
        candidate.scores.append(mean_score(scores))
        candidate.results += [
            TaskResult(key, replicate, seed, score, result.best, result.edge, result.rows(i))
            for i, (replicate, seed, score) in enumerate(
                zip(job.replicates, seeds, scores, strict=True)
            )
        ]
        if not any(math.isfinite(v) for row in result.values for v in row):
            candidate.fail(Status.DIVERGED, f"no finite value on task {key}")


def _require_floor(task: str, values: Sequence[float], floor: float) -> None:
    """Check that no end value is below what no optimizer can beat, but for rounding.

    Raises:
        DataError: One is, so the floor is wrong, and every score with it.
    """
    lowest = min(values)
    if lowest < floor - _ROUNDING * (1.0 + abs(floor)):
        raise DataError(
            f"task {task} ended at {lowest:g}, below its floor of {floor:g}, which no optimizer "
            "can beat: scores would mean nothing. Correct the task's `floor`, or have it measure "
            "a loss that cannot be negative"
        )


@dataclass
class _TunedLanes:
    """One candidate's trials on one task."""

    rules: UpdateRules
    size: UpdateSize
    grid: Grid
    step_size: float
    floor: float
    pending: tuple[GridPoint, ...]
    points: list[GridPoint] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    """End values (trials, seeds)."""

    @property
    def best(self) -> int:
        return best_trial(self.values, self.floor)

    @property
    def edge(self) -> bool:
        return bool(self.grid.outside(self.points[self.best], self.points, self.size))

    def entry(self) -> Entry:
        trials = (self.grid.trial(p, self.size, self.step_size) for p in self.pending)
        return Entry(self.rules, tuple(trials))

    def add(self, values: Tensor) -> None:
        """Add the end values (trials, seeds) of the pending points, and find the next ones."""
        self.points += self.pending
        self.values += values.tolist()
        self.pending = self.grid.beyond(self.points[self.best], self.points, self.size)

    def rows(self, seed: int) -> tuple[TrialResult, ...]:
        rows: list[TrialResult] = []
        for point, values in zip(self.points, self.values, strict=True):
            trial, value = self.grid.trial(point, self.size, self.step_size), values[seed]
            finite = value if math.isfinite(value) else None
            lr = trial.matrix or trial.rest
            rows.append(TrialResult(lr, trial.rest, self.grid.ratio(point), finite))
        return tuple(rows)


def _tune(
    task: Task,
    seeds: Sequence[int],
    grid: Grid,
    candidates: Sequence[_Lanes],
    memory_limit: int,
    *,
    device: str,
) -> list[_TunedLanes | None]:
    """Train each candidate's grid and its extensions; None for one that failed, with its status."""
    try:
        recorded(task)
    except MemoryError:
        raise
    except Exception as error:  # at its initial weights, which are no candidate's doing
        raise DataError(
            f"task {task.family} raised {type(error).__name__}: {error}, at its initial weights; "
            "with --debug before the command there is a traceback"
        ) from error
    tunings = [_begin(task, grid, c, memory_limit) for c in candidates]
    for _ in range(1 + grid.extensions):
        active = [i for i, tuning in enumerate(tunings) if tuning is not None and tuning.pending]
        entries = [tuning.entry() for i in active if (tuning := tunings[i]) is not None]
        results = train_entries(task, seeds, entries, device)
        for index, values in zip(active, results, strict=True):
            tuning = tunings[index]
            if isinstance(values, Exception):
                candidates[index].catch(values)
                tunings[index] = None
            elif tuning is not None:
                tuning.add(values)
    return tunings


def _begin(task: Task, grid: Grid, candidate: _Lanes, memory_limit: int) -> _TunedLanes | None:
    """Measure a rule and set up its first trials; None where it need not be trained."""
    layout = Layout.of(task)
    states = state_entries(layout, candidate.rules)
    lane = 4 * ((2 + TEMPORARIES) * layout.size + 2 * states)
    need = lane * grid.rates * len(grid.ratios)
    if need > memory_limit:
        message = f"needs about {need >> 20} MiB on task {task.family}; the limit is "
        candidate.fail(Status.MEMORY, f"{message}{memory_limit >> 20} MiB")
        return None
    try:
        size = measure(candidate.rules, task)
    except Exception as error:  # a candidate's failure is its result
        candidate.catch(error)
        return None
    if size.degenerate:
        parts = f"matrices {size.matrix}, others {size.rest}"
        candidate.fail(Status.DEGENERATE, f"update size on task {task.family}: {parts}")
        return None
    return _TunedLanes(candidate.rules, size, grid, task.step_size, task.floor, grid.points(size))
