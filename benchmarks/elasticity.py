"""How fast a task's loss falls with the number of steps: what makes scores of tasks comparable.

    python -m benchmarks.elasticity PRESET [--seeds 3] [--repetitions 2]

For each task of a preset AdamW is tuned at half the task's steps and at all of them, with the same
grid, schedules that decay to zero and the same seeds. The elasticity is the fall of the log excess
loss divided by log 2. A preset's `[elasticity]` holds such figures. A score divided by one counts
in steps, as far as the loss goes on falling at that pace: the same figure from all to twice the
steps is printed beside it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import replace

from evosearch.config.schema import preset
from evosearch.evolution.loop import baseline_jobs
from evosearch.training.baseline import BaselineJob, tune_baseline
from evosearch.training.score import log_excess
from proxy_tasks.registry import get


def level(job: BaselineJob, steps: int) -> float:
    """Return tuned AdamW's mean log excess after training for so many steps."""
    ref = replace(job.task, overrides={**job.task.overrides, "steps": steps})
    values = tune_baseline(replace(job, task=ref)).values
    floor = get(ref.name, **ref.overrides).floor
    return statistics.fmean(log_excess(value, floor) for value in values)


def elasticities(job: BaselineJob) -> tuple[float, float]:
    """Return a task's elasticity up to its steps, and from there to twice as many."""
    steps = get(job.task.name, **job.task.overrides).steps
    half, whole, twice = (level(job, n) for n in (steps // 2, steps, 2 * steps))
    return (half - whole) / math.log(2), (whole - twice) / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the loss falls with the steps.")
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of one measurement")
    parser.add_argument("--repetitions", type=int, default=2)
    options = parser.parse_args()

    found: dict[str, list[float]] = {}
    settings = [f"evaluation.seeds={options.seeds}", "elites.rounds=1"]
    for number in range(options.repetitions):
        for job in baseline_jobs(preset(options.preset, [*settings, f"seed={1000 + number}"])):
            before, after = elasticities(job)
            found.setdefault(str(job.task), []).append(before)
            print(f"{job.task}: {before:.3f}, and {after:.3f} to twice the steps", flush=True)
    medians = {task: round(statistics.median(values), 3) for task, values in found.items()}
    spreads = {task: [round(min(v), 3), round(max(v), 3)] for task, v in found.items()}
    print(json.dumps({"elasticity": medians, "range": spreads, "n": options.repetitions}))


if __name__ == "__main__":
    main()
