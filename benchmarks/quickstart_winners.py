"""Is what the quick start ends with real? Its leaders against tuned AdamW, on fresh seeds.

    python -m benchmarks.quickstart_winners --seeds 10 --first-seed 2030 \
        -o benchmarks/results/quickstart_winners.json

Each seed is one quick start, in this process. Its leader, the candidate that the search tells you
to use, is simplified by exact laws, and then compared as `evosearch evaluate RUN ID --seeds 8
--fine --trials 128` does: AdamW's constants and everybody's learning rates are tuned on eight seeds
and reported on eight others, none of them the search's. A leader is real if it is ahead of AdamW on
each task beyond two standard errors. Goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from evosearch.config.preflight import check_tasks
from evosearch.config.schema import Config, load, preset
from evosearch.language.rule import RuleSet
from evosearch.recognize.recognize import recognize
from evosearch.runs.run import Run
from evosearch.simplify import simplify
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.compare import compare
from evosearch.studies.statistics import wilson
from evosearch.studies.tuning_cache import CachedExecutor
from evosearch.training.score import mean_score
from evosearch.training.tuner import Descent
from evosearch.workers.executor import LocalExecutor

PRESET: Final = "quickstart"
FRESH: Final = 8
"""Seeds to report on, and as many others to tune on."""
DESCENT: Final = Descent(128, fine=True)
"""With coarse rates the descent stops for a program whose two rules want their rates changed in
opposite ways, and with fewer trials before AdamW's constants have settled."""
BEYOND: Final = 2.0
"""Standard errors that a lead has to exceed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the quick starts that are not in the output yet, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="A file to try instead of the preset.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=2030)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "quickstart_winners")
    parser.add_argument("-o", "--output", type=Path, required=True, help="Kept after each seed.")
    options = parser.parse_args(arguments)

    def config(seed: int) -> Config:
        settings = [*options.set, f"seed={seed}"]
        return load(options.config, settings) if options.config else preset(PRESET, settings)

    described = config(0).model_dump(mode="json") | {"seed": None}
    kept: dict[str, Any] = {"config": described, "fresh_seeds": FRESH, "seeds": {}}
    if options.output.is_file():
        kept = json.loads(options.output.read_text(encoding="utf-8"))
        if kept["config"] != described:
            parser.error(f"{options.output} is of another configuration; choose another file")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        if str(seed) not in kept["seeds"]:
            kept["seeds"][str(seed)] = quick_start(config(seed), options.runs)
        row = kept["seeds"][str(seed)]
        write_atomic(options.output, json.dumps(kept | count(kept["seeds"]), indent=1) + "\n")
        print(told(seed, row), flush=True)
    total = count(kept["seeds"])
    print(json.dumps(total))


def quick_start(config: Config, runs: Path) -> dict[str, Any]:
    """Run one quick start, or go on with it, and return what became of its leader."""
    folder = runs / str(config.seed)
    run = Run.open(folder) if (folder / "journal").is_dir() else Run.create(folder, config)
    before = time.process_time()
    run = run.search(LocalExecutor())
    driver = time.process_time() - before
    recommended = run.recommend()
    assert recommended is not None, "a search that ended has candidates with scores"
    leader = recommended.candidate
    simplified = simplify(leader.program, recognize=recognize)
    found = {
        "leader": leader.id,
        "reason": recommended.reason,
        "program": leader.program_text,
        "simplified": str(simplified.program),
        "statements": simplified.program.size,
        "name": None if simplified.recognition is None else str(simplified.recognition),
        "search_score": [leader.score, leader.error],
        "rounds": leader.rounds,
        "lineage": [c.mutation for c in run.lineage(leader.id)],
        "core_seconds": round(driver, 1),
        "evaluations": len(run.history.candidates),
    }
    return found | against_adamw(leader.program, config, runs / "tuned")


def against_adamw(program: RuleSet, config: Config, folder: Path) -> dict[str, Any]:
    """Return a program's scores by task against tuned AdamW on fresh seeds."""
    executor = CachedExecutor(LocalExecutor(), folder, check_tasks(config))
    comparison = compare(
        [("leader", program)], config, executor, seeds=FRESH, seed=0, descent=DESCENT
    )
    (contender,) = comparison.contenders
    scores = {task: mean_score(values) for task, values in contender.scores.items()}
    ahead = [s.se is not None and s.mean > BEYOND * s.se for s in scores.values()]
    return {
        "scores": {task: [score.mean, score.se] for task, score in scores.items()},
        "edges": {task: list(tuned.edges) for task, tuned in contender.tuned.items()},
        "adamw": {
            task: {"constants": list(tuned.attempt.constants), "edges": list(tuned.edges)}
            for task, tuned in comparison.references.items()
        },
        "real": bool(ahead) and all(ahead),
    }


def count(seeds: dict[str, Any]) -> dict[str, Any]:
    """Return how many leaders are real, with Wilson's interval of 95 %."""
    real = sum(row["real"] for row in seeds.values())
    low, high = wilson(real, len(seeds))
    return {"real": real, "of": len(seeds), "interval": [round(low, 3), round(high, 3)]}


def told(seed: int, row: dict[str, Any]) -> str:
    """Return a seed's row in words."""
    scores = ", ".join(
        f"{task.partition('[')[0]} {mean:+.3f} ± {se:.3f}"
        for task, (mean, se) in row["scores"].items()
    )
    return (
        f"seed {seed}: {'real' if row['real'] else 'not real'}; {row['name'] or 'no name'}, "
        f"{row['statements']} statements; {scores}; {row['core_seconds']:.0f} core-seconds"
    )


if __name__ == "__main__":
    main()
