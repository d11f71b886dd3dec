"""Every measurement that needs a GPU, in one call of less than ten minutes.

    python -m benchmarks.gpu [--output FILE] [--minutes 9]

- Candidates per second against the plain loop, eager and (last) compiled, the same work.
- A training step of a pack: with CUDA graphs, without them, and its matrix products alone.
- Whether results can be trusted: graphs against calls, GPU against CPU, a repetition, a lane alone
  against the same lane in a pack, and TF32 against float32, as differences of scores and of the
  trials that are chosen.
- Candidates per second of one, two and four workers that share the GPU.
- The exported optimizers against torch's (`benchmarks.optimizer_step`).

A part that fails, or that there is no more time for, says so in its place. The last line is one
JSON object, which is also written to the file: by default one that is named after the GPU. Without
a GPU it says so and ends well. `--device cpu --quick` tries the script itself out.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import plain
from benchmarks.floor import Products, floor_of, gradient_of
from benchmarks.lanes import CONTESTS, RUNS, SEEDS, Contest, job_of, plain_run
from evosearch.language.known import known
from evosearch.training.cuda_graphs import Record
from evosearch.training.evaluate import compile_text, evaluate
from evosearch.training.lanes import Entry, arithmetic, train
from evosearch.training.lr_grid import Grid, measure
from evosearch.training.problem import Problem
from proxy_tasks.registry import get

NAMES = list(plain.OPTIMIZERS)
GRID = Grid(rates=5, ratios=(0.3, 1.0, 3.0), extensions=0)


@dataclass(frozen=True)
class Bench:
    """Where to measure, and how long at most."""

    device: str
    deadline: float
    quick: bool

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()

    def seconds(self, work: Callable[[], object], times: int = 1) -> float:
        """Return seconds a call, the device's work included."""
        self._wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self._wait()
        return (time.perf_counter() - start) / times

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()

    @property
    def contests(self) -> tuple[Contest, ...]:
        """The tasks to measure on."""
        return CONTESTS[:1] if self.quick else CONTESTS

    def candidates(self, contest: Contest) -> list[str]:
        """Return the optimizers of one job."""
        count = 3 if self.quick else {"micro": 96, "lm": 48}[contest.key]
        return [NAMES[i % 3] for i in range(count)]


def hardware(bench: Bench) -> dict[str, Any]:
    """Return what was measured on."""
    facts: dict[str, Any] = {"gpu": "none", "torch": torch.__version__, "cuda": torch.version.cuda}
    if bench.device != "cpu":
        facts["gpu"] = torch.cuda.get_device_name()
        facts["gibibytes"] = torch.cuda.get_device_properties(0).total_memory / 2**30
    return facts


def against_loop(bench: Bench, *, compiled: bool) -> dict[str, Any]:
    """Compare jobs of many candidates with the plain loop, n = 3."""
    result: dict[str, Any] = {}
    for contest in bench.contests:
        names = bench.candidates(contest)
        pack_seconds(bench, contest, names, 0)
        loop_seconds(bench, contest, 0, compiled=compiled)
        packs = [pack_seconds(bench, contest, names, i) for i in (1, 2, 3)]
        runs = [loop_seconds(bench, contest, i, compiled=compiled) for i in (1, 2, 3)]
        ratios = [RUNS * run / seconds for run, seconds in zip(runs, packs, strict=True)]
        result[contest.key] = {
            "candidates_in_job": len(names),
            "candidates_per_second": spread([1 / seconds for seconds in packs]),
            "ratio": spread(ratios),
        }
    return result


def pack_seconds(bench: Bench, contest: Contest, names: list[str], seed: int) -> float:
    """Return seconds a candidate of a job."""
    job = job_of(contest, names, seed)
    return bench.seconds(lambda: evaluate(job, device=bench.device)) / len(names)


def loop_seconds(bench: Bench, contest: Contest, seed: int, *, compiled: bool) -> float:
    """Return seconds a run of the plain loop, in the mean over optimizers."""
    runs = [plain_run(name, seed, bench.device, compiled=compiled) for name in NAMES]
    task = get(contest.task)
    return statistics.fmean(bench.seconds(lambda run=run: contest.loop(task, run)) for run in runs)


def against_eager(bench: Bench) -> dict[str, Any]:
    """Compare with the eager loop."""
    return against_loop(bench, compiled=False)


def against_compiled(bench: Bench) -> dict[str, Any]:
    """Compare with the loop whose model is compiled."""
    return against_loop(bench, compiled=True)


def sharing(bench: Bench) -> dict[str, Any]:
    """Count the candidates per second of several workers on the one GPU, over two jobs of each."""
    result: dict[str, Any] = {}
    for workers in (1, 2) if bench.quick else (1, 2, 4):
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(workers + 1)
        crew = [
            context.Process(target=serve, args=(bench, ready, i), daemon=True)
            for i in range(workers)
        ]
        try:
            for process in crew:
                process.start()
            for contest in bench.contests:
                ready.wait(bench.left)
                start = time.perf_counter()
                ready.wait(bench.left)
                jobs = 2 * workers * len(bench.candidates(contest))
                rate = jobs / (time.perf_counter() - start)
                result.setdefault(contest.key, {})[f"{workers}_workers"] = float(f"{rate:.4g}")
        finally:
            for process in crew:
                process.terminate()
                process.join()
    return result


