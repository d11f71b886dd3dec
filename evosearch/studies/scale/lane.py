"""One training run of a scale test, with its loss curve."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from evosearch.storage.atomic_write import write_atomic
from evosearch.training.allocator import keep_freed_memory
from evosearch.training.evaluate import compile_text
from evosearch.training.job import TaskRef
from evosearch.training.lanes import Entry, LearningRates, train
from evosearch.training.problem import Problem
from evosearch.training.seeds import evaluation_seed
from proxy_tasks.registry import get
from proxy_tasks.task import Task, Weights

__all__ = ["Lane", "LaneResult", "seconds_per_lane", "train_lane"]

_EVALUATIONS: Final = 30
"""Along the loss curve of a test."""
_PROBE: Final = (2, 8)
"""Steps of two short runs, after one to warm up, whose difference in time is what steps cost."""


@dataclass(frozen=True)
class Lane:
    """A program trained at some learning rates on one seed of a task."""

    task: TaskRef
    run_seed: int
    program: str
    rates: LearningRates
    replicate: int
    test: bool
    """Whether it is reported, with its curve; else it only helps to choose."""

    @property
    def file(self) -> str:
        """The name of its file: of what it trains and on which seed, whoever asks for it."""
        digest = sha256(self.program.encode()).hexdigest()[:16]
        return f"{digest}_{self.rates.matrix:.5g}_{self.rates.rest:.5g}_{self.replicate}.json"

    @property
    def problem(self) -> Task:
        """The task itself."""
        return get(self.task.name, **self.task.overrides)

    def load(self, directory: Path) -> LaneResult | None:
        """Return what was kept of it; None where nothing was, or of other learning rates."""
        path = directory / self.file
        if not path.is_file():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        same = map(partial(math.isclose, rel_tol=1e-6), data["rates"], astuple(self.rates))
        return LaneResult.from_json(data) if all(same) else None

    def keep(self, directory: Path, result: LaneResult) -> None:
        """Write what became of it to its file."""
        data = {"rates": astuple(self.rates)} | result.to_json()
        write_atomic(directory / self.file, json.dumps(data) + "\n")


@dataclass(frozen=True)
class LaneResult:
    """What became of a lane."""

    curve: tuple[tuple[int, float], ...]
    """Steps done and the task's metric, NaN where not finite; the end alone where it is no test."""
    seconds: float
    """Processor time."""
    failure: str = ""
    """What the update raised."""

    @property
    def value(self) -> float:
        """The end value; infinite where the lane diverged or failed."""
        value = self.curve[-1][1] if self.curve else math.inf
        return value if math.isfinite(value) else math.inf

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        curve = [[step, loss if math.isfinite(loss) else None] for step, loss in self.curve]
        return {"curve": curve, "seconds": round(self.seconds, 3), "failure": self.failure}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LaneResult:
        """Read what `to_json` returned."""
        curve = tuple((step, math.nan if loss is None else loss) for step, loss in data["curve"])
        return cls(curve, data["seconds"], data["failure"])


def train_lane(lane: Lane) -> LaneResult:
    """Train one lane here."""
    keep_freed_memory()
    task = lane.problem
    seed = evaluation_seed(lane.run_seed, str(lane.task), lane.replicate)
    problem = Problem.of(task, (seed,))
    every = -(-task.steps // _EVALUATIONS)
    curve: list[tuple[int, float]] = []

    def watch(step: int, weights: Weights) -> None:
        if lane.test and step % every == 0 and step < task.steps:
            curve.append((step, float(task.evaluate(weights, problem.validation))))

    since = time.process_time()
    (values,) = train(problem, [Entry(compile_text(lane.program), (lane.rates,))], watch)
    seconds = time.process_time() - since
    if isinstance(values, Exception):
        return LaneResult((), seconds, f"{type(values).__name__}: {values}")
    return LaneResult((*curve, (task.steps, float(values))), seconds)


def seconds_per_lane(lane: Lane) -> float:
    """Return about how much processor time a lane takes, by a few steps of it."""
    task, rules, times = lane.problem, compile_text(lane.program), []
    for steps in (_PROBE[0], *_PROBE):
        problem = Problem.of(replace(task, steps=steps), (0,))
        since = time.process_time()
        train(problem, [Entry(rules, (lane.rates,))])
        times.append(time.process_time() - since)
    _, short, long = times
    step = max(0.0, long - short) / (_PROBE[1] - _PROBE[0])
    return short + step * (task.steps - _PROBE[0])
