"""Jobs and outcomes: what crosses the border between the search and its evaluators.

Both are plain immutable data with a JSON form. An outcome is a function of its job alone: not of
the machine's load, of how many workers there are, or of which other candidates the job holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from evosearch.equivalence.core import Core
from evosearch.storage.json_record import JsonRecord
from evosearch.training.lr_grid import Grid
from evosearch.training.score import BOUND

__all__ = ["Job", "Outcome", "Stage", "Status", "TaskRef", "TaskResult", "TrialResult"]


class Status(StrEnum):
    """What became of a candidate."""

    OK = "ok"
    DEGENERATE = "degenerate"  # its update is zero or not finite before any training
    DIVERGED = "diverged"  # no learning rate of a task's grid gave a finite value
    RAISED = "raised"  # its update raised an exception
    MEMORY = "memory"  # it would need, or needed, more memory than there is
    TIMEOUT = "timeout"  # no result before the deadline, alone and on a second worker
    CRASHED = "crashed"  # its worker died, alone and on a second worker


@dataclass(frozen=True)
class TaskRef(JsonRecord):
    """A task by its registered name, some of its fields replaced, and the unit of its scores."""

    name: str
    overrides: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    elasticity: float = 1.0
    """What scores are divided by (`evosearch.training.score`)."""

    def __str__(self) -> str:
        """The key of the task in a job's references and in results."""
        if not self.overrides:
            return self.name
        settings = ",".join(f"{k}={v}" for k, v in sorted(self.overrides.items()))
        return f"{self.name}[{settings}]"


@dataclass(frozen=True)
class Stage(JsonRecord):
    """Tasks that are evaluated together, cheap ones in early stages."""

    tasks: tuple[TaskRef, ...]
    hurdle: float = -BOUND
    """Mean score on this stage's tasks from which a candidate goes on to the next stage."""


@dataclass(frozen=True)
class Job(JsonRecord):
    """Candidates to evaluate, and everything that determines the result."""

    candidates: tuple[str, ...]
    """Program texts."""
    stages: tuple[Stage, ...]
    replicates: tuple[int, ...]
    """Numbers of the evaluation seeds."""
    run_seed: int
    references: Mapping[str, tuple[float, ...]]
    """Task key to the baseline's end values, one a replicate."""
    grid: Grid = field(default_factory=Grid)
    memory_limit: int = 1 << 30
    """Bytes of weights, gradients, states and temporaries that one candidate may take."""
    shrink: bool = False
    """Whether to evaluate the candidates' cores: what is left when nothing can be taken out."""

    def __post_init__(self) -> None:
        if not self.candidates or not self.stages or not self.replicates:
            raise ValueError("a job needs at least one candidate, one stage and one replicate")
        for task in (str(task) for stage in self.stages for task in stage.tasks):
            found = len(self.references.get(task, ()))
            if found != len(self.replicates):
                raise ValueError(
                    f"{found} baseline values for task {task}; expected one for each of the "
                    f"{len(self.replicates)} replicates: evaluate the baseline on them first"
                )


@dataclass(frozen=True)
class TrialResult(JsonRecord):
    """One lane's result."""

    lr: float
    """Learning rate of the hidden matrices; of all parameters where a task has no such matrix."""
    rest_lr: float
    """Learning rate of the other parameters."""
    ratio: float
    """How far the others were meant to move relative to the matrices (in RMS)."""
    value: float | None
    """End value of the task's metric; None where it was not finite."""


@dataclass(frozen=True)
class TaskResult(JsonRecord):
    """A candidate's results on one task and seed."""

    task: str
    replicate: int
    seed: int
    score: float
    best: int
    """Position of the trial that the score is of: the best in the mean over this job's seeds."""
    edge: bool
    """Whether the best trial still lies at the grid's edge after its extensions."""
    trials: tuple[TrialResult, ...]


@dataclass(frozen=True)
class Outcome(JsonRecord):
    """What is known of one candidate after a job."""

    status: Status
    message: str
    """What went wrong; empty where nothing did."""
    tier: int
    """The last stage that it was evaluated on."""
    score: float
    """Mean over the tasks of all stages that it was evaluated on; the worst score if it failed."""
    score_se: float | None
    """Standard error over seeds; None with a single seed."""
    tasks: tuple[TaskResult, ...]
    core: Core | None = None
    """What was evaluated, where the job asks for cores."""
