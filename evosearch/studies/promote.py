"""Promotion: whether finalists beat tuned baselines on tasks that took no part in finding them.

Finalists keep their constants. Baselines are tuned on each task: all members of their families (as
many as AdamW has) on some seeds, the best of them on others, where the finalists are tried as well.
Learning rates are tuned for everybody alike. Differences are paired by seed, tests are one-sided,
and p values are corrected for all comparisons of a split (Holm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evosearch.config.schema import Config
from evosearch.language.library import Use, used_as
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.statistics import Difference, difference, holm
from evosearch.training.baseline import BaselineJob
from evosearch.training.job import Job, Outcome, Stage, Status
from evosearch.training.score import BOUND, combine, mean_score
from evosearch.training.seeds import derive
from evosearch.workers.executor import Executor, Result, Work

__all__ = ["BASELINES", "LEVEL", "Finding", "Promotion", "promote"]

BASELINES: Final = used_as(Use.PROMOTION)
"""What a finalist is compared with."""
LEVEL: Final = 0.01
"""Corrected p value below which a finalist is said to beat a baseline."""


@dataclass(frozen=True)
class Finding:
    """One finalist against one baseline on the tasks of a split."""

    finalist: str
    baseline: str
    split: str
    lead: Difference
    p: float
    """One-sided, corrected for all comparisons of the split."""

    @property
    def better(self) -> bool:
        """Whether the finalist beats the baseline."""
        return self.p < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "finalist": self.finalist,
            "baseline": self.baseline,
            "split": self.split,
            "ahead": self.lead.mean,
            "ahead_se": self.lead.error,
            "pairs": self.lead.pairs,
            "p": self.lead.p,
            "p_holm": self.p,
            "better": self.better,
        }


@dataclass(frozen=True)
class Promotion:
    """Scores and tests of some finalists."""

    seed: int
    seeds: int
    splits: Mapping[str, tuple[str, ...]]
    """Tasks of each split."""
    programs: Mapping[str, str]
    """Finalists' texts."""
    tuned: Mapping[str, Mapping[str, str]]
    """The best member of each baseline's family, by task."""
    scores: Mapping[str, Mapping[str, tuple[float, ...]]]
    """Score against tuned AdamW by seed, for finalists and "tuned ..." baselines, by task."""
    findings: tuple[Finding, ...]

    def total(self, label: str, split: str) -> tuple[float, float | None]:
        """Return an optimizer's mean score on a split, with its standard error."""
        score = combine([mean_score(self.scores[label][task]) for task in self.splits[split]])
        return score.mean, score.se

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        totals = {
            label: {
                split: dict(zip(("score", "score_se"), self.total(label, split), strict=True))
                for split in self.splits
            }
            for label in self.scores
        }
        return {
            "seed": self.seed,
            "seeds": self.seeds,
            "level": LEVEL,
            "splits": {split: list(tasks) for split, tasks in self.splits.items()},
            "programs": dict(self.programs),
            "tuned": {task: dict(best) for task, best in self.tuned.items()},
            "totals": totals,
            "scores": {
                label: {task: list(values) for task, values in by_task.items()}
                for label, by_task in self.scores.items()
            },
            "findings": [finding.to_json() for finding in self.findings],
        }


