"""``evosearch evaluate`` and ``evosearch compare``: programs against tuned AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from evosearch.cli.conditions import conditions, note_held_out
from evosearch.cli.named_program import NamedProgram, Words, resolve
from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.config.preflight import check_tasks
from evosearch.runs.progress import score_text
from evosearch.training.score import EXCESS_LOSS
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.studies.compare import Comparison, Contender
    from evosearch.training.score import Score

__all__ = ["compare", "evaluate"]

_FAILED = 1

Tasks = Annotated[
    str | None,
    typer.Option(
        metavar="A,B", help="Names from `evosearch tasks`; by default the run's, or digits_mlp."
    ),
]
Seeds = Annotated[int, typer.Option(min=2, help="Paired seeds a task.")]
Seed = Annotated[int, typer.Option(help="What the seeds are drawn from; never those of a search.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. evaluation.rates=7."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that evaluate; 1: no Ray.")]


def evaluate(
    subject: Words,
    *,
    tasks: Tasks = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    settings: Settings = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Evaluate a program against tuned AdamW on fresh seeds.

    Both are tuned with the same freedom. The score is the log of AdamW's excess loss over the
    program's, or, of a run that counts in steps, of how many times as many AdamW would need:
    positive is better than AdamW. Exit code 1 if the program has no score.

    Examples:
      evosearch evaluate lion
      evosearch evaluate runs/quickstart-0 42 --seeds 8
      evosearch evaluate my_optimizer.program --tasks digits_mlp,char_lm
    """
    chosen = resolve(subject)
    comparison = _compare(
        [chosen], tasks=tasks, seeds=seeds, seed=seed, settings=settings or [], workers=workers
    )
    (contender,) = comparison.contenders
    if as_json:
        print_json(comparison.to_json())
    elif contender.failure:
        write(f"{contender.label} failed. {contender.failure}")
    else:
        _print_tasks(comparison, contender)
        write(f"\n{contender.label}: {_score(contender.total)}, the mean over tasks")
        write(f"A score is the log of {comparison.unit}.")
        if seed == 0 and not settings and comparison.unit == EXCESS_LOSS:
            _print_stored(contender, seeds)
    if contender.failure:
        raise typer.Exit(_FAILED)


def compare(
    optimizers: Annotated[
        list[str],
        typer.Argument(
            metavar="OPTIMIZER...", help="Each a known optimizer, a program file, RUN or RUN:ID."
        ),
    ],
    *,
    tasks: Tasks = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    settings: Settings = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Compare optimizers on the same tasks and seeds.

    Each has its own best learning rate; scores are against tuned AdamW.

    Examples:
      evosearch compare adamw lion muon signum
      evosearch compare lion runs/quickstart-0:42 --tasks digits_mlp,char_lm --seeds 8
    """
    subjects = [resolve([word]) for word in optimizers]
    comparison = _compare(
        subjects, tasks=tasks, seeds=seeds, seed=seed, settings=settings or [], workers=workers
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
) -> Comparison:
    from evosearch.studies.compare import compare as compare_programs

    config = conditions(subjects, tasks, settings)
    check_tasks(config)
    console = progress_console()
    texts = [str(subject.program) for subject in subjects]
    note_held_out("evaluate", config.task_names, texts, seeds)
    with start_workers(workers, None, 0.0, config) as executor:
        return compare_programs(
            [(subject.label, subject.program) for subject in subjects],
            config,
            executor,
            seeds=seeds,
            seed=seed,
            report=console.print,
        )


def _print_tasks(comparison: Comparison, contender: Contender) -> None:
    """Print one contender's results on each task."""
    from evosearch.training.score import mean_score

    rows = []
    for task, scores in contender.scores.items():
        results = [result for result in contender.results if result.task == task]
        values = [trial.value for r in results if (trial := r.trials[r.best]).value is not None]
        best = results[0].trials[results[0].best]
        reference = comparison.references[task]
        rows.append(
            (
                task,
                _score(mean_score(scores)),
                len(scores),
                f"{_mean(values):.4f}",
                f"{_mean(reference.values):.4f}",
                f"{best.lr:.2g} / {best.rest_lr:.2g}",
                "at the grid's edge" if results[0].edge else "",
            )
        )
    columns = ("task", "score ± se", "seeds", "value", "AdamW", "lr of matrices / rest", "")
    table(columns, rows, left=("task", "lr of matrices / rest", ""))


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
        behind = "" if contender is leader else _score(contender.ahead_of(leader))
        cells = [_score(mean_score(contender.scores[task])) for task in tasks]
        rows.append((contender.label, _score(contender.total), *cells, behind))
    table(("optimizer", "score ± se", *tasks, "against the first"), rows, left=("optimizer",))
    write(f"\nA score is the log of {comparison.unit}.")


def _score(score: Score | None) -> str:
    return score_text(score.mean, score.se) if score else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
