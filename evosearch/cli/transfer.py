"""``evosearch transfer``: does a find help on my own model?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evosearch.cli.comparing import (
    Fine,
    Processes,
    Seed,
    Seeds,
    Settings,
    run_comparison,
    shown_score,
    unsettled,
)
from evosearch.cli.output import AsJson, print_json, table, tell, write
from evosearch.cli.program_words import Words
from evosearch.cli.tasks import tasks_config
from evosearch.runs.named_program import resolve

__all__ = ["transfer"]

_ANCHORS = ("adamw", "muon")
"""What a find is held against, with their usual constants."""


def transfer(
    subject: Words,
    *,
    task: Annotated[
        str,
        typer.Option(metavar="FILE", help="Your task: a file such as my_task.py, or a name."),
    ],
    seeds: Seeds = 4,
    seed: Seed = 0,
    trials: Annotated[
        int, typer.Option(min=5, help="Learning rates and ratios that each may try.")
    ] = 24,
    fine: Fine = False,
    settings: Settings = None,
    workers: Processes = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what will be computed and how long it takes; end.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Where the page and tables go."),
    ] = Path("transfer"),
    as_json: AsJson = False,
) -> None:
    """Tune the learning rate of AdamW, Muon and a find on a task of your own, and draw all curves.

    All three keep their constants and may try as many rates; a curve that still falls at its end is
    named. Scores are against AdamW with its constants tuned too.

    Examples:
      evosearch transfer runs/quickstart-0 42 --task my_task.py
      evosearch transfer short_muon --task my_task.py --plan
    """
    from evosearch.cli.comparison_files import curves_of, write_comparison
    from evosearch.studies.compare import Conditions
    from evosearch.training.tuner import Descent

    found = resolve(subject)
    subjects = [(name, resolve([name])) for name in _ANCHORS] + [(found.label, found)]
    comparison = run_comparison(
        subjects,
        tasks_config([], task, settings or []),
        Conditions(seeds, seed, descent=Descent(trials, fine)),
        command="transfer",
        constants=False,
        workers=workers,
        plan_only=plan,
    )
    asked = {
        "optimizers": [*_ANCHORS, ":".join(subject)],
        "tasks": task,
        "seeds": seeds,
        "seed": seed,
        "trials": trials,
        "tune_constants": False,
        "fine": fine,
        "settings": settings or [],
    }
    write_comparison(output, comparison, asked)
    tell(f"Wrote {output}; the curves are in {output / 'index.html'}")
    if as_json:
        curves = {name: curves_of(comparison, name) for name in comparison.references}
        print_json({**comparison.to_json(), "curves": curves})
        return
    rows = []
    for c in comparison.contenders:
        for name, t in () if c.failure else c.tuned.items():
            rates = f"{t.attempt.lr:.2g}", f"{t.attempt.rest_lr:.2g}"
            rows.append((c.label, name, *rates, shown_score(c.total), unsettled(t) or c.verdict))
    columns = ("optimizer", "task", "lr of matrices", "lr of the rest", "score ± se", "")
    table(columns, rows, left=("optimizer", "task", ""))
    for c in comparison.contenders:
        if c.failure:
            write(f"{c.label} failed. {c.failure}")
    write(f"\nA score is the log of {comparison.unit}; positive is better.")
