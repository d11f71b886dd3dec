"""How many workers one driver keeps busy: the whole search, with evaluation replaced by a delay.

    python -m benchmarks.driver [--workers 1000] [--seconds 1.0] [--packs 6000] [--window 1500]

The search is a real one, `Run.search` in a run directory: it proposes, commits, ranks, appends to
the journal with a flush to the disk, seals Parquet parts and writes the hall of fame. Only the
workers are not: they run on a clock of their own, which the driver's own time moves on, so that the
simulation takes no longer than the driver needs. A pack keeps a worker busy for a fixed time. Its
scores are made up, but the cores of its candidates are found, as every worker has to: in a process
of their own, so that neither the time nor what is left in caches is the driver's. What Ray takes to
carry jobs and results is not in it. A worker is idle while the driver has given it nothing to do.

Printed are the share of the workers' time that was busy, after the first and before the last packs,
and what a pack costs the driver. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from evosearch.config.schema import Config, preset
from evosearch.equivalence.core import Core
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng
from evosearch.runs.run import Run
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Status, TaskResult, TrialResult
from evosearch.workers.executor import AnyJob, Timed

Clock = Callable[[], float]
Shrink = Callable[[Sequence[str]], list[Core]]


class Shrinker:
    """A process that finds cores."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end,), daemon=True)
        self._process.start()

    def __call__(self, texts: Sequence[str]) -> list[Core]:
        """Return the programs' cores."""
        self._pipe.send(tuple(texts))
        return self._pipe.recv()


def _serve(pipe: Connection) -> None:
    with suppress(EOFError):
        while True:
            pipe.send([Core.of(parse_rules(text)) for text in pipe.recv()])


@dataclass
class SimulatedWorkers:
    """Workers that take `seconds` for a pack, on a clock that the driver's own time moves on."""

    workers: int
    seconds: float
    clock: Clock
    shrink: Shrink
    faults: list[str] = field(default_factory=list)
    on_fault: Callable[[str], None] = lambda _: None
    now: float = 0.0
    """The simulated time."""
    driving: float = 0.0
    """What of it the driver worked."""
    starts: list[float] = field(default_factory=list)
    """When each pack began; it ends `seconds` later."""

    def __post_init__(self) -> None:
        self._jobs: dict[int, tuple[AnyJob, float]] = {}
        """Jobs with the time when they are done."""
        self._free = [0.0] * self.workers
        """When each worker is done with what it was given; a heap."""
        self._left = self.clock()

    def submit(self, number: int, job: AnyJob) -> None:
        """Give a job to the worker that is free first."""
        self._enter()
        start = max(heapq.heappop(self._free), self.now)
        took = self.seconds if isinstance(job, Job) else 0.0
        heapq.heappush(self._free, start + took)
        self._jobs[number] = job, start + took
        if took:
            self.starts.append(start)
        self._left = self.clock()

    def ready(self, number: int) -> bool:
        """Whether a job is done by now."""
        self._enter()
        self._left = self.clock()
        return self._jobs[number][1] <= self.now

    def collect(self, number: int) -> Timed:
        """Move the simulated time on to the end of a job, if that is to come."""
        self._enter()
        job, end = self._jobs.pop(number)
        self.now = max(self.now, end)
        result = told(job, self.shrink)
        self._left = self.clock()
        return result, self.seconds

    def close(self) -> None:
        """Nothing to stop."""

    def busy(self, skip: float) -> float:
        """Return the busy share of all workers' time, `skip` seconds at both ends left out."""
        first, last = self.starts[0] + skip, max(self.starts) + self.seconds - skip
        spent = sum(max(0.0, min(s + self.seconds, last) - max(s, first)) for s in self.starts)
        return spent / (self.workers * (last - first))

    def _enter(self) -> None:
        passed = self.clock() - self._left
        self.now += passed
        self.driving += passed


