"""How many workers one driver keeps busy: the whole search, with evaluation replaced by a delay.

    python -m benchmarks.driver [--workers 1 16 256 1000 4096] [--ahead 1.5] [--packs 8000]
    python -m benchmarks.driver --record RUN [RUN ...]

The search is a real one, `Run.search` in a run directory: it proposes, commits, ranks, appends to
the journal with a flush to the disk, seals Parquet parts and writes the hall of fame. Only the
workers are not: they run on a clock of their own, which the driver's own time moves on, so that the
simulation takes no longer than the driver needs. How long a pack keeps a worker busy is drawn from
the times that real workers took, which `--record` takes from runs; or it is `--seconds` always. Its
scores are made up, but the cores of its candidates are found, as every worker has to: in a process
of their own, so that neither the time nor what is left in caches is the driver's. What Ray takes to
carry jobs and results is not in it. A worker is idle while the driver has given it nothing to do.

Packs are committed in their order, so a slow one holds up those behind it: `--ahead` says how many
are in flight for each worker.

Printed are packs a second, the share of the workers' time that was busy, after the first and before
the last packs, the share of the driver's, and what a pack costs it. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
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
from evosearch.hardware import processor
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng
from evosearch.runs.run import Run
from evosearch.storage.journal import Bodies
from evosearch.storage.schema import CARRIERS
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Status, TaskResult, TrialResult
from evosearch.workers.executor import AnyJob, Timed

TIMES = Path(__file__).parent / "results" / "pack_seconds.json"
"""Seconds that real workers took for a pack, and where."""

Clock = Callable[[], float]
Lasts = Callable[[int], float]
"""The seconds that a worker takes for the pack of a number."""
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
    """Workers that take their time for a pack, on a clock that the driver's own time moves on."""

    workers: int
    lasts: Lasts
    clock: Clock
    shrink: Shrink
    faults: list[str] = field(default_factory=list)
    on_fault: Callable[[str], None] = lambda _: None
    now: float = 0.0
    """The simulated time."""
    driving: float = 0.0
    """What of it the driver worked."""
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When each pack began, and when it ended."""

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
        end = start + (self.lasts(number) if isinstance(job, Job) else 0.0)
        heapq.heappush(self._free, end)
        self._jobs[number] = job, end
        if isinstance(job, Job):
            self.spans.append((start, end))
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
        return result, self.lasts(number) if isinstance(job, Job) else 0.0

    def close(self) -> None:
        """Nothing to stop."""

    def busy(self, skip: float) -> float:
        """Return the busy share of all workers' time, a share at both ends left out."""
        first, last = self.spans[0][0], max(end for _, end in self.spans)
        first, last = first + skip * (last - first), last - skip * (last - first)
        spent = sum(max(0.0, min(end, last) - max(start, first)) for start, end in self.spans)
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
    driving: float
    """Share of the driver's time."""
    rate: float
    """Packs a second."""
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


def measure(config: Config, workers: int, lasts: Lasts, clock: Clock, shrink: Shrink) -> Measured:
    """Run a search in a new directory."""
    executor = SimulatedWorkers(workers, lasts, clock, shrink)
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config).search(executor)
        digest = run.digest()
    return Measured(
        busy=executor.busy(0.15),
        driving=executor.driving / executor.now,
        rate=run.history.packs / executor.now,
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


def drawn(times: Sequence[float]) -> Lasts:
    """Return what draws one of the times for each pack, the same for the same number."""
    return lambda number: times[Rng("seconds", number).below(len(times))]


def record(runs: Sequence[Path]) -> None:
    """Keep the seconds that the workers of some runs took for a pack."""
    times: list[float] = []
    for path in runs:
        times += [body["info"]["seconds"] for body in Bodies(path) if body["kind"] in CARRIERS]
    about = {"processor": processor(), "packs": len(times)}
    TIMES.write_text(json.dumps({**about, "seconds": sorted(times)}) + "\n", encoding="utf-8")
    print(f"{TIMES}: {len(times)} packs, {statistics.median(times):.2f} s in the median")


def main() -> None:
    parser = argparse.ArgumentParser(description="How many workers one driver keeps busy.")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 16, 256, 1000, 4096])
    parser.add_argument("--seconds", type=float, help="a worker's time for a pack, always")
    parser.add_argument("--packs", type=int, default=8000, help="at least twelve a worker are run")
    parser.add_argument("--size", type=int, default=1, help="candidates of a pack")
    parser.add_argument("--ahead", type=float, default=1.5, help="packs in flight for each worker")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--record", type=Path, nargs="+", help="keep the times of these runs")
    options = parser.parse_args()
    if options.record:
        record(options.record)
        return

    clock = time.perf_counter if options.clock == "wall" else time.process_time
    times = json.loads(TIMES.read_text(encoding="utf-8"))["seconds"]
    lasts = drawn([options.seconds] if options.seconds else times)
    shrink = Shrinker()
    measure(configuration(200, 2, 50, -1), 50, drawn([0.1]), clock, shrink)  # caches, lazy imports
    table: list[dict[str, object]] = []
    print("workers | packs a second | workers busy | driver busy | us a pack | bytes a proposal")
    for workers in options.workers:
        packs, window = max(options.packs, 12 * workers), math.ceil(options.ahead * workers)
        seeds = range(options.repetitions)
        configs = [configuration(packs, options.size, window, seed) for seed in seeds]
        runs = [measure(config, workers, lasts, clock, shrink) for config in configs]
        row = {
            "rate": spread([run.rate for run in runs], 1),
            "busy": spread([run.busy for run in runs], 3),
            "driving": spread([run.driving for run in runs], 3),
            "us_per_pack": spread([run.per_pack * 1e6 for run in runs], 0),
            "bytes_per_proposal": spread([run.kept / run.proposals for run in runs], 0),
        }
        told_row = (f"{m:g} ({low:g} to {high:g})" for m, low, high in row.values())
        print(f"{workers} | {' | '.join(told_row)}", flush=True)
        proposals = max(run.proposals for run in runs)
        table.append({"workers": workers, "window": window, "proposals": proposals, **row})
    about = {
        "processor": processor(),
        "seconds": options.seconds or TIMES.name,
        "size": options.size,
        "clock": options.clock,
        "n": options.repetitions,
        "load": round(os.getloadavg()[0], 2),
    }
    print(json.dumps({**about, "table": table}))


def spread(values: Sequence[float], digits: int) -> tuple[float, float, float]:
    """Return median, smallest and largest."""
    low, high = min(values), max(values)
    return round(statistics.median(values), digits), round(low, digits), round(high, digits)


if __name__ == "__main__":
    main()
