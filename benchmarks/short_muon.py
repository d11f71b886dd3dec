"""Does `short_muon` beat Muon once Muon's own constants are tuned?

    python -m benchmarks.short_muon --batch 4 -o benchmarks/results/short_muon_batch4.json

`short_muon` is Muon with a memory of nine steps and a gradient that counts half. In the textbook's
form the share follows from the momentum; here Muon is tuned in its momentum, in the share alone,
and in both, each with the same allowance of trials and rates refined to a factor of the square root
of 2, and all are reported on seeds that took no part in that. Everybody's rest is Muon's AdamW.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.statistics import difference, holm, interval
from evosearch.training.job import TaskRef
from evosearch.training.seeds import derive
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, TuningJob, tune

MUON = FAMILIES["muon"]
SHORT = MUON.write((0.893, 0.5, 0.0, 0.9, 0.95))
"""`discovered/short_muon`, its memory of nine steps to three digits."""
CONTESTANTS = {
    "short_muon": Tunable.fixed(SHORT),
    "Muon": Tunable.fixed(MUON.start),
    "Muon, momentum tuned": MUON.only("momentum"),
    "Muon, share tuned": MUON.only("gradient's share"),
    "Muon, both tuned": MUON.only("momentum", "gradient's share"),
}
TASK = {"layers": 2, "width": 64, "heads": 4, "context": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=8, help="To report on.")
    parser.add_argument("--tuning-seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="Kept after each; resumed."
    )
    options = parser.parse_args()
    task = TaskRef("char_lm", {**TASK, "batch": options.batch, "steps": options.steps})
    settings = {key: value for key, value in vars(options).items() if key != "output"}
    kept: dict[str, Any] = {"task": str(task), **settings, "optimizers": {}}
    if options.output.is_file():
        kept = json.loads(options.output.read_text(encoding="utf-8"))
    for label, optimizer in CONTESTANTS.items():
        if label in kept["optimizers"]:
            continue
        n = options.tuning_seeds
        seeds = tuple(range(n)), tuple(range(n, n + options.seeds))
        descent = Descent(options.trials, fine=True)
        tuned = tune(TuningJob(optimizer, task, derive("short_muon"), *seeds, descent))
        chosen = asdict(tuned.attempt) | {"edges": tuned.edges, "trials": len(tuned.trials)}
        kept["optimizers"][label] = {"ends": tuned.values, **chosen}
        write_atomic(options.output, json.dumps(kept, indent=1) + "\n")
        print(f"{label}: {math.fsum(tuned.values) / len(tuned.values):.4f}", flush=True)
    ends = {label: row["ends"] for label, row in kept["optimizers"].items()}
    lower = {
        label: difference([[a - b for a, b in zip(theirs, ends["short_muon"], strict=True)]])
        for label, theirs in ends.items()
        if label != "short_muon"
    }
    kept["short_muon_lower_by"] = {}
    for (label, lead), p in zip(lower.items(), holm([x.p for x in lower.values()]), strict=True):
        row = {"mean": lead.mean, "se": lead.error, "interval": interval(lead), "p_holm": p}
        kept["short_muon_lower_by"][label] = row
        print(f"short_muon ends below {label} by {lead.mean:.4f} ± {lead.error:.4f}, p {p:.2g}")
    write_atomic(options.output, json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
