"""``evosearch promote``: finalists on tasks that took no part in finding them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import note_held_out
from evosearch.errors import DataError, UsageError
from evosearch.runs.named_program import NamedProgram, resolve
from evosearch.runs.progress import score_text
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.studies.promote import BaselineTest, Promotion
    from evosearch.studies.statistics import Difference

__all__ = ["promote"]


def promote(
    finalists: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN ID... | FINALIST...",
            help="A run and its candidates, or each a RUN:ID, a program file or a known optimizer.",
        ),
    ],
    *,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Tasks; by default all of both splits but the large."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=2, help="Paired seeds a task to test on, and as many to tune on.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="What they are drawn from; never a search's.")] = 0,
    trials: Annotated[
        int, typer.Option(min=1, help="Settings of rates and constants that each may try.")
    ] = 64,
    fine: Annotated[
        bool, typer.Option("--fine", help="Refine rates to a factor of the square root of 2.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, e.g. tasks.char_lm.batch=4."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; 1: no Ray.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the JSON here, too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test finalists against tuned AdamW, Lion and Muon on select and held-out tasks.

    Finalists keep their constants; each baseline's are tuned on each task, and everybody's learning
    rates, on other seeds than the result is of. Differences are paired by seed, tests one-sided, p
    values corrected for all comparisons (Holm). "Better" means p < 0.01 over seeds; "in general"
    means p < 0.05 over tasks besides. Every use of held-out tasks is noted before it is known.

    Examples:
      evosearch promote runs/quickstart-0 42 17
      evosearch promote my_optimizer.program runs/first:12 --tasks digits_vit,zipf_bigram_large
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.config.schema import configure
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.promote import BASELINES, LEVEL, TASK_LEVEL
    from evosearch.studies.promote import promote as test
    from evosearch.training.tuner import Descent

    subjects = _subjects(finalists)
    splits = _splits(tasks)
    names = [name for found in splits.values() for name in found]
    config = configure({"tiers": [{"tasks": names}]}, settings or [], "the promotion")
    check_tasks(config)
    programs = {subject.label: str(subject.program) for subject in subjects}
    console = progress_console()
    plan = (
        f"{trials} trials each; one-sided paired t test over seeds, level {LEVEL}, and over tasks, "
        f"level {TASK_LEVEL}, against tuned {', '.join(BASELINES)}, Holm over all of a split"
    )
    count = note_held_out("promote", names, programs.values(), seeds, finalists=programs, plan=plan)
    with start_workers(workers, None, 0.0, config) as executor:
        promotion = test(
            programs,
            splits,
            config,
            executor,
            seeds=seeds,
            seed=seed,
            descent=Descent(trials, fine),
            report=console.print,
        )
    result = promotion.to_json() | {"look": count, "settings": settings or []}
    if output is not None:
        try:
            write_atomic(output, json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise UsageError(f"expected to write {output}, but: {error}") from None
    if as_json:
        print_json(result)
    else:
        _print(promotion)


def _subjects(words: Sequence[str]) -> list[NamedProgram]:
    """Return the finalists: RUN ID ID..., or one a word."""
    run, *ids = words
    if ids and Path(run).is_dir() and all(word.removeprefix("#").isdigit() for word in ids):
        return [resolve([run, id_]) for id_ in ids]
    subjects = [resolve([word]) for word in words]
    labels = [subject.label for subject in subjects]
    if len(set(labels)) < len(labels):
        raise UsageError(f"expected each finalist once, found {', '.join(labels)}")
    return subjects


def _splits(tasks: str | None) -> dict[str, list[str]]:
    """Return the tasks by split: those named, or all that are not large and have their data."""
    from evosearch.config.preflight import check_task
    from proxy_tasks.registry import TASKS
    from proxy_tasks.task import Split, TaskSize

    if tasks is not None:
        names = [name.strip() for name in tasks.split(",")]
        unknown = [name for name in names if name not in TASKS]
        if unknown or len(set(names)) < len(names):
            raise UsageError(
                f"expected names of tasks, each once, found {tasks}; `evosearch tasks` lists them"
            )
    else:
        names = []
        for name, spec in TASKS.items():
            try:
                if spec.split is not Split.SEARCH and spec.task.size is not TaskSize.LARGE:
                    check_task(name, {})
                    names.append(name)
            except DataError:
                continue  # its data is not here
    found: dict[str, list[str]] = {}
    for split in Split:
        chosen = [name for name in names if TASKS[name].split is split]
        if chosen:
            found[split.value] = chosen
    return found


def _print(promotion: Promotion) -> None:
    for split, tasks in promotion.splits.items():
        write(f"{split.capitalize()} tasks: {', '.join(tasks)}; {promotion.seeds} seeds each\n")
        totals = {label: promotion.total(label, split) for label in promotion.scores}
        rows = [(label, score_text(*total)) for label, total in totals.items()]
        table(("optimizer", "score ± se"), rows, left=("optimizer",))
        write()
        found = [finding for finding in promotion.tests if finding.split == split]
        tests = [
            (
                finding.finalist,
                finding.baseline,
                score_text(finding.lead.mean, finding.lead.error),
                f"{finding.p:.2g}",
                f"{finding.p_tasks:.2g}",
                "better in general" if finding.general else "better" if finding.better else "",
            )
            for finding in found
        ]
        columns = ("finalist", "against", "ahead ± se", "p, seeds", "p, tasks", "")
        table(columns, tests, left=("finalist", "against", ""))
        write()
        effects = [
            (f.finalist, f.baseline, task, score_text(lead.mean, lead.error), _interval(lead))
            for f in found
            for task, lead in [*f.leads.items(), *_over_tasks(f)]
        ]
        columns = ("finalist", "against", "task", "ahead ± se", "95 % interval")
        table(columns, effects, left=("finalist", "against", "task"))
        write()


def _over_tasks(test: BaselineTest) -> list[tuple[str, Difference]]:
    """Return the mean of several tasks with the error between them."""
    return [("mean over tasks", test.over_tasks)] if len(test.leads) > 1 else []


def _interval(lead: Difference) -> str:
    from evosearch.studies.statistics import interval

    ends = interval(lead)
    return "" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
