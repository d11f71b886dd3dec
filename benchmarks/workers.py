"""How much faster two workers are than one: the same short search on Ray, once with each.

    python -m benchmarks.workers [--evaluations 1000] [--repetitions 3]

Timed is the search itself, from its first pack to its end; starting Ray and tuning the baseline are
not. Both runs must write the same history. What stands between the ratio and 2 shows in the other
figures, which are processor time: what the driver works, while workers may wait, and how much more
the same packs cost the workers when there are two. What the machine itself gives is measured beside
it: two processes that multiply small matrices and share nothing, against one. Two "cores" that are
threads of one core give little more than one does. Each worker first loads what it needs, a second
of processor time that a short search would measure instead. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import SimpleQueue, get_context
from pathlib import Path

import torch

from evosearch.config.preflight import check_tasks
from evosearch.config.schema import Config, preset
from evosearch.runs.history import History
from evosearch.runs.run import Run
from evosearch.workers.executor import AnyJob, Timed, perform, prepare
from evosearch.workers.ray_cluster import RayExecutor


@dataclass(frozen=True)
class Measured:
    """One search."""

    wall: float
    """Seconds from the first pack to the end."""
    worker: float
    """Seconds of processor time of all workers on packs."""
    driver: float
    """Seconds of processor time of the driver meanwhile."""
    digest: str


def metered(job: AnyJob) -> Timed:
    """Run a job on a worker; the time is the worker's own."""
    start = time.process_time()
    result, _ = perform(job)
    return result, time.process_time() - start


def measure(config: Config, workers: int) -> Measured:
    """Run a search on so many workers."""
    imprints = check_tasks(config)
    executor = RayExecutor(
        workers=workers,
        perform=metered,
        prepare=lambda: prepare(config, "cpu", imprints),  # whole, so that its types are checked
    )
    started: list[tuple[float, float, float]] = []

    def observe(history: History) -> None:
        if not started and len(history.baselines) == len(config.task_names):
            started.append((time.perf_counter(), time.process_time(), history.worker_seconds))

    try:
        with tempfile.TemporaryDirectory() as folder:
            run = Run.create(Path(folder) / "run", config).search(executor, observe)
            wall, driver, worker = started[0]
            return Measured(
                wall=time.perf_counter() - wall,
                worker=run.history.worker_seconds - worker,
                driver=time.process_time() - driver,
                digest=run.digest(),
            )
    finally:
        executor.close()


def products(results: SimpleQueue[float], seconds: float) -> None:
    """Multiply batches of small matrices for so long, and say how many a second."""
    torch.set_num_threads(1)
    a, b = torch.randn(2, 90, 64, 64)
    out = torch.empty_like(a)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(20):
            torch.bmm(a, b, out=out)
        done += 20
    results.put(done / (time.perf_counter() - start))


def independent(processes: int, seconds: float = 2.0) -> float:
    """Return the products a second of so many processes that have nothing to do with each other."""
    context = get_context("spawn")
    results: SimpleQueue[float] = context.SimpleQueue()
    running = [context.Process(target=products, args=(results, seconds)) for _ in range(processes)]
    for process in running:
        process.start()
    rate = sum(results.get() for _ in running)
    for process in running:
        process.join()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description="How much faster two workers are than one.")
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()

    settings = ("budget.pack=4", "budget.window=6", "population.size=24", "elites.rounds=1")
    config = preset("smoke", [*settings, f"budget.evaluations={options.evaluations}"])
    ratios: list[float] = []
    slower: list[float] = []
    driving: list[float] = []
    limits: list[float] = []
    for number in range(options.repetitions):
        load = os.getloadavg()[0]
        one, two = measure(config, 1), measure(config, 2)
        assert one.digest == two.digest, "the workers must not show in the history"
        ratios.append(one.wall / two.wall)
        slower.append(two.worker / one.worker)
        driving.append(two.driver / two.wall)
        limits.append(independent(2) / independent(1))
        print(
            f"{number}: {one.wall:.2f} s and {two.wall:.2f} s, ratio {ratios[-1]:.2f}; packs cost "
            f"{one.worker:.2f} s and {two.worker:.2f} s of workers, the driver "
            f"worked {two.driver:.2f} s; the machine's own ratio {limits[-1]:.2f}; "
            f"load average {load:.1f} before"
        )
    print(
        json.dumps(
            {
                "ratio": round(statistics.median(ratios), 3),
                "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
                "worker_seconds_ratio": round(statistics.median(slower), 3),
                "driver_share": round(statistics.median(driving), 3),
                "machine_ratio": round(statistics.median(limits), 3),
                "cores": os.cpu_count(),
                "n": options.repetitions,
            }
        )
    )


if __name__ == "__main__":
    main()
