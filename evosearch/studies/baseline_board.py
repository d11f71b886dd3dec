"""Tuned baselines as data: how well each known optimizer does on each task, and every trial of it.

All members of an optimizer's family (`evosearch.studies.baseline_families`) are tuned on some
seeds, which choose the best, and evaluated once more on others, which give its figure. Scores refer
to AdamW, tuned by the default configuration. The files lie in `evosearch/studies/boards/`;
`evosearch baselines --measure` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from evosearch.config.schema import configure
from evosearch.evolution.loop import baseline_jobs
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.statistics import difference, holm
from evosearch.training.baseline import Baseline
from evosearch.training.job import Job, Outcome, Stage, Status, TaskResult
from evosearch.training.score import log_excess, mean_score
from evosearch.training.seeds import derive
from evosearch.workers.executor import Executor

__all__ = ["SEEDS", "excluded", "figure", "inclusion", "measure", "measured", "stored", "text"]

SEEDS: Final = 4
"""Paired seeds to tune on, and as many to test on; `evosearch evaluate` uses the former."""
_FOLDER: Final = "evosearch.studies.boards"

Board = Mapping[str, Any]
"""A task's file, as plain JSON."""


def measure(
    task: str,
    executor: Executor,
    *,
    families: Mapping[str, Sequence[str]] = FAMILIES,
    seeds: int = SEEDS,
    settings: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Tune and test all families on a task, and return its board.

    Args:
        task: Name of a registered task.
        executor: Where it is computed.
        families: Program texts by family.
        seeds: Paired seeds to tune on, and as many to test on.
        settings: Changes of the default configuration.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on the task.
    """
    from evosearch.runs.manifest import versions

    data = {"tiers": [{"tasks": [task]}], "elites": {"rounds": 2}}
    config = configure(data, [*settings, f"evaluation.seeds={seeds}"], "the measurement")
    run_seed = derive("comparison", 0)  # the seeds of `evosearch evaluate`
    ((ref,),) = config.tiers_of_tasks()
    (job,) = baseline_jobs(config.model_copy(update={"seed": run_seed}))
    executor.submit(0, job)
    reference, _ = executor.collect(0)
    assert isinstance(reference, Baseline)
    report(f"tuned AdamW on {task}")
    rounds = [tuple(range(seeds)), tuple(range(seeds, 2 * seeds))]
    for i, members in enumerate(families.values()):
        for j, replicates in enumerate(rounds):
            values = tuple(reference.values[r] for r in replicates)
            stages, grid = (Stage((ref,)),), config.evaluation.grid()
            texts = tuple(members)
            job = Job(texts, stages, replicates, run_seed, {task: values}, grid)
            executor.submit(1 + 2 * i + j, job)
    optimizers: dict[str, Any] = {}
    for i, (name, members) in enumerate(families.items()):
        tuning, testing = (executor.collect(1 + 2 * i + j)[0] for j in range(2))
        assert isinstance(tuning, tuple)
        assert isinstance(testing, tuple)
        floor = _floor(task)
        outcomes = zip(members, tuning, testing, strict=True)
        rows = [_member(program, first, second, floor) for program, first, second in outcomes]
        best = max(range(len(rows)), key=lambda k: (_mean(rows[k]["tuning"]), -k))
        optimizers[name] = {"best": best, "members": rows}
        report(f"tuned and tested {name} on {task}")
    return {
        "task": task,
        "seeds": seeds,
        "versions": {k: v for k, v in versions().items() if k in ("python", "torch")},
        "reference": {"program": reference.program, "values": _rounded(reference.values)},
        "optimizers": optimizers,
    }


def text(board: Board) -> str:
    """Return a board as the text of its file, lists of numbers on one line each."""
    plain = json.dumps(board, indent=1, allow_nan=False)
    lists = re.compile(r"\[([^\[\]{}\"]*)\]")
    return lists.sub(lambda found: f"[{' '.join(found[1].split())}]", plain) + "\n"


def measured() -> list[str]:
    """Return the tasks that have a board."""
    names = (entry.name for entry in files(_FOLDER).iterdir())
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


@cache
def stored(task: str) -> Board | None:
    """Return a task's board, or None where it was never measured."""
    path = files(_FOLDER).joinpath(f"{task}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def figure(board: Board, program: str) -> tuple[float, float | None] | None:
    """Return the stored score of a program on the seeds of `evosearch evaluate`, with its error.

    None where the program, by its text, is in no family.
    """
    for optimizer in board["optimizers"].values():
        for member in optimizer["members"]:
            if member["program"] == program and member["tuning"]:
                score = mean_score(member["tuning"])
                return score.mean, score.se
    return None


def excluded(board: Board, name: str) -> list[str]:
    """Return the members that beat a tuned family they belong to, beyond the error.

    There should be none: tuning over a family that contains an optimizer must not do worse than
    that optimizer (Choi et al., arXiv 1910.05446). Corrected for the number of members; of many
    families one in twenty may have such a member by chance.
    """
    found = inclusion(board, name)
    corrected = holm(list(found.values()))
    return [program for program, p in zip(found, corrected, strict=True) if p < 0.05]


def inclusion(board: Board, name: str) -> dict[str, float]:
    """Return, for each member that is not the tuned one, how likely its lead is by chance.

    The p values are one-sided, of paired differences on the seeds for testing, and not corrected.
    """
    optimizer = board["optimizers"][name]
    best = optimizer["members"][optimizer["best"]]["testing"]
    others = [m for m in optimizer["members"] if m["testing"] and m["testing"] != best]
    return {
        member["program"]: difference(
            [[a - b for a, b in zip(member["testing"], best, strict=True)]]
        ).p
        for member in others
    }


def _member(program: str, tuning: Outcome, testing: Outcome, floor: float) -> dict[str, Any]:
    ok = tuning.status is Status.OK and testing.status is Status.OK
    return {
        "program": program,
        "tuning": _rounded(r.score for r in tuning.tasks) if ok else [],
        "testing": _rounded(r.score for r in testing.tasks) if ok else [],
        "edge": ok and tuning.tasks[0].edge,
        "best": tuning.tasks[0].best if ok else None,
        "trials": _trials(tuning.tasks, floor) if ok else [],
    }


def _trials(results: Sequence[TaskResult], floor: float) -> list[list[float]]:
    """Return each trial's learning rates and its mean log excess over the seeds."""
    rows: list[list[float]] = []
    for trials in zip(*(result.trials for result in results), strict=True):
        losses = [log_excess(float("nan") if t.value is None else t.value, floor) for t in trials]
        rows.append(_rounded([trials[0].lr, trials[0].rest_lr, sum(losses) / len(losses)]))
    return rows


def _floor(task: str) -> float:
    from proxy_tasks.registry import get

    return get(task).floor


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("-inf")


def _rounded(values: Any) -> list[float]:
    """Return values with the digits that another machine could reproduce."""
    return [float(f"{value:.6g}") for value in values]
