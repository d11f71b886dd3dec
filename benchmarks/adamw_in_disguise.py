"""Does anything that is AdamW beat tuned AdamW? It should, by chance, one time in forty.

    python -m benchmarks.adamw_in_disguise -o benchmarks/results/adamw_in_disguise.json

AdamW spelled otherwise and AdamW with other constants are evaluated as a find would be, on several
draws of seeds. An interval that lies above 0 is a false find; the count is what one should expect
of any other claim that rests on such an interval.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from evosearch.config.schema import configure
from evosearch.language.parse import parse_rules
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.compare import compare
from evosearch.studies.statistics import difference, interval
from evosearch.training.baseline import adamw
from evosearch.workers.executor import LocalExecutor

OTHERWISE = """def otherwise(w, g, m, v):
    m = heavy_ball(m, g, 0.9)
    q = g * g
    v = lerp(v, q, 0.001)
    x = m * 0.1
    a = debias(x, 0.9)
    b = debias(v, 0.999)
    s = sqrt(b)
    d = s + 1e-08
    u = a / d
    return u, m, v
"""
"""Adam, its first average a sum with a factor."""
PROGRAMS = {
    "spelled otherwise": OTHERWISE,
    "betas .5, .98": adamw((0.5, 0.98)),
    "betas .8, .999": adamw((0.8, 0.999), 0.01),
    "betas .9, .95, decay .1": adamw((0.9, 0.95), 0.1),
    "betas 0, .99": adamw((0.0, 0.99)),
}
TASKS: dict[str, dict[str, Any]] = {
    "digits_mlp": {},
    "char_lm": {"steps": 80, "batch": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4, help="Draws of seeds.")
    parser.add_argument("--seeds", type=int, default=6, help="Paired seeds of a draw.")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    programs = [(label, parse_rules(text)) for label, text in PROGRAMS.items()]
    for task, overrides in TASKS.items():
        data = {"tiers": [{"tasks": [task]}], "tasks": {task: overrides}}
        config = configure(data, (), "the check")
        for draw in range(options.draws):
            executor = LocalExecutor()
            found = compare(programs, config, executor, seeds=options.seeds, seed=1000 + draw)
            for contender in found.contenders:
                lead = difference(contender.scores.values())
                row = {"task": task, "draw": draw, "program": contender.label}
                row |= {"score": lead.mean, "se": lead.error, "interval": interval(lead)}
                rows.append(row)
                print(f"{task} {draw} {contender.label}: {lead.mean:+.3f} {row['interval']}")
    above = sum(row["interval"][0] > 0.0 for row in rows)
    print(f"{above} of {len(rows)} intervals lie above tuned AdamW")
    if options.output:
        result = {"seeds": options.seeds, "above": above, "of": len(rows), "rows": rows}
        write_atomic(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
