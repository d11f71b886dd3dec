"""Optimizers side by side: each tuned alike on the same tasks and seeds, against tuned AdamW.

Everybody is tuned by `evosearch.training.tuner` with the same allowance of trials, on seeds of
their own, and reported on others. All are drawn apart from those of every search, so a candidate
meets data here that took no part in its selection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from evosearch.config.schema import Config
from evosearch.language.known import KNOWN, known
from evosearch.language.rule import RuleSet
from evosearch.runs.html import excerpted, figure, paragraph
from evosearch.runs.svg import ChartPoint, intervals
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.class_family import class_family
from evosearch.studies.statistics import Difference, difference
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.score import Score, combine, mean_score, paired
from evosearch.training.seeds import derive
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, Tuned, TuningJob
from evosearch.workers.executor import Executor

__all__ = ["Comparison", "Conditions", "Contender", "compare", "tunable", "tune_all"]


@dataclass(frozen=True)
class Conditions:
    """Under what conditions optimizers are compared, the same for all."""

    seeds: int
    """Paired seeds a task to report on, and as many others to tune on."""
    seed: int = 0
    """What they are drawn from."""
    purpose: str = "comparison"
    """What else they are drawn from, so that no study uses another's."""
    descent: Descent = field(default_factory=Descent)

    def job(self, optimizer: Tunable, task: Any) -> TuningJob:
        """Return the tuning of an optimizer on a task."""
        tuning, reporting = (tuple(range(k * self.seeds, (k + 1) * self.seeds)) for k in (0, 1))
        run_seed = derive(self.purpose, self.seed)
        return TuningJob(optimizer, task, run_seed, tuning, reporting, self.descent)


def tunable(rules: RuleSet | OptimizerClass, *, constants: bool) -> Tunable:
    """Return a program or a class as what is tuned.

    Args:
        rules: The program or class.
        constants: Whether its constants are tuned as well: over its family, if it is a baseline.
    """
    if not constants:
        return Tunable.fixed(str(rules))
    if isinstance(rules, OptimizerClass):
        return class_family(rules)
    name = next((name for name in FAMILIES if name in KNOWN and known(name) == rules), None)
    return FAMILIES[name] if name else Tunable.of(str(rules))


@dataclass(frozen=True)
class Contender:
    """One optimizer's results."""

    label: str
    rules: RuleSet | OptimizerClass
    tuned: Mapping[str, Tuned]
    """By task."""
    scores: Mapping[str, list[float]]
    """Scores on each task by seed, in the same order for all contenders; empty if it failed."""

    @property
    def failure(self) -> str:
        """Why it has no score; empty where it has one."""
        failed = [f"{task}: {t.failure}" for task, t in self.tuned.items() if t.failure]
        return failed[0] if failed else ""

    @cached_property
    def total(self) -> Score | None:
        """The mean over tasks; None if it failed."""
        return None if self.failure else combine([mean_score(s) for s in self.scores.values()])

    @property
    def verdict(self) -> str:
        """Whether it is better or worse than tuned AdamW beyond the error, in words."""
        lead = difference(self.scores.values())
        if lead.beyond():
            return "better than AdamW"
        return "worse than AdamW" if replace(lead, mean=-lead.mean).beyond() else "undecided"

    def ahead_of(self, other: Contender) -> Difference:
        """Return by how much its score is better than another's, paired by seed.

        Neither of them failed.
        """
        return difference(
            [a - b for a, b in zip(mine, other.scores[task], strict=True)]
            for task, mine in self.scores.items()
        )


@dataclass(frozen=True)
class Comparison:
    """Optimizers on the same tasks and seeds."""

    references: Mapping[str, Tuned]
    """Tuned AdamW on each task."""
    contenders: tuple[Contender, ...]
    """Best first; those that failed come last."""
    unit: str
    """What a score is the logarithm of."""
    trials: int
    """Points that each could try on a task."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "unit": self.unit,
            "baselines": {task: _plain(tuned) for task, tuned in self.references.items()},
            "contenders": [self._row(contender) for contender in self.contenders],
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: everybody's score on each task, and overall."""
        rows: list[tuple[str, list[ChartPoint]]] = []
        for contender in self.contenders:
            scores = {task: mean_score(values) for task, values in contender.scores.items()}
            if contender.total is not None:
                rows.append((contender.label, [_place("all tasks", contender.total, "front")]))
                if len(scores) > 1:
                    rows += [
                        (f"on {task}", [_place(task, s, "point")]) for task, s in scores.items()
                    ]
        drawn = intervals("score against tuned AdamW, ± 2 standard errors", rows)
        told = [f"{c.label} failed. {c.failure}" for c in self.contenders if c.failure]
        note = f"A score is the log of {self.unit}; positive is better."
        return excerpted([*map(paragraph, told), figure(drawn, note)])

    def _row(self, contender: Contender) -> dict[str, Any]:
        total = contender.total
        return {
            "name": contender.label,
            "program": str(contender.rules),
            "failure": contender.failure or None,
            "score": total.mean if total else None,
            "score_se": total.se if total else None,
            "verdict": None if contender.failure else contender.verdict,
            "scores": dict(contender.scores),
            "tuned": {task: _plain(tuned) for task, tuned in contender.tuned.items()},
        }


