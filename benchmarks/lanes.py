"""Candidates per second: packs of lanes against the plain training loop, same training work.

    python -m benchmarks.lanes [--repetitions 5] [--candidates 6] [--runs 3] [--tasks micro,lm]

A candidate is trained at every point of its grid for every seed. The plain loop trains these runs
one after another; a sample of them is timed. Both sides include drawing data and the end value; the
packs also include measuring update sizes. One process, one thread, in seconds of processor time, so
that other work on the machine disturbs little. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks import plain
from evosearch.language.known import known
from evosearch.training.evaluate import evaluate
from evosearch.training.job import Job, Stage, Status, TaskRef
from evosearch.training.lr_grid import Grid
from proxy_tasks.registry import get

SEEDS = 2
GRID = Grid(rates=5, ratios=(0.3, 1.0, 3.0), extensions=0)
RUNS = 5 * 3 * SEEDS
"""Training runs a candidate."""
LEARNING_RATES = {"adamw": 3e-3, "lion": 1e-3, "muon": 3e-3}


@dataclass(frozen=True)
class Contest:
    """One task and the plain loop that trains the same model."""

    key: str
    task: str
    loop: Callable[..., float]


CONTESTS = (
    Contest("micro", "digits_mlp", plain.digits),
    Contest("lm", "char_lm", plain.language_model),
)


def time_plain(contest: Contest, name: str, runs: int, seed: int) -> float:
    """Return seconds per training run of the plain loop."""
    start = time.process_time()
    for run in range(runs):
        contest.loop(get(contest.task), plain_run(name, seed + run))
    return (time.process_time() - start) / runs


def plain_run(name: str, seed: int, device: str = "cpu", *, compiled: bool = False) -> plain.Run:
    """Return a run of the plain loop with an optimizer of this name."""
    lr = LEARNING_RATES[name]
    return plain.Run(plain.OPTIMIZERS[name], lr, seed, device, compiled)


def job_of(contest: Contest, names: list[str], seed: int) -> Job:
    """Return a job that tunes the named optimizers."""
    return Job(
        candidates=tuple(str(known(name)) for name in names),
        stages=(Stage((TaskRef(contest.task),)),),
        replicates=tuple(range(SEEDS)),
        run_seed=seed,
        references={contest.task: (1.0,) * SEEDS},
        grid=GRID,
    )


def time_packs(contest: Contest, names: list[str], seed: int) -> float:
    """Return seconds per training run of the packs."""
    job = job_of(contest, names, seed)
    start = time.process_time()
    outcomes = evaluate(job)
    seconds = time.process_time() - start
    assert all(outcome.status is Status.OK for outcome in outcomes)
    return seconds / (len(names) * RUNS)


def compare(contest: Contest, options: argparse.Namespace) -> tuple[float, float]:
    """Print the figures of one contest and return the median ratio and its spread."""
    names = [list(plain.OPTIMIZERS)[i % 3] for i in range(options.candidates)]
    time_plain(contest, "adamw", 1, 0)
    time_packs(contest, names[:1], 0)
    ratios: list[float] = []
    for repetition in range(options.repetitions):
        slow = {n: time_plain(contest, n, options.runs, 100 + repetition) for n in plain.OPTIMIZERS}
        fast = {n: time_packs(contest, [n] * options.candidates, repetition) for n in slow}
        mixed = time_packs(contest, names, 1000 + repetition)
        ratios.append(statistics.fmean(slow[n] for n in names) / mixed)
        single = "  ".join(f"{n} {slow[n] / fast[n]:5.1f}x" for n in slow)
        print(
            f"{contest.key}: plain {ratios[-1] * mixed * 1e3:8.2f} ms/run, "
            f"packs {mixed * 1e3:7.3f} ms/run, {1 / (mixed * RUNS):7.2f} candidates/s, "
            f"ratio {ratios[-1]:5.1f}   ({single})",
            flush=True,
        )
    median = statistics.median(ratios)
    spread = max(ratios) - min(ratios)
    print(
        f"{contest.key}: ratio {median:.1f}, n {len(ratios)}, range {min(ratios):.1f} to "
        f"{max(ratios):.1f}"
    )
    return median, spread


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs of lanes against the plain loop.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=6, help="candidates in a job")
    parser.add_argument("--runs", type=int, default=3, help="plain runs timed per optimizer")
    parser.add_argument("--tasks", default="micro,lm")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    result: dict[str, Any] = {}
    for contest in CONTESTS:
        if contest.key in options.tasks.split(","):
            ratio, spread = compare(contest, options)
            result[f"{contest.key}_ratio"] = round(ratio, 2)
            result[f"{contest.key}_spread"] = round(spread, 2)
            result["n"] = options.repetitions
    print(json.dumps(result))


if __name__ == "__main__":
    main()
