"""Which edits pay on the quick start's first task, at equal processor time?

    python -m benchmarks.quickstart_edits --seeds 3 -o benchmarks/results/quickstart_edits.json

Each arm is the quick start with other edits, on its digits alone, stopped after so many seconds of
processor time, breeding included. The best candidate so far is compared with AdamW as
`benchmarks.quickstart_winners` does: tuned, on eight seeds that no search uses. Goes on where it
was interrupted; the last line is one JSON object with means over seeds and intervals of 95 %.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.quickstart_winners import against_adamw
from evosearch.config.schema import Config, preset
from evosearch.mutation.edits import EDITS
from evosearch.runs.history import History
from evosearch.runs.run import Run
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.statistics import difference, interval
from evosearch.workers.executor import LocalExecutor

TASK: Final = "digits_mlp"


def arms() -> dict[str, dict[str, Any]]:
    """Return what each arm changes in the space."""
    own = preset("quickstart").space
    plain = {"edits": (), "frequencies": {}, "donors": ()}
    every = plain | {"edits": tuple(EDITS)}
    motif = "graft_motif"
    return {
        "default edits": plain | {"by_family": False},
        "all edits, no donors": every,
        "all edits, donors": every | {"donors": own.donors},
        "the preset": {},
        "the preset, no donors": {"donors": ()},
        "the preset, no graft_motif": {"edits": tuple(e for e in own.edits if e != motif)},
    }


def config(changes: dict[str, Any], seed: int) -> Config:
    """Return the quick start on one task with another space, and no end of its own."""
    start = preset("quickstart", [f"seed={seed}", "budget.evaluations=100000"], [TASK])
    return start.model_copy(update={"space": start.space.model_copy(update=changes)})


class Spent(Exception):
    """The time is up."""


def leader(chosen: Config, seconds: float, folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of an arm's best after so much processor time, and its lead."""
    with TemporaryDirectory() as directory:
        run = Run.create(Path(directory) / "run", chosen)
        end = time.process_time() + seconds

        def watch(history: History) -> None:
            del history
            if time.process_time() > end:
                raise Spent

        try:
            run.search(LocalExecutor(), watch)
        except Spent:
            run = Run.open(run.directory)
        recommended = run.recommend()
        assert recommended is not None, "so much time is enough for a first candidate"
        candidate = recommended.candidate
        known = candidate.recognized.title if candidate.recognized else ""
        found = against_adamw(candidate.program, chosen, folder)
        ((mean, error),) = found["scores"].values()
        row = {"lead": mean, "se": error, "evaluations": len(run.history.candidates)}
        return candidate.program_text, row | {"name": known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0, help="Of processor time, a search.")
    parser.add_argument("--tuned", type=Path, default=Path("runs") / "quickstart_edits")
    parser.add_argument("-o", "--output", type=Path, required=True, help="Kept after each search.")
    options = parser.parse_args()
    kept: dict[str, Any] = {"seconds": options.seconds, "arms": {}}
    if options.output.is_file():
        kept = json.loads(options.output.read_text(encoding="utf-8"))
    for seed in range(options.seeds):
        for name, changes in arms().items():
            rows = kept["arms"].setdefault(name, {"seeds": {}})["seeds"]
            if str(seed) not in rows:
                text, row = leader(config(changes, seed), options.seconds, options.tuned)
                rows[str(seed)] = row | {"program": text}
                write_atomic(options.output, json.dumps(kept, indent=1) + "\n")
            row = rows[str(seed)]
            print(f"{name}, seed {seed}: {row['lead']:+.3f} ± {row['se']:.3f}", flush=True)
    for name, arm in kept["arms"].items():
        found = difference([[row["lead"] for row in arm["seeds"].values()]])
        arm["mean"], arm["interval"] = found.mean, interval(found)
        print(f"{name}: {found.mean:+.3f}, 95 % interval {arm['interval']}, n = {found.pairs}")
    write_atomic(options.output, json.dumps(kept, indent=1) + "\n")
    print(json.dumps({name: [a["mean"], a["interval"]] for name, a in kept["arms"].items()}))


if __name__ == "__main__":
    main()