def _place(name: str, score: Score, kind: str) -> ChartPoint:
    return ChartPoint(score.mean, 0.0, f"{name}: {score}", score.se, kind)


def _plain(tuned: Tuned) -> dict[str, Any]:
    """Return what came out of tuning, without the trials that were not chosen."""
    chosen = asdict(tuned.attempt) if tuned.trials else None
    kept = {"edges": list(tuned.edges), "trials": len(tuned.trials)}
    values = [value if math.isfinite(value) else None for value in tuned.values]
    end = {"seeds": list(tuned.seeds), "values": values}
    return {"chosen": chosen, **end, **kept, "failure": tuned.failure or None}


def compare(
    optimizers: Sequence[tuple[str, RuleSet | OptimizerClass]],
    config: Config,
    executor: Executor,
    *,
    seeds: int,
    seed: int,
    descent: Descent | None = None,
    constants: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Tune AdamW and every optimizer on each task with the same allowance and seeds.

    Args:
        optimizers: Labels, with programs or classes.
        config: Its tasks.
        executor: Where it is computed.
        seeds: Paired seeds a task to report on, and as many to tune on.
        seed: What they are drawn from.
        descent: How far each is tuned.
        constants: Whether the optimizers' constants are tuned as AdamW's are, or stay.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on a task.
    """
    tunables = {str(i): tunable(r, constants=constants) for i, (_, r) in enumerate(optimizers)}
    conditions = Conditions(seeds, seed, descent=descent or Descent())
    names = {str(i): label for i, (label, _) in enumerate(optimizers)}
    tuned = tune_all(tunables, config, executor, conditions, name=names.__getitem__, report=report)
    references = {task: row.pop("") for task, row in tuned.items()}
    found = []
    for i, (label, rules) in enumerate(optimizers):
        mine = {task: row[str(i)] for task, row in tuned.items()}
        failed = any(t.failure for t in mine.values())
        scores = {} if failed else _scores(mine, references, config)
        found.append(Contender(label, rules, mine, scores))
    ordered = tuple(sorted(found, key=_order))
    return Comparison(references, ordered, config.unit, conditions.descent.trials)


def tune_all(
    tunables: Mapping[str, Tunable],
    config: Config,
    executor: Executor,
    conditions: Conditions,
    *,
    name: Callable[[str], str] = str,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Tuned]]:
    """Tune AdamW's family, under the key "", and all others on each task of a configuration.

    Raises:
        RuntimeError: AdamW fails on a task.
    """
    everybody = {"": FAMILIES["adamw"], **tunables}
    refs = [ref for tier in config.tiers_of_tasks() for ref in tier]
    numbers: dict[tuple[str, str], int] = {}
    for ref in refs:
        for key, optimizer in everybody.items():
            numbers[str(ref), key] = number = len(numbers)
            executor.submit(number, conditions.job(optimizer, ref))
    found: dict[str, dict[str, Tuned]] = {}
    for (task, key), number in numbers.items():
        result, seconds = executor.collect(number)
        assert isinstance(result, Tuned)
        found.setdefault(task, {})[key] = result
        spent = f"in {seconds:.1f} s" if seconds else "before"
        report(f"tuned {name(key) if key else 'AdamW'} on {task} {spent}")
        if not key and result.failure:
            raise RuntimeError(f"AdamW fails on {task}: {result.failure}; choose another task")
    return found


def _scores(
    mine: Mapping[str, Tuned], references: Mapping[str, Tuned], config: Config
) -> dict[str, list[float]]:
    refs = {str(ref): ref for tier in config.tiers_of_tasks() for ref in tier}
    return {
        task: paired(tuned.values, references[task].values, tuned.floor, refs[task].elasticity)
        for task, tuned in mine.items()
    }


def _order(contender: Contender) -> float:
    return math.inf if contender.total is None else -contender.total.mean
