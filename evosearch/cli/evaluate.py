"""``evosearch evaluate``: a program against tuned AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

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
from evosearch.cli.output import AsJson, print_json, table, write
from evosearch.cli.program_words import Words
from evosearch.cli.tasks import tasks_config
from evosearch.runs.named_program import resolve
from evosearch.runs.progress import score_text
from evosearch.training.score import EXCESS_LOSS, mean_score

if TYPE_CHECKING:
    from evosearch.studies.compare import Comparison, Contender

__all__ = ["evaluate"]

_FAILED = 1


def evaluate(
    subject: Words,
    *,
    tasks: Tasks = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    trials: Trials = TRIALS,
    tune_constants: Constants = False,
    fine: Fine = False,
    settings: Settings = None,
    workers: Processes = 1,
    as_json: AsJson = False,
) -> None:
    """Evaluate a program against tuned AdamW on fresh seeds.

    AdamW is tuned over betas, weight decay and warm-up on every task, the program over its learning
    rates alone unless you say otherwise; both may try as much. What they are tuned on are as many
    seeds as the result is of, but others. The score is the log of AdamW's excess loss over the
    program's or, in a run that counts in steps, of AdamW's steps to the same loss over the
    program's. Positive is better than AdamW. Exit code 1 if the program has no score.

    Examples:
      evosearch evaluate lion
      evosearch evaluate runs/quickstart-0 42 --seeds 8
      evosearch evaluate my_optimizer.program --tasks digits_mlp,char_lm
    """
    from evosearch.studies.compare import Conditions
    from evosearch.training.tuner import Descent

    chosen = resolve(subject)
    comparison = run_comparison(
        [(chosen.label, chosen)],
        tasks_config([chosen], tasks, settings or []),
        Conditions(seeds, seed, descent=Descent(trials, fine)),
        command="evaluate",
        constants=tune_constants,
        workers=workers,
    )
    (contender,) = comparison.contenders
    if as_json:
        print_json(comparison.to_json())
    elif contender.failure:
        write(f"{contender.label} failed. {contender.failure}")
    else:
        _print_tasks(comparison, contender)
        write(f"\n{contender.label}: {shown_score(contender.total)}, the mean over tasks")
        write(f"A score is the log of {comparison.unit}; positive is better.")
        if (
            seed == 0
            and not (settings or fine or tune_constants)
            and comparison.unit == EXCESS_LOSS
        ):
            _print_stored(contender, seeds)
    if contender.failure:
        raise typer.Exit(_FAILED)


def _print_tasks(comparison: Comparison, contender: Contender) -> None:
    """Print one contender's results on each task."""
    rows = []
    for task, scores in contender.scores.items():
        tuned, reference = contender.tuned[task], comparison.references[task]
        rows.append(
            (
                task,
                shown_score(mean_score(scores)),
                len(scores),
                f"{_mean(tuned.values):.4f}",
                f"{_mean(reference.values):.4f}",
                f"{tuned.attempt.lr:.2g} / {tuned.attempt.rest_lr:.2g}",
                unsettled(tuned),
            )
        )
    columns = ("task", "score ± se", "seeds", "value", "AdamW", "lr of matrices / rest", "")
    table(columns, rows, left=("task", "lr of matrices / rest", ""))
    for task, reference in comparison.references.items():
        if remark := unsettled(reference):
            write(f"AdamW on {task}: {remark}")


def _print_stored(contender: Contender, seeds: int) -> None:
    """Compare a program with the figures that are stored of it, where there are any."""
    from evosearch.studies.baseline_board import SEEDS, figure, stored

    for task, scores in contender.scores.items():
        board = stored(task) if seeds == SEEDS else None
        known = figure(board, str(contender.rules)) if board else None
        if known is not None:
            level, error = known
            near = abs(mean_score(scores).mean - level) <= max(error or 0.0, 1e-3)
            word = "reproduced" if near else "not reproduced"
            write(f"Stored for {task}: {score_text(level, error)}, {word}")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
