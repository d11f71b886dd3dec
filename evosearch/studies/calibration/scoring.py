"""Scores of the panel: every member evaluated as a search evaluates a candidate.

A member is a rule for hidden matrices with its published constants; the rest's rule is the same for
all. All learning rates that were tried are kept with their end values, so that a score, its error
over seeds and the error of its grid can be read from the file without training anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from evosearch.config.schema import Config
from evosearch.storage.atomic_write import write_atomic
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Stage, TaskRef
from evosearch.training.score import BOUND, best_trial, paired
from evosearch.training.seeds import derive
from evosearch.workers.executor import Executor

__all__ = ["MemberScores", "PanelScores", "load", "score_panel", "store"]


@dataclass(frozen=True)
class MemberScores:
    """What one member did on one task in one evaluation."""

    lrs: tuple[float, ...]
    """Learning rates of the hidden matrices, in the order of trials."""
    ratios: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """End values (trials, seeds); infinite where a lane diverged. None at all if it failed."""
    edge: bool
    seconds: float
    """Processor time of the evaluation."""


@dataclass(frozen=True)
class PanelScores:
    """The panel on one task."""

    task: str
    steps: int
    batch: int
    floor: float
    elasticity: float
    baseline: tuple[tuple[float, ...], ...]
    """End values of the preset's AdamW (evaluations, seeds)."""
    members: Mapping[str, tuple[MemberScores, ...]] = field(default_factory=dict)
    """By name, one entry an evaluation."""

    def scores(self, name: str, round: int, seeds: Sequence[int] | None = None) -> list[float]:
        """Return a member's score on each seed of an evaluation, at the rate that is best on them.

        Args:
            name: The member.
            round: The evaluation.
            seeds: Positions of the seeds that count, with repetitions; all unless given.
        """
        found, baseline = self.members[name][round], self.baseline[round]
        at = list(range(len(baseline))) if seeds is None else list(seeds)
        if not found.values:
            return [-BOUND] * len(at)
        values = [[row[i] for i in at] for row in found.values]
        best = values[best_trial(values, self.floor)]
        return paired(best, [baseline[i] for i in at], self.floor, self.elasticity)


def score_panel(
    members: Mapping[str, str],
    config: Config,
    executor: Executor,
    path: Path,
    *,
    purpose: str,
    rounds: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, PanelScores]:
    """Evaluate every member on each task of a preset as a search would; return scores by task.

    What is in the file is not computed again, and each result is in it as soon as it is known.

    Args:
        members: Program texts by name.
        config: The preset.
        executor: Where it is computed.
        path: The file.
        purpose: What the seeds are drawn from.
        rounds: Independent evaluations of each.
        report: Is told what happens, in sentences.
    """
    found = load(path) if path.is_file() else {}
    numbers = count()
    for ref in (ref for tier in config.tiers_of_tasks() for ref in tier):
        key = str(ref)
        if key not in found or len(found[key].baseline) < rounds:
            executor.submit(number := next(numbers), _baseline(ref, config, purpose, rounds))
            result, _ = executor.collect(number)
            assert isinstance(result, Baseline)
            earlier = found[key].members if key in found else {}
            found[key] = _task(ref, result, config.evaluation.seeds, earlier)
            store(path, found)
        wanted = [
            (name, round)
            for round in range(rounds)
            for name in members
            if len(found[key].members.get(name, ())) <= round
        ]
        jobs = {at: next(numbers) for at in wanted}
        for (name, round), number in jobs.items():
            baseline = found[key].baseline[round]
            executor.submit(number, _job(members[name], ref, baseline, config, (purpose, round)))
        for (name, round), number in jobs.items():
            outcomes, seconds = executor.collect(number)
            assert isinstance(outcomes, tuple)
            scored = _scored(outcomes[0], seconds)
            done = (*found[key].members.get(name, ()), scored)
            found[key] = replace(found[key], members={**found[key].members, name: done})
            store(path, found)
            report(f"{name} on {key}, evaluation {round + 1}: {seconds:.1f} s")
    return found


