"""Tuned baselines as data: how well each known optimizer does on each task, and every trial of it.

Each optimizer is tuned over its family (`evosearch.studies.baseline_families`) on some seeds and
reported on others, and so is its textbook's program with nothing but its learning rates tuned.
Scores refer to tuned AdamW. The files lie in `evosearch/studies/boards/`;
`evosearch baselines --measure` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from evosearch.config.schema import configure
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.compare import Conditions, tune_all
from evosearch.studies.statistics import difference
from evosearch.training.score import mean_score, paired
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, Tuned
from evosearch.workers.executor import Executor

__all__ = ["SEEDS", "excluded", "figure", "measure", "measured", "stored", "text", "worse"]

SEEDS: Final = 4
"""Paired seeds to tune on, and as many to report on; those of `evosearch evaluate`."""
_FOLDER: Final = "evosearch.studies.boards"
_TEXTBOOK: Final = "textbook "

Board = Mapping[str, Any]
"""A task's file, as plain JSON."""


def measure(
    task: str,
    executor: Executor,
    *,
    families: Mapping[str, Tunable] = FAMILIES,
    seeds: int = SEEDS,
    descent: Descent | None = None,
    settings: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Tune and report all families on a task, and return its board.

    Args:
        task: Name of a registered task.
        executor: Where it is computed.
        families: What is measured, by name.
        seeds: Paired seeds to tune on, and as many to report on.
        descent: How far each is tuned.
        settings: Changes of the task.
        report: Is told what happens, in sentences.

    Raises:
        RuntimeError: AdamW fails on the task.
    """
    from evosearch.runs.manifest import versions

    descent = descent or Descent()
    config = configure({"tiers": [{"tasks": [task]}]}, settings, "the measurement")
    everybody = {name: family for name, family in families.items() if name != "adamw"}
    everybody |= {_TEXTBOOK + name: Tunable.fixed(f.start) for name, f in families.items()}
    conditions = Conditions(seeds, descent=descent)
    ((_, found),) = tune_all(everybody, config, executor, conditions, report=report).items()
    reference = found.pop("")
    found["adamw"] = reference
    return {
        "task": task,
        "seeds": seeds,
        "trials": descent.trials,
        "versions": {k: v for k, v in versions().items() if k in ("python", "torch")},
        "reference": {
            "program": reference.attempt.program,
            "values": _rounded(reference.values),
        },
        "optimizers": {
            name: {
                "tuned": _row(found[name], reference, families[name]),
                "textbook": _row(found[_TEXTBOOK + name], reference, families[name]),
            }
            for name in families
        },
    }


def text(board: Board) -> str:
    """Return a board as the text of its file, lists of numbers on one line each."""
    plain = json.dumps(board, indent=1, allow_nan=False)
    lists = re.compile(r"\[([^\[\]{}\"]*)\]")
    return lists.sub(lambda found: f"[{' '.join(found[1].split())}]", plain) + "\n"


def measured() -> list[str]:
    """Return the tasks that have a board."""
    names = (entry.name for entry in files(_FOLDER).iterdir())
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


@cache
def stored(task: str) -> Board | None:
    """Return a task's board, or None where it was never measured."""
    path = files(_FOLDER).joinpath(f"{task}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def figure(board: Board, program: str) -> tuple[float, float | None] | None:
    """Return the stored score of a program on the seeds of `evosearch evaluate`, with its error.

    None where it is no textbook's program.
    """
    for optimizer in board["optimizers"].values():
        row = optimizer["textbook"]
        if row["program"] == program and row["scores"]:
            score = mean_score(row["scores"])
            return score.mean, score.se
    return None


def excluded(board: Board, name: str) -> bool:
    """Whether the textbook's program beats the tuned family that it belongs to, beyond the error.

    It should not: tuning over a family that contains an optimizer must not do worse than that
    optimizer (Choi et al., arXiv 1910.05446). Of many families one in twenty may, by chance.
    """
    chance = worse(board, name)
    return chance is not None and chance < 0.05


def worse(board: Board, name: str) -> float | None:
    """Return how likely the lead of the textbook's program over its tuned family is by chance.

    One-sided, of paired differences; None where one of them failed or they are the same.
    """
    row = board["optimizers"][name]
    tuned, textbook = row["tuned"]["scores"], row["textbook"]["scores"]
    if not tuned or not textbook or tuned == textbook:
        return None
    return difference([[a - b for a, b in zip(textbook, tuned, strict=True)]]).p


def _row(tuned: Tuned, reference: Tuned, family: Tunable) -> dict[str, Any]:
    """Return what came of tuning: what was chosen, its scores, and every trial in order."""
    if tuned.failure:
        return {"program": family.start, "scores": [], "edges": [], "failure": tuned.failure}
    chosen = tuned.attempt
    return {
        "program": chosen.program,
        "lr": _rounded([chosen.lr])[0],
        "rest_lr": _rounded([chosen.rest_lr])[0],
        "scores": _rounded(paired(tuned.values, reference.values, tuned.floor)),
        "edges": list(tuned.edges),
        "best": tuned.best,
        "trials": [_rounded([*t.constants, t.lr, t.rest_lr, t.level]) for t in tuned.trials],
    }


def _rounded(values: Any) -> list[float]:
    """Return values with the digits that another machine could reproduce."""
    return [float(f"{value:.6g}") for value in values]
