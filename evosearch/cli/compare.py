"""``evosearch compare``: optimizers side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evosearch.cli import complete
from evosearch.cli.comparing import (
    TRIALS,
    Constants,
    Fine,
    Processes,
    Seed,
    Seeds,
    Settings,
    Tasks,
    Trials,
    run_comparison,
    shown_score,
    unsettled,
)
from evosearch.cli.output import AsJson, print_json, table, tell, write
from evosearch.cli.tasks import tasks_config
from evosearch.errors import UsageError
from evosearch.runs.named_program import NamedProgram, contender
from evosearch.runs.progress import score_text

if TYPE_CHECKING:
    from evosearch.studies.compare import Comparison

__all__ = ["compare"]


def compare(
    optimizers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OPTIMIZER...",
            help="Each a known optimizer, a program file, RUN or RUN:ID, or a class: "
            "torch.optim:AdamW, optimizer.py:Class.",
            autocompletion=complete.programs,
        ),
    ] = None,
    *,
    tasks: Tasks = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    trials: Trials = TRIALS,
    tune_constants: Constants = False,
    fine: Fine = False,
    settings: Settings = None,
    workers: Processes = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what will be computed and how long it takes; end.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="MINUTES", help="Core-minutes it may take: fewer trials."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write a page, Parquet and a card too."),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Do again what this card says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare optimizers, programs and classes, on the same tasks and seeds.

    Each has its own best learning rates, or with `--tune-constants` its best constants as well;
    scores are against tuned AdamW. All may try as much, on other seeds than the result is of. What
    was computed before is not computed again, so the same command goes on after an interruption.

    Examples:
      evosearch compare adamw lion muon signum
      evosearch compare lion runs/quickstart-0:42 --tasks digits_mlp,char_lm --seeds 8
      evosearch compare muon "torch.optim:Muon(weight_decay=0)" lion_pytorch:Lion --plan
      evosearch compare lion torch.optim:NAdam --tasks my_task.py --budget 5 -o runs/compared
      evosearch compare --card runs/compared/card.json
    """
    from evosearch.studies.compare import Conditions
    from evosearch.training.tuner import Descent

    asked: dict[str, Any] = {
        "optimizers": optimizers or [],
        "tasks": tasks,
        "seeds": seeds,
        "seed": seed,
        "trials": trials,
        "tune_constants": tune_constants,
        "fine": fine,
        "settings": settings or [],
    }
    before = None if card is None else _read_card(card)
    if before is not None:
        asked = before["asked"]
    if not asked["optimizers"]:
        raise UsageError("expected optimizers, or --card FILE, found neither; try `lion muon`")
    found = [contender(word) for word in asked["optimizers"]]
    subjects = [
        (s.label, s) if isinstance(s, NamedProgram) else (word, s)
        for word, s in zip(asked["optimizers"], found, strict=True)
    ]
    programs = [s for s in found if isinstance(s, NamedProgram)]
    comparison = run_comparison(
        subjects,
        tasks_config(programs, asked["tasks"], asked["settings"]),
        Conditions(asked["seeds"], asked["seed"], descent=Descent(asked["trials"], asked["fine"])),
        command="compare",
        constants=asked["tune_constants"],
        workers=workers,
        budget=budget,
        plan_only=plan,
    )
    if output is not None:
        from evosearch.cli.comparison_files import write_comparison

        asked["trials"] = comparison.trials
        write_comparison(output, comparison, asked)
        tell(f"Wrote {output}; to do it again: evosearch compare --card {output / 'card.json'}")
    if as_json:
        print_json(comparison.to_json())
    else:
        _print_contenders(comparison)
    if before is not None and not as_json:
        same = before["result"] == json.loads(json.dumps(comparison.to_json()))
        write(f"{'The same as' if same else 'Not the same as'} on the card.")


def _read_card(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {"asked": dict(data["asked"]), "result": data["result"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"expected the card of a comparison at {path}, but: {error}") from None


def _print_contenders(comparison: Comparison) -> None:
    """Print all contenders, best first."""
    from evosearch.training.score import mean_score

    tasks = list(comparison.references)
    leader = comparison.contenders[0]
    rows = []
    for one in comparison.contenders:
        if one.failure:
            rows.append((one.label, one.failure, *("" for _ in tasks), "", ""))
            continue
        lead = one.ahead_of(leader)
        behind = "" if one is leader else score_text(lead.mean, lead.error)
        cells = [shown_score(mean_score(one.scores[task])) for task in tasks]
        rows.append((one.label, shown_score(one.total), *cells, behind, one.verdict))
    columns = ("optimizer", "score ± se", *tasks, "against the first", "")
    table(columns, rows, left=("optimizer", ""))
    write(f"\nA score is the log of {comparison.unit}; positive is better.")
    for label, tuned in (
        *((c.label, t) for c in comparison.contenders for t in c.tuned.values()),
        *(("AdamW, the reference", t) for t in comparison.references.values()),
    ):
        if remark := unsettled(tuned):
            write(f"{label} on {tuned.task} {remark}")