def _baseline(ref: TaskRef, config: Config, purpose: str, rounds: int) -> BaselineJob:
    seeds, grid = config.evaluation.seeds, config.evaluation.grid()
    programs = config.baseline.programs(ref.name)
    return BaselineJob(programs, ref, derive(purpose, 0), seeds, rounds, grid)


def _task(
    ref: TaskRef, baseline: Baseline, seeds: int, members: Mapping[str, tuple[MemberScores, ...]]
) -> PanelScores:
    from proxy_tasks.registry import get

    task, values = get(ref.name, **ref.overrides), baseline.values
    rounds = tuple(values[i : i + seeds] for i in range(0, len(values), seeds))
    batch = getattr(task, "batch", 0)
    return PanelScores(str(ref), task.steps, batch, task.floor, ref.elasticity, rounds, members)


def _job(
    text: str,
    ref: TaskRef,
    baseline: tuple[float, ...],
    config: Config,
    drawn: tuple[str, int],
) -> Job:
    """Return one evaluation; its seeds are drawn from a purpose and the evaluation's number."""
    seeds, (purpose, round) = config.evaluation.seeds, drawn
    return Job(
        candidates=(text,),
        stages=(Stage((ref,)),),
        replicates=tuple(range(round * seeds, (round + 1) * seeds)),
        run_seed=derive(purpose, 0),
        references={str(ref): baseline},
        grid=config.evaluation.grid(),
    )


def _scored(outcome: Outcome, seconds: float) -> MemberScores:
    if not outcome.tasks:
        return MemberScores((), (), (), True, seconds)
    first, *_ = outcome.tasks
    rows = [[result.trials[k].value for result in outcome.tasks] for k in range(len(first.trials))]
    return MemberScores(
        tuple(trial.lr for trial in first.trials),
        tuple(trial.ratio for trial in first.trials),
        tuple(tuple(map(_long, row)) for row in rows),
        first.edge,
        seconds,
    )


def store(path: Path, found: Mapping[str, PanelScores]) -> None:
    """Write scores as JSON, a line a member."""
    lines = []
    for key, task in found.items():
        head = {
            "task": key,
            "steps": task.steps,
            "batch": task.batch,
            "floor": task.floor,
            "elasticity": task.elasticity,
            "baseline": [[_short(v, task.floor) for v in row] for row in task.baseline],
        }
        lines.append(json.dumps(head))
        for name, rounds in task.members.items():
            plain = [
                {
                    "lr": [float(f"{x:.4g}") for x in m.lrs],
                    "ratio": [float(f"{x:.4g}") for x in m.ratios],
                    "value": [[_short(v, task.floor) for v in row] for row in m.values],
                    "edge": m.edge,
                    "seconds": round(m.seconds, 2),
                }
                for m in rounds
            ]
            lines.append(json.dumps({"task": key, "member": name, "evaluations": plain}))
    write_atomic(path, "[\n" + ",\n".join(lines) + "\n]\n")


def load(path: Any) -> dict[str, PanelScores]:
    """Return the scores in a file, by task."""
    found: dict[str, PanelScores] = {}
    members: dict[str, dict[str, tuple[MemberScores, ...]]] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        key = row["task"]
        if "member" in row:
            members[key][row["member"]] = tuple(map(_member, row["evaluations"]))
        else:
            members[key] = {}
            baseline = tuple(tuple(map(_long, values)) for values in row["baseline"])
            steps, batch, floor = (row[name] for name in ("steps", "batch", "floor"))
            found[key] = PanelScores(
                key, steps, batch, floor, row["elasticity"], baseline, members[key]
            )
    return found


def _member(row: Mapping[str, Any]) -> MemberScores:
    return MemberScores(
        tuple(row["lr"]),
        tuple(row["ratio"]),
        tuple(tuple(map(_long, values)) for values in row["value"]),
        row["edge"],
        row["seconds"],
    )


def _short(value: float, floor: float) -> float | None:
    """Return a value with five digits of its distance from the floor; None if not finite."""
    return floor + float(f"{value - floor:.5g}") if math.isfinite(value) else None


def _long(value: float | None) -> float:
    return math.inf if value is None else value
