"""Runs and evaluators for tests in which the scores of programs are told, not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evosearch.config.schema import Config, configure
from evosearch.language.known import resolve
from evosearch.language.liveness import strip_rules
from evosearch.runs.history import FINISHED
from evosearch.runs.run import Run
from evosearch.storage.journal import Journal
from evosearch.studies.baseline_families import FAMILIES
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Outcome, Status, TaskResult, TrialResult
from evosearch.training.seeds import derive
from evosearch.training.tuner import Attempt, Tuned, TuningJob
from evosearch.workers.executor import AnyJob, LocalExecutor, Timed

TASK = "least_squares"


def told_config(**sections: Any) -> Config:
    """Return a configuration of one task, 2 seeds a round and 2 rounds."""
    data = {
        "tiers": [{"tasks": [TASK]}],
        "evaluation": {"seeds": 2},
        "elites": {"rounds": 2, "final": 4},
        "budget": {"pack": 2},
    }
    return configure(data | sections, (), "a test")


class Teller:
    """Gives every program the score it was told, with a little noise by seed.

    Args:
        levels: Program text to its true score.
        noise: Half the width of the noise of one seed.
        failing: Programs that raise.
    """

    def __init__(
        self, levels: Mapping[str, float], noise: float = 0.05, failing: Sequence[str] = ()
    ) -> None:
        self.levels = levels
        self.noise = noise
        self.failing = failing
        self.evaluated: list[tuple[str, int]] = []
        """Programs with the first replicate that they were evaluated on."""
        self.tunings: list[TuningJob] = []
        self.tunings: list[TuningJob] = []

    def executor(self) -> LocalExecutor:
        return LocalExecutor(self._perform)

    def score(self, text: str, replicate: int) -> float:
        spread = derive(text, replicate) % 1001 / 500 - 1
        return self.levels[text] + self.noise * spread

    def outcome(
        self, text: str, replicates: Sequence[int], tier: int = 0, task: str = TASK
    ) -> Outcome:
        if text in self.failing:
            return Outcome(Status.DIVERGED, "told to", 0, -10.0, None, ())
        trials = (TrialResult(0.1, 0.1, 1.0, 0.5),)
        results = tuple(
            TaskResult(task, r, 7, self.score(text, r), 0, False, trials) for r in replicates
        )
        mean = sum(result.score for result in results) / len(results)
        return Outcome(Status.OK, "", tier, mean, 0.1, results)

    def tuned(self, job: TuningJob) -> Tuned:
        """Return what is told of an optimizer by its start; AdamW's family is level 0."""
        text, n = job.optimizer.start, len(job.reporting)
        seeds = tuple(job.reporting)
        if text in self.failing:
            return Tuned(str(job.task), 0.0, seeds, (), (), 0, (), "told to")
        adamw = text == FAMILIES["adamw"].start and len(job.optimizer.axes) > 0
        scores = [0.0] * n if adamw else [self.score(text, r) for r in job.reporting]
        values = tuple(0.5 * math.exp(-score) for score in scores)
        constants = tuple(axis.values[axis.first] for axis in job.optimizer.axes)
        trial = Attempt(text, constants, 0.1, 0.1, -scores[0])
        return Tuned(str(job.task), 0.0, seeds, values, (trial,), 0, ())

    def _perform(self, job: AnyJob) -> Timed:
        if isinstance(job, TuningJob):
            self.tunings.append(job)
            return self.tuned(job), 1.0
        if isinstance(job, BaselineJob):
            values = (0.5,) * (job.seeds * job.rounds)
            return Baseline(str(job.task), job.programs[0], values, False, ()), 1.0
        self.evaluated += [(text, job.replicates[0]) for text in job.candidates]
        (task,) = (str(ref) for stage in job.stages for ref in stage.tasks)
        texts = job.candidates
        return tuple(self.outcome(text, job.replicates, task=task) for text in texts), 1.0


def told_run(
    directory: Path,
    packs: Sequence[Sequence[str]],
    teller: Teller,
    *,
    config: Config | None = None,
    first_round: Mapping[str, float] | None = None,
    tiers: Mapping[str, int] | None = None,
) -> Run:
    """Write a finished run of these programs, each evaluated in its first round only.

    Args:
        directory: Where to.
        packs: Program texts; ids follow their order.
        teller: Knows the scores.
        config: The run's; `told_config` unless given.
        first_round: Scores of the first round that differ from the true ones.
        tiers: Last tier of programs that did not pass all.
    """
    config = config or told_config()
    lucky = Teller({**teller.levels, **(first_round or {})}, teller.noise)
    manifest = {"config": config.model_dump(mode="json"), "seeds": {"run": config.seed}}
    with Journal.create(directory, manifest) as journal:
        reference = {"task": TASK, "program": str(resolve("adamw")), "values": [0.5] * 4}
        extra = {"edge": False, "losers": [], "info": {"seconds": 3.0}}
        journal.append({"kind": "reference", **reference, **extra})
        id_ = 0
        for number, texts in enumerate(packs):
            rows = []
            for text in texts:
                tier = (tiers or {}).get(text, len(config.tiers) - 1)
                outcome = lucky.outcome(text, range(config.evaluation.seeds), tier)
                rows.append(_row(id_, text, outcome))
                id_ += 1
            pack = {"kind": "pack", "pack": number, "round": 0, "proposals": 10, "cache_hits": 4}
            journal.append({**pack, "candidates": rows, "info": {"seconds": 5.0}})
        journal.append({"kind": "note", "text": FINISHED})
    return Run.open(directory)


def _row(id_: int, text: str, outcome: Outcome) -> dict[str, Any]:
    stripped = strip_rules(resolve(text))
    return {
        "id": id_,
        "parents": [],
        "mutation": "insert",
        "program": text,
        "canonical": str(stripped),
        "fingerprint": f"{id_:016x}",
        "statements": stripped.size,
        "states": len(stripped.matrix.states),
        "state_memory": float(stripped.matrix.state_memory),
        "cost": 2.0,
        "status": str(outcome.status),
        "message": "",
        "tier": outcome.tier,
        "score": outcome.score,
        "score_se": outcome.score_se,
        "rounds": 1,
        "results": [result.to_json() for result in outcome.tasks],
    }
