"""Optimizers side by side: each tuned alike on the same tasks and seeds, against tuned AdamW.

The seeds are drawn apart from those of every search, so a candidate meets data here that took no
part in its selection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evosearch.config.schema import Config
from evosearch.language.rule import RuleSet
from evosearch.training.baseline import Baseline, BaselineJob, adamw
from evosearch.training.job import Job, Outcome, Stage, Status, TaskResult
from evosearch.training.score import Score, combine, mean_score
from evosearch.training.seeds import derive
from evosearch.workers.executor import Executor

__all__ = ["Comparison", "Contender", "compare"]


@dataclass(frozen=True)
class Contender:
    """One optimizer's results."""

    label: str
    rules: RuleSet
    outcomes: tuple[Outcome, ...]
    """One a task."""

    @property
    def failure(self) -> str:
        """Why it has no score; empty where it has one."""
        failed = [o for o in self.outcomes if o.status is not Status.OK]
        return f"{failed[0].status}: {failed[0].message}" if failed else ""

    @property
    def results(self) -> tuple[TaskResult, ...]:
        """Its results, one a task and seed."""
        return tuple(result for outcome in self.outcomes for result in outcome.tasks)

    @cached_property
    def scores(self) -> dict[str, list[float]]:
        """Scores on each task by seed, in the same order for all contenders."""
        scores: dict[str, list[float]] = {}
        for result in self.results:
            scores.setdefault(result.task, []).append(result.score)
        return scores

    @property
    def total(self) -> Score | None:
        """The mean over tasks; None if it failed."""
        return None if self.failure else combine([mean_score(s) for s in self.scores.values()])

    def ahead_of(self, other: Contender) -> Score:
        """Return by how much its score is better than another's, paired by seed.

        Neither of them failed.
        """
        differences = [
            mean_score([a - b for a, b in zip(mine, other.scores[task], strict=True)])
            for task, mine in self.scores.items()
        ]
        return combine(differences)


@dataclass(frozen=True)
class Comparison:
    """Optimizers on the same tasks and seeds."""

    references: Mapping[str, Baseline]
    """Tuned AdamW on each task."""
    contenders: tuple[Contender, ...]
    """Best first; those that failed come last."""
    unit: str
    """What a score is the logarithm of."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "unit": self.unit,
            "references": {
                task: {"program": b.program, "values": list(b.values), "edge": b.edge}
                for task, b in self.references.items()
            },
            "contenders": [self._row(contender) for contender in self.contenders],
        }

    def _row(self, contender: Contender) -> dict[str, Any]:
        total = contender.total
        return {
            "name": contender.label,
            "program": str(contender.rules),
            "failure": contender.failure or None,
            "score": total.mean if total else None,
            "score_se": total.se if total else None,
            "results": [result.to_json() for result in contender.results],
        }


def compare(
    optimizers: Sequence[tuple[str, RuleSet]],
    config: Config,
    executor: Executor,
    *,
    seeds: int,
    seed: int,
    report: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Tune AdamW and every optimizer on each task with the same grid and seeds.

    Args:
        optimizers: Labels and programs.
        config: Its tasks, its grid and the constants that AdamW is tuned over.
        executor: Where it is computed.
        seeds: Paired seeds a task.
        seed: What they are drawn from.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on a task.
    """
    tasks = [task for tier in config.tiers_of_tasks() for task in tier]
    run_seed, grid = derive("comparison", seed), config.evaluation.grid()
    constants = config.reference
    programs = tuple(adamw(b, d) for d in constants.weight_decay for b in constants.betas)
    for i, task in enumerate(tasks):
        report(f"tuning AdamW on {task}")
        executor.submit(-1 - i, BaselineJob(programs, task, run_seed, seeds, 1, grid))
    references: dict[str, Baseline] = {}
    for i, task in enumerate(tasks):
        baseline, seconds = executor.collect(-1 - i)
        assert isinstance(baseline, Baseline)
        references[str(task)] = baseline
        report(f"tuned AdamW on {task} in {seconds:.1f} s")
        for j, (_, rules) in enumerate(optimizers):
            job = Job(
                (str(rules),),
                (Stage((task,)),),
                tuple(range(seeds)),
                run_seed,
                {str(task): baseline.values},
                grid,
            )
            executor.submit(i * len(optimizers) + j, job)
    outcomes: list[list[Outcome]] = [[] for _ in optimizers]
    for i, task in enumerate(tasks):
        for j, (label, _) in enumerate(optimizers):
            outcome, seconds = executor.collect(i * len(optimizers) + j)
            assert isinstance(outcome, tuple)
            outcomes[j] += outcome
            report(f"evaluated {label} on {task} in {seconds:.1f} s")
    found = [
        Contender(label, rules, tuple(outcomes[j])) for j, (label, rules) in enumerate(optimizers)
    ]
    return Comparison(references, tuple(sorted(found, key=_order)), config.unit)


def _order(contender: Contender) -> float:
    return math.inf if contender.total is None else -contender.total.mean