def promote(
    finalists: Mapping[str, str],
    splits: Mapping[str, Sequence[str]],
    config: Config,
    executor: Executor,
    *,
    seeds: int,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Promotion:
    """Evaluate finalists and tuned baselines, and test the differences.

    Args:
        finalists: Labels and program texts.
        splits: Tasks by the name of their split.
        config: Gives the grid of learning rates and the tasks' overrides.
        executor: Where it is computed.
        seeds: Paired seeds a task for tuning, and as many for testing.
        seed: What they are drawn from, apart from those of every search.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on a task.
    """
    names = [name for tasks in splits.values() for name in tasks]
    table = _Table(config, executor, derive("promotion", seed), seeds)
    table.tune(names)
    scores: dict[str, dict[str, tuple[float, ...]]] = {}
    tuned: dict[str, dict[str, str]] = {}
    for name in names:
        tuned[name] = table.tuned(name)
        report(f"tuned {', '.join(BASELINES)} on {name}")
        table.try_(name, [*finalists.values(), *tuned[name].values()])
    for name in names:
        tried = table.tried(name)
        for label, values in zip([*finalists, *map(_tuned, BASELINES)], tried, strict=True):
            scores.setdefault(label, {})[name] = values
        report(f"tried {', '.join(finalists)} on {name}")
    findings = [
        finding
        for split, tasks in splits.items()
        for finding in _test(split, tasks, list(finalists), scores)
    ]
    kept = {split: tuple(tasks) for split, tasks in splits.items()}
    return Promotion(seed, seeds, kept, dict(finalists), tuned, scores, tuple(findings))


def _test(
    split: str,
    tasks: Sequence[str],
    finalists: Sequence[str],
    scores: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[Finding]:
    pairs = [(finalist, baseline) for finalist in finalists for baseline in BASELINES]
    leads = [
        difference(
            [a - b for a, b in zip(scores[x][task], scores[_tuned(y)][task], strict=True)]
            for task in tasks
        )
        for x, y in pairs
    ]
    corrected = holm([lead.p for lead in leads])
    return [
        Finding(x, y, split, lead, p)
        for (x, y), lead, p in zip(pairs, leads, corrected, strict=True)
    ]


def _tuned(family: str) -> str:
    """Return the label of a baseline, which a finalist's cannot be."""
    return f"tuned {family}"


class _Table:
    """Jobs of a promotion by task, all submitted before any is waited for."""

    def __init__(self, config: Config, executor: Executor, run_seed: int, seeds: int) -> None:
        self._config = config
        self._executor = executor
        self._run_seed = run_seed
        self._seeds = seeds
        self._grid = config.evaluation.grid()
        self._numbers: dict[tuple[str, str], int] = {}
        self._references: dict[str, tuple[float, ...]] = {}

    def tune(self, names: Sequence[str]) -> None:
        """Begin to tune all baselines on these tasks: AdamW first, whom scores refer to."""
        for name in names:
            programs, ref = FAMILIES["adamw"], self._config.task(name)
            job = BaselineJob(programs, ref, self._run_seed, self._seeds, 2, self._grid)
            self._submit(name, "adamw", job)
        for name in names:
            baseline = self._collect(name, "adamw")
            assert not isinstance(baseline, tuple)
            self._references[name] = baseline.values
            for family in BASELINES:
                self._submit(name, f"tune {family}", self._job(name, FAMILIES[family], 0))

    def tuned(self, name: str) -> dict[str, str]:
        """Return the best member of each baseline's family on a task."""
        best: dict[str, str] = {}
        for family in BASELINES:
            outcomes = self._outcomes(name, f"tune {family}")
            scores = [outcome.score for outcome in outcomes]
            best[family] = FAMILIES[family][scores.index(max(scores))]
        return best

    def try_(self, name: str, programs: Sequence[str]) -> None:
        """Begin to evaluate programs on a task's other seeds."""
        self._submit(name, "try", self._job(name, programs, 1))

    def tried(self, name: str) -> list[tuple[float, ...]]:
        """Return the scores of each program by seed; one that failed lost everywhere."""
        return [
            tuple(result.score for result in outcome.tasks)
            if outcome.status is Status.OK
            else (-BOUND,) * self._seeds
            for outcome in self._outcomes(name, "try")
        ]

    def _job(self, name: str, programs: Sequence[str], round_: int) -> Job:
        ref, n = self._config.task(name), self._seeds
        replicates = tuple(range(round_ * n, (round_ + 1) * n))
        values = tuple(self._references[name][r] for r in replicates)
        stages = (Stage((ref,)),)
        return Job(
            tuple(programs), stages, replicates, self._run_seed, {str(ref): values}, self._grid
        )

    def _submit(self, name: str, purpose: str, job: Work) -> None:
        self._numbers[name, purpose] = number = len(self._numbers)
        self._executor.submit(number, job)

    def _collect(self, name: str, purpose: str) -> Result:
        return self._executor.collect(self._numbers[name, purpose])[0]

    def _outcomes(self, name: str, purpose: str) -> tuple[Outcome, ...]:
        outcomes = self._collect(name, purpose)
        assert isinstance(outcomes, tuple)
        return outcomes