def told(job: AnyJob, shrink: Shrink) -> tuple[Outcome, ...] | Baseline:
    """Return a job's result as if it had been computed; a score depends on the core alone."""
    if isinstance(job, BaselineJob):
        values = (1.0,) * (job.seeds * job.rounds)
        return Baseline(str(job.task), job.programs[0], values, False, ())
    made: list[Outcome] = []
    trial = TrialResult(0.01, 0.01, 1.0, 0.5)
    trials = (trial,) * (job.grid.rates * len(job.grid.ratios))
    cores = shrink(job.candidates) if job.shrink else [None] * len(job.candidates)
    for core, candidate in zip(cores, job.candidates, strict=True):
        text = core.text if core else candidate
        score, tier, results = Rng("score", text).normal(), -1, []
        for stage in job.stages:
            tier += 1
            results += [
                TaskResult(str(task), replicate, 7, score, 0, False, trials)
                for task in stage.tasks
                for replicate in job.replicates
            ]
            if score < stage.hurdle:
                break
        made.append(Outcome(Status.OK, "", tier, score, 0.1, tuple(results), core))
    return tuple(made)


@dataclass(frozen=True)
class Measured:
    """One run of the search."""

    busy: float
    """Share of the workers' time."""
    per_pack: float
    """Seconds of the driver for a pack."""
    candidates: int
    proposals: int
    kept: int
    """Bytes of memory that the process gained."""
    digest: str
    """Of the history."""


def configuration(packs: int, size: int, window: int, seed: int) -> Config:
    budget = (f"budget.evaluations={packs * size}", f"budget.pack={size}")
    return preset("quickstart", [f"seed={seed}", f"budget.window={window}", *budget])


def measure(config: Config, workers: int, seconds: float, clock: Clock, shrink: Shrink) -> Measured:
    """Run a search in a new directory."""
    executor = SimulatedWorkers(workers, seconds, clock, shrink)
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config).search(executor)
        digest = run.digest()
    return Measured(
        busy=executor.busy(2 * seconds),
        per_pack=executor.driving / run.history.packs,
        candidates=len(run.history.candidates),
        proposals=run.history.proposals,
        kept=resident() - before,
        digest=digest,
    )


def resident() -> int:
    """Return the bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description="How many workers one driver keeps busy.")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0, help="a worker's time for a pack")
    parser.add_argument("--packs", type=int, default=8000)
    parser.add_argument("--size", type=int, nargs="*", default=[1, 4], help="candidates of a pack")
    parser.add_argument("--window", type=int, default=1500, help="packs in flight")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    options = parser.parse_args()

    clock = time.perf_counter if options.clock == "wall" else time.process_time
    shrink = Shrinker()
    measure(configuration(200, 2, 50, -1), 50, 0.1, clock, shrink)  # caches and lazy imports
    results = {}
    for size in options.size:
        runs = [
            measure(
                configuration(options.packs, size, options.window, seed),
                options.workers,
                options.seconds,
                clock,
                shrink,
            )
            for seed in range(options.repetitions)
        ]
        busy, costs = [run.busy for run in runs], [run.per_pack * 1e6 for run in runs]
        kept = [run.kept / run.proposals for run in runs]
        print(
            f"{options.workers} workers, {options.seconds:g} s a pack of {size}: busy "
            f"{statistics.median(busy):.1%} ({min(busy):.1%} to {max(busy):.1%}, n = {len(runs)}); "
            f"{statistics.median(costs):.0f} us of the driver a pack ({min(costs):.0f} to "
            f"{max(costs):.0f}), {statistics.median(kept):.0f} bytes a proposal"
        )
        results[str(size)] = {
            "busy": round(statistics.median(busy), 4),
            "busy_range": [round(min(busy), 4), round(max(busy), 4)],
            "driver_us_per_pack": round(statistics.median(costs)),
            "bytes_per_proposal": round(statistics.median(kept)),
            "candidates": runs[0].candidates,
            "proposals": runs[0].proposals,
        }
    about = {"workers": options.workers, "seconds": options.seconds, "window": options.window}
    load = round(os.getloadavg()[0], 2)
    print(
        json.dumps(
            {
                **about,
                "clock": options.clock,
                "n": options.repetitions,
                "load": load,
                "by_size": results,
            }
        )
    )


if __name__ == "__main__":
    main()