def serve(bench: Bench, ready: Any, worker: int) -> None:
    """Be one of several workers: for each task, warm up, wait for the others, and do two jobs."""
    torch.set_num_threads(1)
    for contest in bench.contests:
        jobs = [job_of(contest, bench.candidates(contest), 10 * worker + i) for i in range(3)]
        evaluate(jobs[0], device=bench.device)
        ready.wait()
        for job in jobs[1:]:
            evaluate(job, device=bench.device)
        ready.wait()


def steps(bench: Bench) -> dict[str, Any]:
    """Time a training step with graphs and without, and the products of its gradient, n = 3."""
    result: dict[str, Any] = {}
    for contest in bench.contests:
        entries = [entry(contest, name) for name in bench.candidates(contest)]
        lanes = SEEDS * sum(len(e.trials) for e in entries)
        step_seconds(bench, contest, entries, None)
        graphs = [step_seconds(bench, contest, entries, None) for _ in range(3)]
        calls = [step_seconds(bench, contest, entries, lambda work: work) for _ in range(3)]
        problem = Problem.of(get(contest.task), (0,), device=bench.device)
        with arithmetic(), Products() as products:
            gradient_of(problem, lanes)()
        floor = floor_of(products, bench.device)
        floor()
        base = bench.seconds(floor, 5)
        result[contest.key] = {
            "lanes": lanes,
            "microseconds": spread([s * 1e6 for s in graphs]),
            "microseconds_without_graphs": spread([s * 1e6 for s in calls]),
            "over_products": spread([s / base for s in graphs]),
            "gflops_of_products": products.flops / base / 1e9,
        }
    return result


def step_seconds(
    bench: Bench, contest: Contest, entries: list[Entry], record: Record | None
) -> float:
    """Return seconds a step: a long training run less a short one."""
    lengths = (4, 8) if bench.quick else (20, 60)
    problems = [
        Problem.of(get(contest.task, steps=n), range(SEEDS), device=bench.device) for n in lengths
    ]
    short, long = (bench.seconds(lambda p=p: train(p, entries, record=record)) for p in problems)
    return (long - short) / (lengths[1] - lengths[0])


def trust(bench: Bench) -> dict[str, Any]:
    """Compare end values of the same lanes, computed in different ways."""
    result: dict[str, Any] = {}
    for contest in bench.contests:
        names = [*NAMES, "momentum", "rmsprop"]
        entries = [entry(contest, name) for name in names]
        settings = {"steps": 4} if bench.quick else {}
        problem = Problem.of(get(contest.task, **settings), (0, 1), device=bench.device)
        base = ends(train(problem, entries))
        alone = [ends(train(problem, [e])) for e in entries]
        variants = {
            "repetition": ends(train(problem, entries)),
            "lane_alone": torch.cat(alone),
            "calls_instead_of_graphs": ends(train(problem, entries, record=lambda work: work)),
        }
        host = Problem.of(problem.task, (0, 1))
        variants["cpu"] = ends(train(host, entries))
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        variants["tf32"] = ends(train(problem, entries))
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        result[contest.key] = {name: agreement(base, other) for name, other in variants.items()}
    return result


def exported(bench: Bench) -> dict[str, Any]:
    """Time the exported optimizers."""
    command = [sys.executable, "-m", "benchmarks.optimizer_step", "--device", bench.device]
    if bench.quick:
        command += ["--rounds", "2", "--width", "64", "--layers", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=max(1.0, bench.left), check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "against_eager_loop": against_eager,
    "steps": steps,
    "exported_optimizers": exported,
    "sharing": sharing,
    "trust": trust,
    "against_compiled_loop": against_compiled,
}


def entry(contest: Contest, name: str) -> Entry:
    """Return an optimizer at every point of its grid."""
    rules, task = compile_text(str(known(name))), get(contest.task)
    size = measure(rules, task)
    return Entry(rules, tuple(GRID.trial(p, size, task.step_size) for p in GRID.points(size)))


def ends(outcomes: list[Tensor | Exception]) -> Tensor:
    """Return the end values (candidates, trials, seeds)."""
    values = []
    for outcome in outcomes:
        assert isinstance(outcome, Tensor), outcome
        values.append(outcome.cpu())
    return torch.stack(values)


def agreement(a: Tensor, b: Tensor) -> dict[str, Any]:
    """Return how far two sets of end values differ, as scores do, and in what they decide."""
    scores = [x.log().mean(2).nan_to_num(math.inf, math.inf, math.inf).min(1) for x in (a, b)]
    return {
        "bitwise": bool(torch.equal(a, b)),
        "largest_difference_of_scores": float((scores[0].values - scores[1].values).abs().max()),
        "same_trial_chosen": float((scores[0].indices == scores[1].indices).double().mean()),
    }


def spread(values: list[float]) -> list[float]:
    """Return median, least and largest."""
    return [float(f"{x:.4g}") for x in (statistics.median(values), min(values), max(values))]


def out_of_time(*_: object) -> None:
    raise TimeoutError("no more time")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU here: nothing was measured", file=sys.stderr)
        print(json.dumps({"gpu": None}))
        return
    bench = Bench(options.device, time.monotonic() + 60 * options.minutes, options.quick)
    signal.signal(signal.SIGALRM, out_of_time)
    torch.set_num_threads(1)
    result = hardware(bench)
    for name, part in PARTS.items():
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, bench.left))
        try:
            result[name] = part(bench)
        except Exception as error:  # one part's failure is no reason to lose the others
            result[name] = f"failed: {type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(f"{name} ({time.monotonic() - start:.0f} s): {json.dumps(result[name])}", flush=True)
    slug = re.sub(r"[^a-z0-9]+", "-", result["gpu"].lower()).strip("-")
    output = options.output or Path(__file__).parent / "results" / f"gpu-{slug}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
