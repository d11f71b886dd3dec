"""``evosearch evaluate`` and ``evosearch compare``: programs against tuned AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.cli import complete
from evosearch.cli.named_program import NamedProgram, Words, resolve
from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import note_held_out, tasks_config
from evosearch.config.preflight import check_tasks
from evosearch.runs.progress import score_text
from evosearch.training.score import EXCESS_LOSS
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.studies.compare import Comparison, Contender
    from evosearch.training.score import Score
    from evosearch.training.tuner import Tuned

__all__ = ["compare", "evaluate"]

_FAILED = 1
TRIALS: Final = 64
"""Enough for seven axes."""

Tasks = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        autocompletion=complete.tasks,
        help="Names from `evosearch tasks`, or files of your own; by default the run's, or "
        "digits_mlp.",
    ),
]
Seeds = Annotated[int, typer.Option(min=2, help="Paired seeds a task.")]
Seed = Annotated[int, typer.Option(help="What the seeds are drawn from; never those of a search.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. tasks.char_lm.batch=4."),
]
Trials = Annotated[
    int, typer.Option(min=1, help="Settings of rates and constants that each may try on a task.")
]
Constants = Annotated[
    bool, typer.Option("--tune-constants", help="Tune the optimizers' constants as AdamW's are.")
]
Fine = Annotated[
    bool, typer.Option("--fine", help="Refine learning rates to a factor of the square root of 2.")
]
Processes = Annotated[int, typer.Option(min=1, help="Processes that evaluate; 1: no Ray.")]


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
    chosen = resolve(subject)
    comparison = _compare(
        [chosen],
        tasks=tasks,
        seeds=seeds,
        seed=seed,
        settings=settings or [],
        workers=workers,
        effort=(trials, tune_constants, fine),
    )
    (contender,) = comparison.contenders
    if as_json:
        print_json(comparison.to_json())
    elif contender.failure:
        write(f"{contender.label} failed. {contender.failure}")
    else:
        _print_tasks(comparison, contender)
        write(f"\n{contender.label}: {_score(contender.total)}, the mean over tasks")
        write(f"A score is the log of {comparison.unit}; positive is better.")
        if (
            seed == 0
            and not (settings or fine or tune_constants)
            and comparison.unit == EXCESS_LOSS
        ):
            _print_stored(contender, seeds)
    if contender.failure:
        raise typer.Exit(_FAILED)


def compare(
    optimizers: Annotated[
        list[str],
        typer.Argument(
            metavar="OPTIMIZER...",
            help="Each a known optimizer, a program file, RUN or RUN:ID.",
            autocompletion=complete.programs,
        ),
    ],
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
    """Compare optimizers on the same tasks and seeds.

    Each has its own best learning rates, or with `--tune-constants` its best constants as well;
    scores are against tuned AdamW. All may try as much, on other seeds than the result is of.

    Examples:
      evosearch compare adamw lion muon signum
      evosearch compare lion runs/quickstart-0:42 --tasks digits_mlp,char_lm --seeds 8
    """
    subjects = [resolve([word]) for word in optimizers]
    comparison = _compare(
        subjects,
        tasks=tasks,
        seeds=seeds,
        seed=seed,
        settings=settings or [],
        workers=workers,
        effort=(trials, tune_constants, fine),
    )
    if as_json:
        print_json(comparison.to_json())
    else:
        _print_contenders(comparison)


def _compare(
    subjects: Sequence[NamedProgram],
    *,
    tasks: str | None,
    seeds: int,
    seed: int,
    settings: list[str],
    workers: int,
    effort: tuple[int, bool, bool],
) -> Comparison:
    from evosearch.studies.compare import compare as compare_programs
    from evosearch.training.tuner import Descent

    trials, constants, fine = effort
    config = tasks_config(subjects, tasks, settings)
    check_tasks(config)
    console = progress_console()
    texts = [str(subject.program) for subject in subjects]
    plan = f"{trials} trials each; scores against tuned AdamW with standard errors, no test"
    names = [subject.label for subject in subjects]
    note_held_out("evaluate", config.task_names, texts, seeds, finalists=names, plan=plan)
    with start_workers(workers, None, 0.0, config) as executor:
        return compare_programs(
            [(subject.label, subject.program) for subject in subjects],
            config,
            executor,
            seeds=seeds,
            seed=seed,
            descent=Descent(trials, fine),
            constants=constants,
            report=console.print,
        )


def _print_tasks(comparison: Comparison, contender: Contender) -> None:
    """Print one contender's results on each task."""
    from evosearch.training.score import mean_score

    rows = []
    for task, scores in contender.scores.items():
        tuned, reference = contender.tuned[task], comparison.references[task]
        rows.append(
            (
                task,
                _score(mean_score(scores)),
                len(scores),
                f"{_mean(tuned.values):.4f}",
                f"{_mean(reference.values):.4f}",
                f"{tuned.attempt.lr:.2g} / {tuned.attempt.rest_lr:.2g}",
                _remark(tuned),
            )
        )
    columns = ("task", "score ± se", "seeds", "value", "AdamW", "lr of matrices / rest", "")
    table(columns, rows, left=("task", "lr of matrices / rest", ""))
    for task, reference in comparison.references.items():
        if remark := _remark(reference):
            write(f"AdamW on {task}: {remark}")


def _remark(tuned: Tuned) -> str:
    """Return where the best lies at an edge, because trials ran out."""
    return f"not settled: {', '.join(tuned.edges)}; give more --trials" if tuned.edges else ""


def _print_stored(contender: Contender, seeds: int) -> None:
    """Compare a program with the figures that are stored of it, where there are any."""
    from evosearch.studies.baseline_board import SEEDS, figure, stored
    from evosearch.training.score import mean_score

    for task, scores in contender.scores.items():
        board = stored(task) if seeds == SEEDS else None
        known = figure(board, str(contender.rules)) if board else None
        if known is not None:
            level, error = known
            near = abs(mean_score(scores).mean - level) <= max(error or 0.0, 1e-3)
            word = "reproduced" if near else "not reproduced"
            write(f"Stored for {task}: {score_text(level, error)}, {word}")


def _print_contenders(comparison: Comparison) -> None:
    """Print all contenders, best first."""
    from evosearch.training.score import mean_score

    tasks = list(comparison.references)
    leader = comparison.contenders[0]
    rows = []
    for contender in comparison.contenders:
        if contender.failure:
            rows.append((contender.label, contender.failure, *("" for _ in tasks), ""))
            continue
        lead = contender.ahead_of(leader)
        behind = "" if contender is leader else score_text(lead.mean, lead.error)
        cells = [_score(mean_score(contender.scores[task])) for task in tasks]
        rows.append((contender.label, _score(contender.total), *cells, behind))
    table(("optimizer", "score ± se", *tasks, "against the first"), rows, left=("optimizer",))
    write(f"\nA score is the log of {comparison.unit}; positive is better.")


def _score(score: Score | None) -> str:
    return score_text(score.mean, score.se) if score else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
