"""Candidates per second of a whole machine: packs on all cores against the plain loop on all cores.

    python -m benchmarks.all_cores [--cores 2] [--repetitions 3] [--tasks micro,lm]

`benchmarks.lanes` compares one thread with one. Here a search's workers, one process a core, stand
against what a user with the same machine has: one plain loop whose torch uses all cores, as it does
unless told otherwise, or one of them, or one plain loop a core, each with a thread of its own. The
time is that of the clock on the wall, so nothing else should run. Who starts early waits for the
others; what loads libraries or data, and a first run, is not timed. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import SimpleQueue, get_context
from typing import Any

import torch

from benchmarks import plain
from benchmarks.lanes import CONTESTS, RUNS, Contest, job_of, plain_run
from evosearch.training.evaluate import evaluate
from proxy_tasks.registry import get

NAMES = tuple(plain.OPTIMIZERS)


@dataclass(frozen=True)
class Packs:
    """A worker's part: jobs of six candidates, two of each optimizer."""

    contest: Contest
    jobs: int

    def __call__(self, seed: int) -> int:
        """Do it and return how many models were trained."""
        for number in range(self.jobs):
            evaluate(job_of(self.contest, [*NAMES, *NAMES], 1000 * seed + number))
        return self.jobs * 2 * len(NAMES) * RUNS


@dataclass(frozen=True)
class Plain:
    """A plain loop's part: runs of each optimizer in turn."""

    contest: Contest
    runs: int

    def __call__(self, seed: int) -> int:
        """Do it and return how many models were trained."""
        for number in range(self.runs):
            for name in NAMES:
                self.contest.loop(get(self.contest.task), plain_run(name, 1000 * seed + number))
        return self.runs * len(NAMES)


Part = Callable[[int], int]


def _perform(part: Part, seed: int, threads: int, ready: Any, results: SimpleQueue[float]) -> None:
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    part(-1 - seed)
    ready.wait()
    start = time.perf_counter()
    done = part(seed)
    results.put(done / (time.perf_counter() - start))


def rate(part: Part, processes: int, threads: int) -> float:
    """Return the models a second that so many processes train side by side."""
    context = get_context("spawn")
    ready = context.Barrier(processes)
    results: SimpleQueue[float] = context.SimpleQueue()
    running = [
        context.Process(target=_perform, args=(part, seed, threads, ready, results))
        for seed in range(processes)
    ]
    for process in running:
        process.start()
    total = sum(results.get() for _ in running)
    for process in running:
        process.join()
    return total


def compare(contest: Contest, cores: int, repetitions: int) -> dict[str, list[float]]:
    """Return the ratios of each repetition by what the packs are compared with."""
    packs, loop = {"micro": (4, 40), "lm": (1, 2)}[contest.key]
    ratios: dict[str, list[float]] = {}
    for _ in range(repetitions):
        fast = rate(Packs(contest, packs), cores, 1)
        rivals = {
            "one loop, all cores": rate(Plain(contest, loop), 1, cores),
            "one loop, one core": rate(Plain(contest, loop), 1, 1),
            "a loop a core": rate(Plain(contest, loop), cores, 1),
        }
        for label, slow in rivals.items():
            ratios.setdefault(label, []).append(fast / slow)
        shown = ", ".join(f"{label} {slow:.1f}" for label, slow in rivals.items())
        print(f"{contest.key}: models a second: packs {fast:.1f}, {shown}", flush=True)
    for label, found in ratios.items():
        print(f"{contest.key}: {_summary(found)} times {label}")
    return ratios


def _summary(ratios: Sequence[float]) -> str:
    middle = statistics.median(ratios)
    return f"{middle:.1f} ({min(ratios):.1f} to {max(ratios):.1f}, n = {len(ratios)})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs against plain loops on all cores.")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--tasks", default="micro,lm")
    options = parser.parse_args()

    result: dict[str, Any] = {"cores": options.cores, "load_before": round(os.getloadavg()[0], 2)}
    for contest in CONTESTS:
        if contest.key in options.tasks.split(","):
            found = compare(contest, options.cores, options.repetitions)
            result[contest.key] = {
                label: {
                    "ratio": round(statistics.median(r), 2),
                    "range": [round(min(r), 2), round(max(r), 2)],
                }
                for label, r in found.items()
            }
    print(json.dumps({**result, "n": options.repetitions}))


if __name__ == "__main__":
    main()
