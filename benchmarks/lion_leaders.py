"""Are the larger programs that led Lion in its rediscovery better than Lion when Lion is tuned?

    python -m benchmarks.lion_leaders -o benchmarks/results/lion_leaders.json

In most runs that found Lion some larger program scored above it. Here the best of each run is
compared with Lion tuned over its family, on the search's own tasks and on a wider one that took no
part in it. A find keeps its constants, which its search tuned on those tasks, or has them tuned as
well. Everybody has the same allowance of trials on the same seeds, and is reported on others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from evosearch.config.schema import configure, preset
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.compare import Conditions, tune_all
from evosearch.studies.statistics import Difference, difference, holm, interval
from evosearch.training.score import paired
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent
from evosearch.workers.executor import LocalExecutor

STUDY = Path(__file__).parents[1] / "discovered" / "studies" / "lion.json"
TASKS = ["varying_batch", "varying_batch_wild", "varying_batch_wide"]
"""Those of `rediscover-lion`, with its settings, and one that its searches did not see."""
LION = "lion"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=16, help="To report on, and as many to tune.")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    finds = leaders(json.loads(STUDY.read_text(encoding="utf-8")))
    tunables = {LION: FAMILIES[LION]}
    tunables |= {f"{name}, as found": Tunable.fixed(text) for name, text in finds.items()}
    tunables |= {f"{name}, tuned": Tunable.of(text) for name, text in finds.items()}
    base = preset("rediscover-lion").model_dump(mode="json")
    config = configure({"tiers": [{"tasks": TASKS}], "tasks": base["tasks"]}, [], "the comparison")
    conditions = Conditions(options.seeds, purpose="leaders", descent=Descent(options.trials))
    tuned = tune_all(tunables, config, LocalExecutor(), conditions, report=print)
    rows: dict[str, Any] = {}
    leads: dict[str, Difference] = {}
    for label in tunables:
        by_task = {
            task: paired(row[label].values, row[LION].values, row[LION].floor)
            for task, row in tuned.items()
        }
        rows[label] = {
            "programs": {task: row[label].attempt.program for task, row in tuned.items()},
            "edges": {task: list(row[label].edges) for task, row in tuned.items()},
            "ahead": {task: described(difference([found])) for task, found in by_task.items()},
        }
        if label != LION:
            leads[label] = difference(by_task.values())
    corrected = holm([lead.p for lead in leads.values()])
    for (label, lead), p in zip(leads.items(), corrected, strict=True):
        rows[label]["mean"] = described(lead) | {"p_holm": p}
        print(f"{label} is ahead of tuned Lion by {lead.mean:+.3f} ± {lead.error:.3f}, p {p:.2g}")
    settings = {"seeds": options.seeds, "trials": options.trials, "tasks": list(tuned)}
    write_atomic(options.output, json.dumps(settings | {"optimizers": rows}, indent=1) + "\n")


def leaders(study: Any) -> dict[str, str]:
    """Return the best program of each run of evolution whose best is not Lion."""
    runs = (run for run in study["runs"] if run["arm"] == "evolution" and run["strict"])
    return {
        f"seed {run['seed']}": run["leader"]["simplified"]
        for run in runs
        if run["leader"]["id"] != run["hit"]["id"] and not run["best"]
    }


def described(lead: Difference) -> dict[str, Any]:
    """Return a lead as plain JSON."""
    ends = interval(lead)
    return {"mean": lead.mean, "se": lead.error, "interval": ends and list(ends)}


if __name__ == "__main__":
    main()
