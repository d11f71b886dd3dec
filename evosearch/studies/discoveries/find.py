"""A find: what `discovered/NAME.json` says of an optimizer, and what a promotion says of several.

Files of every age are read; what an older one lacks is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evosearch.storage.json_record import JsonRecord
from evosearch.studies.rediscovery.verdict import Verdict

__all__ = [
    "Ancestor",
    "BaselineResult",
    "ExportedFind",
    "FinalistResult",
    "Find",
    "FoundCandidate",
    "PromotedFind",
    "PromotionResult",
    "ScoreEntry",
    "SourceRun",
    "TaskLead",
]

Ends = tuple[float | None, float | None]
"""Of an interval of 95 %; None where it has none."""


@dataclass(frozen=True)
class ScoreEntry(JsonRecord):
    """A mean score and its standard error, which is None with a single seed."""

    score: float
    score_se: float | None


@dataclass(frozen=True)
class TaskLead(JsonRecord):
    """By how much the log excess loss of a finalist is below a baseline's on a task."""

    ahead: float
    ahead_se: float | None
    interval: Ends | None = None


@dataclass(frozen=True, kw_only=True)
class BaselineResult(JsonRecord):
    """A finalist against one baseline on the tasks of a split."""

    baseline: str
    split: str
    tasks: Mapping[str, TaskLead] = field(default_factory=dict)
    ahead: float
    """The mean lead over these tasks."""
    ahead_se: float | None
    interval: Ends | None = None
    interval_over_tasks: Ends | None = None
    pairs: int
    """Pairs of seeds."""
    p: float
    """One-sided, over seeds."""
    p_holm: float
    """The same, corrected for all comparisons of the split."""
    p_tasks_holm: float | None = None
    """One-sided over the tasks' means, corrected alike."""
    better: bool
    general: bool | None = None
    """Whether that may be said of other tasks of their kind."""


@dataclass(frozen=True, kw_only=True)
class FinalistResult(BaselineResult):
    """The same, among others' results."""

    finalist: str

    @property
    def result(self) -> BaselineResult:
        """It without its name."""
        return BaselineResult.from_json(self.to_json())


@dataclass(frozen=True, kw_only=True)
class PromotionResult(JsonRecord):
    """What `evosearch promote -o` wrote, on all finalists."""

    seed: int
    seeds: int
    trials: int | None = None
    splits: Mapping[str, tuple[str, ...]]
    """Tasks of each split."""
    programs: Mapping[str, str]
    """Finalists' texts, by label."""
    totals: Mapping[str, Mapping[str, ScoreEntry]]
    """By label and split."""
    scores: Mapping[str, Mapping[str, tuple[float, ...]]]
    """By label and task, one a seed."""
    tests: tuple[FinalistResult, ...]
    look: int
    """Which look it was at tasks that searches do not see."""
    settings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PromotedFind(JsonRecord):
    """What a promotion said of one find."""

    seed: int
    seeds: int
    splits: Mapping[str, tuple[str, ...]]
    look: int
    settings: tuple[str, ...]
    totals: Mapping[str, ScoreEntry]
    """By split."""
    scores: Mapping[str, tuple[float, ...]]
    """By task, one a seed."""
    tests: tuple[BaselineResult, ...]
    finalists: int
    """How many there were."""


@dataclass(frozen=True)
class SourceRun(JsonRecord):
    """The run that a find is from."""

    manifest: Mapping[str, Any]
    """As the run has it: configuration, versions, hardware."""
    digest: str
    evaluations: int
    proposals: int


@dataclass(frozen=True, kw_only=True)
class FoundCandidate(JsonRecord):
    """The candidate, as its run knew it (`evosearch.runs.candidate`)."""

    id: int
    score: float
    score_se: float | None
    rounds: int
    confirmed: bool | None = None
    tier: int
    status: str
    message: str
    statements: int
    states: int
    state_memory: float
    cost: float
    recognized: str | None
    parents: tuple[int, ...]
    mutation: str
    fingerprint: str
    program: str
    genome: str
    tasks: Mapping[str, ScoreEntry]
    seeds: int


@dataclass(frozen=True)
class Ancestor(JsonRecord):
    """A candidate that it descends from, or itself."""

    id: int
    parents: tuple[int, ...]
    mutation: str
    score: float | None
    program: str


@dataclass(frozen=True)
class ExportedFind(JsonRecord):
    """What its module is made from."""

    program: str
    lr: float | None
    """The learning rate of hidden matrices that it was found with."""
    rest_lr: float | None
    """The learning rate of the other parameters."""


@dataclass(frozen=True)
class Find(JsonRecord):
    """Where an optimizer comes from and what is known of it."""

    note: str
    run: SourceRun
    candidate: FoundCandidate
    verdict: Verdict | None
    """Of a search for a known optimizer."""
    lineage: tuple[Ancestor, ...]
    simplification: tuple[str, ...]
    """Each step, with the identity and its licence."""
    export: ExportedFind
    promotion: PromotedFind | None
