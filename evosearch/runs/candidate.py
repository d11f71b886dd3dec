"""A candidate as a run's journal knows it: where it came from, what it is, how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from evosearch.training.score import Score, mean_score

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from evosearch.language.rule import RuleSet
    from evosearch.recognize.recognize import Recognition

__all__ = ["Candidate", "Measurement"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Its result on one task and seed, at the best point of its grid of learning rates."""

    task: str
    replicate: int
    seed: int
    score: float
    """Log of the configuration's `unit`; positive is better than AdamW."""
    value: float | None
    """End value of the task's metric; None where it was not finite."""
    lr: float
    """Learning rate of the hidden matrices; of all parameters where a task has no such matrix."""
    rest_lr: float
    """Learning rate of the other parameters."""
    edge: bool
    """Whether the best point lies at the edge of the extended grid."""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """Read a task's result in a journal record."""
        trial = result["trials"][result["best"]]
        return cls(
            task=result["task"],
            replicate=result["replicate"],
            seed=result["seed"],
            score=result["score"],
            value=trial["value"],
            lr=trial["lr"],
            rest_lr=trial["rest_lr"],
            edge=result["edge"],
        )


@dataclass(frozen=True)
class Candidate:
    """One candidate of a run."""

    id: int
    parents: tuple[int, ...]
    """Ids of what it was made from; none for the start."""
    mutation: str
    """How it was made from them."""
    program_text: str
    """Its program: what was evaluated, without redundant statements."""
    genome_text: str
    """Its genome: the program as it was bred, redundant statements included."""
    fingerprint: str
    statements: int
    """Statements of the program."""
    states: int
    """States of the program's rule for matrices."""
    state_memory: float
    """State entries for each entry of a matrix."""
    cost: float
    """Floating-point operations of an update for each entry of a matrix."""
    status: str
    """Whether it has a score ("ok"), or why not."""
    message: str
    """What went wrong; empty where nothing did."""
    tier: int
    """The last tier of tasks that it was evaluated on; going further beats any score."""
    score: float | None
    """Mean over tasks of all its evaluations; None if it failed."""
    error: float | None
    """Standard error of the score; None with a single seed."""
    rounds: int
    """Independent evaluations, each on seeds of its own."""
    measurements: tuple[Measurement, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a new candidate's row in a `pack` record."""
        return cls(
            id=row["id"],
            parents=tuple(row["parents"]),
            mutation=row["mutation"],
            program_text=row["canonical"],
            genome_text=row["program"],
            fingerprint=row["fingerprint"],
            statements=row["statements"],
            states=row["states"],
            state_memory=row["state_memory"],
            cost=row["cost"],
            status=row["status"],
            message=row["message"],
            tier=row["tier"],
            score=row["score"],
            error=row["score_se"],
            rounds=row["rounds"],
            measurements=tuple(map(Measurement.of, row["results"])),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: formula, scores and program."""
        from evosearch.runs.candidate_excerpt import candidate_excerpt

        return candidate_excerpt(self)

    @property
    def confirmed(self) -> bool:
        """Whether it was evaluated again, on seeds that did not pick it."""
        return self.rounds > 1

    def reevaluated(self, row: Mapping[str, Any]) -> Self:
        """Return it after its re-evaluation in a `confirm` record."""
        return replace(
            self,
            status=row["status"],
            message=row["message"],
            tier=row["tier"],
            score=row["score"],
            error=row["score_se"],
            rounds=row["rounds"],
            measurements=self.measurements + tuple(map(Measurement.of, row["results"])),
        )

    @property
    def rank(self) -> tuple[int, float, int]:
        """What candidates with a score are ordered by, as in the search; greater is better."""
        assert self.score is not None
        return self.tier, self.score, -self.id

    @cached_property
    def program(self) -> RuleSet:
        """Its program: what was evaluated, without redundant statements."""
        from evosearch.language.parse import parse_rules

        return parse_rules(self.program_text)

    @cached_property
    def genome(self) -> RuleSet:
        """Its genome: the program as it was bred, redundant statements included."""
        from evosearch.language.parse import parse_rules

        return parse_rules(self.genome_text)

    @property
    def recognized(self) -> Recognition | None:
        """The known optimizer that it is up to constants, or None."""
        return _recognize(self.program_text)

    @property
    def name(self) -> str:
        """What to call it outside of its run: never by a known optimizer's name."""
        return f"evolved_{self.id}"

    @property
    def seeds(self) -> int:
        """How many seeds of each task it was evaluated on."""
        return len({measurement.replicate for measurement in self.measurements})

    def task_scores(self) -> dict[str, Score]:
        """Return its mean score over seeds on each task, in the order of first use."""
        scores: dict[str, list[float]] = {}
        for measurement in self.measurements:
            scores.setdefault(measurement.task, []).append(measurement.score)
        return {task: mean_score(values) for task, values in scores.items()}

    @property
    def worst(self) -> tuple[str, Score]:
        """The task on which its score is lowest, and that score; of a candidate with a score."""
        return min(self.task_scores().items(), key=lambda item: item[1].mean)

    @property
    def ahead_everywhere(self) -> bool:
        """Whether it is ahead of AdamW on each of its tasks, beyond two standard errors."""
        scores = self.task_scores().values()
        return bool(scores) and all(s.se is not None and s.mean > 2.0 * s.se for s in scores)

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """Its best learning rates, for matrices and for the rest; the middle of its measurements.

        None where it was never measured. They fit tasks like those it was measured on.
        """
        return (
            _middle([measurement.lr for measurement in self.measurements]),
            _middle([measurement.rest_lr for measurement in self.measurements]),
        )

    def to_optimizer(self) -> type[Optimizer]:
        """Return the class that its exported file defines; its documentation states `rates`."""
        from evosearch.export.load import to_optimizer

        return to_optimizer(self.program, name=self.name, found=self.rates)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "id": self.id,
            "score": self.score,
            "score_se": self.error,
            "rounds": self.rounds,
            "confirmed": self.confirmed,
            "tier": self.tier,
            "status": self.status,
            "message": self.message,
            "statements": self.statements,
            "states": self.states,
            "state_memory": self.state_memory,
            "cost": self.cost,
            "recognized": str(self.recognized) if self.recognized else None,
            "parents": list(self.parents),
            "mutation": self.mutation,
            "fingerprint": self.fingerprint,
            "program": self.program_text,
            "genome": self.genome_text,
            "tasks": {
                task: {"score": score.mean, "score_se": score.se}
                for task, score in self.task_scores().items()
            },
        }


def _middle(rates: Sequence[float]) -> float | None:
    """Return the median of learning rates, rounded to two digits; zeros stand for none."""
    positive = [rate for rate in rates if rate > 0]
    return float(f"{median(positive):.2g}") if positive else None


@lru_cache(maxsize=4096)
def _recognize(text: str) -> Recognition | None:
    from evosearch.language.parse import parse_rules
    from evosearch.recognize.recognize import recognize

    return recognize(parse_rules(text))
