"""The baseline of a search's scores: AdamW with constants that were chosen before.

Its learning rates are found as a candidate's are, on the same grid and seeds. Its constants a
preset commits for each task (`python -m evosearch.studies.baseline_constants` chooses them); where
none are committed, the best of a short list on the first round's seeds is taken for all rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evosearch.training.job import TaskRef
from evosearch.training.lr_grid import Grid
from evosearch.training.score import log_excess

__all__ = ["Baseline", "BaselineJob", "adamw", "tune_baseline"]


@dataclass(frozen=True)
class BaselineJob:
    """Programs to tune on one task, of which the best becomes the task's baseline."""

    programs: tuple[str, ...]
    task: TaskRef
    run_seed: int
    seeds: int
    """Paired seeds of one round."""
    rounds: int
    grid: Grid


@dataclass(frozen=True)
class Baseline:
    """A task's baseline."""

    task: str
    program: str
    """Text of the best program."""
    values: tuple[float, ...]
    """Its end value on each replicate, all rounds one after another."""
    edge: bool
    """Whether its best learning rate lies at the edge of the extended grid."""
    losers: tuple[tuple[str, float], ...]
    """The other programs with their mean log excess minus the best's."""


def adamw(
    betas: tuple[float, float], weight_decay: float = 0.0, warmup: float = 0.0, *, eps: float = 1e-8
) -> str:
    """Return AdamW's text with these constants, and so many steps of linear warm-up."""
    first, second = betas
    text = (
        "def adamw(w, g, m, v):\n"
        f"    m = lerp(m, g, {round(1.0 - first, 9)})\n"
        "    g2 = square(g)\n"
        f"    v = lerp(v, g2, {round(1.0 - second, 9)})\n"
        f"    a = debias(m, {first})\n"
        f"    b = debias(v, {second})\n"
        "    s = sqrt(b)\n"
        f"    d = s + {eps}\n"
        "    u = a / d\n"
    )
    if warmup:
        text += (
            f"    k = step()\n    k = k * {1.0 / warmup}\n    k = minimum(k, 1.0)\n    u = u * k\n"
        )
    if weight_decay:
        text += f"    r = w * {weight_decay}\n    u = u + r\n"
    return f"{text}    return u, m, v\n"


def tune_baseline(job: BaselineJob, device: str = "cpu") -> Baseline:
    """Tune all programs on the first round, then evaluate the best on the other rounds.

    Raises:
        DataError: A program fails on the task, so it cannot be a baseline.
    """
    from evosearch.training.evaluate import TunedProgram, evaluate_baseline
    from proxy_tasks.registry import get

    floor = get(job.task.name, **job.task.overrides).floor
    first = range(job.seeds)

    def tune(program: str, replicates: Sequence[int]) -> TunedProgram:
        return evaluate_baseline(
            program, job.task, replicates, job.run_seed, job.grid, device=device
        )

    tuned = [tune(program, first) for program in job.programs]
    levels = [_mean([log_excess(v, floor) for v in reference.values]) for reference in tuned]
    best = levels.index(min(levels))
    program, values = job.programs[best], list(tuned[best].values)
    for number in range(1, job.rounds):
        replicates = range(number * job.seeds, (number + 1) * job.seeds)
        values += tune(program, replicates).values
    losers = tuple(
        (p, level - levels[best])
        for p, level in zip(job.programs, levels, strict=True)
        if p != program
    )
    return Baseline(str(job.task), program, tuple(values), tuned[best].edge, losers)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
