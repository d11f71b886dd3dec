"""What reading a large run takes: time and memory of each command, and of resuming.

    python -m benchmarks.large_run DIRECTORY [--candidates 100000] [--only top ...]

The run is made first unless it is there: a real search by `Run.search`, real records through the
real writer; only scores are a formula of the program. It stops before its budget is spent, as a
run that was interrupted. Every command is a process of its own, with its wall time, its processor
time, which a busy machine does not change much, and its peak resident memory. Resuming is measured
up to the first pack that would go to a worker. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evosearch.config.schema import preset
from evosearch.equivalence.core import Core
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng
from evosearch.runs.run import Run
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Status, TaskResult, TrialResult
from evosearch.workers.executor import AnyJob, Timed

_LIMITS: Final = {
    "status": (2, 200),
    "top": (2, 200),
    "report": (10, 300),
    "verify": (60, 500),
    "resume": (60, 500),
}
"""Seconds and megabytes that each may take for 100,000 candidates."""


class Enough(Exception):
    """Ends a search."""


@dataclass
class FormulaExecutor:
    """Evaluates by a formula, until so many new candidates were submitted."""

    left: int
    one_by_one: bool = False
    """No pack's result is at hand before it is asked for, so that each is a commit of its own."""
    workers: int = 1
    faults: list[str] = field(default_factory=list)
    on_fault: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self._jobs: dict[int, AnyJob] = {}

    def submit(self, number: int, job: AnyJob) -> None:
        """Take a job.

        Raises:
            Enough: There were as many as asked for.
        """
        if isinstance(job, Job):
            if self.left <= 0:
                raise Enough
            self.left -= len(job.candidates) if job.shrink else 0
        self._jobs[number] = job

    def ready(self, number: int) -> bool:
        """Whether a result is at hand."""
        return number in self._jobs and not (self.one_by_one and number >= 0)

    def collect(self, number: int) -> Timed:
        """Return a result."""
        return told(self._jobs.pop(number)), 0.01

    def close(self) -> None:
        """Nothing to stop."""


def told(job: AnyJob) -> tuple[Outcome, ...] | Baseline:
    """Return a job's result by a formula of program, task and replicate."""
    if isinstance(job, BaselineJob):
        values = (1.0,) * (job.seeds * job.rounds)
        return Baseline(str(job.task), job.programs[0], values, False, ())
    assert isinstance(job, Job)
    made: list[Outcome] = []
    count = job.grid.rates * len(job.grid.ratios)
    for candidate in job.candidates:
        core = Core.of(parse_rules(candidate)) if job.shrink else None
        text = core.text if core else candidate
        rng, tier, mean = Rng("score", text), -1, 0.0
        quality = 0.3 * rng.normal() - 0.3
        if rng.chance(0.02):
            made.append(Outcome(Status.DIVERGED, "by the formula", 0, 0.0, None, (), core))
            continue
        results: list[TaskResult] = []
        for stage in job.stages:
            tier += 1
            found: list[float] = []
            for task in map(str, stage.tasks):
                for replicate in job.replicates:
                    luck = Rng("luck", text, task, replicate)
                    score = quality + 0.1 * luck.normal()
                    found.append(score)
                    best = luck.below(count)
                    trials = tuple(
                        TrialResult(10.0 ** -(1 + i % 5), 0.01, 1.0, 0.5 - score + abs(i - best))
                        for i in range(count)
                    )
                    results.append(TaskResult(task, replicate, 7, score, best, False, trials))
            mean = sum(found) / len(found)
            if mean < stage.hurdle:
                break
        made.append(Outcome(Status.OK, "", tier, mean, 0.1, tuple(results), core))
    return tuple(made)


def make(directory: Path, candidates: int) -> None:
    """Write the run, interrupted after about so many candidates."""
    settings = [f"budget.evaluations={candidates + 1000}", "budget.pack=8"]
    config = preset("quickstart", settings)
    start = time.monotonic()
    try:
        Run.create(directory, config).search(FormulaExecutor(candidates))
    except Enough:
        seconds = time.monotonic() - start
        print(f"made {candidates:,} candidates in {seconds:.0f} s", file=sys.stderr)


def resume(directory: Path) -> None:
    """Go on with a run until it would evaluate something."""
    try:
        Run.open(directory).search(FormulaExecutor(0))
    except Enough:
        return
    raise SystemExit("expected a run that is not finished")


_LAUNCH: Final = """
import os, sys, time
start, null = time.monotonic(), os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                       file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - start,
      usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""
"""A process inherits the peak of the one that starts it, so that one has to be small."""


def measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a command and return its wall time, processor time, and megabytes of peak memory."""
    launch = [sys.executable, "-S", "-c", _LAUNCH, *command]
    done = subprocess.run(launch, stdout=subprocess.PIPE, text=True, check=True)
    code, *found = done.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    seconds, processor, megabytes = map(float, found)
    return seconds, processor, megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description="What reading a large run takes.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=list(_LIMITS), default=list(_LIMITS))
    parser.add_argument("--resume-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    directory: Path = options.directory
    if options.resume_here:
        resume(directory)
        return
    python = [sys.executable, "-m"]
    if not directory.exists():
        make(directory, options.candidates)
    results: dict[str, dict[str, float]] = {}
    for name in options.only:
        command = [*python, "evosearch", name, str(directory)]
        if name == "resume":
            command = [*python, "benchmarks.large_run", str(directory), "--resume-here"]
        seconds, processor, megabytes = measured(command)
        limit = "{} s, {} MB".format(*_LIMITS[name])
        used = f"{seconds:.2f} s ({processor:.2f} s of processor time), {megabytes:.0f} MB"
        print(f"{name}: {used}; limit for 100,000: {limit}", flush=True)
        results[name] = {
            "seconds": round(seconds, 2),
            "processor": round(processor, 2),
            "megabytes": round(megabytes),
        }
    count = len(Run.open(directory).history.candidates)
    print(json.dumps({"candidates": count, "load": round(os.getloadavg()[0], 2), **results}))


if __name__ == "__main__":
    main()
