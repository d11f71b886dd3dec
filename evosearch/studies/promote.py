"""Promotion: whether finalists beat tuned baselines on tasks that took no part in finding them.

Finalists keep their constants; baselines are tuned over their families. Everybody's learning rates
are tuned with the same allowance of trials, on other seeds than those of the result. Differences
are paired by seed, tests are one-sided, and p values are corrected for all comparisons of a split
(Holm).

Seeds of one task say how sure an effect is on that task, however many they are. Whether it holds on
a task that nobody has tried, only other tasks can say: hence a second test, over the tasks' means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from evosearch.config.schema import Config
from evosearch.language.library import Use, used_as
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.compare import Conditions, tune_all
from evosearch.studies.statistics import Difference, difference, holm, interval
from evosearch.training.score import BOUND, combine, mean_score, paired
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, Tuned
from evosearch.workers.executor import Executor

__all__ = ["BASELINES", "LEVEL", "TASK_LEVEL", "BaselineTest", "Promotion", "promote"]

BASELINES: Final = used_as(Use.PROMOTION)
"""What a finalist is compared with."""
LEVEL: Final = 0.01
"""Corrected p value over seeds below which a finalist is said to beat a baseline on the tasks."""
TASK_LEVEL: Final = 0.05
"""Corrected p value over tasks, below which it is said to beat it beyond them."""


@dataclass(frozen=True)
class BaselineTest:
    """One finalist against one baseline on the tasks of a split."""

    finalist: str
    baseline: str
    split: str
    leads: Mapping[str, Difference]
    """By task."""
    lead: Difference
    """The mean over these tasks; its error is that of seeds."""
    over_tasks: Difference
    """The same mean, with the error that the tasks' own means have around it."""
    p: float
    """One-sided over seeds, corrected for all comparisons of the split."""
    p_tasks: float
    """One-sided over the tasks' means, corrected alike; 1 where there is a single task."""

    @property
    def better(self) -> bool:
        """Whether the finalist beats the baseline on these tasks."""
        return self.p < LEVEL

    @property
    def general(self) -> bool:
        """Whether that may be said of other tasks of their kind."""
        return self.better and self.p_tasks < TASK_LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "finalist": self.finalist,
            "baseline": self.baseline,
            "split": self.split,
            "tasks": {
                task: {"ahead": lead.mean, "ahead_se": lead.error, "interval": interval(lead)}
                for task, lead in self.leads.items()
            },
            "ahead": self.lead.mean,
            "ahead_se": self.lead.error,
            "interval": interval(self.lead),
            "interval_over_tasks": interval(self.over_tasks),
            "pairs": self.lead.pairs,
            "p": self.lead.p,
            "p_holm": self.p,
            "p_tasks_holm": self.p_tasks,
            "better": self.better,
            "general": self.general,
        }


@dataclass(frozen=True)
class Promotion:
    """Scores and tests of some finalists."""

    seed: int
    seeds: int
    trials: int
    splits: Mapping[str, tuple[str, ...]]
    """Tasks of each split."""
    programs: Mapping[str, str]
    """Finalists' texts."""
    tuned: Mapping[str, Mapping[str, Tuned]]
    """Everybody as tuned, by task and label."""
    scores: Mapping[str, Mapping[str, tuple[float, ...]]]
    """Score against tuned AdamW by seed, for finalists and "tuned ..." baselines, by task."""
    tests: tuple[BaselineTest, ...]

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
            "trials": self.trials,
            "level": LEVEL,
            "task_level": TASK_LEVEL,
            "splits": {split: list(tasks) for split, tasks in self.splits.items()},
            "programs": dict(self.programs),
            "tuned": {
                task: {
                    label: asdict(tuned.attempt) | {"edges": list(tuned.edges)}
                    for label, tuned in row.items()
                    if not tuned.failure
                }
                for task, row in self.tuned.items()
            },
            "totals": totals,
            "scores": {
                label: {task: list(values) for task, values in by_task.items()}
                for label, by_task in self.scores.items()
            },
            "tests": [test.to_json() for test in self.tests],
        }


def promote(
    finalists: Mapping[str, str],
    splits: Mapping[str, Sequence[str]],
    config: Config,
    executor: Executor,
    *,
    seeds: int,
    seed: int = 0,
    descent: Descent | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Promotion:
    """Evaluate finalists and tuned baselines, and test the differences.

    Args:
        finalists: Labels and program texts.
        splits: Tasks by the name of their split.
        config: Gives the tasks' overrides.
        executor: Where it is computed.
        seeds: Paired seeds a task for tuning, and as many for testing.
        seed: What they are drawn from, apart from those of every search.
        descent: How far everybody is tuned.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on a task.
    """
    descent = descent or Descent()
    tunables = {label: Tunable.fixed(text) for label, text in finalists.items()}
    tunables |= {_tuned(name): FAMILIES[name] for name in BASELINES if name != "adamw"}
    conditions = Conditions(seeds, seed, "promotion", descent)
    found = tune_all(tunables, config, executor, conditions, report=report)
    scores: dict[str, dict[str, tuple[float, ...]]] = {}
    tuned: dict[str, dict[str, Tuned]] = {}
    for name in (name for tasks in splits.values() for name in tasks):
        ref = config.task(name)
        row = found[str(ref)]
        reference = row.pop("")
        tuned[name] = {**row, _tuned("adamw"): reference}
        for label in [*finalists, *map(_tuned, BASELINES)]:
            one = tuned[name][label]
            # One that failed lost everywhere.
            values = (
                (-BOUND,) * seeds
                if one.failure
                else paired(one.values, reference.values, one.floor, ref.elasticity)
            )
            scores.setdefault(label, {})[name] = tuple(values)
    kept = {split: tuple(tasks) for split, tasks in splits.items()}
    tests = [
        test
        for split, tasks in splits.items()
        for test in _test(split, tasks, list(finalists), scores)
    ]
    return Promotion(
        seed, seeds, descent.trials, kept, dict(finalists), tuned, scores, tuple(tests)
    )


def _test(
    split: str,
    tasks: Sequence[str],
    finalists: Sequence[str],
    scores: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[BaselineTest]:
    pairs = [(finalist, baseline) for finalist in finalists for baseline in BASELINES]
    apart = [
        {
            task: [a - b for a, b in zip(scores[x][task], scores[_tuned(y)][task], strict=True)]
            for task in tasks
        }
        for x, y in pairs
    ]
    leads = [difference(by_task.values()) for by_task in apart]
    over_tasks = [
        difference([[sum(values) / len(values) for values in by_task.values()]])
        for by_task in apart
    ]
    by_seeds, by_tasks = (holm([found.p for found in all_]) for all_ in (leads, over_tasks))
    by_task = [{task: difference([v]) for task, v in found.items()} for found in apart]
    found = zip(pairs, by_task, leads, over_tasks, by_seeds, by_tasks, strict=True)
    return [BaselineTest(x, y, split, *rest) for (x, y), *rest in found]


def _tuned(family: str) -> str:
    """Return the label of a baseline, which a finalist's cannot be."""
    return f"tuned {family}"
