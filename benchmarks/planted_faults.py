"""What becomes of candidates that hang, crash, exit, raise, diverge or take all memory.

    python -m benchmarks.planted_faults [--candidates 1000] [--workers 1 2] [--deadline 3] [-o FILE]

Evaluation is the real one, of lanes in packs of four, but for the rules: each is a function that
does what its text says. Whoever ends or blocks its process has to be found among the others of its
pack, and every candidate has to come out once, as planted. A hang notes when it began, and the
executor when it ended it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from evosearch.hardware import cores, processor
from evosearch.training.evaluate import evaluate
from evosearch.training.job import Job, Stage, Status, TaskRef
from evosearch.training.lr_grid import Grid
from evosearch.workers.child import ChildExecutor
from evosearch.workers.executor import AnyJob, Executor, Timed
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

PLANTED = {
    "hang": Status.TIMEOUT,
    "stubborn": Status.TIMEOUT,
    "crash": Status.CRASHED,
    "exit": Status.CRASHED,
    "hog": Status.MEMORY,
    "raise": Status.RAISED,
    "task": Status.RAISED,
    "nan": Status.DIVERGED,
    "zero": Status.DEGENERATE,
    "good": Status.OK,
}
"""Kind of a candidate, which is the first word of its text, to what has to become of it."""
SHARES = {"hang": 5, "stubborn": 5, "crash": 5, "exit": 5, "hog": 5}
"""How many of a thousand; of the kinds that do not end their process there are twenty each."""
PACK = 4
ROOM = 4 << 30
"""Bytes that a worker may allocate."""


@dataclass(frozen=True)
class Valley(Task):
    """Squares of a matrix's entries; it cannot bear large ones, as a decomposition cannot."""

    family: ClassVar[str] = "valley"
    summary: ClassVar[str] = "a quadratic"
    metric: ClassVar[str] = "mean square"

    steps: int = 12

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One hidden matrix."""
        return (Parameter("w", (8, 8), Role.HIDDEN),)

    @property
    def floor(self) -> float:
        """Nothing is left."""
        return 0.0

    @property
    def flops(self) -> float:
        """About."""
        return 128.0

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return normal weights."""
        return {"w": torch.randn(8, 8, generator=generator(seed, "valley"))}

    def draw(self, seed: int) -> Batch:
        """Return noise."""
        return (torch.randn(self.steps, 8, 8, generator=generator(seed, "valley/draw")),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same for all seeds
        """Return no noise."""
        return (torch.zeros(8, 8),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean square of each lane."""
        if bool((weights["w"].abs() > 1e15).any()):
            raise torch.linalg.LinAlgError("did not converge")
        return (weights["w"] + 0.1 * batch[0]).square().mean((1, 2))

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the loss."""
        return self.loss(weights, batch)


@dataclass(frozen=True)
class Rule:
    """What a generated rule offers to the trainer."""

    update: Callable[..., Any]
    states: tuple[Any, ...] = ()
    elementwise: bool = True

    def bound(self, *_: Any) -> None:
        """Offer no machine code."""
        return None


@dataclass(frozen=True)
class Rules:
    """One rule for everything."""

    matrix: Rule
    rest: Rule


def planted(text: str) -> Any:
    """Return the rules of a candidate; what they do, they do from the tenth of twelve steps on."""
    kind, notes = text.split(maxsplit=1)[0], Path(os.environ["PLANTED_NOTES"])

    def update(_w: Tensor, g: Tensor, t: float) -> tuple[Tensor]:
        if t < 10:  # its update size is measured, and its pack is on its way
            return (g * 0.0,) if kind == "zero" else (g,)
        match kind:
            case "hang" | "stubborn":
                (notes / f"{text.replace(' ', '-')}.{time.time_ns()}").touch()
                if kind == "hang":
                    time.sleep(3600)
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                    signal.signal(number, signal.SIG_IGN)
                ctypes.PyDLL(None).sleep(3600)  # with the interpreter's lock
            case "crash":
                ctypes.string_at(0)
            case "exit":
                os._exit(3)
            case "raise":
                raise ArithmeticError("planted")
            case "hog":
                held = []
                while True:
                    held.append(torch.empty(1 << 28))
            case "task":
                return (g * 1e30,)
            case "nan":
                return (g * math.nan,)
        return (g * 0.0,) if kind == "zero" else (g,)

    rule = Rule(update)
    return Rules(rule, rule)


def perform(job: AnyJob) -> Timed:
    """Evaluate a job of such candidates."""
    resource.setrlimit(resource.RLIMIT_DATA, (ROOM, resource.RLIM_INFINITY))
    start = time.perf_counter()
    assert isinstance(job, Job)
    outcomes = evaluate(job, compile_rules=planted, lookup=lambda _: Valley())
    return outcomes, time.perf_counter() - start


def candidates(count: int) -> list[str]:
    """Return the texts of so many candidates, the kinds mixed evenly."""
    kinds: list[str] = []
    for kind in PLANTED:
        if kind != "good":
            kinds += [kind] * max(1, round(SHARES.get(kind, 20) * count / 1000))
    kinds += ["good"] * (count - len(kinds))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    return [f"{kinds[i]} {number}" for number, i in enumerate(order)]


@dataclass
class Found:
    """What a run of all candidates showed."""

    wrong: list[str]
    counts: Counter[str]
    overtime: list[float]
    """Seconds that each hang lasted beyond its deadline."""
    seconds: float
    faults: int


def run(executor: Executor, texts: list[str], notes: Path) -> Found:
    """Have all candidates evaluated in packs, a few of them in flight."""
    ended: list[tuple[float, float]] = []
    """When a hang was ended, and what its deadline was."""

    def note(fault: str) -> None:
        if limit := re.search(r"no result in ([\d.]+) s", fault):
            ended.append((time.time(), float(limit[1])))

    executor.on_fault = note
    start = time.monotonic()
    grid = Grid(rates=3, ratios=(1.0,), extensions=0)
    stages = (Stage((TaskRef("valley"),)),)
    packs = [tuple(texts[i : i + PACK]) for i in range(0, len(texts), PACK)]
    wrong, counts = [], Counter()
    window = 2 * executor.workers
    for number in range(len(packs) + window):
        if number < len(packs):
            job = Job(packs[number], stages, (0, 1), 0, {"valley": (1.0, 1.0)}, grid)
            executor.submit(number, job)
        if number >= window:
            outcomes, _ = executor.collect(number - window)
            assert isinstance(outcomes, tuple)
            for text, outcome in zip(packs[number - window], outcomes, strict=True):
                kind = text.split()[0]
                counts[kind] += 1
                task = outcome.message.startswith("task ")
                if outcome.status is not PLANTED[kind] or task != (kind == "task"):
                    wrong.append(f"{text}: {outcome.status} {outcome.message}")
    begun = sorted(int(note.suffix[1:]) / 1e9 for note in notes.iterdir())
    over: list[float] = []
    if executor.workers == 1 and len(begun) == len(ended):  # they came one after the other
        over = [end - begin - limit for begin, (end, limit) in zip(begun, ended, strict=True)]
    seconds = time.monotonic() - start
    return Found(wrong, counts, over, seconds, len(executor.faults))


def main() -> None:
    parser = argparse.ArgumentParser(description="Planted faults and what becomes of them.")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--deadline", type=float, default=3.0, help="seconds a pack may take")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"processor": processor(), "cores": cores()}
    for workers in options.workers:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PLANTED_NOTES"] = folder
            os.environ["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
            if workers == 1:
                executor: Executor = ChildExecutor(options.deadline, perform=evaluated())
            else:
                from evosearch.workers.ray_cluster import RayExecutor

                executor = RayExecutor(workers, deadline=options.deadline, perform=evaluated())
            try:
                texts = candidates(options.candidates)
                found = run(executor, texts, Path(folder))
            finally:
                executor.close()
        total = sum(found.counts.values())
        late = max(found.overtime, default=math.nan)
        print(
            f"{workers} worker(s): {total} candidates came out, {len(found.wrong)} not as "
            f"planted, in {found.seconds:.0f} s with {found.faults} faults of processes; "
            f"{dict(found.counts)}"
        )
        print(f"hangs ended {late:.2f} s after their deadline at most, n = {len(found.overtime)}")
        print(*found.wrong[:10], sep="\n")
        results[str(workers)] = {
            "candidates": total,
            "not_as_planted": len(found.wrong),
            "planted": dict(found.counts),
            "process_faults": found.faults,
            "seconds": round(found.seconds, 1),
            "latest_end_of_a_hang": round(late, 2),
            "load": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(results))
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if any(r["not_as_planted"] for r in results.values() if isinstance(r, dict)):
        raise SystemExit(1)


def evaluated() -> Callable[[AnyJob], Timed]:
    """Return `perform` by the name under which other processes find it."""
    from benchmarks import planted_faults

    return partial(planted_faults.perform)


if __name__ == "__main__":
    main()
