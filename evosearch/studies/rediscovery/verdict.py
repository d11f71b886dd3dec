"""What was found of a target in a run: the record of a verdict, as it is kept beside the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evosearch.storage.json_record import JsonRecord

__all__ = ["JudgedCandidate", "Moment", "Rival", "SeedResult", "Verdict"]


@dataclass(frozen=True)
class Moment(JsonRecord):
    """A candidate, and what had been spent when its pack was committed."""

    id: int
    mutation: str
    proposals: int
    evaluations: int
    core_seconds: float


@dataclass(frozen=True)
class JudgedCandidate(JsonRecord):
    """A candidate as a verdict speaks of it."""

    id: int
    form: str | None
    """The known optimizer that its rule for matrices was recognised as."""
    constants: Mapping[str, float]
    """The form's, as fitted."""
    residual: float | None
    """Relative deviation from the form on the probe trajectories."""
    score: float
    score_se: float | None
    rounds: int
    statements: int
    """Of the simplified rule for matrices, as is its state memory."""
    state_memory: int
    program: str
    simplified: str


@dataclass(frozen=True)
class Rival(JudgedCandidate):
    """A candidate whose mean score is higher than that of one that was looked for."""

    ahead: float
    """By how much, paired by seed."""
    ahead_se: float | None
    beyond: bool
    """Whether that is beyond the error."""
    smaller: bool
    """Whether it has no more statements and no more state."""


@dataclass(frozen=True)
class SeedResult(JsonRecord):
    """What one seed of one arm found, as a summary keeps it."""

    arm: str
    seed: int
    strict: bool
    """Whether the run found the target."""
    family: bool
    """Whether it found it or a relative of it."""
    best: bool
    """Whether the target is the run's single best program."""
    recognized: int
    """Candidates that compute the target."""
    first: Moment | None
    """The earliest candidate that counts, if the target was found."""
    family_first: Moment | None
    hit: JudgedCandidate | None
    """The best candidate that counts."""
    family_hit: JudgedCandidate | None
    closest: JudgedCandidate | None
    """The best that computes the target, where none counts."""
    leader: JudgedCandidate | None
    """The run's single best program."""
    rivals: tuple[Rival, ...]
    """The best programs that are ahead of the target."""
    proposals: int
    evaluations: int
    core_seconds: float
    verdict_core_seconds: float
    """What the verdict's own evaluations took."""
    digest: str
    """Of the run's history."""


@dataclass(frozen=True)
class Verdict(SeedResult):
    """The whole verdict on a run, and by which definition."""

    format: int
    target: str
    level: float
    """Confidence of "beyond the error"."""
    seeds_per_task: int
    """Fresh paired seeds that it rests on."""

    @property
    def result(self) -> SeedResult:
        """What a summary keeps."""
        return SeedResult.from_json(self.to_json())
